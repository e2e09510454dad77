//! What a loop finds when it is not the first: the record that the last one wrote, and the processes that are really there.

use std::os::fd::OwnedFd;

use nix::unistd::Pid;

use super::holder::{Base, Reaped};
use crate::lifecycle::{Container, ContainerPhase, Exit, LastStatus, Now, Preparation, TaskState, Timestamp};
use crate::plan::ContainerPaths;
use crate::store::{Store, StoreError};
use crate::sys::pidfd::{self, ExitInfo};
use crate::sys::time;
use crate::worker::protocol::InitFile;

/// How long a process may take to stop, in milliseconds. One that waits for its start does so at once.
const STANDSTILL: u64 = 1000;

/// A container's first process that is certainly still the one that we started.
#[derive(Debug)]
pub(super) struct LiveInit {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    /// Whether its end is told to the holder, as its parent.
    pub(super) kin: Kin,
}

/// Whose child a container's first process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kin {
    /// This loop's or its holder's.
    Ours,
    /// A stranger's, since its holder has died: only its pidfd tells of its end.
    Strange,
}

/// What is left of a container.
#[derive(Debug)]
pub(super) enum Found {
    /// It never ran, or only half: it may be started (the worker removes remains first).
    Nothing,
    /// It runs, for the time that the number tells.
    Live(LiveInit, u32),
    /// It ran and is gone.
    Gone { pid: i32, run: u32 },
}

/// The task's record, unless the task is over: STOPPED, or removed since.
pub(super) fn record(base: &Base) -> Result<Option<TaskState>, StoreError> {
    let stored = Store::open(&base.plan.store)?.get::<TaskState>(&base.plan.status_key())?;
    Ok(stored.map(|entry| entry.value).filter(|task| task.last_status != LastStatus::Stopped))
}

/// What is there of each container.
pub(super) fn look(base: &Base, task: &TaskState) -> Vec<Found> {
    let is_over = |place: usize| {
        task.last_status == LastStatus::Deprovisioning || task.containers[place].phase == ContainerPhase::Stopped
    };
    let found = |place| if is_over(place) { Found::Nothing } else { find(&base.plan.container_paths(place)) };
    (0..task.containers.len()).map(found).collect()
}

/// Corrects the record by what is really there; the live containers by their places. `exits` are those of before this loop,
/// and those that the holder has told of since, asked after the look.
pub(super) fn recover(
    task: &mut TaskState,
    found: Vec<Found>,
    exits: [&[Reaped]; 2],
    network: Network,
) -> Vec<Option<LiveInit>> {
    let mut live: Vec<Option<LiveInit>> = (0..task.containers.len()).map(|_| None).collect();
    if task.last_status == LastStatus::Deprovisioning {
        task.retry_at = Some(0);
        return live;
    }
    let now = Now { wall: Timestamp(time::wall_ns() / 1_000_000), boot: time::boot_ms() };
    for ((place, container), found) in task.containers.iter_mut().enumerate().zip(found) {
        if container.phase == ContainerPhase::Stopped {
            continue;
        }
        match found.corrected(exits) {
            Found::Live(init, run) if is_of_now(container, init.pid, run, now) => {
                task.preparation = Preparation::Over;
                live[place] = Some(init);
            }
            Found::Gone { pid, run } if is_of_now(container, pid, run, now) => task.preparation = Preparation::Over,
            // The record says that it runs, or has seen its end and waits for another run.
            Found::Nothing | Found::Live(..) | Found::Gone { .. } => match container.phase {
                ContainerPhase::Starting => container.phase = ContainerPhase::Waiting,
                ContainerPhase::Waiting
                | ContainerPhase::Running
                | ContainerPhase::Stopping { .. }
                | ContainerPhase::Stopped => {}
            },
        }
    }
    let starts = task.stop.is_none() && task.containers.iter().any(|one| one.phase == ContainerPhase::Waiting);
    if network == Network::MayBeNew && starts && live.iter().all(Option::is_none) {
        task.preparation = Preparation::UnderWay; // the network went with the last process in it
    }
    live
}

/// Whether a process is that of the run which the record speaks of, or of one that has begun since: then the record is
/// brought up to date. One whose end the record knows already is not.
fn is_of_now(container: &mut Container, pid: i32, run: u32, now: Now) -> bool {
    if run >= container.next_run() {
        let phase = container.phase;
        container.begin(pid, container.oom_kills, now);
        if let ContainerPhase::Stopping { .. } = phase {
            container.phase = phase;
        }
        return true;
    }
    match container.phase {
        ContainerPhase::Running | ContainerPhase::Stopping { .. } => true,
        ContainerPhase::Waiting | ContainerPhase::Starting | ContainerPhase::Stopped => false,
    }
}

/// The network namespace that this supervisor is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    /// The one that the last loop was in.
    TheSame,
    /// A new one, unless a container was alive to be joined.
    MayBeNew,
}

