//! Taking in how the tasks are: who runs, who counts as healthy, who has failed and what that means for the deployment.

use super::bounds::{SETTLING, start_delay};
use super::{Backoff, Gone, Instance, Member, Service, Standing};
use crate::lifecycle::{LastStatus, Now};

/// From here on a service is said to be unable to start its tasks.
const INCONSISTENT: u32 = 3;
const IMPAIRED: &str = " is unable to consistently start tasks successfully. For more information, see the Troubleshooting \
    section of the Amazon ECS Developer Guide.";

/// What the health checks of a task say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It has none: time tells.
    Unchecked,
    /// Not yet anything.
    Unknown,
    /// All essential containers that have one pass.
    Healthy,
    /// One does not.
    Unhealthy,
}

/// A task as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Its id.
    pub id: String,
    /// Its status.
    pub status: LastStatus,
    /// Whether it is to stop, or does.
    pub stops: bool,
    /// Whether it was RUNNING once.
    pub ran: bool,
    /// Whether it came to its end by itself: what somebody has stopped has not failed.
    pub failed: bool,
    /// What its health checks say.
    pub health: Health,
    /// Whether it is protected from scale-in and deployments.
    pub protected: bool,
}

/// Takes in all tasks. Those that have stopped are the service's no longer.
pub(super) fn absorb(service: &mut Service, tasks: &[Observed], now: Now) {
    let members = std::mem::take(&mut service.tasks);
    for mut member in members {
        let seen = tasks.iter().find(|task| task.id == member.id);
        match seen {
            None => {} // somebody has removed its record
            Some(seen) => {
                look(service, &mut member, seen, now);
                match seen.status {
                    LastStatus::Stopped => service.gone.push(Gone { id: member.id, at: now.wall }),
                    _ => service.tasks.push(member),
                }
            }
        }
    }
}

/// Which tasks must go elsewhere: those on instances that are DRAINING, or that are gone.
pub(super) fn evict(service: &mut Service, instances: &[Instance]) {
    for member in &mut service.tasks {
        let on = instances.iter().find(|instance| instance.id == member.instance);
        member.evicted = !member.instance.is_empty() && on.is_none_or(|instance| instance.draining);
    }
}

fn look(service: &mut Service, member: &mut Member, seen: &Observed, now: Now) {
    member.protected = seen.protected;
    let before = member.standing;
    if (seen.ran || seen.status == LastStatus::Running) && member.running_since.is_none() {
        member.running_since = Some(now.boot);
        if let Some(deployment) = service.deployments.iter_mut().find(|one| one.id == member.deployment) {
            (deployment.ran, deployment.backoff) = (true, None);
        }
    }
    member.standing = standing(service, member, seen, now);
    match member.standing {
        Standing::Unhealthy if !member.failed => {
            member.failed = true;
            service.tell(&format!(" (task {}) failed container health checks.", member.id), now);
            failed(service, &member.deployment, Stage::Health);
        }
        Standing::Healthy if before != Standing::Healthy => {
            let resets = service.config.breaker.reset_on_healthy;
            let deployment = service.deployments.iter_mut().find(|one| one.id == member.deployment);
            if let Some(deployment) = deployment.filter(|_| resets) {
                (deployment.failures, deployment.failed_tasks) = (0, 0);
            }
        }
        // One that the service itself wanted gone has not failed.
        Standing::Ending if before != Standing::Ending && !member.failed && !seen.ran && seen.failed => {
            member.failed = true;
            failed(service, &member.deployment, Stage::Start);
            back_off(service, &member.deployment, member.started, now);
        }
        Standing::Pending | Standing::Young | Standing::Healthy | Standing::Unhealthy | Standing::Ending => {}
    }
}

fn standing(service: &Service, member: &Member, seen: &Observed, now: Now) -> Standing {
    let Some(since) = member.running_since else {
        return if seen.stops || seen.status > LastStatus::Running { Standing::Ending } else { Standing::Pending };
    };
    if member.standing == Standing::Ending || seen.stops || seen.status != LastStatus::Running {
        return Standing::Ending;
    }
    let age = now.boot.saturating_sub(since);
    match seen.health {
        Health::Healthy => Standing::Healthy,
        Health::Unhealthy if age >= service.scaled(service.grace) => Standing::Unhealthy,
        Health::Unchecked if age >= service.scaled(SETTLING) => Standing::Healthy,
        Health::Unhealthy | Health::Unchecked | Health::Unknown => Standing::Young,
    }
}

impl Service {
    /// Adds a task that did not even begin, because its images cannot be had: it fails when it is looked at.
    pub fn add_unstarted(&mut self, id: &str, deployment: &str, now: Now) {
        self.tasks.push(Member::new(id, deployment, "", "", now));
        self.tell_started(&[id.to_owned()], now);
    }
}

/// What a task failed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start,
    Health,
}

/// The circuit breaker looks at starts until one has succeeded, then at health checks.
fn failed(service: &mut Service, deployment: &str, stage: Stage) {
    if let Some(deployment) = service.deployments.iter_mut().find(|one| one.id == deployment) {
        deployment.failed_tasks += 1;
        deployment.failures += u32::from((stage == Stage::Health) == deployment.ran);
    }
}

/// Tasks that were started together and fail together are one failure here.
fn back_off(service: &mut Service, deployment: &str, started: u64, now: Now) {
    let pace = |level| service.scaled(start_delay(level));
    let Some(place) = service.deployments.iter().position(|one| one.id == deployment) else { return };
    let old = service.deployments[place].backoff;
    if old.is_some_and(|old| started < old.since) {
        return;
    }
    let level = old.map_or(0, |old| old.level) + 1;
    let until = now.boot.saturating_add(pace(level));
    service.deployments[place].backoff = Some(Backoff { level, since: now.boot, until });
    if level >= INCONSISTENT {
        service.complain(IMPAIRED, now);
    }
}
