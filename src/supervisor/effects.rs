//! From actions to deeds: workers asked, signals sent, the record written. Owned by the loop, which alone calls it.

use std::io;
use std::time::Duration;

use nix::unistd::Pid;

use super::event_loop::Loop;
use super::holder::Base;
use super::lost;
use super::recover::{Kin, LiveInit, begun_init, exit_of, half_made};
use super::retry::Retry;
use super::workers::{PATIENCE, Worker};
use crate::lifecycle::{Action, CheckEnd, Checked, ContainerPhase, Event, Exit, OutOfMemory, TaskState};
use crate::plan::TaskPlan;
use crate::store::Store;
use crate::store::records::Desired;
use crate::sys::failpoint::{pass, reach};
use crate::sys::{pidfd, time};
use crate::worker::protocol::{Report, Request};

/// How long the last record rests that cannot be written (a full disk).
const PAUSE: Duration = Duration::from_millis(500);
/// 128 + SIGKILL: how a container ends that the OOM killer has met.
const KILLED: i32 = 137;
/// The same number on every architecture.
const SIGKILL: i32 = 9;

/// The record on disk, and when to try again if it is behind.
#[derive(Debug, Default)]
pub(super) struct Saved {
    version: u64,
    retry: Retry,
}

impl Saved {
    /// A record that is on disk already.
    pub(super) fn at(version: u64) -> Self {
        Self { version, retry: Retry::default() }
    }

    /// When the next attempt is due, in milliseconds since boot.
    pub(super) fn retry_at(&self) -> Option<u64> {
        self.retry.at()
    }

    /// Writes the record if it has changed; whether it is up to date.
    pub(super) fn save(&mut self, plan: &TaskPlan, task: &TaskState) -> bool {
        if self.version == task.version {
            return true;
        }
        if self.retry.rests(time::boot_ms()) {
            return false;
        }
        let saved = reach("record: before it is saved").is_ok() && lost::write(plan, task).is_ok();
        match saved {
            true => *self = Self::at(task.version),
            false => self.retry.failed(time::boot_ms()),
        }
        saved
    }
}

