//! A service whose deployments somebody else controls (`EXTERNAL`, `CODE_DEPLOY`): a number of task sets, each of which holds its
//! part of the desired count. Nothing is rolled over here and nothing is rolled back: whoever controls it makes task sets, scales
//! them, says which one is PRIMARY, and deletes them.
//!
//! What a task of a set is made of stands in a deployment of the same number, so that failures and pauses are counted as they
//! are for all others.

use serde::{Deserialize, Serialize};

use super::decide::Decided;
use super::placement::{Lack, place};
use super::settle::deadline;
use super::{Change, Instance, Member, Outcome, Service, ServiceStatus, Standing};
use crate::lifecycle::{Now, Timestamp};

const UNHEALTHY: &str = "Task failed container health checks";

/// Who controls the deployments of a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Controller {
    /// The service itself.
    #[default]
    Ecs,
    /// CodeDeploy, or what stands in for it.
    CodeDeploy,
    /// Somebody else.
    External,
}

impl Controller {
    /// Whether the service is made of task sets.
    pub fn is_outside(self) -> bool {
        self != Self::Ecs
    }
}

/// ECS's status of a task set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Role {
    /// It serves.
    Primary,
    /// It does not, or not yet.
    Active,
    /// It was deleted, and its tasks are stopping.
    Draining,
}

/// A task set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSet {
    /// 19 digits: `ecs-svc/ID`, and the number of its deployment.
    pub id: String,
    /// Its status.
    pub role: Role,
    /// Its part of the desired count in percent, 0 to 100.
    pub scale: f64,
    /// Whether all of its tasks are as they should be.
    pub stable: bool,
    /// Since when that is so.
    pub stable_at: Timestamp,
}

impl TaskSet {
    /// How many tasks it should have: rounded up (`computedDesiredCount`).
    pub fn wanted(&self, desired: u32) -> u32 {
        match self.role {
            Role::Draining => 0,
            // A percentage of a count fits: both are small against what a double holds exactly.
            Role::Primary | Role::Active => (f64::from(desired) * self.scale / 100.0).ceil() as u32,
        }
    }
}

/// What a turn of such a service comes to, when its tasks have been taken in.
pub(super) fn reconcile(
    service: &mut Service,
    instances: &[Instance],
    now: Now,
    fresh: &mut dyn FnMut() -> String,
) -> Outcome {
    retire(service);
    let mut instances = instances.to_vec();
    let mut decided = Decided { changes: Vec::new(), starved: false };
    for set in service.task_sets.clone() {
        hold(service, &set, &mut instances, now, fresh, &mut decided);
    }
    stabilize(service, now);
    let wake = deadline(service, decided.starved, now);
    Outcome { changes: decided.changes, wake }
}

/// What has come to its end: deleted task sets, a deleted service.
fn retire(service: &mut Service) {
    if service.status != ServiceStatus::Active {
        service.task_sets.iter_mut().for_each(|set| set.role = Role::Draining);
    }
    let Service { task_sets, deployments, tasks, .. } = service;
    let has_tasks = |id: &str| tasks.iter().any(|member| member.deployment == id);
    task_sets.retain(|set| set.role != Role::Draining || has_tasks(&set.id));
    deployments.retain(|one| task_sets.iter().any(|set| set.id == one.id));
    if service.status == ServiceStatus::Draining && service.tasks.is_empty() {
        service.status = ServiceStatus::Inactive;
    }
}

/// Brings one task set to its count.
fn hold(
    service: &mut Service,
    set: &TaskSet,
    instances: &mut [Instance],
    now: Now,
    fresh: &mut dyn FnMut() -> String,
    decided: &mut Decided,
) {
    let wanted = set.wanted(service.desired) as usize;
    let stops = surplus(service, &set.id, wanted);
    for (task, reason) in &stops {
        if let Some(member) = service.member_mut(task) {
            member.standing = Standing::Ending;
        }
        decided.changes.push(Change::Stop { task: task.clone(), reason: reason.clone() });
    }
    let mut started = Vec::new();
    let lacking = wanted.saturating_sub(of(service, &set.id).filter(|member| member.is_good()).count());
    let count = if may_start(service, &set.id, now) { lacking } else { 0 };
    for _ in 0..count {
        match start(service, set, instances, now, fresh) {
            Ok(change) => {
                started.push(change.task().to_owned());
                decided.changes.push(change);
            }
            Err(event) => {
                decided.starved = true;
                service.complain(&event, now);
                break;
            }
        }
    }
    let stopped: Vec<String> = stops.into_iter().map(|(task, _)| task).collect();
    service.tell_of_set(&set.id, "stopped", "running tasks", &stopped, now);
    service.tell_of_set(&set.id, "started", "tasks", &started, now);
}

fn of<'a>(service: &'a Service, set: &'a str) -> impl Iterator<Item = &'a Member> {
    service.tasks.iter().filter(move |member| member.deployment == set)
}

