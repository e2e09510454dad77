//! Tasks as records: reading them, asking them to stop, waiting for them, finishing what a dead supervisor left, removing them.

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::engine::DEFAULT_CLUSTER;
use super::{Engine, OpsError, waiting};
use crate::ecs::task::Failure;
use crate::ecs::{Task, TaskStatus};
use crate::lifecycle::{LastStatus, Starter, StopCode, TaskState};
use crate::plan::{ContainerPlan, ListedContainer, Shown, TaskPaths, TaskPlan};
use crate::store::records::{self, Desired};
use crate::store::{Commit, Txn};
use crate::supervisor::launch::{Beginning, LaunchError, launch};
use crate::supervisor::{Watch, poke, watch};
use crate::sys::{lock, pidfd};

/// ECS's words.
const INTERRUPTED: &str = "Your Spot Task was interrupted.";
/// How long a committed task may be without a supervisor before others give it one, in milliseconds.
const START_MS: i64 = 2000;

/// A task: what it was planned to be, what it should be, what it is.
#[derive(Debug, Clone)]
pub struct TaskRecord<C = ContainerPlan> {
    /// The plan.
    pub plan: TaskPlan<C>,
    /// Why it should stop, if it should.
    pub desired: Option<Desired>,
    /// What its supervisor says.
    pub state: TaskState,
    /// Whether it waits for what it is made of: it has no supervisor yet.
    pub waits: bool,
}

/// The same, with what lists show of its containers.
pub type ListedTask = TaskRecord<ListedContainer>;

impl<C: Shown> TaskRecord<C> {
    /// The task as DescribeTasks returns it.
    pub fn view(&self) -> Task {
        super::view::task(self)
    }
}

/// What RunTask and DescribeTasks answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TaskList {
    /// The tasks.
    pub tasks: Vec<Task>,
    /// What went wrong with others.
    pub failures: Vec<Failure>,
}

impl TaskList {
    /// An answer without failures.
    pub fn of<C: Shown>(records: &[TaskRecord<C>]) -> Self {
        Self { tasks: records.iter().map(TaskRecord::view).collect(), failures: Vec::new() }
    }
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// The task has got there.
    Reached,
    /// The descriptor given by the caller became readable first.
    Interrupted,
}

impl Engine {
    /// One task as it is now.
    pub fn task(&self, plan: &TaskPlan) -> Result<TaskRecord, OpsError> {
        self.records(&plan.key)?.pop().ok_or_else(|| OpsError::NoTask(plan.id.clone()))
    }

    /// Tasks as DescribeTasks answers; those that there are not are failures beside the others.
    pub fn describe(&mut self, names: &[&str]) -> Result<TaskList, OpsError> {
        let mut list = TaskList::default();
        for name in names {
            match self.find(name) {
                Ok(record) => list.tasks.push(super::view::task(&record)),
                Err(OpsError::NoTask(_)) => list.failures.push(self.missing(name)),
                Err(error) => return Err(error),
            }
        }
        Ok(list)
    }

    /// ECS's words for a task that there is not.
    fn missing(&self, name: &str) -> Failure {
        let is_arn = name.starts_with("arn:");
        let arn = if is_arn { name.to_owned() } else { self.owner().task(DEFAULT_CLUSTER, name).to_string() };
        Failure { arn: Some(arn), reason: Some("MISSING".to_owned()), detail: None }
    }

    /// The records below a prefix, put together by task: the keys of one task stand together, in the order desired, order,
    /// plan, status.
    pub(super) fn records(&self, prefix: &str) -> Result<Vec<TaskRecord>, OpsError> {
        self.records_with(prefix)
    }

    /// The same, with as much of their containers as is wanted.
    pub(super) fn records_with<C: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<TaskRecord<C>>, OpsError> {
        let mut all = Vec::new();
        let mut desired: Option<(String, Desired)> = None;
        let mut order: Option<String> = None;
        let mut plan: Option<TaskPlan<C>> = None;
        for entry in self.store.list_text(prefix)? {
            match entry.key.rsplit_once('/').map(|(task, kind)| (task.to_owned(), kind)) {
                Some((task, "desired")) => desired = Some((task, entry.parse()?.value)),
                Some((task, "order")) => order = Some(task),
                Some((_, "plan")) => plan = Some(entry.parse()?.value),
                Some((task, "status")) => {
                    let state = entry.parse()?.value;
                    let desired = desired.take().filter(|(of, _)| *of == task).map(|(_, desired)| desired);
                    let waits = order.take().is_some_and(|of| of == task);
                    all.extend(plan.take().map(|plan| TaskRecord { plan, desired, state, waits }));
                }
                _ => {}
            }
        }
        Ok(all)
    }

