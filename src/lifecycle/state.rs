//! What is known of a task while it lives: the record that its supervisor alone writes.

use serde::{Deserialize, Serialize};

use super::health::{Health, HealthRule};
use super::order::Dependency;
use crate::plan::{ContainerPlan, RestartPlan};

/// Milliseconds since 1970-01-01T00:00:00Z, for people and records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

/// Both clocks at one moment. Deadlines use the second, which nobody can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The wall clock.
    pub wall: Timestamp,
    /// Milliseconds since boot (CLOCK_BOOTTIME).
    pub boot: u64,
}

/// A task's `lastStatus`. It only ever grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LastStatus {
    /// The network and the control group are being made.
    Provisioning,
    /// Containers are being started.
    Pending,
    /// All containers run (or have run).
    Running,
    /// Containers are being stopped.
    Stopping,
    /// All containers are gone; what was made for the task is being removed.
    Deprovisioning,
    /// Nothing of the task is left but its record and its logs.
    Stopped,
}

/// Why a task stops, as ECS names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopCode {
    /// A step of the start failed.
    TaskFailedToStart,
    /// An essential container came to its end.
    EssentialContainerExited,
    /// Somebody asked for it.
    UserInitiated,
    /// Its service did.
    ServiceSchedulerInitiated,
    /// The capacity was taken back.
    SpotInterruption,
}

/// The first reason to stop; later ones change nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// ECS's code.
    pub code: StopCode,
    /// ECS's `stoppedReason`, at most 1024 characters.
    pub reason: String,
    /// The place of the container whose end it was.
    pub container: Option<usize>,
}

/// Whether the task's network and control group are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Preparation {
    /// Not yet: a worker is at it.
    UnderWay,
    /// They are, or the attempt is over.
    Over,
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerPhase {
    /// Not begun: others come first. One that has run before is to be started again.
    Waiting,
    /// A worker is at it, for the first time or again.
    Starting,
    /// Its program runs.
    Running,
    /// It was asked to stop; SIGKILL follows at this time since boot in milliseconds, or has been sent (none).
    Stopping {
        /// When SIGKILL is due.
        kill_at: Option<u64>,
    },
    /// It is gone, or will never be.
    Stopped,
}

/// How a container's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// With this code; 128 + n for signal n.
    Code(i32),
    /// Nobody who could learn the code was there.
    Unknown,
}

/// When a container began, in milliseconds since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    /// First.
    pub first: u64,
    /// Last: the run that it is in, or was.
    pub last: u64,
}

/// What the kernel said of a container in which its OOM killer had struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutOfMemory {
    /// The limit that held it, its own or the task's, in bytes.
    pub limit: Option<u64>,
    /// The most memory that it had, in bytes.
    pub peak: Option<u64>,
}

/// One container of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Whether its end is the task's.
    pub essential: bool,
    /// The containers of the task's list that must have come to something before.
    pub depends_on: Vec<Dependency>,
    /// Milliseconds after its start for which others wait for more of it than that.
    pub start_timeout: Option<u64>,
    /// The signal that asks it to stop.
    pub stop_signal: i32,
    /// Milliseconds from that signal to SIGKILL.
    pub stop_timeout: u64,
    /// Whether it is started again after an end of its own.
    pub restart: Option<RestartPlan>,
    /// Where it is in its life.
    pub phase: ContainerPhase,
    /// The pid of its first process, once it ran.
    pub pid: Option<i32>,
    /// When its program began for the first time.
    pub started_at: Option<Timestamp>,
    /// The same, and for the last time, on the clock of deadlines.
    pub began: Option<Began>,
    /// How often it was started again.
    pub restarts: u32,
    /// When it was, the last time.
    pub restarted_at: Option<Timestamp>,
    /// When its last run ended.
    pub finished_at: Option<Timestamp>,
    /// How its last run ended, if one did.
    pub exit: Option<Exit>,
    /// ECS's container `reason`.
    pub reason: Option<String>,
    /// What the OOM killer did to its last run.
    pub out_of_memory: Option<OutOfMemory>,
    /// How many of its processes the OOM killer had killed before the run that it is in.
    pub oom_kills: u64,
    /// Its health.
    pub health: Health,
}

impl Container {
    fn new(plan: &ContainerPlan, all: &[ContainerPlan]) -> Self {
        let place = |name: &String| all.iter().position(|other| other.name == *name);
        let dependencies = plan.depends_on.iter().filter_map(|dependency| {
            Some(Dependency { on: place(&dependency.container_name)?, condition: dependency.condition })
        });
        let milliseconds = |seconds: u32| u64::from(seconds) * 1000;
        Self {
            name: plan.name.clone(),
            essential: plan.essential,
            depends_on: dependencies.collect(),
            start_timeout: plan.start_timeout.map(milliseconds),
            stop_signal: plan.stop_signal,
            stop_timeout: milliseconds(plan.stop_timeout),
            restart: plan.restart.clone(),
            phase: ContainerPhase::Waiting,
            pid: None,
            started_at: None,
            began: None,
            restarts: 0,
            restarted_at: None,
            finished_at: None,
            exit: None,
            reason: None,
            out_of_memory: None,
            oom_kills: 0,
            health: Health::new(plan.health.as_ref().map(HealthRule::from)),
        }
    }

    /// The number of the run that a start would begin: 0 is the first.
    pub fn next_run(&self) -> u32 {
        if self.started_at.is_some() { self.restarts + 1 } else { 0 }
    }

