//! The process that holds the counts of all services of a root: one for all of them, because one lock, one socket and one
//! deadline are less than hundreds, places on the host are given by one hand, and whoever ends a task has one door to knock at.
//!
//! ```text
//! caller --spawn--> holder --fork--> loop --spawn--> fetch (a deployment's images and values)
//!                     |                 \---spawn--> supervisors of new tasks
//!                     +-- holds the lock; starts the loop again if it dies
//! ```
//!
//! It knows nothing that is not in the store, and ends when no service is left to hold. Started by [`crate::ops::host::wake`]
//! from wherever its socket is found deaf.

mod event_loop;
mod watches;

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use nix::fcntl::OFlag;

use crate::ops::host::{self, Fork, Lock, SCHEDULE};
use crate::ops::{Engine, OpsError};

/// The name that starts the program as a fetch.
const FETCH: &str = "schedule-fetch";
/// How often a scheduler that finds the lock taken looks whether its holder listens, or lets go.
const ATTEMPTS: u32 = 400;
/// The pause in between.
const PAUSE: Duration = Duration::from_millis(5);
/// A loop that dies at once is started again only after a pause, which grows to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How a fetch ends that has left a task which did not start.
const MISSING: u8 = 3;

/// Why there is no scheduler.
#[derive(Debug, thiserror::Error)]
enum ScheduleError {
    #[error(transparent)]
    Ops(#[from] OpsError),
    #[error("{verb}")]
    System { verb: &'static str, source: io::Error },
}

/// Runs this process as the scheduler, or as its fetch, if it was started as one.
pub fn hidden_command() -> Option<ExitCode> {
    let args: Vec<String> = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        [SCHEDULE, root] => schedule(&root_of(root)).map(|()| ExitCode::SUCCESS),
        [FETCH, root, key, deployment] => fetch(&root_of(root), key, deployment),
        _ => return None,
    };
    Some(result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    }))
}

fn root_of(root: &str) -> Option<PathBuf> {
    Some(PathBuf::from(root)).filter(|root| !root.as_os_str().is_empty())
}

fn system(verb: &'static str) -> impl FnOnce(io::Error) -> ScheduleError {
    move |source| ScheduleError::System { verb, source }
}

/// Fetches the images and values of one deployment; the values go into descriptor 4.
fn fetch(root: &Option<PathBuf>, key: &str, deployment: &str) -> Result<ExitCode, ScheduleError> {
    let [result] = host::inherited([4]);
    let Some(values) = Engine::open(root.as_deref())?.fetch_for(key, deployment)? else {
        return Ok(ExitCode::from(MISSING));
    };
    let text = serde_json::to_vec(&values).expect("values are strings by strings");
    fs::File::from(result).write_all(&text).map_err(system("hand the values over"))?;
    Ok(ExitCode::SUCCESS)
}

/// Descriptor 3 is the host's network namespace: whoever started this may have been in another one.
fn schedule(root: &Option<PathBuf>) -> Result<(), ScheduleError> {
    let [network] = host::inherited([3]);
    detach(&network).map_err(system("leave the caller"))?;
    let plan = host::layout(root.as_deref()).map_err(system("find the root"))?.scheduler();
    match take(&plan.lock, &plan).map_err(system("take the scheduler's lock"))? {
        None => Ok(()),
        Some(lock) => hold(root.as_deref(), &network, &lock),
    }
}

/// Away from the caller's session, directory and network.
fn detach(network: &OwnedFd) -> io::Result<()> {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    nix::sched::setns(network, nix::sched::CloneFlags::CLONE_NEWNET)?;
    nix::unistd::setsid()?;
    nix::unistd::chdir("/")?;
    // As for supervisors: it must outlive what it counts. A root without CAP_SYS_RESOURCE may not ask for that.
    let _ = fs::write("/proc/self/oom_score_adj", "-999");
    Ok(())
}

/// The lock, or nothing if another scheduler is at work. One that is just ending lets go soon.
fn take(path: &Path, plan: &host::SchedulerPlan) -> io::Result<Option<Lock>> {
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    for _ in 0..ATTEMPTS {
        if let Some(lock) = host::take(path)? {
            return Ok(Some(lock));
        }
        if host::is_scheduled(plan) {
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    }
    Ok(None)
}

/// Forks loops until one has nothing left to do. The lock is held by both: it says that one of them lives.
fn hold(root: Option<&Path>, network: &OwnedFd, _lock: &Lock) -> Result<(), ScheduleError> {
    let mut pause = Duration::ZERO;
    loop {
        let (theirs, _ours) =
            nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|errno| system("make a pipe")(errno.into()))?;
        match host::fork() {
            Ok(Fork::Child) => {
                drop(_ours);
                let ended = event_loop::run(root, network.as_fd(), theirs);
                // No destructor of the holder's copies may run.
                std::process::exit(i32::from(ended.is_err()))
            }
            Ok(Fork::Parent(pid)) => {
                drop(theirs);
                let began = host::boot_ms();
                if host::wait(pid).map_err(system("wait for the loop"))? == 0 {
                    return Ok(());
                }
                let quick = host::boot_ms() - began < 1000;
                pause = if quick { (pause * 2).clamp(Duration::from_millis(1), LONGEST_PAUSE) } else { Duration::ZERO };
            }
            Err(_) => pause = LONGEST_PAUSE, // no memory or no pid just now
        }
        std::thread::sleep(pause);
    }
}
