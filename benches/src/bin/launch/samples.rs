//! Samples: the clock before a command starts, at the first instruction in its container, and at its end.

use std::process::{Command, Stdio};

use bench::measure::{Pace, ms, now};

use crate::Case;

/// Rounds before the first that counts: caches, and what tools make at their first use.
const WARM_UP: usize = 2;

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