    /// Gives a supervisor to every task that should have one and has none; whether there was any. A task's lock is free
    /// only when holder and loop are gone.
    pub(super) fn tend<'a, C: 'a>(&self, all: impl IntoIterator<Item = &'a TaskRecord<C>>) -> Result<bool, OpsError> {
        let mut any = false;
        for record in all.into_iter().filter(|record| record.state.last_status != LastStatus::Stopped) {
            let plan = &record.plan;
            if record.waits {
                if !waiting::is_being_brought(plan)? {
                    waiting::start(plan).map_err(|source| OpsError::Bring { task: plan.id.clone(), source })?;
                }
                continue;
            }
            if is_being_started(&record.state, record.plan.pulled_at) {
                continue;
            }
            if has_supervisor(&plan.paths)? {
                // Whoever wanted it stopped may have died between the word and the poke.
                if record.desired.is_some() && record.state.stop.is_none() {
                    poke(&plan.paths.control())
                        .map_err(|source| OpsError::Control { task: plan.id.clone(), source })?;
                }
                continue;
            }
            any = true;
            // It may have come to its end since the record was read, or may do so now.
            if let Some(whole) = self.open_plan(&plan.key)?
                && let Err(source) = launch(&whole, Beginning::Adopted)
                && self.open_plan(&plan.key)?.is_some()
                // One that cannot begin is no reason not to show the others.
                && !matches!(source, LaunchError::Lost(_))
            {
                return Err(OpsError::Launch { task: plan.id.clone(), source });
            }
        }
        Ok(any)
    }

    /// The plan of a task that has yet to stop, going by its record as it is now.
    fn open_plan(&self, key: &str) -> Result<Option<TaskPlan>, OpsError> {
        let now = self.records(key)?.pop();
        Ok(now.filter(|record| record.state.last_status != LastStatus::Stopped).map(|record| record.plan))
    }

    /// Asks a task to stop and returns at once; asking again changes nothing.
    pub fn stop(&mut self, plan: &TaskPlan, reason: &str) -> Result<(), OpsError> {
        self.stop_by(plan, StopCode::UserInitiated, reason)
    }

    /// The same on behalf of a service.
    pub fn stop_by(&mut self, plan: &TaskPlan, code: StopCode, reason: &str) -> Result<(), OpsError> {
        let desired = Desired { stop: reason.to_owned(), code, grace: None, at: now() };
        if self.stop_waiting(plan, &desired)? {
            return Ok(());
        }
        let txn = Txn::default().require_absent(plan.desired_key()).put(plan.desired_key(), &desired);
        self.want(plan, &txn)
    }

    /// Asks a task to stop without any time for its containers.
    pub fn kill(&mut self, plan: &TaskPlan) -> Result<(), OpsError> {
        let stop = "Task killed by user".to_owned();
        let desired = Desired { stop, code: StopCode::UserInitiated, grace: Some(0), at: now() };
        if self.stop_waiting(plan, &desired)? {
            return Ok(());
        }
        self.want(plan, &Txn::default().put(plan.desired_key(), &desired))
    }

    /// Takes a task's capacity away, as Fargate Spot does: so many milliseconds later nothing of it runs.
    pub fn interrupt(&mut self, record: &TaskRecord, warning: u64) -> Result<(), OpsError> {
        let plan = &record.plan;
        let (stop, code) = (INTERRUPTED.to_owned(), StopCode::SpotInterruption);
        let desired = Desired { stop, code, grace: Some(warning), at: now() };
        if record.view().desired_status == TaskStatus::Stopped {
            return Err(OpsError::StopsAlready(plan.id.clone()));
        }
        if self.stop_waiting(plan, &desired)? {
            return Ok(());
        }
        let txn = Txn::default().require_absent(plan.desired_key()).put(plan.desired_key(), &desired);
        self.want(plan, &txn)
    }

    fn want(&mut self, plan: &TaskPlan, txn: &Txn) -> Result<(), OpsError> {
        let _: Commit = self.store.commit_durably(txn)?;
        crate::sys::failpoint::pass("stop: it is wanted");
        poke(&plan.paths.control()).map_err(|source| OpsError::Control { task: plan.id.clone(), source })
    }

