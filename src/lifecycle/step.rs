//! The step function: one event changes the state, then everything that follows from the state alone is settled.

use super::health::{Checked, Probe};
use super::order::{Standing, standing};
use super::state::{
    Container, ContainerPhase, Exit, LastStatus, Now, OutOfMemory, Preparation, Stop, StopCode, TaskState, Timestamp,
    clipped,
};

/// SIGKILL, the same number on every architecture.
const SIGKILL: i32 = 9;
/// How long a failed removal rests before it is tried again, at first and at last, in milliseconds.
const SHORTEST_REST: u64 = 20;
const LONGEST_REST: u64 = 1000;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Network and control group are there.
    Prepared,
    /// They could not be made.
    PrepareFailed {
        /// ECS's reason.
        reason: String,
    },
    /// A container's program runs.
    Started {
        /// Its place.
        container: usize,
        /// The pid of its first process.
        pid: i32,
        /// How many of its processes the OOM killer had killed before.
        oom_kills: u64,
    },
    /// A container could not be started.
    StartFailed {
        /// Its place.
        container: usize,
        /// ECS's reason, `CannotStartContainerError: ...`.
        reason: String,
    },
    /// A container's first process ended.
    Exited {
        /// Its place.
        container: usize,
        /// How.
        exit: Exit,
        /// What the kernel said, if its OOM killer struck.
        out_of_memory: Option<OutOfMemory>,
    },
    /// A container's health was checked.
    Checked {
        /// Its place.
        container: usize,
        /// The run of the container that was checked.
        run: u32,
        /// The outcome.
        checked: Checked,
    },
    /// Somebody wants the task stopped.
    StopRequested {
        /// Who: ECS's code.
        code: StopCode,
        /// ECS's reason.
        reason: String,
        /// Milliseconds that all containers together have at most, if that is less than their own time.
        grace: Option<u64>,
    },
    /// Everything that was made for the task is gone.
    CleanedUp,
    /// Something could not be removed.
    CleanUpFailed,
    /// A deadline has passed, or the loop has begun.
    Tick,
}

/// What is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start a container, for the first time or again.
    Start(usize),
    /// Check a container's health.
    Check(usize),
    /// Send a signal to a container's first process.
    Signal(usize, i32),
    /// Remove everything that was made for the task.
    CleanUp,
    /// Write the last record, release the lease, end the supervisor.
    Finish,
}

/// Takes one event into account.
pub fn step(task: &mut TaskState, event: Event, now: Now) -> Vec<Action> {
    let mut before = task.clone();
    let mut actions = Vec::new();
    match event {
        Event::Prepared => prepared(task, now.wall),
        Event::PrepareFailed { reason } => {
            task.preparation = Preparation::Over;
            stop(task, StopCode::TaskFailedToStart, &reason, None);
        }
        Event::Started { container, pid, oom_kills } => task.containers[container].begin(pid, oom_kills, now),
        Event::StartFailed { container, reason } => start_failed(task, container, &reason),
        Event::Exited { container, exit, out_of_memory } => exited(task, container, exit, out_of_memory, now),
        Event::Checked { container, run, checked } => {
            has_been_checked(&mut task.containers[container], run, checked, now)
        }
        Event::StopRequested { code, reason, grace } => {
            stop(task, code, &reason, None);
            grace.into_iter().for_each(|grace| hurry(task, grace, now));
        }
        Event::CleanedUp => finish(task, now.wall, &mut actions),
        Event::CleanUpFailed => task.retry_at = Some(now.boot + rest(task, now.wall)),
        Event::Tick => {}
    }
    settle(task, now, &mut actions);
    for (old, new) in before.containers.iter_mut().zip(&task.containers) {
        old.health.probe = new.health.probe; // not in the record: a check that changes nothing need not be written
    }
    if *task != before {
        task.version = before.version + 1;
    }
    actions
}

/// When the loop must call [`step`] with [`Event::Tick`] at the latest, in milliseconds since boot.
pub fn deadline(task: &TaskState) -> Option<u64> {
    let of = |place: usize| {
        let container = &task.containers[place];
        match container.phase {
            ContainerPhase::Stopping { kill_at } => kill_at,
            ContainerPhase::Running if task.stop.is_none() => check_due(container),
            ContainerPhase::Waiting if task.stop.is_none() && task.preparation == Preparation::Over => {
                container.rests_until().or_else(|| match standing(task, place, 0) {
                    Standing::Waits(until) => until,
                    Standing::Ready | Standing::Never(_) => None,
                })
            }
            ContainerPhase::Waiting | ContainerPhase::Starting | ContainerPhase::Running | ContainerPhase::Stopped => {
                None
            }
        }
    };
    (0..task.containers.len()).filter_map(of).chain(task.retry_at).min()
}

