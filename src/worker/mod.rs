//! A worker: a short-lived process that a supervisor's loop forks, with nothing but its pipes, the plan, and the host's
//! network namespace. It does the rooted and risky acts, each of them idempotent, and exits; the loop kills it when it takes
//! too long. It dies with the loop.
//!
//! For a start it takes a mount namespace of its own, so that whatever it mounts ends with it and with the container.

pub mod protocol;

mod check;
mod cleanup;
mod connect;
pub mod endpoint;
pub mod exec;
pub mod fetch;
mod pause;
mod prepare;
mod receivers;
pub mod ship;
mod start;
mod sweep;
pub mod terminal;

use std::cell::RefCell;
use std::io::{self, BufRead, Write};
use std::os::fd::OwnedFd;
use std::panic::resume_unwind;
use std::thread::{self, JoinHandle};

use nix::sys::stat::Mode;

use self::protocol::{Report, Request, WORKER_HOST_NETWORK_FD};
use crate::plan::TaskPlan;
use crate::runtime::cgroup::Cgroups;
use crate::runtime::disk::{self, DiskError};
use crate::sys;

/// What a worker works with.
#[derive(Debug)]
struct Worker<'a> {
    plan: &'a TaskPlan,
    host_network: OwnedFd,
    cgroups: Cgroups,
    /// The task's own disk, which is opened while the rest is prepared.
    disk: RefCell<Option<OpeningDisk>>,
}

type OpeningDisk = JoinHandle<Result<OwnedFd, DiskError>>;

/// Runs a worker until its input ends, in a process that was forked for that.
pub fn run(plan: &TaskPlan) -> io::Result<()> {
    nix::sys::stat::umask(Mode::from_bits_truncate(0o077));
    let [host_network] = sys::spawn::inherited([WORKER_HOST_NETWORK_FD]);
    let mut worker = Cgroups::of_host().map(|cgroups| Worker { plan, host_network, cgroups, disk: RefCell::new(None) });
    for line in io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        let report = match &mut worker {
            Ok(worker) => worker.act(request),
            Err(error) => failed("ContainerRuntimeError", error),
        };
        let mut line = serde_json::to_vec(&report)?;
        line.push(b'\n');
        io::stdout().write_all(&line)?;
        io::stdout().flush()?;
    }
    Ok(())
}

impl Worker<'_> {
    fn act(&mut self, request: Request) -> Report {
        match request {
            Request::Prepare => self.prepare(),
            Request::Start { container, run } => self.start(container, run),
            Request::Check { container, .. } => self.check(container),
            Request::Inspect(container) => self.inspect(container),
            Request::Sweep { container, .. } => self.sweep(container),
            Request::CleanUp => self.clean_up(),
        }
    }

    /// Begins to open the task's disk beside what this thread does: the kernel makes one wait for a loop device, and for
    /// the mount.
    fn begin_disk(&self) {
        let Some(disk) = self.plan.storage.disk.clone() else { return };
        let opening = thread::Builder::new().spawn(move || disk::open(&disk));
        self.disk.replace(opening.ok()); // without a thread it is opened when it is needed
    }

    /// The disk, when its thread has ended.
    fn opened_disk(&self) -> Result<Option<OwnedFd>, DiskError> {
        let opening = self.disk.take();
        opening.map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).transpose()
    }

    /// Whether the OOM killer struck in the container's own group: a kill that the task's limit caused is counted there too.
    fn inspect(&self, container: usize) -> Report {
        let (group, name) = (&self.plan.cgroup, &self.plan.containers[container].name);
        let usage = self.cgroups.usage(group, Some(name)).ok();
        match self.cgroups.oom_kills(group, name) {
            Ok(count) => Report::Inspected {
                oom_kills: count.container,
                limit: usage.and_then(|usage| usage.memory_limit),
                peak: usage.and_then(|usage| usage.memory_peak),
            },
            Err(error) => failed("ContainerRuntimeError", &error),
        }
    }
}

/// A reason in ECS's form: the class, then the whole chain of causes.
fn failed(class: &str, error: &(dyn std::error::Error + 'static)) -> Report {
    Report::Failed { reason: format!("{class}: {}", chain(error)) }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