/// The tasks of a set to stop: those that are too many, what does not run yet first; and unhealthy ones that others have replaced.
fn surplus(service: &Service, set: &str, wanted: usize) -> Vec<(String, String)> {
    let mut good: Vec<&Member> = of(service, set).filter(|member| member.is_good()).collect();
    let healthy = good.iter().filter(|member| member.standing == Standing::Healthy).count();
    let too_many = good.len().saturating_sub(wanted);
    good.retain(|member| !member.protected);
    good.sort_by_key(|member| (member.standing as u8, std::cmp::Reverse(member.started), member.id.clone()));
    let scaling = format!("Scaling activity initiated by (task set ecs-svc/{set})");
    let mut all: Vec<(String, String)> =
        good.into_iter().take(too_many).map(|member| (member.id.clone(), scaling.clone())).collect();
    let mut others: Vec<&Member> = of(service, set).filter(|member| member.is_alive() && !member.is_good()).collect();
    others.sort_by_key(|member| member.standing != Standing::Pending);
    let pending = others.iter().filter(|member| member.standing == Standing::Pending).count();
    // What does not run yet on an instance that drains goes at once.
    let replaced = others.len().saturating_sub(wanted.saturating_sub(healthy)).max(pending);
    all.extend(others.into_iter().take(replaced).filter(|member| !member.evicted || !member.protected).map(|member| {
        let reason = if member.standing == Standing::Unhealthy { UNHEALTHY } else { &scaling };
        (member.id.clone(), reason.to_owned())
    }));
    all
}

fn may_start(service: &Service, set: &str, now: Now) -> bool {
    let found = service.deployments.iter().find(|one| one.id == set);
    found.is_some_and(|one| !one.fetching && one.backoff.is_none_or(|pause| pause.until <= now.boot))
}

/// Starts a task of a set, or says why there is no place for it.
fn start(
    service: &mut Service,
    set: &TaskSet,
    instances: &mut [Instance],
    now: Now,
    fresh: &mut dyn FnMut() -> String,
) -> Result<Change, String> {
    let deployment = service.deployments.iter().find(|one| one.id == set.id);
    let needs = deployment.map(|one| one.requirements.clone()).unwrap_or_default();
    let definition = deployment.map(|one| one.definition.clone()).unwrap_or_default();
    let distinct = service.placement.is_distinct();
    let found = place(instances, &needs, &service.placement, &|instance| {
        let busy = of(service, &set.id).filter(|member| member.is_alive() && member.instance == instance.id).count();
        match busy {
            _ if instance.refuses.contains(&definition) => Err(Lack::Attribute),
            0 => Ok(0),
            _ if distinct => Err(Lack::Distinct),
            others => Ok(others),
        }
    });
    let place = found.map_err(|shortage| shortage.event())?;
    instances[place].take(&needs);
    let (task, instance) = (fresh(), instances[place].id.clone());
    let zone = instances[place].zone.clone();
    service.tasks.push(Member::new(&task, &set.id, &instance, &zone, now));
    Ok(Change::Start { task, deployment: set.id.clone(), instance })
}

