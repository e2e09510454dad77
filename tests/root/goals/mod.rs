//! Goals with figures: `make goals` does each as often as it is meant, `make test` a few times. Each prints what was done, how
//! often, and the times.

mod cost;
mod downloads;
mod ends;
mod kills;

use std::time::Duration;

use crate::support::say;

/// Times of one kind.
#[derive(Debug, Default)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The time below which so many of a hundred are.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or_default()
    }

    /// `n=1000 p50 1.2 ms, p99 3.4 ms, max 5.6 ms`
    pub(super) fn text(&self) -> String {
        let at = |percent| self.percentile(percent).as_secs_f64() * 1e3;
        format!("n={} p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", self.len(), at(50), at(99), at(100))
    }
}

/// A row of the table of `make goals`: what was done, what came of it, and what the goal is.
pub(crate) fn report(what: &str, result: &str, goal: &str) {
    say(&format!("goal: {what:30} {result} | {goal}"));
}
