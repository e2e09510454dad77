//! The service that a task belongs to, as far as the task has to know it: whom to tell when something becomes of it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the process that holds the services' counts is found, and how it is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulerPlan {
    /// The private root that it is of; `None` for the system's.
    pub root: Option<PathBuf>,
    /// The file whose lock it holds: its liveness.
    pub lock: PathBuf,
    /// The socket on which it is poked.
    pub control: PathBuf,
}

/// The service of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLink {
    /// The key of the service's record in the store.
    pub key: String,
    /// Who holds its count.
    pub scheduler: SchedulerPlan,
}
