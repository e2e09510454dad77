//! Which tasks to stop and which to start: stops first, because what is asked to stop makes room, and only as many as floor
//! and ceiling allow.

use super::placement::{Lack, Requirements, Shortage, place};
use super::{Bounds, Instance, Member, RolloutState, Service, ServiceStatus, Standing, Working};
use crate::lifecycle::Now;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Stop a task.
    Stop {
        /// Its id.
        task: String,
        /// ECS's stoppedReason.
        reason: String,
    },
    /// Start a task.
    Start {
        /// Its id.
        task: String,
        /// The deployment that it is of.
        deployment: String,
        /// The container instance that it is to be on.
        instance: String,
    },
}

const UNHEALTHY: &str = "Task failed container health checks";

/// What was decided.
pub(super) struct Decided {
    pub(super) changes: Vec<Change>,
    /// Whether there was no room for a task.
    pub(super) starved: bool,
}

/// The view of one round.
struct Round<'a> {
    service: &'a mut Service,
    instances: Vec<Instance>,
    wanted: usize,
    bounds: Bounds,
    now: Now,
    changes: Vec<Change>,
    stopped: Vec<String>,
    started: Vec<String>,
    starved: bool,
}

/// Decides, and lets the service count on it.
pub(super) fn decide(
    service: &mut Service,
    instances: &[Instance],
    now: Now,
    fresh: &mut dyn FnMut() -> String,
) -> Decided {
    let wanted = service.wanted(instances);
    if service.working == Working::Daemon && service.status == ServiceStatus::Active {
        service.desired = wanted;
    }
    let mut round = Round {
        bounds: Bounds::of(&service.config, wanted),
        wanted: wanted as usize,
        instances: instances.to_vec(),
        now,
        changes: Vec::new(),
        stopped: Vec::new(),
        started: Vec::new(),
        starved: false,
        service,
    };
    round.stops();
    round.starts(fresh);
    let Round { service, changes, stopped, started, starved, .. } = round;
    service.tell_stopped(&stopped, now);
    service.tell_started(&started, now);
    Decided { changes, starved }
}