    /// Its program runs, for the first time or again: its health is unknown once more.
    pub fn begin(&mut self, pid: i32, oom_kills: u64, now: Now) {
        if self.started_at.is_some() {
            self.restarts += 1;
            self.restarted_at = Some(now.wall);
        }
        self.started_at.get_or_insert(now.wall);
        self.began = Some(Began { first: self.began.map_or(now.boot, |began| began.first), last: now.boot });
        self.phase = ContainerPhase::Running;
        self.pid = Some(pid);
        self.finished_at = None;
        self.exit = None;
        self.reason = None;
        self.out_of_memory = None;
        self.oom_kills = oom_kills;
        self.health = Health::new(self.health.rule);
    }

    /// When one that has run may be started again at the earliest, in milliseconds since boot.
    pub(super) fn rests_until(&self) -> Option<u64> {
        self.began.map(|began| began.last.saturating_add(LEAST_RUN))
    }

    /// ECS's rule: it is started again if its exit code is known and not ignored, and if it ran for the attempt period since
    /// it was started last. What crashes sooner is not restarted at all.
    pub(super) fn restarts_after(&self, exit: Exit, now: Now) -> bool {
        let (Some(policy), Some(began), Exit::Code(code)) = (&self.restart, self.began, exit) else { return false };
        let ran = now.boot.saturating_sub(began.last);
        !policy.ignored_exit_codes.contains(&code) && ran >= u64::from(policy.attempt_period) * 1000
    }
}

/// The least time from one start of a container to the next, in milliseconds: ECS's least attempt period is a minute, but
/// definitions for trying things out may say less, down to nothing.
pub(super) const LEAST_RUN: u64 = 1000;

/// When a task passed its stations; the names are ECS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are ECS's members of Task")]
pub struct Times {
    pub created_at: Timestamp,
    pub pull_started_at: Timestamp,
    pub pull_stopped_at: Timestamp,
    pub connectivity_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub stopping_at: Option<Timestamp>,
    pub execution_stopped_at: Option<Timestamp>,
    pub stopped_at: Option<Timestamp>,
}

/// The process that is about to give a task its supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starter {
    /// Its number.
    pub pid: i32,
    /// When it began, in clock ticks since boot.
    pub start_time: u64,
}

/// All that is known of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskState {
    /// ECS's `lastStatus`.
    pub last_status: LastStatus,
    /// Why it stops, once it does: `desiredStatus` STOPPED.
    pub stop: Option<Stop>,
    /// Network and control group.
    pub preparation: Preparation,
    /// The containers, in the order of the task definition.
    pub containers: Vec<Container>,
    /// Its times.
    pub times: Times,
    /// When whoever still runs is killed, whatever its own time, in milliseconds since boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<u64>,
    /// Since when the last removal failed and waits to be tried again, in milliseconds since boot.
    pub retry_at: Option<u64>,
    /// How often the record has changed.
    pub version: u64,
    /// Who starts it; in the first record only, which is not the supervisor's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starter: Option<Starter>,
}

/// ECS's longest reason, in characters.
const LONGEST_REASON: usize = 1024;

/// A reason as long as ECS takes it.
pub(super) fn clipped(reason: &str) -> String {
    reason.chars().take(LONGEST_REASON).collect()
}

impl TaskState {
    /// The state of a task that has just been committed. Its images were asked for when it was created, and were there, or
    /// given up, at `pulled_at`.
    pub fn new(containers: &[ContainerPlan], created_at: Timestamp, pulled_at: Timestamp) -> Self {
        Self {
            last_status: LastStatus::Provisioning,
            stop: None,
            preparation: Preparation::UnderWay,
            containers: containers.iter().map(|plan| Container::new(plan, containers)).collect(),
            times: Times {
                created_at,
                pull_started_at: created_at,
                pull_stopped_at: pulled_at,
                connectivity_at: None,
                started_at: None,
                stopping_at: None,
                execution_stopped_at: None,
                stopped_at: None,
            },
            ends_at: None,
            retry_at: None,
            version: 1,
            starter: None,
        }
    }

    /// Makes it the state of a task that stopped before anything of it was made: an image could not be had (that of the
    /// container at this place), or the task could not be given a supervisor.
    pub fn never_start(&mut self, reason: &str, container: Option<usize>, now: Timestamp) {
        let reason = clipped(reason);
        for (place, state) in self.containers.iter_mut().enumerate() {
            state.phase = ContainerPhase::Stopped;
            state.reason = Some(&reason).filter(|_| container == Some(place)).cloned();
        }
        self.stop = Some(Stop { code: StopCode::TaskFailedToStart, reason, container });
        self.last_status = LastStatus::Stopped;
        self.preparation = Preparation::Over;
        self.times.stopping_at = Some(now);
        self.times.stopped_at = Some(now);
        self.version += 1;
    }

    /// Makes it the state of a task that is to stop for this reason, unless it stops already: nobody was there to carry it on.
    pub fn fail(&mut self, reason: &str) {
        let reason = clipped(reason);
        self.stop.get_or_insert(Stop { code: StopCode::TaskFailedToStart, reason, container: None });
        self.version += 1;
    }

    /// Whether every container is gone.
    pub fn is_empty(&self) -> bool {
        self.containers.iter().all(|container| container.phase == ContainerPhase::Stopped)
    }
}
