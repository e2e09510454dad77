//! From actions to deeds: workers asked, signals sent, the record written. Owned by the loop, which alone calls it.

use std::io;

use nix::unistd::Pid;

use super::event_loop::Loop;
use super::holder::Base;
use super::recover::{Kin, LiveInit, exit_of, half_made, live_init};
use super::workers::Worker;
use crate::lifecycle::{Action, ContainerPhase, Event, Exit, TaskState};
use crate::plan::TaskPlan;
use crate::store::records::Desired;
use crate::store::{Store, Txn};
use crate::sys::{pidfd, time};
use crate::worker::protocol::{Report, Request};

/// How long a record that cannot be written (a full disk) rests, in milliseconds.
const PAUSE: u64 = 1000;
/// 128 + SIGKILL: how a container ends that the OOM killer has met.
const KILLED: i32 = 137;
/// The same number on every architecture.
const SIGKILL: i32 = 9;

/// The record on disk, and when to try again if it is behind.
#[derive(Debug, Default)]
pub(super) struct Saved {
    version: u64,
    retry_at: Option<u64>,
}

impl Saved {
    /// A record that is on disk already.
    pub(super) fn at(version: u64) -> Self {
        Self { version, retry_at: None }
    }

    /// When the next attempt is due, in milliseconds since boot.
    pub(super) fn retry_at(&self) -> Option<u64> {
        self.retry_at
    }

    /// Writes the record if it has changed; whether it is up to date.
    pub(super) fn save(&mut self, plan: &TaskPlan, task: &TaskState) -> bool {
        if self.version == task.version {
            return true;
        }
        if self.retry_at.is_some_and(|at| at > time::boot_ms()) {
            return false;
        }
        let txn = Txn::default().put(plan.status_key(), task);
        match Store::open(&plan.store).and_then(|mut store| store.commit(&txn)) {
            Ok(_) => *self = Self::at(task.version),
            Err(_) => self.retry_at = Some(time::boot_ms() + PAUSE),
        }
        self.retry_at.is_none()
    }
}

impl Loop<'_> {
    /// Carries out one action.
    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Start(container) => self.ask(Request::Start(container)),
            Action::Signal(container, signal) => self.signal(container, signal),
            Action::CleanUp => self.ask(Request::CleanUp),
            Action::Finish => self.finishing = true,
        }
    }

    /// Gives a request to the worker that is free, or to a new one.
    pub(super) fn ask(&mut self, request: Request) {
        let now = time::boot_ms();
        if let Some(worker) = self.workers.iter_mut().find(|worker| worker.request().is_none()) {
            return worker.ask(request, now);
        }
        match Worker::spawn(self.base) {
            Ok(mut worker) => {
                worker.ask(request, now);
                self.workers.push(worker);
            }
            Err(error) => {
                let reason = format!("ContainerRuntimeError: start a worker: {error}");
                self.answered(request, Report::Failed { reason });
            }
        }
    }

    /// What the answer to a request means for the task.
    pub(super) fn answered(&mut self, request: Request, report: Report) {
        let event = match (request, report) {
            (Request::Prepare, Report::Prepared) => Event::Prepared,
            (Request::Prepare, Report::Failed { reason }) => Event::PrepareFailed { reason },
            (Request::Start(container), Report::Started { pid }) => return self.begun(container, pid),
            (Request::Start(container), Report::Failed { reason }) => return self.not_begun(container, reason),
            (Request::Inspect(container), Report::Inspected { out_of_memory }) => {
                Event::Exited { container, exit: Exit::Code(KILLED), out_of_memory }
            }
            (Request::Inspect(container), Report::Failed { .. }) => {
                Event::Exited { container, exit: Exit::Code(KILLED), out_of_memory: false }
            }
            (Request::CleanUp, Report::CleanedUp) => Event::CleanedUp,
            (Request::CleanUp, _) => Event::CleanUpFailed,
            (Request::Prepare, _) => Event::PrepareFailed { reason: out_of_turn() },
            (Request::Start(container), _) => Event::StartFailed { container, reason: out_of_turn() },
            (Request::Inspect(container), _) => {
                Event::Exited { container, exit: Exit::Code(KILLED), out_of_memory: false }
            }
        };
        self.happen(event);
    }

    /// A container's program runs, or has run already.
    fn begun(&mut self, container: usize, pid: i32) {
        self.live[container] =
            pidfd::open(Pid::from_raw(pid)).ok().map(|pidfd| LiveInit { pid, pidfd, kin: Kin::Ours });
        self.happen(Event::Started { container, pid });
        match self.live[container] {
            Some(_) => self.see_end(container),
            None => self.ended(container, exit_of(Some(pid), &self.exits)),
        }
    }

    /// A start failed, unless the worker died just after the container had begun. A container that is half made waits for a
    /// word that will never come.
    fn not_begun(&mut self, container: usize, reason: String) {
        let paths = self.base.plan.container_paths(container);
        if let Some(init) = live_init(&paths) {
            return self.begun(container, init.pid);
        }
        if let Some(init) = half_made(&paths) {
            let _ = pidfd::send_signal(&init.pidfd, SIGKILL);
        }
        self.happen(Event::StartFailed { container, reason });
    }

    /// A container's first process is gone: its last output is stored, then the task learns of it.
    pub(super) fn ended(&mut self, container: usize, exit: Exit) {
        self.live[container] = None;
        self.pumps[container].run_to_the_end(time::boot_ms());
        let was_told = matches!(self.task.containers[container].phase, ContainerPhase::Stopping { kill_at: None });
        if exit == Exit::Code(KILLED) && !was_told {
            return self.ask(Request::Inspect(container)); // who killed it?
        }
        self.happen(Event::Exited { container, exit, out_of_memory: false });
    }

    fn signal(&mut self, container: usize, signal: i32) {
        if let Some(live) = &self.live[container] {
            // That it is gone is no error: its end is on the way.
            let _ = pidfd::send_signal(&live.pidfd, signal);
        }
    }

    /// Whether somebody wants the task stopped.
    pub(super) fn look_at_desired(&mut self) {
        let plan = &self.base.plan;
        let desired = Store::open(&plan.store).and_then(|store| store.get::<Desired>(&plan.desired_key()));
        match desired {
            Ok(Some(entry)) => {
                self.look_at = None;
                self.happen(Event::StopRequested { reason: entry.value.stop, grace: entry.value.grace });
            }
            Ok(None) => self.look_at = None,
            Err(_) => self.look_at = Some(time::boot_ms() + PAUSE),
        }
    }

    /// Writes the last record, then removes the directory of locks and sockets. The lease went with the network: the address
    /// may be another task's by now.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let plan = &self.base.plan;
        let txn = Txn::default().put(plan.status_key(), &self.task);
        loop {
            match Store::open(&plan.store).and_then(|mut store| store.commit(&txn)) {
                Ok(_) => break,
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(PAUSE)), // a full disk: wait for room
            }
        }
        self.control.tell(self.task.last_status);
        remove_run_directory(self.base)
    }
}

/// Removes the task's directory of locks and sockets; the very last thing.
pub(super) fn remove_run_directory(base: &Base) -> io::Result<()> {
    match std::fs::remove_dir_all(&base.plan.paths.run) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn out_of_turn() -> String {
    "ContainerRuntimeError: the worker answered something else".to_owned()
}

/// The request that a base's first worker gets.
pub(super) fn first_worker(base: &Base) -> io::Result<Worker> {
    let mut worker = Worker::spawn(base)?;
    worker.ask(Request::Prepare, time::boot_ms());
    Ok(worker)
}
