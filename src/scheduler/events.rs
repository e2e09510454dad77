//! What a service tells of itself, in ECS's words: the newest hundred events.

use serde::{Deserialize, Serialize};

use super::Service;
use crate::lifecycle::Now;
use crate::lifecycle::Timestamp;

/// How many are kept (ECS).
const KEPT: usize = 100;
/// For how long an equal message is held back as long as its cause lasts, in milliseconds: six hours.
pub(super) const HELD_BACK: u64 = 6 * 3_600_000;
/// How many tasks one event names.
const NAMED: usize = 10;
const STEADY: &str = " has reached a steady state.";

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceEvent {
    /// Its number, from 1; the older the smaller.
    pub number: u64,
    /// When it was told.
    pub at: Timestamp,
    /// The sentence.
    pub message: String,
}

impl Service {
    /// Tells something that happens once.
    pub(super) fn tell(&mut self, text: &str, now: Now) {
        let message = format!("(service {}){text}", self.name);
        self.keep(message, now);
    }

    fn keep(&mut self, message: String, now: Now) {
        self.told += 1;
        self.events.insert(0, ServiceEvent { number: self.told, at: now.wall, message });
        self.events.truncate(KEPT);
    }

    /// Tells something that lasts: again only after six hours, or after the service was steady in between.
    pub(super) fn complain(&mut self, text: &str, now: Now) {
        let message = format!("(service {}){text}", self.name);
        let held_back = i64::try_from(self.scaled(HELD_BACK)).unwrap_or(i64::MAX);
        let since_steady = self.events.iter().take_while(|event| !event.message.ends_with(STEADY));
        let known = since_steady
            .filter(|event| event.message == message)
            .any(|event| (now.wall.0 - event.at.0).abs() < held_back);
        if !known {
            self.tell(text, now);
        }
    }

    pub(super) fn tell_steady(&mut self, now: Now) {
        self.tell(STEADY, now);
    }

    pub(super) fn tell_started(&mut self, ids: &[String], now: Now) {
        for ids in ids.chunks(NAMED) {
            self.tell(&format!(" has started {} tasks: {}.", ids.len(), named(ids)), now);
        }
    }

    pub(super) fn tell_stopped(&mut self, ids: &[String], now: Now) {
        for ids in ids.chunks(NAMED) {
            self.tell(&format!(" has stopped {} running tasks: {}.", ids.len(), named(ids)), now);
        }
    }
}

impl Service {
    /// Tells something of one of its task sets.
    pub(super) fn tell_set(&mut self, set: &str, text: &str, now: Now) {
        let message = format!("(service {}, taskSet ecs-svc/{set}){text}", self.name);
        self.keep(message, now);
    }

    /// Tells that a task set has started, or stopped, tasks.
    pub(super) fn tell_of_set(&mut self, set: &str, verb: &str, what: &str, ids: &[String], now: Now) {
        for ids in ids.chunks(NAMED) {
            self.tell_set(set, &format!(" has {verb} {} {what}: {}.", ids.len(), named(ids)), now);
        }
    }
}

fn named(ids: &[String]) -> String {
    ids.iter().map(|id| format!("(task {id})")).collect::<Vec<_>>().join(" ")
}