impl Loop<'_> {
    /// Carries out one action.
    pub(super) fn act(&mut self, action: Action) {
        pass(match action {
            Action::Start(_) => "loop: to start",
            Action::Check(_) => "loop: to check",
            Action::Signal(..) => "loop: to signal",
            Action::CleanUp => "loop: to clean up",
            Action::Finish => "loop: to finish",
        });
        match action {
            Action::Start(container) => {
                let run = self.task.containers[container].next_run();
                self.ask(Request::Start { container, run });
            }
            Action::Check(container) => {
                let run = self.task.containers[container].restarts;
                self.ask(Request::Check { container, run });
            }
            Action::Signal(container, signal) => self.signal(container, signal),
            Action::CleanUp if self.holds_clean_up() => {} // `keep_sending` asks
            Action::CleanUp => {
                self.endpoint.close();
                self.ask(Request::CleanUp);
            }
            Action::Finish => self.finishing = true,
        }
    }

    /// Gives a request to the worker that is free, or to a new one.
    pub(super) fn ask(&mut self, request: Request) {
        let (now, patience) = (time::boot_ms(), patience(&self.base.plan, request));
        if let Some(worker) = self.workers.iter_mut().find(|worker| worker.request().is_none()) {
            return worker.ask(request, patience, now);
        }
        match Worker::spawn(self.base) {
            Ok(mut worker) => {
                worker.ask(request, patience, now);
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
            (Request::Prepare, report) => Event::PrepareFailed { reason: why(report) },
            (Request::Start { container, .. }, Report::Started { pid, oom_kills }) => {
                return self.begun(container, pid, oom_kills);
            }
            (Request::Start { container, run }, report) => return self.not_begun(container, run, why(report)),
            (Request::Check { container, run }, Report::Checked(checked)) => Event::Checked { container, run, checked },
            (Request::Check { container, run }, report) => {
                Event::Checked { container, run, checked: Checked { end: CheckEnd::NotRun, output: why(report) } }
            }
            (Request::Inspect(container), Report::Inspected { oom_kills, limit, peak }) => {
                let struck = oom_kills > self.task.containers[container].oom_kills;
                killed(container, struck.then_some(OutOfMemory { limit, peak }))
            }
            (Request::Inspect(container), _) => killed(container, None),
            (Request::Sweep { container, exit }, _) => return self.over(container, exit),
            (Request::CleanUp, Report::CleanedUp) => Event::CleanedUp,
            (Request::CleanUp, _) => Event::CleanUpFailed,
        };
        self.happen(event);
    }

    /// A container's program runs, or has run already.
    fn begun(&mut self, container: usize, pid: i32, oom_kills: u64) {
        self.live[container] =
            pidfd::open(Pid::from_raw(pid)).ok().map(|pidfd| LiveInit { pid, pidfd, kin: Kin::Ours });
        self.happen(Event::Started { container, pid, oom_kills });
        match self.live[container] {
            Some(_) => self.see_end(container),
            None => self.ended(container, exit_of(Some(pid), &self.exits)),
        }
    }

    /// A start failed, unless the worker died just after the container had begun. A container that is half made waits for a
    /// word that will never come.
    fn not_begun(&mut self, container: usize, run: u32, reason: String) {
        let paths = self.base.plan.container_paths(container);
        if let Some(init) = begun_init(&paths, run) {
            return self.begun(container, init.pid, self.task.containers[container].oom_kills);
        }
        if let Some(init) = half_made(&paths) {
            let _ = pidfd::send_signal(&init.pidfd, SIGKILL);
        }
        self.happen(Event::StartFailed { container, reason });
    }

    /// A container's first process is gone; there may be more to wait for.
    pub(super) fn ended(&mut self, container: usize, exit: Exit) {
        self.live[container] = None;
        let checks = |worker: &&mut Worker| matches!(worker.request(), Some(Request::Check { container: of, .. }) if of == container);
        self.workers.iter_mut().filter(checks).for_each(Worker::end);
        match self.base.plan.containers[container].isolation.ends_with_its_first_process() {
            true => self.over(container, exit),
            false => self.ask(Request::Sweep { container, exit }),
        }
    }

    /// All that a container had written is stored: its end is the task's to know, once it is known who killed it.
    pub(super) fn all_stored(&mut self, container: usize, exit: Exit) {
        self.flush_log(container);
        let was_told = matches!(self.task.containers[container].phase, ContainerPhase::Stopping { kill_at: None });
        if exit == Exit::Code(KILLED) && !was_told {
            return self.ask(Request::Inspect(container)); // who killed it?
        }
        self.happen(Event::Exited { container, exit, out_of_memory: None });
    }

    fn signal(&mut self, container: usize, signal: i32) {
        if !self.defers(container, signal) {
            self.signal_now(container, signal);
        }
    }

    pub(super) fn signal_now(&mut self, container: usize, signal: i32) {
        if let Some(live) = &self.live[container] {
            // That it is gone is no error: its end is on the way.
            let _ = pidfd::send_signal(&live.pidfd, signal);
        }
    }

    /// Whether somebody wants the task stopped, and whether somebody holds its service's count.
    pub(super) fn look_at_desired(&mut self) {
        let plan = &self.base.plan;
        if plan.service.is_some() {
            self.keep_scheduler();
        }
        let looked = Store::open(&plan.store)
            .and_then(|store| Ok((store.get::<Desired>(&plan.desired_key())?, lost::is_known(&store, plan)?)));
        let Ok((desired, is_known)) = looked else {
            self.looks.failed(time::boot_ms());
            self.look_at = self.looks.at();
            return;
        };
        self.look_at = None;
        self.looks.succeeded();
        if !is_known {
            self.saved = Saved::default(); // it is written again, with all that belongs to it
        }
        if let Some(entry) = desired {
            let Desired { stop: reason, code, grace, at: _ } = entry.value;
            self.happen(Event::StopRequested { code, reason, grace });
        }
    }

    /// Writes the last record, then removes the directory of locks and sockets. The lease went with the network: the address
    /// may be another task's by now.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let plan = &self.base.plan;
        while !self.saved.save(plan, &self.task) {
            std::thread::sleep(PAUSE); // a full disk: wait for room
        }
        self.control.tell(self.task.last_status);
        match plan.service {
            Some(_) => self.tell_service(),
            None => self.keep_scheduler(),
        }
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

/// The end of a container by SIGKILL, which may have been the OOM killer's.
fn killed(container: usize, out_of_memory: Option<OutOfMemory>) -> Event {
    Event::Exited { container, exit: Exit::Code(KILLED), out_of_memory }
}

/// Why a request was not carried out.
fn why(report: Report) -> String {
    match report {
        Report::Failed { reason } => reason,
        _ => "ContainerRuntimeError: the worker answered something else".to_owned(),
    }
}

/// How long a request may take. A check is ended by its worker, which must have a moment for that.
fn patience(plan: &TaskPlan, request: Request) -> u64 {
    let Request::Check { container, .. } = request else { return PATIENCE };
    let timeout = plan.containers[container].health.as_ref().map_or(0, |health| health.timeout);
    u64::from(timeout) * 1000 + PATIENCE
}

/// The request that a base's first worker gets.
pub(super) fn first_worker(base: &Base) -> io::Result<Worker> {
    let mut worker = Worker::spawn(base)?;
    worker.ask(Request::Prepare, PATIENCE, time::boot_ms());
    Ok(worker)
}