/// How a process ended that is nobody's child here: as a zombie it still carries its code, and later the kernel may know
/// it.
pub(super) fn stranger_exit(live: &LiveInit) -> Exit {
    let zombie = pidfd::stat(Pid::from_raw(live.pid)).map(|stat| Exit::Code(stat.exit.code()));
    match pidfd::exit_info(&live.pidfd) {
        Ok(ExitInfo::Ended(exit)) => Exit::Code(exit.code()),
        Ok(ExitInfo::NotYet) => zombie.unwrap_or(Exit::Unknown),
        Ok(ExitInfo::Unknown) | Err(_) => Exit::Unknown,
    }
}

/// How a container that is gone ended, if anybody saw it.
pub(super) fn exit_of(pid: Option<i32>, exits: &[Reaped]) -> Exit {
    let seen = exits.iter().rev().find(|reaped| Some(reaped.pid) == pid);
    seen.map_or(Exit::Unknown, |reaped| Exit::Code(reaped.code))
}

impl Found {
    /// In the light of what the holder tells: one that looked alive was about to be reaped, and one that is gone had perhaps
    /// not begun. Of whom nobody tells, it is taken that it had: a program that ran is never run again in its stead.
    fn corrected(self, [before, news]: [&[Reaped]; 2]) -> Self {
        let found = match self {
            Self::Live(init, run) if news.iter().any(|reaped| reaped.pid == init.pid) => {
                Self::Gone { pid: init.pid, run }
            }
            found => found,
        };
        let Self::Gone { pid, .. } = found else { return found };
        let told = before.iter().chain(news).rev().find(|reaped| reaped.pid == pid);
        if told.is_some_and(|reaped| !reaped.had_executed) { Self::Nothing } else { found }
    }
}

fn find(paths: &ContainerPaths) -> Found {
    let Some(file) = init_file(paths).filter(|file| file.started) else { return Found::Nothing };
    match live_process(&file) {
        Some(init) if has_begun(&init) => Found::Live(init, file.run),
        Some(_) => Found::Nothing,
        None => Found::Gone { pid: file.pid, run: file.run },
    }
}

/// Whether the program of a container that was about to be let go has begun; afterwards it is certain: a process that has not
/// become it by now is stopped, looked at once more, and killed.
fn has_begun(init: &LiveInit) -> bool {
    if runs_program(init) {
        return true;
    }
    let _ = pidfd::send_signal(&init.pidfd, libc::SIGSTOP);
    let deadline = time::boot_ms() + STANDSTILL;
    while !stands(init) && time::boot_ms() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let begun = runs_program(init);
    let _ = pidfd::send_signal(&init.pidfd, if begun { libc::SIGCONT } else { libc::SIGKILL });
    begun
}

/// A process that has executed something since it was forked; or has a child, which only an init has: the program.
fn runs_program(init: &LiveInit) -> bool {
    let pid = init.pid;
    let children = || std::fs::read(format!("/proc/{pid}/task/{pid}/children")).is_ok_and(|list| !list.is_empty());
    pidfd::stat(Pid::from_raw(pid)).is_ok_and(|stat| stat.has_executed) || children()
}

/// Whether it does nothing more: it is stopped, a zombie, or gone.
fn stands(init: &LiveInit) -> bool {
    pidfd::stat(Pid::from_raw(init.pid)).map_or(true, |stat| matches!(stat.state, 'T' | 'Z' | 'X'))
}

/// The container's first process of a run, if its program has certainly begun and it is not yet reaped.
pub(super) fn begun_init(paths: &ContainerPaths, run: u32) -> Option<LiveInit> {
    live_init(paths, Some(run)).filter(has_begun)
}

/// The container's first process, if it has been let go and is not yet reaped: that of one run, or of any.
pub(super) fn live_init(paths: &ContainerPaths, run: Option<u32>) -> Option<LiveInit> {
    let is_wanted = |file: &InitFile| file.started && run.is_none_or(|run| file.run == run);
    init_file(paths).filter(is_wanted).and_then(|file| live_process(&file))
}

/// The process of a container that was made and never began.
pub(super) fn half_made(paths: &ContainerPaths) -> Option<LiveInit> {
    init_file(paths).filter(|file| !file.started).and_then(|file| live_process(&file))
}

fn init_file(paths: &ContainerPaths) -> Option<InitFile> {
    serde_json::from_slice(&std::fs::read(paths.state_file()).ok()?).ok()
}

/// The descriptor is opened first and the identity checked through the pid after it: what matches both is the process. A
/// zombie counts: whoever is its parent, or its pidfd, will tell of its end.
fn live_process(file: &InitFile) -> Option<LiveInit> {
    let pid = Pid::from_raw(file.pid);
    let pidfd = pidfd::open(pid).ok()?;
    let stat = pidfd::stat(pid).ok()?;
    let same = stat.start_time == file.start_time && pidfd::boot_id().is_ok_and(|boot| boot == file.boot_id);
    let kin = if stat.parent == nix::unistd::getppid() { Kin::Ours } else { Kin::Strange };
    same.then_some(LiveInit { pid: file.pid, pidfd, kin })
}
