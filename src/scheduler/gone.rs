//! The tasks of a service that have stopped: how long their records and logs are kept. A service that cannot start its tasks
//! must not fill the disk with them.

use serde::{Deserialize, Serialize};

use super::Service;
use crate::lifecycle::Timestamp;

/// For so long stopped tasks can be described (ECS: an hour at least), in milliseconds.
const KEPT_FOR: i64 = 3_600_000;
/// So many are kept longer.
const KEPT_LONGER: usize = 20;
/// More than these are not kept at all.
const MOST: usize = 200;

/// A task that has stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Its id.
    pub id: String,
    /// When that was seen.
    pub at: Timestamp,
}

impl Service {
    /// The tasks whose records and logs are to be removed now, oldest first; they are forgotten.
    pub fn expired(&mut self, now: Timestamp) -> Vec<String> {
        let old = |one: &Gone| now.0.saturating_sub(one.at.0) > KEPT_FOR;
        let surplus = self.gone.len().saturating_sub(MOST);
        let beyond = self.gone.len().saturating_sub(KEPT_LONGER);
        let aged = self.gone.iter().take(beyond).take_while(|one| old(one)).count();
        self.gone.drain(..surplus.max(aged)).map(|one| one.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Working;
    use super::super::tests::service;
    use super::*;

    #[test]
    fn stopped_tasks_are_kept_for_an_hour_the_last_twenty_longer_and_never_more_than_two_hundred() {
        let mut service = service(Working::Replica, 1);
        let gone = |number: i64| Gone { id: number.to_string(), at: Timestamp(number) };
        service.gone = (0..201).map(gone).collect();
        assert_eq!(service.expired(Timestamp(201)), ["0"]);
        assert_eq!(service.expired(Timestamp(KEPT_FOR + 101)).len(), 100);
        assert_eq!(service.expired(Timestamp(i64::MAX)).len(), 80);
        assert_eq!((service.gone.len(), service.gone[0].id.as_str()), (20, "181"));
    }
}
