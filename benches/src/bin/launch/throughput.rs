//! Whole runs per second: several callers, each of which starts its next run when its last one has ended and is gone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bench::host::run;

use crate::Case;

/// Where the numbers of these runs begin: those of the samples end below.
const FIRST: usize = 1_000_000;

/// What one case made.
pub struct Rate {
    pub name: String,
    pub per_second: f64,
    /// The runs that failed, and why the last of them did.
    pub failed: usize,
    pub reason: String,
}

/// Each case for so many seconds, one after another; none of them for 0 seconds.
pub fn rates(cases: &[Case], callers: usize, seconds: usize) -> Vec<Rate> {
    let time = Duration::from_secs(seconds as u64);
    cases.iter().filter(|_| seconds > 0).map(|case| rate(case, callers, time)).collect()
}

fn rate(case: &Case, callers: usize, time: Duration) -> Rate {
    let (next, since) = (AtomicUsize::new(FIRST), Instant::now());
    let call = || {
        let (mut done, mut failed, mut reason) = (0, 0, String::new());
        while since.elapsed() < time {
            match run(&mut (case.command)(next.fetch_add(1, Ordering::Relaxed))) {
                Ok(_) => done += 1,
                Err(error) => (failed, reason) = (failed + 1, error.to_string()),
            }
        }
        (done, failed, reason)
    };
    let all: Vec<(usize, usize, String)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(call)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let took = since.elapsed().as_secs_f64();
    let done: usize = all.iter().map(|(done, ..)| done).sum();
    let failed = all.iter().map(|(_, failed, _)| failed).sum();
    let reason = all.into_iter().map(|(.., reason)| reason).find(|reason| !reason.is_empty()).unwrap_or_default();
    Rate { name: case.name.clone(), per_second: done as f64 / took, failed, reason }
}