fn check_due(container: &Container) -> Option<u64> {
    container.health.due(container.began?.last)
}

fn prepared(task: &mut TaskState, now: Timestamp) {
    task.preparation = Preparation::Over;
    task.times.connectivity_at.get_or_insert(now);
}

fn start_failed(task: &mut TaskState, container: usize, reason: &str) {
    let failed = &mut task.containers[container];
    failed.phase = ContainerPhase::Stopped;
    failed.reason = Some(clipped(reason));
    match (failed.essential, failed.started_at) {
        (true, None) => stop(task, StopCode::TaskFailedToStart, reason, Some(container)),
        (true, Some(_)) => stop_with(task, container), // it ran before, and could not be started again
        (false, _) => {}
    }
}

fn exited(task: &mut TaskState, container: usize, exit: Exit, out_of_memory: Option<OutOfMemory>, now: Now) {
    let stops = task.stop.is_some();
    let gone = &mut task.containers[container];
    match gone.phase {
        ContainerPhase::Running | ContainerPhase::Stopping { .. } => {}
        // told twice, by the loop that saw it and by the holder that remembers it
        ContainerPhase::Waiting | ContainerPhase::Starting | ContainerPhase::Stopped => return,
    }
    gone.exit = Some(exit);
    gone.finished_at = Some(now.wall);
    gone.out_of_memory = out_of_memory;
    gone.reason = match exit {
        _ if out_of_memory.is_some() => Some("OutOfMemoryError: Container killed due to memory usage".to_owned()),
        Exit::Code(_) => gone.reason.take(), // what its last output came to
        Exit::Unknown => Some("ContainerRuntimeError: the exit code was lost with the task's supervisor".to_owned()),
    };
    if !stops && gone.restarts_after(exit, now) {
        gone.phase = ContainerPhase::Waiting;
        return;
    }
    gone.phase = ContainerPhase::Stopped;
    if gone.essential {
        stop_with(task, container);
    }
}

/// The end of an essential container is the task's.
fn stop_with(task: &mut TaskState, container: usize) {
    stop(task, StopCode::EssentialContainerExited, "Essential container in task exited", Some(container));
}

/// A check of an earlier run says nothing of this one.
fn has_been_checked(container: &mut Container, run: u32, checked: Checked, now: Now) {
    if container.phase == ContainerPhase::Running
        && container.restarts == run
        && let Some(began) = container.began
    {
        container.health.checked(began.last, checked, now);
    }
}

fn stop(task: &mut TaskState, code: StopCode, reason: &str, container: Option<usize>) {
    if task.stop.is_none() {
        task.stop = Some(Stop { code, reason: clipped(reason), container }); // asked twice: the first reason stands
    }
}

/// Shortens the time of containers that stop already, and of those that will: the task has one end.
fn hurry(task: &mut TaskState, grace: u64, now: Now) {
    let end = now.boot.saturating_add(grace);
    let end = task.ends_at.map_or(end, |before| before.min(end));
    task.ends_at = Some(end);
    for container in &mut task.containers {
        if let ContainerPhase::Stopping { kill_at: Some(at) } = &mut container.phase {
            *at = (*at).min(end);
        }
    }
}

/// How long a removal that failed rests: half the time for which the task has been removed already.
fn rest(task: &TaskState, now: Timestamp) -> u64 {
    let since = task.times.execution_stopped_at.map_or(0, |at| now.0.saturating_sub(at.0));
    (since.max(0).unsigned_abs() / 2).clamp(SHORTEST_REST, LONGEST_REST)
}

fn finish(task: &mut TaskState, now: Timestamp, actions: &mut Vec<Action>) {
    task.last_status = LastStatus::Stopped;
    task.times.stopped_at.get_or_insert(now);
    task.retry_at = None;
    actions.push(Action::Finish);
}

