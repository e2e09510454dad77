//! A hundred thousand random histories: tasks that start, fail, fall ill and exit, updates in between, clocks that are set.
//! After each step the rules are looked at, and at the end of each the world is kind and the service must come to rest.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::lifecycle::{LastStatus, Timestamp};

/// Histories of each test; there are four, which run side by side.
const HISTORIES: u64 = 25_000;
const STEPS: usize = 8;

struct World {
    service: Service,
    tasks: Vec<Observed>,
    instances: Vec<Instance>,
    now: Now,
    number: u64,
    checked: bool,
    rng: SmallRng,
}

pub(super) fn instance(id: &str, cpu: u64) -> Instance {
    let zone = format!("zone-{id}");
    let (ports, attributes, refuses) = (Vec::new(), Vec::new(), Vec::new());
    Instance { id: id.to_owned(), zone, cpu, memory: 1 << 20, gpus: 0, ports, attributes, refuses, draining: false }
}

pub(super) fn service(working: Working, desired: u32) -> Service {
    Service {
        name: "web".to_owned(),
        status: ServiceStatus::Active,
        working,
        desired,
        config: DeploymentConfig::default_for(working),
        grace: 0,
        placement: PlacementRules::default(),
        deployments: Vec::new(),
        completed: None,
        tasks: Vec::new(),
        gone: Vec::new(),
        rollouts: Vec::new(),
        events: Vec::new(),
        told: 0,
        steady: None,
        time_scale: bounds::WHOLE,
        boot_id: "boot".to_owned(),
        created_at: Timestamp(0),
        controller: Controller::Ecs,
        task_sets: Vec::new(),
    }
}

pub(super) fn deploy(number: u64) -> Deploy {
    let requirements = Requirements { cpu: 1, memory: 1, ..Requirements::default() };
    Deploy { id: format!("{number:019}"), rollout: format!("{number:021}"), definition: "web:1".into(), requirements }
}

