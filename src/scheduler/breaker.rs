//! The circuit breaker, and the way back to the last deployment that was completed.

use super::bounds::breaker_threshold;
use super::{Rollback, RolloutState, RolloutStatus, Service};
use crate::lifecycle::Now;

const FAILED: &str = "ECS deployment circuit breaker: tasks failed to start.";

/// Ends the deployment that is under way if it has failed too often.
pub(super) fn check(service: &mut Service, now: Now) {
    let breaker = service.config.breaker;
    let threshold = breaker_threshold(breaker.threshold, service.desired);
    let Some(primary) = service.deployments.first_mut() else { return };
    if primary.rollout != RolloutState::InProgress {
        return;
    }
    let failures = primary.failures;
    if let Some(rollout) = service.rollout_mut().filter(|rollout| rollout.rollback.is_none()) {
        rollout.breaker = (failures, threshold);
    }
    if !breaker.enable || failures < threshold {
        return;
    }
    let primary = &mut service.deployments[0];
    (primary.rollout, primary.reason, primary.updated_at) = (RolloutState::Failed, FAILED.to_owned(), now.wall);
    let id = primary.id.clone();
    service.tell(&format!(" (deployment ecs-svc/{id}) deployment failed: tasks failed to start."), now);
    let rolled_back = breaker.rollback && go_back(service, FAILED, RolloutStatus::RollbackInProgress, now);
    if !rolled_back && let Some(rollout) = service.rollout_mut() {
        rollout.status = match rollout.rollback {
            Some(_) => RolloutStatus::RollbackFailed,
            None => RolloutStatus::Stopped,
        };
        rollout.reason = Some(FAILED.to_owned());
        (rollout.stopped_at, rollout.finished_at, rollout.updated_at) = (Some(now.wall), Some(now.wall), now.wall);
    }
}

/// Goes back to the last deployment that was completed because somebody asks for it (StopServiceDeployment); whether there
/// is one.
pub fn roll_back(service: &mut Service, reason: &str, now: Now) -> bool {
    if service.completed.is_none() {
        return false;
    }
    if let Some(primary) = service.deployments.first_mut() {
        (primary.rollout, primary.reason, primary.updated_at) = (RolloutState::Failed, reason.to_owned(), now.wall);
    }
    go_back(service, reason, RolloutStatus::RollbackRequested, now)
}

/// The completed deployment is PRIMARY and in progress again: while it is, nothing can be gone back to. Its tasks that
/// still run are as good as they were.
fn go_back(service: &mut Service, reason: &str, status: RolloutStatus, now: Now) -> bool {
    let Some(mut back) = service.completed.take() else { return false };
    if let Some(place) = service.deployments.iter().position(|one| one.id == back.id) {
        back = service.deployments.remove(place);
    }
    back.rollout = RolloutState::InProgress;
    back.reason = format!("ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/{}.", back.id);
    back.updated_at = now.wall;
    (back.failed_tasks, back.failures, back.backoff, back.good_since) = (0, 0, None, None);
    let id = back.id.clone();
    service.deployments.insert(0, back);
    service.steady = None;
    service.tell(&format!(" rolling back to deployment ecs-svc/{id}."), now);
    if let Some(rollout) = service.rollout_mut() {
        (rollout.status, rollout.updated_at) = (status, now.wall);
        rollout.rollback = Some(Rollback { reason: reason.to_owned(), started_at: now.wall, revision: id });
    }
    true
}
