//! What is known of a task while it lives: the record that its supervisor alone writes.

use serde::{Deserialize, Serialize};

use crate::plan::ContainerPlan;

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
    /// Not begun: others come first.
    Waiting,
    /// A worker is at it.
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

/// One container of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Whether its end is the task's.
    pub essential: bool,
    /// The places, in the task's list, of the containers that must have started before.
    pub depends_on: Vec<usize>,
    /// The signal that asks it to stop.
    pub stop_signal: i32,
    /// Milliseconds from that signal to SIGKILL.
    pub stop_timeout: u64,
    /// Where it is in its life.
    pub phase: ContainerPhase,
    /// The pid of its first process, once it ran.
    pub pid: Option<i32>,
    /// When its program began.
    pub started_at: Option<Timestamp>,
    /// How it ended, if it ran.
    pub exit: Option<Exit>,
    /// ECS's container `reason`.
    pub reason: Option<String>,
}

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
    /// Since when the last removal failed and waits to be tried again, in milliseconds since boot.
    pub retry_at: Option<u64>,
    /// How often the record has changed.
    pub version: u64,
}

impl TaskState {
    /// The state of a task that has just been committed. Its images were asked for when it was created, and were there, or
    /// given up, at `pulled_at`.
    pub fn new(containers: &[ContainerPlan], created_at: Timestamp, pulled_at: Timestamp) -> Self {
        let place = |name: &String| containers.iter().position(|other| other.name == *name);
        let fresh = |plan: &ContainerPlan| Container {
            name: plan.name.clone(),
            essential: plan.essential,
            depends_on: plan.depends_on.iter().filter_map(place).collect(),
            stop_signal: plan.stop_signal,
            stop_timeout: u64::from(plan.stop_timeout) * 1000,
            phase: ContainerPhase::Waiting,
            pid: None,
            started_at: None,
            exit: None,
            reason: None,
        };
        Self {
            last_status: LastStatus::Provisioning,
            stop: None,
            preparation: Preparation::UnderWay,
            containers: containers.iter().map(fresh).collect(),
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
            retry_at: None,
            version: 1,
        }
    }

    /// Makes it the state of a task that stopped before anything of it was made: an image could not be had (that of the
    /// container at this place), or the task could not be given a supervisor.
    pub fn never_start(&mut self, reason: String, container: Option<usize>, now: Timestamp) {
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

    /// Whether every container is gone.
    pub fn is_empty(&self) -> bool {
        self.containers.iter().all(|container| container.phase == ContainerPhase::Stopped)
    }
}