    /// Waits until a task has reached a status; `interrupt` becoming readable ends the wait earlier.
    pub fn wait(
        &mut self,
        plan: &TaskPlan,
        status: LastStatus,
        interrupt: Option<BorrowedFd>,
    ) -> Result<Waited, OpsError> {
        loop {
            self.reopen();
            let record = self.task(plan)?;
            if record.state.last_status >= status {
                return Ok(Waited::Reached);
            }
            self.tend(&[record])?;
            let Ok(mut task) = watch(&plan.paths.control()) else {
                // Between two loops nobody listens for a moment; after the last one the record says so.
                std::thread::sleep(std::time::Duration::from_millis(2));
                continue;
            };
            match follow(&mut task, status, interrupt) {
                Some(waited) => return Ok(waited),
                None => continue,
            }
        }
    }

    /// Removes a stopped task's record and logs.
    pub fn remove(&mut self, record: &TaskRecord) -> Result<(), OpsError> {
        let plan = &record.plan;
        if record.state.last_status != LastStatus::Stopped {
            return Err(OpsError::NotStopped(plan.id.clone()));
        }
        // Without it nobody takes the task for one whose record was lost.
        let plan_file = plan.paths.plan_file();
        gone("remove", &plan_file, fs::remove_file(&plan_file))?;
        gone("remove", &plan.paths.state, fs::remove_dir_all(&plan.paths.state))?;
        crate::sys::failpoint::pass("remove: the files are gone");
        let keys = [plan.plan_key(), plan.desired_key(), plan.status_key(), records::protection(&plan.id)];
        let txn = keys.into_iter().fold(Txn::default(), Txn::delete).delete(records::tags(&plan.arn().to_string()));
        let _: Commit = self.store.commit_durably(&txn)?;
        Ok(())
    }
}

/// Reads statuses until the one that is waited for; `None` when the loop has gone away.
fn follow(task: &mut Watch, status: LastStatus, interrupt: Option<BorrowedFd>) -> Option<Waited> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    loop {
        if !task.has_more() {
            let mut fds = vec![PollFd::new(task.as_fd(), PollFlags::POLLIN)];
            fds.extend(interrupt.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(_) => return None,
            }
            if fds.get(1).and_then(PollFd::any) == Some(true) {
                return Some(Waited::Interrupted);
            }
        }
        if task.next_status()? >= status {
            return Some(Waited::Reached);
        }
    }
}

/// Milliseconds since 1970.
fn now() -> i64 {
    crate::sys::time::wall_ns() / 1_000_000
}

/// Whether a task has been committed so lately that whoever did it is about to hand it to its supervisor, and lives.
fn is_being_started(state: &TaskState, pulled_at: i64) -> bool {
    let age = now() - pulled_at;
    let lives = |starter: Starter| pidfd::is_alive(Pid::from_raw(starter.pid), starter.start_time);
    state.version == 1 && (0..START_MS).contains(&age) && state.starter.is_none_or(lives)
}

/// Whether holder or loop of a task live: whether its lock is held.
pub(super) fn has_supervisor(paths: &TaskPaths) -> Result<bool, OpsError> {
    let path = paths.lock();
    lock::is_held(&path).map_err(|source| OpsError::File { verb: "look at the lock", path, source })
}

/// The names in a directory, none if it is not there.
pub(super) fn names(path: PathBuf) -> Result<Vec<String>, OpsError> {
    match fs::read_dir(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(OpsError::File { verb: "list", path, source }),
        Ok(entries) => Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()),
    }
}

/// The result of a removal, where absence is as good.
pub(super) fn gone(verb: &'static str, path: &Path, result: io::Result<()>) -> Result<(), OpsError> {
    match result {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(OpsError::File { verb, path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::Timestamp;

    #[test]
    fn a_task_is_being_started_as_long_as_the_one_who_does_it_lives() {
        let now = crate::sys::time::wall_ns() / 1_000_000;
        let own = Pid::this();
        let starter = Starter { pid: own.as_raw(), start_time: pidfd::stat(own).unwrap().start_time };
        let state = |starter| TaskState { starter, ..TaskState::new(&[], Timestamp(now), Timestamp(now)) };
        assert!(is_being_started(&state(Some(starter)), now));
        assert!(!is_being_started(&state(Some(starter)), now - START_MS), "it takes too long");
        let gone = Starter { start_time: starter.start_time + 1, ..starter };
        assert!(!is_being_started(&state(Some(gone)), now), "the number is another process's by now");
    }
}
