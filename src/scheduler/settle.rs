//! Around the decisions: deployments that have drained, the one that is complete, the steady state, and when to look again.

use super::bounds::{SETTLING, part};
use super::events::HELD_BACK;
use super::{
    Bounds, Cleanup, Deployment, Instance, Member, RolloutState, RolloutStatus, Service, ServiceStatus, Standing,
};
use crate::lifecycle::Now;

/// When a task that found no room is tried again though nothing was heard, in milliseconds.
const STARVED: u64 = 10_000;
const BLOCKED: &str = " was unable to stop or start tasks during a deployment because of the service deployment \
    configuration. Update the minimumHealthyPercent or maximumPercent value and try again.";

/// What has come to its end: deployments that have drained, one that is complete, a deleted service.
pub(super) fn progress(service: &mut Service, instances: &[Instance], now: Now) {
    retire(service);
    if service.status == ServiceStatus::Draining && service.tasks.is_empty() {
        service.status = ServiceStatus::Inactive;
        service.deployments.clear();
    }
    if service.status == ServiceStatus::Active {
        complete(service, service.wanted(instances), now);
    }
}

/// What there is to tell after the decisions.
pub(super) fn tell(service: &mut Service, instances: &[Instance], now: Now) {
    if service.status != ServiceStatus::Active {
        service.steady = None;
        return;
    }
    let wanted = service.wanted(instances);
    steady(service, wanted, now);
    blocked(service, wanted, now);
}

/// A deployment that is not PRIMARY is listed until its last task has stopped.
fn retire(service: &mut Service) {
    let Service { deployments, tasks, .. } = service;
    let mut place = 0;
    deployments.retain(|one| {
        place += 1;
        place == 1 || tasks.iter().any(|member| member.deployment == one.id)
    });
}

fn healthy(service: &Service, deployment: &Deployment) -> u32 {
    let is = |member: &&Member| {
        !member.evicted && member.standing == Standing::Healthy && member.deployment == deployment.id
    };
    u32::try_from(service.tasks.iter().filter(is).count()).unwrap_or(u32::MAX)
}

/// Whether the deployment is as it should be, apart from how long it has been.
fn is_good(service: &Service, primary: &Deployment, wanted: u32) -> bool {
    let healthy = healthy(service, primary);
    match service.config.early_success {
        Some(early) if healthy >= part(wanted, early.healthy_percent) => {
            early.cleanup == Cleanup::Deferred || service.deployments.len() == 1
        }
        _ => healthy >= wanted && service.deployments.len() == 1,
    }
}

fn complete(service: &mut Service, wanted: u32, now: Now) {
    let bake = service.scaled(service.config.bake);
    let Some(primary) = service.primary().filter(|one| one.rollout == RolloutState::InProgress) else { return };
    let good = is_good(service, primary, wanted);
    let primary = &mut service.deployments[0];
    if !good {
        primary.good_since = None;
        return;
    }
    let since = *primary.good_since.get_or_insert(now.boot);
    if now.boot < since.saturating_add(bake) {
        return;
    }
    primary.rollout = RolloutState::Completed;
    primary.reason = format!("ECS deployment ecs-svc/{} completed.", primary.id);
    (primary.updated_at, primary.failures, primary.failed_tasks) = (now.wall, 0, 0);
    let id = primary.id.clone();
    service.completed = Some(primary.clone());
    service.tell(&format!(" (deployment ecs-svc/{id}) deployment completed."), now);
    if let Some(rollout) = service.rollout_mut() {
        rollout.status = match rollout.rollback {
            Some(_) => RolloutStatus::RollbackSuccessful,
            None => RolloutStatus::Successful,
        };
        (rollout.finished_at, rollout.updated_at) = (Some(now.wall), now.wall);
    }
}

/// One deployment, complete, with as many healthy tasks as wanted and no other ones.
fn steady(service: &mut Service, wanted: u32, now: Now) {
    let is_steady = service.deployments.len() == 1
        && service.tasks.iter().all(|member| !member.evicted)
        && service
            .primary()
            .is_some_and(|primary| primary.rollout == RolloutState::Completed && healthy(service, primary) == wanted)
        && service.tasks.iter().filter(|member| member.is_alive()).count() == wanted as usize;
    let again = service.scaled(HELD_BACK);
    match service.steady {
        _ if !is_steady => service.steady = None,
        Some(told) if now.boot < told.saturating_add(again) => {}
        Some(_) | None => {
            service.steady = Some(now.boot);
            service.tell_steady(now);
        }
    }
}

/// A deployment whose floor and ceiling leave no task to stop and none to start.
fn blocked(service: &mut Service, wanted: u32, now: Now) {
    let bounds = Bounds::of(&service.config, wanted);
    let Some(primary) = service.primary().filter(|one| one.rollout == RolloutState::InProgress) else { return };
    let of_primary = service.tasks.iter().filter(|member| member.deployment == primary.id && member.is_alive()).count();
    let all_old_healthy = service.tasks.iter().all(|member| member.standing == Standing::Healthy);
    let count = u32::try_from(service.tasks.len()).unwrap_or(u32::MAX);
    if of_primary < wanted as usize && all_old_healthy && count >= bounds.ceiling && count <= bounds.floor {
        service.complain(BLOCKED, now);
    }
}

/// When something becomes due by itself.
pub(super) fn deadline(service: &Service, starved: bool, now: Now) -> Option<u64> {
    if service.status == ServiceStatus::Inactive {
        return None;
    }
    let starved = starved.then(|| now.boot + service.scaled(STARVED));
    let steady = service.steady.map(|told| told.saturating_add(service.scaled(HELD_BACK)));
    let pauses = service.deployments.iter().filter_map(|one| one.backoff).map(|pause| pause.until);
    let bake = service.primary().and_then(|primary| {
        let since = primary.good_since.filter(|_| primary.rollout == RolloutState::InProgress)?;
        Some(since.saturating_add(service.scaled(service.config.bake)))
    });
    let young = service.tasks.iter().filter(|member| member.standing == Standing::Young).filter_map(|member| {
        let since = member.running_since?;
        // Which of the two it waits for, its health checks decide: to look once too often does no harm.
        let ends = [service.scaled(SETTLING), service.scaled(service.grace)].map(|wait| since.saturating_add(wait));
        ends.into_iter().filter(|end| *end > now.boot).min()
    });
    let all = starved.into_iter().chain(steady).chain(pauses).chain(bake).chain(young);
    all.filter(|at| *at > now.boot).min()
}
