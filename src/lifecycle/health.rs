//! The health of containers and of their task: when a check is due, what its outcome means. Pure; the checks themselves are
//! made by workers. Called by `step`.

use serde::{Deserialize, Serialize};

use super::state::{Now, TaskState, Timestamp};
use crate::ecs::HealthStatus;
use crate::plan::HealthPlan;

/// How much of a check's output is kept, in characters (ECS's agent).
pub const LONGEST_OUTPUT: usize = 1024;

/// The rule by which a container is checked. Times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthRule {
    /// From the end of one check (or the container's start) to the next one.
    pub interval: u64,
    /// Failures in a row that make the container UNHEALTHY.
    pub retries: u32,
    /// After the start, while failures do not count; a success ends it.
    pub start_period: u64,
}

impl From<&HealthPlan> for HealthRule {
    fn from(plan: &HealthPlan) -> Self {
        let milliseconds = |seconds| u64::from(seconds) * 1000;
        Self {
            interval: milliseconds(plan.interval),
            retries: plan.retries.max(1),
            start_period: milliseconds(plan.start_period),
        }
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckEnd {
    /// With this exit code; 128 + n for signal n.
    Exited(i32),
    /// It took too long and was killed.
    TimedOut,
    /// It could not be run; the output says why.
    NotRun,
}

/// A check that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// How it ended.
    pub end: CheckEnd,
    /// What it wrote, at most [`LONGEST_OUTPUT`] characters of it.
    pub output: String,
}

/// When a container is checked next. Not in the record: a loop that finds none checks as soon as one can be due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Probe {
    /// One interval after the container's start.
    #[default]
    First,
    /// At this time, in milliseconds since boot.
    At(u64),
    /// Now: a worker is at it.
    UnderWay,
}

/// What is known of a container's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// How it is checked, if it is.
    pub rule: Option<HealthRule>,
    /// What it is.
    pub status: HealthStatus,
    /// Since when; none as long as it is UNKNOWN.
    pub since: Option<Timestamp>,
    /// Failures in a row that count; not more than make it UNHEALTHY.
    pub failures: u32,
    /// The last check that failed, and when it ended.
    pub last_failure: Option<(Timestamp, Checked)>,
    /// The next check.
    #[serde(skip)]
    pub probe: Probe,
}

impl Health {
    /// That of a container that nobody has checked yet.
    pub(super) fn new(rule: Option<HealthRule>) -> Self {
        Self { rule, status: HealthStatus::Unknown, since: None, failures: 0, last_failure: None, probe: Probe::First }
    }

    /// When the next check of a container is due that began at this time, in milliseconds since boot.
    pub(super) fn due(&self, began: u64) -> Option<u64> {
        let rule = self.rule?;
        match self.probe {
            Probe::First => Some(began + rule.interval),
            Probe::At(at) => Some(at),
            Probe::UnderWay => None,
        }
    }

    /// Takes the outcome of a check into account.
    pub(super) fn checked(&mut self, began: u64, mut checked: Checked, now: Now) {
        let Some(rule) = self.rule else { return };
        self.probe = Probe::At(now.boot + rule.interval);
        if checked.end == CheckEnd::Exited(0) {
            self.failures = 0;
            return self.turn(HealthStatus::Healthy, now);
        }
        // A success ends the grace: what has been HEALTHY since its start is judged from then on.
        let graced = self.status == HealthStatus::Unknown && now.boot < began + rule.start_period;
        if !graced {
            self.failures = (self.failures + 1).min(rule.retries);
        }
        if let Some((end, _)) = checked.output.char_indices().nth(LONGEST_OUTPUT) {
            checked.output.truncate(end);
        }
        self.last_failure = Some((now.wall, checked));
        if self.failures >= rule.retries {
            self.turn(HealthStatus::Unhealthy, now);
        }
    }

    fn turn(&mut self, status: HealthStatus, now: Now) {
        if self.status != status {
            self.status = status;
            self.since = Some(now.wall);
        }
    }
}

impl TaskState {
    /// The task's health: that of its essential containers, UNHEALTHY before UNKNOWN before HEALTHY. One that is not checked is
    /// UNKNOWN.
    pub fn health(&self) -> HealthStatus {
        let of = |status| self.essential_health().any(|health| health.status == status);
        match () {
            () if of(HealthStatus::Unhealthy) => HealthStatus::Unhealthy,
            () if of(HealthStatus::Unknown) => HealthStatus::Unknown,
            () => HealthStatus::Healthy,
        }
    }

    /// Since when all essential containers are HEALTHY; none if they are not.
    pub fn healthy_since(&self) -> Option<Timestamp> {
        let last = self.essential_health().filter_map(|health| health.since).max();
        last.filter(|_| self.health() == HealthStatus::Healthy)
    }

    /// What the checks of its essential containers say that have one, for the task's service; none if none has.
    pub fn checked_health(&self) -> Option<HealthStatus> {
        let checked = || self.essential_health().filter(|health| health.rule.is_some()).map(|health| health.status);
        let of = |status| checked().any(|other| other == status);
        checked().next().map(|_| match () {
            () if of(HealthStatus::Unhealthy) => HealthStatus::Unhealthy,
            () if of(HealthStatus::Unknown) => HealthStatus::Unknown,
            () => HealthStatus::Healthy,
        })
    }

    fn essential_health(&self) -> impl Iterator<Item = &Health> {
        self.containers.iter().filter(|container| container.essential).map(|container| &container.health)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now { wall: Timestamp(seconds as i64 * 1000), boot: seconds * 1000 }
    }

    fn health(start_period: u64) -> Health {
        Health::new(Some(HealthRule { interval: 10_000, retries: 3, start_period: start_period * 1000 }))
    }

    /// The status after each of these checks, one every ten seconds: exit codes.
    fn statuses(mut health: Health, codes: &[i32]) -> Vec<HealthStatus> {
        let checks = codes.iter().zip(1..);
        checks
            .map(|(code, number)| {
                assert_eq!(health.due(0), Some(number * 10_000));
                let checked = Checked { end: CheckEnd::Exited(*code), output: "text".to_owned() };
                health.checked(0, checked, at(number * 10));
                health.status
            })
            .collect()
    }

    #[test]
    fn three_failures_in_a_row_make_it_unhealthy_and_one_success_healthy() {
        use HealthStatus::{Healthy, Unhealthy, Unknown};
        assert_eq!(statuses(health(0), &[1, 1, 1]), [Unknown, Unknown, Unhealthy]);
        assert_eq!(statuses(health(0), &[0, 1, 1, 0, 1, 1, 1, 0]), {
            [Healthy, Healthy, Healthy, Healthy, Healthy, Healthy, Unhealthy, Healthy]
        });
    }

    #[test]
    fn failures_in_the_start_period_do_not_count_unless_a_success_has_ended_it() {
        use HealthStatus::{Healthy, Unhealthy, Unknown};
        assert_eq!(statuses(health(40), &[1, 1, 1, 1, 1, 1]), [Unknown, Unknown, Unknown, Unknown, Unknown, Unhealthy]);
        assert_eq!(statuses(health(300), &[1, 0, 1, 1, 1]), [Unknown, Healthy, Healthy, Healthy, Unhealthy]);
    }

    #[test]
    fn of_the_output_of_a_failed_check_the_first_part_is_kept() {
        let mut health = health(0);
        health.checked(0, Checked { end: CheckEnd::TimedOut, output: "é".repeat(5000) }, at(3));
        let (when, checked) = health.last_failure.unwrap();
        assert_eq!((when, checked.output.chars().count(), checked.end), (at(3).wall, 1024, CheckEnd::TimedOut));
    }
}