impl Round<'_> {
    fn primary(&self) -> Option<String> {
        self.service.primary().map(|primary| primary.id.clone())
    }

    fn count(&self, which: impl Fn(&Member) -> bool) -> usize {
        self.service.tasks.iter().filter(|member| which(member)).count()
    }

    fn healthy(&self) -> usize {
        self.count(|member| member.standing == Standing::Healthy)
    }

    fn room(&self) -> usize {
        (self.bounds.ceiling as usize).saturating_sub(self.count(Member::is_alive))
    }

    fn floor(&self) -> usize {
        self.bounds.floor as usize
    }

    /// Whether the circuit breaker has ended the deployment that was under way.
    fn is_stuck(&self) -> bool {
        self.service.primary().is_some_and(|primary| primary.rollout == RolloutState::Failed)
    }

    /// The deployment that holds the floor while another one is under way: the newest before it that was completed.
    fn base(&self) -> Option<String> {
        let (primary, old) = self.service.deployments.split_first()?;
        let found = old.iter().find(|one| one.rollout == RolloutState::Completed);
        found.filter(|_| primary.rollout != RolloutState::Completed).map(|base| base.id.clone())
    }

    /// How many tasks the base must have: what the floor lacks without it.
    fn base_share(&self, base: &str) -> usize {
        let others = |member: &Member| member.standing == Standing::Healthy && member.deployment != base;
        self.floor().saturating_sub(self.count(others))
    }

    fn stops(&mut self) {
        let Some(primary) = self.primary() else { return };
        if self.service.status != ServiceStatus::Active {
            let all: Vec<String> = self.ids(|member| member.is_alive());
            let reason = self.scaling(&primary);
            all.into_iter().for_each(|id| self.stop(id, &reason));
            return;
        }
        self.stop_unhealthy(&primary);
        if !self.is_stuck() {
            self.stop_old(&primary);
        }
        self.scale_in(&primary);
        self.make_room(&primary);
    }

    /// Unhealthy tasks, those of old deployments first.
    fn unhealthy(&self, primary: &str) -> Vec<String> {
        let mut unhealthy = self.ids(|member| member.standing == Standing::Unhealthy);
        unhealthy.sort_by_key(|id| self.deployment_of(id) == Some(primary));
        unhealthy
    }

    /// An unhealthy task goes when another one has taken its place.
    fn stop_unhealthy(&mut self, primary: &str) {
        let unhealthy = self.unhealthy(primary);
        let kept = self.wanted.saturating_sub(self.healthy());
        let surplus = unhealthy.len().saturating_sub(kept);
        for id in unhealthy.into_iter().take(surplus) {
            self.stop(id, UNHEALTHY);
        }
    }

    /// If the ceiling leaves no room for that, unhealthy tasks go before, one by one.
    fn make_room(&mut self, primary: &str) {
        let coming = self.count(|member| matches!(member.standing, Standing::Pending | Standing::Young));
        let lacking = self.count(|member| member.is_good() && member.deployment == primary) < self.wanted;
        let without_room = coming == 0 && lacking && self.room() == 0 && self.may_start(primary);
        if let Some(id) = self.unhealthy(primary).into_iter().next().filter(|_| without_room) {
            self.stop(id, UNHEALTHY);
        }
    }

    /// Tasks of earlier deployments, and those that must go elsewhere, go as far as the floor allows.
    fn stop_old(&mut self, primary: &str) {
        let reason = self.scaling(primary);
        let base = self.base();
        let rank = |service: &Service, member: &Member| {
            let place = service.deployments.iter().position(|one| one.id == member.deployment);
            (Some(&member.deployment) == base.as_ref(), std::cmp::Reverse(place))
        };
        let mut old: Vec<(String, Standing)> = Vec::new();
        let mut members: Vec<&Member> =
            self.service.tasks.iter().filter(|member| leaves(member, primary) && !member.protected).collect();
        members.sort_by_key(|member| rank(self.service, member));
        for standing in [Standing::Pending, Standing::Young, Standing::Healthy] {
            let of = members.iter().filter(|member| member.standing == standing);
            old.extend(of.map(|member| (member.id.clone(), standing)));
        }
        for (id, standing) in old {
            let young = self.count(|member| member.standing == Standing::Young && leaves(member, primary));
            let may_go = match standing {
                Standing::Pending => self.is_surplus(&id, base.as_deref()),
                Standing::Young => self.healthy() + young > self.floor(),
                Standing::Healthy => self.healthy() > self.floor(),
                Standing::Unhealthy | Standing::Ending => false,
            };
            if may_go {
                self.stop(id, &reason);
            }
        }
    }

    /// Whether a task that does not run yet is more than the base needs.
    fn is_surplus(&self, id: &str, base: Option<&str>) -> bool {
        if self.service.tasks.iter().any(|member| member.id == id && member.evicted) {
            return true;
        }
        let Some(base) = base.filter(|base| self.deployment_of(id) == Some(base)) else { return true };
        self.count(|member| member.deployment == *base && member.is_good()) > self.base_share(base)
    }

    /// More tasks than wanted: those that do not run yet go first, then those in the fullest zone, the youngest first.
    fn scale_in(&mut self, primary: &str) {
        let of_primary = |member: &Member| member.is_good() && member.deployment == primary;
        let surplus = self.count(of_primary).saturating_sub(self.wanted);
        if surplus == 0 {
            return;
        }
        let reason = self.scaling(primary);
        for left in (0..surplus).rev() {
            let healthy = |member: &Member| member.standing == Standing::Healthy && member.deployment == primary;
            let spare = self.count(healthy) > self.wanted;
            let may_go = |member: &&Member| member.standing != Standing::Healthy || spare;
            let candidates: Vec<&Member> =
                self.service.tasks.iter().filter(|member| of_primary(member) && !member.protected).collect();
            if candidates.iter().all(|member| !may_go(member)) && !candidates.is_empty() {
                return; // a protected one is about to count: until then this one does
            }
            let in_zone = |zone: &str| candidates.iter().filter(|member| member.zone == zone).count();
            let best = candidates.iter().filter(|member| may_go(member)).min_by_key(|member| {
                (member.standing as u8, std::cmp::Reverse((in_zone(&member.zone), member.started)), &member.id)
            });
            match best.map(|member| member.id.clone()) {
                Some(id) => self.stop(id, &reason),
                None => {
                    let text = format!(" was unable to scale in due to (reason {} tasks under protection)", left + 1);
                    return self.service.complain(&text, self.now);
                }
            }
        }
    }

    fn starts(&mut self, fresh: &mut dyn FnMut() -> String) {
        let Some(primary) = self.primary().filter(|_| self.service.status == ServiceStatus::Active) else { return };
        let failing = self.service.primary().is_some_and(|primary| primary.failures > 0) || self.is_stuck();
        if failing {
            self.start_base(fresh);
        }
        let good = self.count(|member| member.is_good() && member.deployment == primary);
        if !self.is_stuck() {
            self.start(&primary, self.wanted.saturating_sub(good), fresh);
        }
        if !failing {
            self.start_base(fresh);
        }
    }

    fn start_base(&mut self, fresh: &mut dyn FnMut() -> String) {
        let Some(base) = self.base() else { return };
        let good = self.count(|member| member.is_good() && member.deployment == base);
        self.start(&base, self.base_share(&base).saturating_sub(good), fresh);
    }

    /// Whether nothing keeps a deployment from starting tasks now.
    fn may_start(&self, deployment: &str) -> bool {
        let found = self.service.deployments.iter().find(|one| one.id == deployment);
        found.is_some_and(|one| {
            !one.fetching
                && one.rollout != RolloutState::Failed
                && one.backoff.is_none_or(|pause| pause.until <= self.now.boot)
        })
    }

    fn start(&mut self, deployment: &str, count: usize, fresh: &mut dyn FnMut() -> String) {
        if !self.may_start(deployment) {
            return;
        }
        let needs = self.service.requirements(deployment);
        for _ in 0..count.min(self.room()) {
            match self.find_place(deployment, &needs) {
                Ok(place) => self.start_on(place, deployment, &needs, fresh()),
                Err(shortage) => {
                    self.starved = true;
                    return self.service.complain(&shortage.event(), self.now);
                }
            }
        }
    }

    fn find_place(&self, deployment: &str, needs: &Requirements) -> Result<usize, Shortage> {
        let definition = self.service.deployments.iter().find(|one| one.id == deployment).map(|one| &one.definition);
        let busy = |instance: &Instance| self.count(|member| member.instance == instance.id && member.is_alive());
        let distinct = self.service.working == Working::Daemon || self.service.placement.is_distinct();
        place(&self.instances, needs, &self.service.placement, &|instance| match busy(instance) {
            _ if definition.is_some_and(|name| instance.refuses.contains(name)) => Err(Lack::Attribute),
            0 => Ok(0),
            _ if distinct => Err(Lack::Distinct),
            others => Ok(others),
        })
    }

    fn start_on(&mut self, place: usize, deployment: &str, needs: &Requirements, task: String) {
        let instance = &mut self.instances[place];
        instance.take(needs);
        let (instance, zone) = (instance.id.clone(), instance.zone.clone());
        self.service.tasks.push(Member::new(&task, deployment, &instance, &zone, self.now));
        self.started.push(task.clone());
        self.changes.push(Change::Start { task, deployment: deployment.to_owned(), instance });
    }

    fn stop(&mut self, task: String, reason: &str) {
        if let Some(member) = self.service.member_mut(&task) {
            member.standing = Standing::Ending;
        }
        self.stopped.push(task.clone());
        self.changes.push(Change::Stop { task, reason: reason.to_owned() });
    }

    fn scaling(&self, deployment: &str) -> String {
        format!("Scaling activity initiated by (deployment ecs-svc/{deployment})")
    }

    fn ids(&self, which: impl Fn(&Member) -> bool) -> Vec<String> {
        self.service.tasks.iter().filter(|member| which(member)).map(|member| member.id.clone()).collect()
    }

    fn deployment_of(&self, id: &str) -> Option<&str> {
        self.service.tasks.iter().find(|member| member.id == id).map(|member| member.deployment.as_str())
    }
}

/// Whether a task is of an earlier deployment, or on an instance that nothing is to be on.
fn leaves(member: &Member, primary: &str) -> bool {
    member.deployment != primary || member.evicted
}

impl Change {
    /// The task that it is about.
    pub(super) fn task(&self) -> &str {
        match self {
            Self::Stop { task, .. } | Self::Start { task, .. } => task,
        }
    }
}