/// Does all that follows from the state, whatever led to it.
fn settle(task: &mut TaskState, now: Now, actions: &mut Vec<Action>) {
    match task.last_status {
        LastStatus::Stopped => return,
        LastStatus::Deprovisioning => {
            if task.retry_at.is_some_and(|at| at <= now.boot) {
                task.retry_at = None;
                actions.push(Action::CleanUp);
            }
            return;
        }
        LastStatus::Provisioning | LastStatus::Pending | LastStatus::Running | LastStatus::Stopping => {}
    }
    if task.stop.is_none() && task.preparation == Preparation::Over {
        start_what_may_start(task, now, actions);
        check_what_is_due(task, now, actions);
    }
    if task.stop.is_some() {
        stop_what_may_stop(task, now, actions);
    }
    advance(task, now, actions);
}

fn start_what_may_start(task: &mut TaskState, now: Now, actions: &mut Vec<Action>) {
    for place in 0..task.containers.len() {
        if task.containers[place].phase != ContainerPhase::Waiting {
            continue;
        }
        if task.containers[place].rests_until().is_some_and(|until| until > now.boot) {
            continue;
        }
        let has_run = task.containers[place].started_at.is_some();
        match standing(task, place, now.boot) {
            Standing::Never(reason) if !has_run => {
                task.containers[place].reason = Some(clipped(&reason));
                return stop(task, StopCode::TaskFailedToStart, &reason, Some(place));
            }
            Standing::Waits(_) if !has_run => {}
            Standing::Ready | Standing::Waits(_) | Standing::Never(_) => {
                task.containers[place].phase = ContainerPhase::Starting;
                actions.push(Action::Start(place));
            }
        }
    }
}

fn check_what_is_due(task: &mut TaskState, now: Now, actions: &mut Vec<Action>) {
    if task.stop.is_some() {
        return;
    }
    for (place, container) in task.containers.iter_mut().enumerate() {
        if container.phase == ContainerPhase::Running && check_due(container).is_some_and(|at| at <= now.boot) {
            container.health.probe = Probe::UnderWay;
            actions.push(Action::Check(place));
        }
    }
}

/// Containers that never began are over; a running one is asked when all that depend on it are gone.
fn stop_what_may_stop(task: &mut TaskState, now: Now, actions: &mut Vec<Action>) {
    for container in &mut task.containers {
        if container.phase == ContainerPhase::Waiting {
            container.phase = ContainerPhase::Stopped;
        }
    }
    for place in 0..task.containers.len() {
        let dependents_gone = task
            .containers
            .iter()
            .filter(|other| other.depends_on.iter().any(|dependency| dependency.on == place))
            .all(|other| other.phase == ContainerPhase::Stopped);
        let container = &mut task.containers[place];
        match container.phase {
            ContainerPhase::Running if dependents_gone => {
                let own = now.boot + container.stop_timeout;
                let kill_at = Some(task.ends_at.map_or(own, |end| end.min(own)));
                container.phase = ContainerPhase::Stopping { kill_at };
                actions.push(Action::Signal(place, container.stop_signal));
            }
            ContainerPhase::Stopping { kill_at: Some(at) } if at <= now.boot => {
                container.phase = ContainerPhase::Stopping { kill_at: None };
                actions.push(Action::Signal(place, SIGKILL));
            }
            ContainerPhase::Waiting
            | ContainerPhase::Starting
            | ContainerPhase::Running
            | ContainerPhase::Stopping { .. }
            | ContainerPhase::Stopped => {}
        }
    }
}

/// Moves `lastStatus` on, never back.
fn advance(task: &mut TaskState, now: Now, actions: &mut Vec<Action>) {
    // One that is just started again counts as running.
    let all_up = |container: &Container| container.started_at.is_some() || container.phase == ContainerPhase::Stopped;
    let reached = match (&task.stop, task.preparation) {
        (Some(_), Preparation::Over) if task.is_empty() => LastStatus::Deprovisioning,
        (Some(_), _) => LastStatus::Stopping,
        (None, Preparation::UnderWay) => LastStatus::Provisioning,
        (None, Preparation::Over) if task.containers.iter().all(all_up) => LastStatus::Running,
        (None, Preparation::Over) => LastStatus::Pending,
    };
    if reached <= task.last_status {
        return;
    }
    task.last_status = reached;
    match reached {
        LastStatus::Running => task.times.started_at = Some(now.wall),
        LastStatus::Stopping => task.times.stopping_at = Some(now.wall),
        LastStatus::Deprovisioning => {
            task.times.stopping_at.get_or_insert(now.wall);
            task.times.execution_stopped_at = Some(now.wall);
            actions.push(Action::CleanUp);
        }
        LastStatus::Provisioning | LastStatus::Pending | LastStatus::Stopped => {}
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
