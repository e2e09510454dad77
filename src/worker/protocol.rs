//! What a supervisor's loop and its workers say to each other: one JSON object a line, requests on the worker's standard
//! input, reports on its standard output. This file is all that the supervisor sees of `worker`.
//!
//! A worker carries out its requests in turn and exits at the end of its input. At most one of them may be a
//! `Start`: libcontainer changes the process that calls it.

use serde::{Deserialize, Serialize};

/// The name that starts the program as a worker.
pub const COMMAND: &str = "worker";
/// The descriptor on which a worker (and a supervisor) finds the task's plan: a memfd with its JSON text.
pub const PLAN_FD: i32 = 3;
/// The descriptor of the host's network namespace.
pub const HOST_NETWORK_FD: i32 = 4;

/// One act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Make network and control group.
    Prepare,
    /// Start the container at this place of the plan; what an earlier attempt left is removed first.
    Start(usize),
    /// Has the kernel's OOM killer struck in this container's group?
    Inspect(usize),
    /// Remove everything that was made for the task.
    CleanUp,
}

/// How an act ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// Network and control group are there.
    Prepared,
    /// The container's program runs.
    Started {
        /// The pid of its first process.
        pid: i32,
    },
    /// What the OOM killer did.
    Inspected {
        /// Whether it struck.
        out_of_memory: bool,
    },
    /// Nothing is left.
    CleanedUp,
    /// It failed: ECS's reason, `CannotStartContainerError: ...`.
    Failed {
        /// The reason.
        reason: String,
    },
}

/// What a worker writes down before it lets a container's first process run: enough to tell it from every other process
/// that may ever get the same pid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitFile {
    /// The pid.
    pub pid: i32,
    /// Its start time in clock ticks since boot (field 22 of /proc/PID/stat).
    pub start_time: u64,
    /// The boot that the time counts from (/proc/sys/kernel/random/boot_id).
    pub boot_id: String,
    /// Whether it has been let run.
    pub started: bool,
}