/// Which sets are steady now: as many tasks as they should have, all of them healthy, none on its way in or out.
fn stabilize(service: &mut Service, now: Now) {
    let mut steady = Vec::new();
    for place in 0..service.task_sets.len() {
        let set = &service.task_sets[place];
        let wanted = set.wanted(service.desired) as usize;
        let (mut healthy, mut others) = (0, 0);
        for member in of(service, &set.id) {
            match member.standing {
                Standing::Healthy if !member.evicted => healthy += 1,
                _ => others += 1,
            }
        }
        let stable = healthy == wanted && others == 0;
        let set = &mut service.task_sets[place];
        if set.stable != stable {
            (set.stable, set.stable_at) = (stable, now.wall);
            steady.extend((stable && set.role != Role::Draining).then(|| set.id.clone()));
        }
    }
    for id in steady {
        service.tell_set(&id, " has reached a steady state.", now);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{deploy, instance, service};
    use super::super::{Health, Observed, Working, add_task_set, reconcile};
    use super::*;
    use crate::lifecycle::LastStatus;

    struct World {
        service: Service,
        tasks: Vec<Observed>,
        instances: Vec<Instance>,
        now: Now,
        number: u64,
    }

    impl World {
        fn new(desired: u32) -> Self {
            let mut service = service(Working::Replica, desired);
            service.controller = Controller::External;
            let now = Now { wall: Timestamp(1_000), boot: 1_000 };
            Self { service, tasks: Vec::new(), instances: vec![instance("a", 100)], now, number: 0 }
        }

        fn add(&mut self, number: u64, scale: f64, role: Role) -> String {
            let (deploy, stable_at) = (deploy(number), self.now.wall);
            let set = TaskSet { id: deploy.id.clone(), role, scale, stable: false, stable_at };
            let id = set.id.clone();
            add_task_set(&mut self.service, deploy, set, stable_at);
            id
        }

        fn turn(&mut self) -> Outcome {
            let Self { service, tasks, instances, now, number, .. } = self;
            let outcome = reconcile(service, tasks, instances, *now, &mut || {
                *number += 1;
                format!("task-{number}")
            });
            for change in &outcome.changes {
                match change {
                    Change::Start { task, .. } => self.tasks.push(Observed {
                        id: task.clone(),
                        status: LastStatus::Provisioning,
                        stops: false,
                        ran: false,
                        failed: false,
                        health: Health::Unchecked,
                        protected: false,
                    }),
                    Change::Stop { task, .. } => {
                        self.tasks.iter_mut().filter(|one| one.id == *task).for_each(|one| one.stops = true);
                    }
                }
            }
            outcome
        }

        /// All goes well until nothing changes any more.
        fn settle(&mut self) {
            for _ in 0..20 {
                self.turn();
                for task in &mut self.tasks {
                    task.status = if task.stops { LastStatus::Stopped } else { LastStatus::Running };
                    task.ran |= !task.stops;
                }
                self.now.boot += 60_000;
                self.now.wall.0 += 60_000;
            }
            let settled = self.service.clone();
            assert_eq!(self.turn().changes, [], "{settled:#?}");
        }

        fn count(&self, set: &str) -> usize {
            of(&self.service, set).filter(|member| member.standing == Standing::Healthy).count()
        }
    }

    #[test]
    fn each_set_holds_its_part_of_the_count_rounded_up() {
        let mut world = World::new(5);
        let (blue, green) = (world.add(1, 100.0, Role::Primary), world.add(2, 25.0, Role::Active));
        world.settle();
        assert_eq!((world.count(&blue), world.count(&green)), (5, 2));
        assert!(world.service.task_sets.iter().all(|set| set.stable));
        world.service.task_sets[0].scale = 50.0;
        world.service.task_sets[1].scale = 0.0;
        world.settle();
        assert_eq!((world.count(&blue), world.count(&green)), (3, 0));
        world.service.desired = 10;
        world.settle();
        assert_eq!((world.count(&blue), world.count(&green)), (5, 0));
        let told = format!("(service web, taskSet ecs-svc/{blue}) has reached a steady state.");
        assert!(world.service.events.iter().any(|event| event.message == told), "{:?}", world.service.events);
    }

    #[test]
    fn a_set_is_stabilizing_until_its_tasks_count_as_healthy() {
        let mut world = World::new(2);
        world.add(1, 100.0, Role::Primary);
        world.turn();
        assert!(!world.service.task_sets[0].stable);
        world.settle();
        assert!(world.service.task_sets[0].stable);
        let changed = world.service.task_sets[0].stable_at;
        world.tasks[0].stops = true;
        world.now.wall.0 += 1;
        world.turn();
        assert!(!world.service.task_sets[0].stable && world.service.task_sets[0].stable_at > changed);
        world.settle();
        assert!(world.service.task_sets[0].stable);
        assert_eq!(world.service.tasks.len(), 2);
    }

    #[test]
    fn a_deleted_set_vanishes_with_its_last_task_and_a_deleted_service_with_all() {
        let mut world = World::new(2);
        let (blue, green) = (world.add(1, 100.0, Role::Primary), world.add(2, 100.0, Role::Active));
        world.settle();
        world.service.task_sets[1].role = Role::Draining;
        world.turn();
        assert_eq!(world.service.task_sets.len(), 2, "its tasks are still there");
        world.settle();
        assert_eq!((world.count(&blue), world.count(&green)), (2, 0));
        assert_eq!((world.service.task_sets.len(), world.service.deployments.len()), (1, 1));
        world.service.status = ServiceStatus::Draining;
        world.settle();
        assert_eq!((world.service.status, world.service.tasks.len()), (ServiceStatus::Inactive, 0));
    }

    #[test]
    fn an_unhealthy_task_goes_when_another_one_has_taken_its_place_and_a_protected_one_stays() {
        let mut world = World::new(2);
        let set = world.add(1, 100.0, Role::Primary);
        world.settle();
        world.tasks[0].health = Health::Unhealthy;
        let first = world.turn().changes;
        assert!(matches!(first.as_slice(), [Change::Start { .. }]), "{first:?}");
        world.settle();
        assert_eq!(world.count(&set), 2);
        assert!(!world.service.tasks.iter().any(|member| member.id == "task-1"));
        world.tasks.iter_mut().for_each(|task| task.protected = true);
        world.service.task_sets[0].scale = 0.0;
        assert_eq!(world.turn().changes, []);
    }

    #[test]
    fn what_finds_no_place_is_said_and_tried_again() {
        let mut world = World::new(3);
        world.instances = vec![instance("a", 2)];
        world.add(1, 100.0, Role::Primary);
        let outcome = world.turn();
        assert_eq!(outcome.changes.len(), 2);
        assert!(outcome.wake.is_some());
        assert!(world.service.events.iter().any(|event| event.message.contains("unable to place a task")));
    }
}
