//! What one container is made of, as data: its root file system, its process, its limits, its log.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::LogPlan;
use super::isolation::Isolation;
use super::volume::MountPlan;
use crate::ecs::container_definition::ContainerDependency;

/// A task's own limits: those of the parent group of all its containers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLimits {
    /// A hard cap in CPU units (1024 = one CPU).
    pub cpu_units: Option<u32>,
    /// Relative weight in CPU shares (2 to 262144) where there is no cap: the sum of the containers' shares.
    pub cpu_shares: Option<u32>,
    /// A hard limit in bytes, without swap.
    pub memory: Option<u64>,
    /// Swap in bytes beside it.
    pub swap: u64,
}

/// One container's limits within its task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerLimits {
    /// Relative weight in CPU shares, 2 to 262144.
    pub cpu_shares: u32,
    /// A hard limit in bytes, without swap.
    pub memory: Option<u64>,
    /// A soft limit in bytes.
    pub memory_reservation: Option<u64>,
    /// How many processes and threads it may have.
    pub pids: u32,
    /// Swap in bytes beside the hard limit.
    pub swap: u64,
    /// How willingly its memory is swapped out, 0 to 100; absent: as the host has it.
    pub swappiness: Option<u8>,
}

/// The control groups of a task: `berth-TAG/TASK` and one group per container below it, in every hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupPlan {
    /// The root's group, `berth-TAG` or `DELEGATED/berth-TAG`, relative to the hierarchy's mount point.
    pub root: String,
    /// The task's group below it, the task id.
    pub task: String,
    /// The task's limits.
    pub limits: TaskLimits,
}

/// A resource limit of a process (setrlimit(2)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// The name as ECS writes it: `nofile`, `core`, `nproc` ...
    pub name: String,
    /// The soft limit; -1 is unlimited.
    pub soft: i64,
    /// The hard limit; -1 is unlimited.
    pub hard: i64,
}

/// All that a process of a container is given at its start; the same for the container's init and for an exec.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessPlan {
    /// The program and its arguments; empty only if the container's image could not be had.
    pub args: Vec<String>,
    /// The environment, complete: PATH and HOME are always in it.
    pub env: Vec<(String, String)>,
    /// The working directory, absolute.
    pub cwd: String,
    /// The user.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// The supplementary groups, complete.
    pub groups: Vec<u32>,
    /// The capabilities, `CAP_CHOWN` ..., or `CAP_ALL`: the bounding set, and for uid 0 the permitted and effective ones as well.
    /// Inheritable and ambient sets stay empty.
    pub capabilities: Vec<String>,
    /// The resource limits.
    pub rlimits: Vec<Rlimit>,
    /// no_new_privs.
    pub no_new_privileges: bool,
    /// Whether the default seccomp profile is loaded (only a privileged container goes without).
    pub seccomp: bool,
    /// The OOM score adjustment, 0 to 1000.
    pub oom_score_adj: i32,
    /// Whether there are more variables, which may not stand in a plan: those of secrets and environment files.
    #[serde(default)]
    pub private: Option<PrivateEnvironment>,
}

/// Variables of a process that stand in its task's values file ([`super::TaskPaths::values`]) and not in its plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateEnvironment {
    /// The names that they do not change: what the definition's `environment` and ECS itself set.
    pub fixed: Vec<String>,
}

/// A container's root file system: an overlay of unpacked layers and a writable one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootfsPlan {
    /// The unpacked layers, topmost first.
    pub layers: Vec<PathBuf>,
    /// readonlyRootFilesystem.
    pub readonly: bool,
}

/// Whether a container is started again within its task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPlan {
    /// Exit codes after which it is not.
    pub ignored_exit_codes: Vec<i32>,
    /// Seconds that it must have run before.
    pub attempt_period: u32,
}

/// How a container's health is found out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthPlan {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Seconds from the end of one check (or the container's start) to the next one.
    pub interval: u32,
    /// Seconds that a check may take.
    pub timeout: u32,
    /// Failures in a row that make the container UNHEALTHY.
    pub retries: u32,
    /// Seconds after the start in which failures do not count.
    pub start_period: u32,
}

/// What lists show of a container, which is little of its plan.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ListedContainer {
    /// Its name.
    pub name: String,
    /// Its runtime id.
    pub runtime_id: String,
    /// The last part of its ARN.
    pub arn_id: String,
    /// Its image as the task definition names it.
    pub image: String,
    /// The digest of its image's manifest.
    pub image_digest: String,
    /// Its limits.
    pub limits: ContainerLimits,
}

/// A container of a task that can be shown: one of its plan, or one that was read for a list.
pub trait Shown {
    /// What there is to be seen.
    fn shown(&self) -> ShownContainer<'_>;
}

/// The same as [`ListedContainer`], of whatever it is read from.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "those of ListedContainer")]
pub struct ShownContainer<'a> {
    pub name: &'a str,
    pub runtime_id: &'a str,
    pub arn_id: &'a str,
    pub image: &'a str,
    pub image_digest: &'a str,
    pub limits: &'a ContainerLimits,
}

impl Shown for ListedContainer {
    fn shown(&self) -> ShownContainer<'_> {
        let Self { name, runtime_id, arn_id, image, image_digest, limits } = self;
        ShownContainer { name, runtime_id, arn_id, image, image_digest, limits }
    }
}

impl Shown for ContainerPlan {
    fn shown(&self) -> ShownContainer<'_> {
        let Self { name, runtime_id, arn_id, image, image_digest, limits, .. } = self;
        ShownContainer { name, runtime_id, arn_id, image, image_digest, limits }
    }
}

/// Everything about one container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerPlan {
    /// The name in the task definition: `[A-Za-z0-9_-]{1,255}`.
    pub name: String,
    /// The runtime id: the task id, a hyphen, ten digits. Also the id that libcontainer knows it by.
    pub runtime_id: String,
    /// The last part of the container's ARN.
    pub arn_id: String,
    /// The image as the task definition names it.
    pub image: String,
    /// The digest of the image's manifest, `sha256:...`; empty if the image could not be had.
    pub image_digest: String,
    /// Whether its end is the task's end.
    pub essential: bool,
    /// The containers that must have reached a condition before it starts.
    pub depends_on: Vec<ContainerDependency>,
    /// Seconds from its start in which it must have reached the condition that others wait for; without it they wait for ever.
    pub start_timeout: Option<u32>,
    /// Whether it is started again.
    pub restart: Option<RestartPlan>,
    /// How its health is found out.
    pub health: Option<HealthPlan>,
    /// The signal that asks it to stop (the image's STOPSIGNAL or SIGTERM), as a number.
    pub stop_signal: i32,
    /// Seconds from that signal to SIGKILL.
    pub stop_timeout: u32,
    /// Its first process.
    pub process: ProcessPlan,
    /// Its root file system.
    pub rootfs: RootfsPlan,
    /// Its limits.
    pub limits: ContainerLimits,
    /// What else it is shut off from, and what not.
    pub isolation: Isolation,
    /// `dockerLabels`, and the ECS agent's own.
    pub labels: BTreeMap<String, String>,
    /// Its log.
    pub log: LogPlan,
    /// The task's host name, `ip-172-31-0-10.ec2.internal`.
    pub hostname: String,
    /// Files that berth writes and binds over the container's own: path in the container, content.
    pub files: Vec<(String, String)>,
    /// Volumes and file systems in memory; a mount stands before those that lie in it.
    #[serde(default)]
    pub mounts: Vec<MountPlan>,
    /// A directory of the container that it shares with the host, for sockets.
    #[serde(default)]
    pub socket_directory: Option<String>,
}
