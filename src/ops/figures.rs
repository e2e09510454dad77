//! What a monitoring system wants to know of a root: how many tasks there are in each state, and what those that run use.
//! Plans of tasks that have stopped are not read: there may be thousands.

use std::collections::BTreeMap;

use super::{Engine, OpsError};
use crate::lifecycle::{LastStatus, TaskState};
use crate::runtime::cgroup::Cgroups;
use crate::store::records::TASKS;

/// All figures of one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// How many tasks each cluster has in each state, by cluster and ECS's word for the state.
    pub tasks: BTreeMap<(String, String), i64>,
    /// What each task uses that has control groups.
    pub running: Vec<TaskFigures>,
}

/// What one task uses.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskFigures {
    /// The task's id.
    pub task: String,
    /// Its cluster.
    pub cluster: String,
    /// The family of its definition.
    pub family: String,
    /// CPU time since its start, in nanoseconds.
    pub cpu_ns: u64,
    /// Memory now, in bytes.
    pub memory: u64,
    /// The most that it may have, in bytes.
    pub memory_limit: Option<u64>,
}

impl Engine {
    /// Reads all figures.
    pub fn figures(&self) -> Result<Figures, OpsError> {
        let mut figures = Figures::default();
        let cgroups = Cgroups::of_host().map_err(OpsError::Cgroup)?;
        for entry in self.store.list_ending::<TaskState>(TASKS, "/status")? {
            let status = entry.value.last_status;
            let Some(key) = entry.key.strip_suffix("status") else { continue };
            let cluster = key.split('/').nth(3).unwrap_or_default().to_owned();
            let word = serde_json::to_value(status).ok().and_then(|word| word.as_str().map(str::to_owned));
            *figures.tasks.entry((cluster, word.unwrap_or_default())).or_default() += 1;
            if status == LastStatus::Stopped {
                continue;
            }
            let Some(record) = self.records(key)?.pop() else { continue };
            // One without groups is just beginning or just ending.
            let Ok(usage) = cgroups.usage(&record.plan.cgroup, None) else { continue };
            figures.running.push(TaskFigures {
                task: record.plan.id,
                cluster: record.plan.cluster,
                family: record.plan.family,
                cpu_ns: usage.cpu_ns,
                memory: usage.memory_bytes,
                memory_limit: usage.memory_limit,
            });
        }
        Ok(figures)
    }

    /// Whether the store can be read.
    pub fn check_store(&self) -> Result<(), OpsError> {
        self.store.get::<serde_json::Value>("health").map(drop)?;
        Ok(())
    }
}
