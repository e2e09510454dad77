//! The most memory that a program and the processes that it starts have had at once, each for itself.

use std::fs;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often is looked: VmHWM only grows, so that nothing is missed but what happens after the last look.
const LOOK: Duration = Duration::from_millis(5);

/// Watches a child until it is asked.
pub struct Watch {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Watch {
    /// Begins.
    pub fn over(child: &Child) -> Self {
        let (ended, pid) = (Arc::new(AtomicBool::new(false)), child.id());
        let seen = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            let mut peak = 0;
            while !seen.load(Ordering::SeqCst) {
                peak = peak.max(largest(pid));
                thread::sleep(LOOK);
            }
            peak
        });
        Self { ended, thread }
    }

    /// The VmHWM in KiB of the process that had the most.
    pub fn peak(self) -> u64 {
        self.ended.store(true, Ordering::SeqCst);
        self.thread.join().unwrap_or(0)
    }
}

/// Of a process and all below it.
fn largest(pid: u32) -> u64 {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let status = read("status");
    let own = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<u32> = children
        .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    children.into_iter().map(largest).chain(own).max().unwrap_or(0)
}
