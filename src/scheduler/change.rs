//! The beginning of a deployment, after an update or with the service itself.

use super::{Deployment, Requirements, Rollout, RolloutState, RolloutStatus, Service, TaskSet};
use crate::lifecycle::Timestamp;

/// What begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deploy {
    /// 19 digits that no deployment has had.
    pub id: String,
    /// 21 characters for the service deployment.
    pub rollout: String,
    /// `FAMILY:REVISION`.
    pub definition: String,
    /// What a task of it takes.
    pub requirements: Requirements,
}

/// Makes a new deployment PRIMARY; those before it drain.
pub fn begin(service: &mut Service, deploy: Deploy, now: Timestamp) {
    if let Some(rollout) = service.rollout_mut() {
        rollout.status = RolloutStatus::Stopped;
        rollout.reason = Some("A new deployment was started.".to_owned());
        (rollout.stopped_at, rollout.finished_at, rollout.updated_at) = (Some(now), Some(now), now);
    }
    service.add_rollout(Rollout {
        id: deploy.rollout.clone(),
        revision: deploy.id.clone(),
        sources: service.deployments.iter().map(|one| one.id.clone()).collect(),
        status: RolloutStatus::InProgress,
        reason: None,
        created_at: now,
        updated_at: now,
        finished_at: None,
        stopped_at: None,
        breaker: (0, 0),
        rollback: None,
    });
    service.deployments.insert(0, deployment(deploy, now));
    service.steady = None;
}

/// The deployment of a task set: no other one drains, and none is rolled over.
pub fn add_task_set(service: &mut Service, deploy: Deploy, set: TaskSet, now: Timestamp) {
    service.deployments.push(deployment(deploy, now));
    service.task_sets.push(set);
}

fn deployment(deploy: Deploy, now: Timestamp) -> Deployment {
    Deployment {
        reason: format!("ECS deployment ecs-svc/{} in progress.", deploy.id),
        id: deploy.id,
        definition: deploy.definition,
        requirements: deploy.requirements,
        rollout: RolloutState::InProgress,
        created_at: now,
        updated_at: now,
        failed_tasks: 0,
        failures: 0,
        ran: false,
        backoff: None,
        good_since: None,
        fetching: false,
    }
}
