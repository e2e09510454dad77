//! What a supervisor's loop and its workers say to each other: one JSON object a line, requests on the worker's standard
//! input, reports on its standard output. This file is all that the supervisor sees of `worker`.
//!
//! A worker carries out its requests in turn and exits at the end of its input. At most one of them may be a
//! `Start` or a `Check`, and nothing comes after it: libcontainer changes the process that calls it, and who has checked a
//! container knows its values.

use serde::{Deserialize, Serialize};

use crate::lifecycle::{Checked, Exit};

/// What a worker is called, before its task's id: `berth worker ID`.
pub const NAME: &str = "worker";
/// The descriptor of the host's network namespace, of a worker.
pub const WORKER_HOST_NETWORK_FD: i32 = 3;
/// The descriptor on which the endpoint, whoever ships logs, and a supervisor find the task's plan: a memfd with its JSON text.
pub const PLAN_FD: i32 = 3;
/// The descriptor of the host's network namespace, of those beside whom a plan is.
pub const HOST_NETWORK_FD: i32 = 4;

/// One act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Make network and control group.
    Prepare,
    /// Start the container at this place of the plan; what an earlier attempt left is removed first.
    Start {
        /// Its place.
        container: usize,
        /// The number of the run that begins: 0 is the first.
        run: u32,
    },
    /// Check the container's health.
    Check {
        /// Its place.
        container: usize,
        /// The run that it is in, for whoever asks.
        run: u32,
    },
    /// What has the kernel's OOM killer done in this container's group?
    Inspect(usize),
    /// See the end of this container through, which ended like this.
    Sweep {
        /// Its place.
        container: usize,
        /// How its first process ended.
        exit: Exit,
    },
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
        /// How many processes of earlier runs the OOM killer had killed.
        oom_kills: u64,
    },
    /// The container's health was checked.
    Checked(Checked),
    /// What the OOM killer did.
    Inspected {
        /// How many processes it has killed, those of earlier runs included.
        oom_kills: u64,
        /// The limit that holds the container, in bytes.
        limit: Option<u64>,
        /// The most memory that it had, in bytes.
        peak: Option<u64>,
    },
    /// Nothing of the container runs, and its output is in its FIFOs.
    Swept,
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
    /// Whether its program may have begun: false until just before it is let go. Whether it has, the kernel knows
    /// (`sys::pidfd::Stat::has_executed`).
    pub started: bool,
    /// The number of the container's run: 0 is the first.
    pub run: u32,
}

/// The name that starts the program as the process that sends a task's logs on. Its standard input has [`ShipOrder`]s, its
/// standard output [`Shipped`] reports, one JSON object a line; it ends with its input.
pub const SHIP_COMMAND: &str = "ship-worker";

/// The name that starts the program as the process behind a task's endpoint. Its standard input is the listening socket; a
/// byte on its standard output says that the task's service has something to look at.
pub const ENDPOINT_COMMAND: &str = "endpoint-worker";

/// What it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShipOrder {
    /// The container at this place has ended: what has no newline yet gets none.
    Flush(usize),
}

/// What it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipped {
    /// The container's place.
    pub container: usize,
    /// So much of its log has been sent, or will never be, in bytes of its files.
    pub through: u64,
}
