//! How long something that has failed rests until it is tried again: hardly at first, for what failed once may succeed at once;
//! then longer and longer, for a full disk is full for a while.

/// The first pause, in milliseconds.
const SHORTEST: u64 = 20;
/// The longest one.
const LONGEST: u64 = 1000;

/// What has failed so far.
#[derive(Debug, Default)]
pub(super) struct Retry {
    pause: u64,
    at: Option<u64>,
}

impl Retry {
    /// It has failed once more, at this time since boot in milliseconds.
    pub(super) fn failed(&mut self, now: u64) {
        self.pause = (self.pause * 2).clamp(SHORTEST, LONGEST);
        self.at = Some(now + self.pause);
    }

    /// It has not.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// When it is due again, if it waits for that.
    pub(super) fn at(&self) -> Option<u64> {
        self.at
    }

    /// Whether it has to wait longer.
    pub(super) fn rests(&self, now: u64) -> bool {
        self.at.is_some_and(|at| at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_up_to_a_second_and_begins_anew_after_a_success() {
        let mut retry = Retry::default();
        assert!(!retry.rests(0));
        let mut pauses = Vec::new();
        for _ in 0..8 {
            retry.failed(1000);
            pauses.push(retry.at().unwrap() - 1000);
        }
        assert_eq!(pauses, [20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert!(retry.rests(1999) && !retry.rests(2000));
        retry.succeeded();
        assert_eq!(retry.at(), None);
        retry.failed(5);
        assert_eq!(retry.at(), Some(25));
    }
}