impl World {
    fn new(seed: u64, working: Working) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let instances = (0..rng.random_range(1..4)).map(|id| instance(&id.to_string(), 1000)).collect();
        let mut world = Self {
            service: service(working, rng.random_range(0..5)),
            tasks: Vec::new(),
            instances,
            now: Now { wall: Timestamp(1_000_000), boot: 1_000_000 },
            number: 0,
            checked: rng.random(),
            rng,
        };
        world.configure();
        world.deploy();
        world
    }

    fn configure(&mut self) {
        let pick = |rng: &mut SmallRng, values: &[u32]| values[rng.random_range(0..values.len())];
        let config = &mut self.service.config;
        if self.service.working == Working::Replica {
            config.minimum_healthy_percent = pick(&mut self.rng, &[0, 50, 100]);
            config.maximum_percent = pick(&mut self.rng, &[100, 150, 200, 200]);
        }
        config.breaker.enable = self.rng.random();
        config.breaker.rollback = self.rng.random();
        config.bake = if self.rng.random() { 0 } else { 10_000 };
        config.early_success = self.rng.random_bool(0.2).then(|| EarlySuccess {
            healthy_percent: 50,
            cleanup: if self.rng.random() { Cleanup::Blocking } else { Cleanup::Deferred },
        });
        self.service.grace = if self.rng.random() { 0 } else { 30_000 };
    }

    fn deploy(&mut self) {
        self.number += 1;
        begin(&mut self.service, deploy(self.number), self.now.wall);
    }

    fn chance(&mut self, of: f64) -> bool {
        self.rng.random_bool(of)
    }

    /// Something happens, perhaps.
    fn happen(&mut self) {
        let passed = [1, 100, 5_000, 45_000, 1_000_000][self.rng.random_range(0..5)];
        self.now.boot += passed;
        let step = if self.chance(0.05) { self.rng.random_range(-86_400_000..86_400_000) } else { 0 };
        self.now.wall = Timestamp(self.now.wall.0 + i64::try_from(passed).unwrap() + step);
        for place in 0..self.tasks.len() {
            self.live(place);
        }
        let known = &self.service.tasks;
        self.tasks.retain(|task| known.iter().any(|member| member.id == task.id));
        match self.rng.random_range(0..20) {
            0 | 1 => self.deploy(),
            2 if self.service.working == Working::Replica => self.service.desired = self.rng.random_range(0..6),
            3 => self.configure(),
            4 if self.service.working == Working::Daemon && self.instances.len() > 1 => drop(self.instances.pop()),
            5 => drop(roll_back(&mut self.service, "asked for", self.now)),
            7 => {
                let place = self.rng.random_range(0..self.instances.len());
                self.instances[place].draining ^= true;
            }
            6 if !self.tasks.is_empty() => {
                let place = self.rng.random_range(0..self.tasks.len());
                self.tasks.remove(place); // its record was removed
            }
            _ => {}
        }
    }

    fn live(&mut self, place: usize) {
        let (advance, fail, flip, protect) = (self.chance(0.6), self.chance(0.15), self.chance(0.3), self.chance(0.05));
        let checked = self.checked;
        let task = &mut self.tasks[place];
        task.protected ^= protect;
        if task.status < LastStatus::Stopping && (fail || task.stops) {
            task.failed = !task.stops;
            (task.stops, task.status) = (true, LastStatus::Stopping);
        } else if advance {
            task.status = match task.status {
                LastStatus::Provisioning => LastStatus::Pending,
                LastStatus::Pending | LastStatus::Running => LastStatus::Running,
                LastStatus::Stopping => LastStatus::Deprovisioning,
                _ => LastStatus::Stopped,
            };
            task.ran |= task.status == LastStatus::Running;
        }
        if flip && checked && task.ran {
            task.health = if task.health == Health::Healthy { Health::Unhealthy } else { Health::Healthy };
        }
    }

    /// All goes well.
    fn be_kind(&mut self) {
        self.instances.iter_mut().for_each(|instance| instance.draining = false);
        for task in &mut self.tasks {
            task.protected = false;
            task.status = if task.stops { LastStatus::Stopped } else { LastStatus::Running };
            task.ran |= !task.stops;
            task.health = if self.checked { Health::Healthy } else { Health::Unchecked };
        }
    }

    fn reconcile(&mut self) -> Outcome {
        let Self { service, tasks, instances, now, number, .. } = self;
        let mut fresh = || {
            *number += 1;
            format!("task-{number}")
        };
        reconcile(service, tasks, instances, *now, &mut fresh)
    }

    /// Reconciles, looks at the rules, and does what was decided.
    fn round(&mut self) -> Outcome {
        let mut before = self.service.clone();
        absorb::absorb(&mut before, &self.tasks, self.now);
        let outcome = self.reconcile();
        self.look_at_rules(&before, &outcome);
        for change in &outcome.changes {
            match change {
                Change::Start { task, .. } => self.tasks.push(Observed {
                    id: task.clone(),
                    status: LastStatus::Provisioning,
                    stops: false,
                    ran: false,
                    failed: false,
                    health: if self.checked { Health::Unknown } else { Health::Unchecked },
                    protected: false,
                }),
                Change::Stop { task, .. } => {
                    let task = self.tasks.iter_mut().find(|one| one.id == *task).expect("it stops what there is");
                    task.stops = true;
                }
            }
        }
        let settled = self.service.clone();
        let again = self.reconcile();
        assert_eq!(again.changes, [], "applied to its own result: {settled:#?}");
        assert_eq!(self.service, settled);
        outcome
    }

    fn look_at_rules(&self, before: &Service, outcome: &Outcome) {
        let after = &self.service;
        let bounds = Bounds::of(&after.config, after.wanted(&self.instances));
        let standing = |id: &str| before.tasks.iter().find(|one| one.id == id).map(|one| one.standing);
        let count =
            |service: &Service, which: Standing| service.tasks.iter().filter(|one| one.standing == which).count();
        let mut healthy = count(before, Standing::Healthy);
        for change in &outcome.changes {
            match change {
                Change::Stop { task, .. } => {
                    if standing(task) == Some(Standing::Healthy) {
                        healthy -= 1;
                        assert!(healthy >= bounds.floor as usize, "below the floor by choice: {after:#?}");
                    }
                    let member = before.tasks.iter().find(|one| one.id == *task).unwrap();
                    let ill = member.standing == Standing::Unhealthy;
                    assert!(ill || !member.protected, "a protected task is left alone");
                }
                Change::Start { deployment, instance, .. } => {
                    let on = self.instances.iter().find(|one| one.id == *instance).unwrap();
                    assert!(!on.draining, "nothing is placed on an instance that drains");
                    let alive = after.tasks.iter().filter(|one| one.is_alive()).count();
                    assert!(alive <= bounds.ceiling as usize, "{alive} above the ceiling: {after:#?}");
                    let of = after.deployments.iter().find(|one| one.id == *deployment).unwrap();
                    assert!(of.rollout != RolloutState::Failed, "nothing starts after the breaker");
                    assert!(of.backoff.is_none_or(|pause| pause.until <= self.now.boot), "nothing starts in a pause");
                }
            }
        }
        if let Some(primary) = after.primary().filter(|one| one.rollout == RolloutState::InProgress) {
            let threshold = breaker_threshold(after.config.breaker.threshold, after.desired);
            assert!(!after.config.breaker.enable || primary.failures < threshold, "the breaker acts: {after:#?}");
        }
        let ids: std::collections::HashSet<&str> = after.deployments.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids.len(), after.deployments.len(), "each deployment is listed once");
        assert!(after.events.len() <= 100 && after.rollouts.len() <= 50);
        assert!(outcome.wake.is_none_or(|wake| wake > self.now.boot), "a deadline lies ahead");
    }

    fn comes_to_rest(&mut self) {
        let mut last = Vec::new();
        for _ in 0..60 {
            self.be_kind();
            let outcome = self.round();
            last.clone_from(&outcome.changes);
            let rests = outcome.changes.is_empty() && self.service.tasks.iter().all(|one| one.is_alive());
            match outcome.wake {
                Some(wake) if self.service.steady.is_none() => self.now.boot = wake,
                _ if rests => break,
                _ => self.now.boot += 1,
            }
        }
        let service = &self.service;
        let wanted = service.wanted(&self.instances);
        let bounds = Bounds::of(&service.config, wanted);
        let stuck = service.primary().is_some_and(|one| one.rollout == RolloutState::Failed);
        if stuck || bounds.floor >= bounds.ceiling {
            return; // deliberately, or nothing can move
        }
        assert_eq!(last, [], "{service:#?}");
        assert_eq!(service.deployments.len(), 1, "{service:#?}");
        assert_eq!(service.deployments[0].rollout, RolloutState::Completed, "{service:#?}");
        let healthy = service.tasks.iter().filter(|one| one.standing == Standing::Healthy).count();
        assert_eq!((healthy, service.tasks.len()), (wanted as usize, wanted as usize), "{service:#?}");
        assert!(service.steady.is_some());
        assert!(service.rollouts[0].status.is_final());
    }
}

fn histories(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let working = if seed % 8 == 0 { Working::Daemon } else { Working::Replica };
        let mut world = World::new(seed, working);
        for _ in 0..STEPS {
            world.round();
            world.happen();
        }
        world.comes_to_rest();
        if seed % 4 == 0 {
            world.service.status = ServiceStatus::Draining;
            world.round();
            world.be_kind();
            world.round();
            assert_eq!((world.service.status, world.service.tasks.len()), (ServiceStatus::Inactive, 0));
        }
    }
}

#[test]
fn the_rules_hold_in_random_histories_1() {
    histories(0..HISTORIES);
}

#[test]
fn the_rules_hold_in_random_histories_2() {
    histories(HISTORIES..2 * HISTORIES);
}

#[test]
fn the_rules_hold_in_random_histories_3() {
    histories(2 * HISTORIES..3 * HISTORIES);
}

#[test]
fn the_rules_hold_in_random_histories_4() {
    histories(3 * HISTORIES..4 * HISTORIES);
}
