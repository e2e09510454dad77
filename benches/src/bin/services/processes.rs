//! The CPU and the memory of berth's own processes: those of the tasks' supervisors, of their endpoints and of the scheduler,
//! by the kernel's counters.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use bench::Failure;

use crate::world::Running;

/// How long processes may take to end by themselves.
const PATIENCE: Duration = Duration::from_secs(90);

/// What doing nothing costs.
pub struct Cost {
    pub processes: usize,
    /// Processes that came meanwhile: their use is counted too, that of such as came and went is not.
    pub new: usize,
    pub cpu_ns: u64,
    /// Of one CPU.
    pub percent: f64,
}

/// Looks at all processes of these tasks and of the root's scheduler now, and again after so many seconds.
pub fn cost(root: &Path, tasks: &[Running], seconds: usize) -> Result<Cost, Failure> {
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

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A task, as its holder or its loop.
    Supervisor,
    /// The questions of a task's containers.
    Endpoint,
    /// The counts of services.
    Scheduler,
}

/// The memory of the processes with a purpose, in KiB per task: what is shared is divided by those who share it.
pub fn memory(root: &Path, tasks: &[Running], purpose: Purpose) -> Result<f64, Failure> {
    let mut sum = 0;
    for (pid, _) in found(root, tasks)?.into_iter().filter(|(_, own)| *own == purpose) {
        // One that has ended meanwhile has none.
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        sum += line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default();
    }
    Ok(sum as f64 / tasks.len() as f64)
}

/// Waits until no process has a purpose any more.
pub fn until_gone(root: &Path, tasks: &[Running], purpose: Purpose) -> Result<(), Failure> {
    let since = Instant::now();
    while found(root, tasks)?.iter().any(|(_, own)| *own == purpose) {
        if since.elapsed() > PATIENCE {
            return Err(format!("{purpose:?} processes are there after {PATIENCE:?}").into());
        }
        thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

/// The CPU time of each process so far, in ns.
fn used(root: &Path, tasks: &[Running]) -> Result<BTreeMap<u32, u64>, Failure> {
    let mut all = BTreeMap::new();
    for (pid, _) in found(root, tasks)? {
        // "time on the CPU, time waiting for it, time slices" (Documentation/scheduler/sched-stats)
        let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
        let ns = text.split(' ').next().and_then(|ns| ns.parse().ok());
        all.extend(ns.map(|ns| (pid, ns)));
    }
    Ok(all)
}

/// All processes of these tasks, and of the root's scheduler.
fn found(root: &Path, tasks: &[Running]) -> Result<Vec<(u32, Purpose)>, Failure> {
    let root = root.canonicalize()?;
    let has = |task: &[u8]| tasks.iter().any(|one| one.id.as_bytes() == task);
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        let purpose = match words.as_slice() {
            [b"berth", b"supervise", _, task, ..] if has(task) => Purpose::Supervisor,
            [b"berth", b"endpoint-worker", task, ..] if has(task) => Purpose::Endpoint,
            [b"berth", b"schedule", of, ..] if *of == root.as_os_str().as_encoded_bytes() => Purpose::Scheduler,
            _ => continue,
        };
        all.push((pid, purpose));
    }
    Ok(all)
}
