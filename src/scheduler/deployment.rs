//! A deployment as DescribeServices lists it, and the tasks that belong to one.

use serde::{Deserialize, Serialize};

use super::Requirements;
use crate::lifecycle::{Now, Timestamp};

/// How a deployment fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RolloutState {
    /// It is on its way.
    InProgress,
    /// It was steady once.
    Completed,
    /// The circuit breaker has ended it.
    Failed,
}

/// The pause after tasks that never reached RUNNING.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// How many starts in a row have failed; tasks that were started together count once.
    pub level: u32,
    /// Tasks that were started before this failed together with the one that was counted; milliseconds since boot.
    pub since: u64,
    /// The next start, in milliseconds since boot.
    pub until: u64,
}

/// A deployment: a revision of the service on its way in or out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// 19 digits: `ecs-svc/ID`, and the revision's number.
    pub id: String,
    /// `FAMILY:REVISION`.
    pub definition: String,
    /// What a task of it takes.
    pub requirements: Requirements,
    /// How it fares.
    pub rollout: RolloutState,
    /// ECS's sentence about that.
    pub reason: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it changed.
    pub updated_at: Timestamp,
    /// ECS's `failedTasks`: tasks that failed one after the other.
    pub failed_tasks: u32,
    /// What the circuit breaker has counted.
    pub failures: u32,
    /// Whether a task of it has reached RUNNING: the second stage of the circuit breaker.
    pub ran: bool,
    /// The pause after starts that failed.
    pub backoff: Option<Backoff>,
    /// Since when it has been as it should be, in milliseconds since boot.
    pub good_since: Option<u64>,
    /// Whether its images are on their way: nothing can start. Known to whoever fetches them only.
    #[serde(skip)]
    pub fetching: bool,
}

/// How a task stands with its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It is on its way to RUNNING.
    Pending,
    /// It runs, and does not count as healthy yet.
    Young,
    /// It counts.
    Healthy,
    /// Its health checks have failed.
    Unhealthy,
    /// It is on its way to STOPPED, whoever wanted that.
    Ending,
}

/// A task of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// Its deployment's.
    pub deployment: String,
    /// The container instance that it is on.
    pub instance: String,
    /// Its availability zone.
    pub zone: String,
    /// When it was started, in milliseconds since boot.
    pub started: u64,
    /// Since when it has been seen RUNNING, in milliseconds since boot.
    pub running_since: Option<u64>,
    /// How it stands.
    pub standing: Standing,
    /// Whether it is protected from scale-in and deployments.
    pub protected: bool,
    /// Whether it has counted as a failure already.
    pub failed: bool,
    /// Whether it must go elsewhere, because nothing is to be on its instance.
    #[serde(default)]
    pub evicted: bool,
    /// The capacity provider that it counts for.
    #[serde(default)]
    pub provider: Option<String>,
}

impl Member {
    /// A task that is started now.
    pub(super) fn new(id: &str, deployment: &str, instance: &str, zone: &str, now: Now) -> Self {
        Self {
            id: id.to_owned(),
            deployment: deployment.to_owned(),
            instance: instance.to_owned(),
            zone: zone.to_owned(),
            started: now.boot,
            running_since: None,
            standing: Standing::Pending,
            protected: false,
            failed: false,
            evicted: false,
            provider: None,
        }
    }

    /// Whether it counts towards the ceiling: RUNNING or on its way there.
    pub fn is_alive(&self) -> bool {
        self.standing != Standing::Ending
    }

    /// Whether it is, or may become, what the service wants.
    pub fn is_good(&self) -> bool {
        !self.evicted && matches!(self.standing, Standing::Pending | Standing::Young | Standing::Healthy)
    }
}
