//! What becomes of a service's tasks on an instance that drains: they go when others count in their place, as far as floor and
//! ceiling allow.

use super::tests::{deploy, instance, service};
use super::*;
use crate::lifecycle::{LastStatus, Now, Timestamp};

struct World {
    service: Service,
    tasks: Vec<Observed>,
    instances: Vec<Instance>,
    now: Now,
    number: u64,
}

impl World {
    /// So many tasks, all on the first of two instances, settled.
    fn settled(working: Working, desired: u32, (minimum, maximum): (u32, u32)) -> Self {
        let mut service = service(working, desired);
        (service.config.minimum_healthy_percent, service.config.maximum_percent) = (minimum, maximum);
        begin(&mut service, deploy(1), Timestamp(1_000));
        let (instances, now) = (vec![instance("a", 100)], Now { wall: Timestamp(1_000), boot: 1_000 });
        let mut world = Self { service, tasks: Vec::new(), instances, now, number: 0 };
        world.settle();
        world.instances.push(instance("b", 100));
        world
    }

    fn turn(&mut self) -> Vec<Change> {
        let Self { service, tasks, instances, now, number, .. } = self;
        let changes = reconcile(service, tasks, instances, *now, &mut || {
            *number += 1;
            format!("task-{number}")
        })
        .changes;
        for change in &changes {
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
        changes
    }

    /// Time passes, and all goes well.
    fn pass(&mut self) {
        for task in &mut self.tasks {
            task.status = if task.stops { LastStatus::Stopped } else { LastStatus::Running };
            task.ran |= !task.stops;
        }
        self.now.boot += 60_000;
        self.now.wall.0 += 60_000;
    }

    fn settle(&mut self) {
        for _ in 0..20 {
            self.turn();
            self.pass();
        }
    }

    fn on(&self, instance: &str) -> usize {
        self.service.tasks.iter().filter(|member| member.instance == instance && member.is_alive()).count()
    }
}

fn counts(changes: &[Change]) -> (usize, usize) {
    let stops = changes.iter().filter(|change| matches!(change, Change::Stop { .. })).count();
    (stops, changes.len() - stops)
}

#[test]
fn others_are_started_first_where_the_ceiling_allows() {
    let mut world = World::settled(Working::Replica, 3, (100, 200));
    world.instances[0].draining = true;
    assert_eq!(counts(&world.turn()), (0, 3), "three more, and none goes before they count");
    world.pass();
    world.turn();
    world.pass();
    world.settle();
    assert_eq!((world.on("a"), world.on("b")), (0, 3));
    assert!(world.service.steady.is_some());
}

#[test]
fn some_go_first_where_the_floor_allows_and_the_ceiling_does_not() {
    let mut world = World::settled(Working::Replica, 4, (50, 100));
    world.instances[0].draining = true;
    assert_eq!(counts(&world.turn()), (2, 2), "two that go make room for two");
    let healthy = world.service.tasks.iter().filter(|member| member.standing == Standing::Healthy).count();
    assert_eq!(healthy, 2);
    world.pass();
    world.settle();
    assert_eq!((world.on("a"), world.on("b")), (0, 4));
}

#[test]
fn without_another_place_the_tasks_stay_and_the_service_says_so() {
    let mut world = World::settled(Working::Replica, 2, (100, 200));
    world.instances.pop();
    world.instances[0].draining = true;
    assert_eq!(world.turn(), []);
    let told = "Reason: No Container Instances were found in your cluster.";
    assert!(world.service.events.iter().any(|event| event.message.ends_with(told)), "{:?}", world.service.events);
    assert!(world.service.steady.is_none());
    world.instances[0].draining = false;
    world.settle();
    assert_eq!(world.on("a"), 2);
}

#[test]
fn a_daemon_has_no_task_on_an_instance_that_drains_and_one_again_when_it_is_back() {
    let mut world = World::settled(Working::Daemon, 0, (0, 100));
    world.settle();
    assert_eq!((world.on("a"), world.on("b")), (1, 1));
    world.instances[0].draining = true;
    world.settle();
    assert_eq!((world.on("a"), world.on("b"), world.service.desired), (0, 1, 1));
    world.instances[0].draining = false;
    world.settle();
    assert_eq!((world.on("a"), world.on("b")), (1, 1));
}

#[test]
fn what_does_not_run_yet_goes_at_once_and_a_protected_task_is_left_alone() {
    let mut world = World::settled(Working::Replica, 1, (100, 200));
    world.tasks[0].protected = true;
    world.service.desired = 2;
    world.instances.truncate(1);
    world.turn();
    world.instances.push(instance("b", 100));
    world.instances[0].draining = true;
    assert_eq!(counts(&world.turn()), (1, 2), "the pending one goes; two others come");
    world.pass();
    world.settle();
    assert_eq!((world.on("a"), world.on("b")), (1, 2), "the protected one has been replaced, and stays");
    world.tasks[0].protected = false;
    world.settle();
    assert_eq!((world.on("a"), world.on("b")), (0, 2));
}
