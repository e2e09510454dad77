//! The clock, the pause before a sample, and percentiles.

use std::cell::Cell;
use std::thread;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC in ns, the clock that the probe reads.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has this clock");
    u64::try_from(time.tv_sec()).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap_or(0)
}

/// The pause before each sample.
pub struct Pace {
    gap: Duration,
    looks: usize,
    noisy: Cell<usize>,
}

const LOOK: Duration = Duration::from_millis(2);

impl Pace {
    /// `gap` and `quiet` in ms.
    pub fn new(gap: usize, quiet: usize) -> Self {
        Self { gap: Duration::from_millis(gap as u64), looks: quiet / 2, noisy: Cell::new(0) }
    }

    /// Waits out the gap, and then for three looks in a row at which nothing else was runnable.
    pub fn pause(&self) {
        thread::sleep(self.gap);
        let mut calm = 0;
        for _ in 0..self.looks {
            calm = if runnable() == Some(1) { calm + 1 } else { 0 };
            if calm == 3 {
                return;
            }
            thread::sleep(LOOK);
        }
        if self.looks > 0 {
            self.noisy.set(self.noisy.get() + 1);
        }
    }

    /// How many samples found no quiet moment, if any did not.
    pub fn note(&self) -> Option<String> {
        let noisy = self.noisy.get();
        (noisy > 0).then(|| format!("{noisy} samples started while other work was running on the machine"))
    }
}

/// How many processes want a CPU, this one included.
fn runnable() -> Option<usize> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("procs_running "))?.trim().parse().ok()
}

/// Nanoseconds as milliseconds.
pub fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// The nearest-rank percentile of sorted samples, `NaN` of none.
pub fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}
