//! Verbs that use up memory and CPU.

use std::thread;
use std::time::{Duration, Instant};

use crate::life::{fork, leave, wait};
use crate::signal;
use crate::{Outcome, Usage, optional, required};

const MIB: usize = 1 << 20;
const PAGE: usize = 4096;

/// `alloc MIB [hold]`: touches memory one MiB at a time and says how much it has; `hold` stays with it.
pub fn alloc(args: &[String]) -> Outcome {
    let most = required(args, 0)?;
    let hold = match args.get(1).map(String::as_str) {
        None => false,
        Some("hold") => true,
        Some(_) => return Err(Usage.into()),
    };
    let held = touch(most, |mib| println!("allocated={mib}"));
    println!("done={}", held.len());
    if hold {
        signal::exit_when_asked();
        signal::pause()
    }
    Ok(0)
}

fn touch(most: usize, progress: impl Fn(usize)) -> Vec<Vec<u8>> {
    let mut held = Vec::with_capacity(most);
    for mib in 1..=most {
        let mut block = vec![0; MIB];
        for page in block.chunks_mut(PAGE) {
            page[0] = 1;
        }
        held.push(std::hint::black_box(block));
        progress(mib);
    }
    held
}

/// `spawn-alloc MIB`: a child allocates (and dies, if there is less); the parent says how it ended, and lives on.
pub fn spawn_alloc(args: &[String]) -> Outcome {
    let most = required(args, 0)?;
    let child = fork()?;
    if child == 0 {
        drop(touch(most, |_| ()));
        leave(0)
    }
    let status = wait(child)?;
    if libc::WIFSIGNALED(status) {
        println!("child signal={}", signal::name(libc::WTERMSIG(status)));
    } else {
        println!("child exit={}", libc::WEXITSTATUS(status));
    }
    println!("parent lives on");
    signal::exit_when_asked();
    signal::pause()
}

/// `spin [THREADS] [SECONDS]`: spins (one thread and for ever if not told) and prints once a second, and at the end,
/// how much CPU time that took.
pub fn spin(args: &[String]) -> Outcome {
    let threads: usize = optional(args, 0)?.unwrap_or(1);
    let seconds: Option<f64> = optional(args, 1)?;
    signal::exit_when_asked();
    let start = Instant::now();
    for _ in 1..threads {
        thread::spawn(|| {
            loop {
                burn();
            }
        });
    }
    let mut next = 1.0;
    loop {
        burn();
        let wall = start.elapsed().as_secs_f64();
        let over = seconds.is_some_and(|seconds| wall >= seconds);
        if wall >= next || over {
            println!("cpu={:.3} wall={wall:.3}", cpu_time().as_secs_f64());
            next = wall.floor() + 1.0;
        }
        if over {
            return Ok(0);
        }
    }
}

/// Some tens of microseconds of work.
fn burn() {
    for round in 0..50_000_u64 {
        std::hint::black_box(round);
    }
}

fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a value that lives through the call.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
