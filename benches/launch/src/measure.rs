//! Samples: the clock before a command starts, at the first instruction in its container, and at its end.

use std::cell::Cell;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::Case;

/// Rounds before the first that counts: caches, and what tools make at their first use.
const WARM_UP: usize = 2;

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

/// The samples of one case, in ms, sorted when all are there.
pub struct Results {
    pub name: String,
    /// Start of the command to the first instruction in the container.
    pub first: Vec<f64>,
    /// Start of the command to its end.
    pub end: Vec<f64>,
    /// The runs that failed, and what the last of them said.
    pub failed: usize,
    pub reason: String,
}

/// Every case once a round, each round beginning with the next case.
pub fn round_robin(cases: &[Case], samples: usize, pace: &Pace) -> Vec<Results> {
    let empty = |case: &Case| Results {
        name: case.name.clone(),
        first: Vec::new(),
        end: Vec::new(),
        failed: 0,
        reason: String::new(),
    };
    let mut results: Vec<Results> = cases.iter().map(empty).collect();
    for round in 0..samples + WARM_UP {
        for turn in 0..cases.len() {
            let index = (round + turn) % cases.len();
            let (case, result) = (&cases[index], &mut results[index]);
            if result.failed > 0 && result.end.is_empty() {
                continue; // it never worked: do not wait for it a hundred times
            }
            pace.pause();
            match sample(&mut (case.command)(round)) {
                Ok((first, end)) if round >= WARM_UP => {
                    result.first.push(first);
                    result.end.push(end);
                }
                Ok(_) => (),
                Err(reason) => {
                    result.failed += 1;
                    result.reason = reason;
                }
            }
        }
    }
    for result in &mut results {
        result.first.sort_by(f64::total_cmp);
        result.end.sort_by(f64::total_cmp);
    }
    results
}

/// Runs a command that prints the probe's stamp; ms to the stamp and to the end.
fn sample(command: &mut Command) -> Result<(f64, f64), String> {
    let start = now();
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let end = now();
    let (text, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let complaint = said.trim().lines().last().unwrap_or_default();
    if !output.status.success() {
        return Err(format!("{}: {complaint}", output.status));
    }
    // whatever stands around it on the line (a prefix, JSON) is the tool's own
    let mut stamps = text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse::<u64>().ok());
    let stamp = stamps.find(|stamp| (start..end).contains(stamp));
    let stamp = stamp.ok_or_else(|| format!("no stamp in {:?} {complaint}", text.trim()))?;
    Ok((ms(stamp - start), ms(end - start)))
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
