//! The CPU that berth's own processes use: those of the tasks' supervisors and of the scheduler, by the kernel's counters.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use bench::Failure;

use crate::world::Running;

/// How long berth is left alone before it is looked at.
const SETTLE: Duration = Duration::from_secs(45);

/// What doing nothing costs.
pub struct Cost {
    pub processes: usize,
    /// Processes that came meanwhile: their use is counted too, that of such as came and went is not.
    pub new: usize,
    pub cpu_ns: u64,
    /// Of one CPU.
    pub percent: f64,
}

/// Looks at all processes of these tasks and of the root's scheduler now, and again after so many seconds. Before that the
/// tasks have come to count as healthy: nothing is due any more.
pub fn cost(root: &Path, tasks: &[Running], seconds: usize) -> Result<Cost, Failure> {
    thread::sleep(SETTLE);
    let (before, since) = (used(root, tasks)?, Instant::now());
    // holder and loop of each, and those of the scheduler
    if before.len() < 2 * tasks.len() + 2 {
        return Err(format!("{} processes for {} tasks: not all were found", before.len(), tasks.len()).into());
    }
    thread::sleep(Duration::from_secs(seconds as u64));
    let (after, time) = (used(root, tasks)?, since.elapsed());
    let cpu_ns = after.iter().map(|(pid, used)| used - before.get(pid).copied().unwrap_or(0).min(*used)).sum();
    Ok(Cost {
        processes: before.len(),
        new: after.keys().filter(|pid| !before.contains_key(pid)).count(),
        cpu_ns,
        percent: cpu_ns as f64 / time.as_nanos() as f64 * 100.0,
    })
}

/// The CPU time of each process so far, in ns.
fn used(root: &Path, tasks: &[Running]) -> Result<BTreeMap<u32, u64>, Failure> {
    let root = root.canonicalize()?;
    let mut all = BTreeMap::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        let ours = match words.as_slice() {
            [b"berth", b"supervise", _, task, ..] => tasks.iter().any(|one| one.id.as_bytes() == *task),
            [b"berth", b"schedule", of, ..] => *of == root.as_os_str().as_encoded_bytes(),
            _ => false,
        };
        if ours {
            // "time on the CPU, time waiting for it, time slices" (Documentation/scheduler/sched-stats)
            let text = fs::read_to_string(entry.path().join("schedstat")).unwrap_or_default();
            let ns = text.split(' ').next().and_then(|ns| ns.parse().ok());
            all.extend(ns.map(|ns| (pid, ns)));
        }
    }
    Ok(all)
}
