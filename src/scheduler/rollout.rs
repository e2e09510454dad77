//! ECS's service deployments: one entry for each time that a service was created or changed in what its tasks are, kept
//! when the deployment itself is no longer listed.

use serde::{Deserialize, Serialize};

use super::Service;
use crate::lifecycle::Timestamp;

/// How many are kept.
const KEPT: usize = 50;

/// ECS's status of a service deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names are ECS's")]
pub enum RolloutStatus {
    Pending,
    InProgress,
    Successful,
    StopRequested,
    Stopped,
    RollbackRequested,
    RollbackInProgress,
    RollbackSuccessful,
    RollbackFailed,
}

impl RolloutStatus {
    /// Whether nothing more comes of it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Successful | Self::Stopped | Self::RollbackSuccessful | Self::RollbackFailed)
    }
}

/// The way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// Why.
    pub reason: String,
    /// Since when.
    pub started_at: Timestamp,
    /// The revision that is gone back to.
    pub revision: String,
}

/// A service deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// 21 characters.
    pub id: String,
    /// The number of the revision, and of the deployment, that it leads to.
    pub revision: String,
    /// Those that it leads away from.
    pub sources: Vec<String>,
    /// How it fares.
    pub status: RolloutStatus,
    /// A sentence about that.
    pub reason: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it changed.
    pub updated_at: Timestamp,
    /// When it came to its end, if it did.
    pub finished_at: Option<Timestamp>,
    /// When it was stopped, if it was.
    pub stopped_at: Option<Timestamp>,
    /// What the circuit breaker had counted, and what it would have acted on.
    pub breaker: (u32, u32),
    /// The way back, if it was taken.
    pub rollback: Option<Rollback>,
}

impl Service {
    /// The one that is under way.
    pub fn rollout_mut(&mut self) -> Option<&mut Rollout> {
        self.rollouts.first_mut().filter(|rollout| !rollout.status.is_final())
    }

    pub(super) fn add_rollout(&mut self, rollout: Rollout) {
        self.rollouts.insert(0, rollout);
        self.rollouts.truncate(KEPT);
    }
}
