//! The scheduler's rules, one by one, with ECS's words.

use super::tests::{deploy, instance, service};
use super::*;
use crate::lifecycle::{LastStatus, Timestamp};

/// A service on one large instance, and its tasks as they are.
struct Stage {
    service: Service,
    tasks: Vec<Observed>,
    boot: u64,
    number: u64,
    health: Health,
}

impl Stage {
    fn new(desired: u32) -> Self {
        let mut service = service(Working::Replica, desired);
        begin(&mut service, deploy(1), Timestamp(0));
        Self { service, tasks: Vec::new(), boot: 0, number: 0, health: Health::Unchecked }
    }

    /// Reconciles after so many milliseconds; the ids of what is started, and of what is stopped.
    fn after(&mut self, milliseconds: u64) -> (Vec<String>, Vec<String>) {
        self.boot += milliseconds;
        let now = Now { wall: Timestamp(i64::try_from(self.boot).unwrap()), boot: self.boot };
        let Self { service, tasks, number, .. } = self;
        let outcome = reconcile(service, tasks, &[instance("host", 1000)], now, &mut || {
            *number += 1;
            format!("t{number}")
        });
        let (mut started, mut stopped) = (Vec::new(), Vec::new());
        for change in outcome.changes {
            match change {
                Change::Start { task, .. } => {
                    self.tasks.push(Observed {
                        id: task.clone(),
                        status: LastStatus::Provisioning,
                        stops: false,
                        ran: false,
                        failed: false,
                        health: self.health,
                        protected: false,
                    });
                    started.push(task);
                }
                Change::Stop { task, .. } => {
                    self.task(&task).stops = true;
                    stopped.push(task);
                }
            }
        }
        (started, stopped)
    }

    fn task(&mut self, id: &str) -> &mut Observed {
        self.tasks.iter_mut().find(|task| task.id == id).unwrap()
    }

    fn run(&mut self, id: &str) {
        let task = self.task(id);
        (task.status, task.ran) = (LastStatus::Running, true);
    }

    fn fail(&mut self, id: &str) {
        let task = self.task(id);
        (task.status, task.stops, task.failed) = (LastStatus::Stopped, true, true);
    }

    /// Brings it to its steady state.
    fn steady(&mut self) -> Vec<String> {
        let (ids, _) = self.after(0);
        ids.iter().for_each(|id| self.run(id));
        self.after(1);
        self.after(40_000);
        assert!(self.service.steady.is_some());
        ids
    }

    fn says(&self, text: &str) -> bool {
        self.service.events.iter().any(|event| event.message.contains(text))
    }
}

#[test]
fn a_task_without_health_checks_counts_forty_seconds_after_running() {
    let mut stage = Stage::new(1);
    assert_eq!(stage.after(0).0, ["t1"]);
    stage.run("t1");
    stage.after(5_000);
    stage.after(39_999);
    assert_eq!(stage.service.deployments[0].rollout, RolloutState::InProgress);
    stage.after(1);
    assert_eq!(stage.service.deployments[0].reason, "ECS deployment ecs-svc/0000000000000000001 completed.");
    assert!(stage.says("(service web) has reached a steady state."));
    assert!(stage.says("(service web) (deployment ecs-svc/0000000000000000001) deployment completed."));
}

#[test]
fn a_roll_over_starts_all_and_stops_none_before_the_new_ones_count() {
    let mut stage = Stage::new(3);
    let old = stage.steady();
    begin(&mut stage.service, deploy(2), Timestamp(1));
    let (new, stopped) = stage.after(1);
    assert_eq!((new.len(), stopped.len()), (3, 0));
    new.iter().for_each(|id| stage.run(id));
    assert_eq!(stage.after(1), (vec![], vec![]));
    assert_eq!(stage.after(40_000).1, old);
    assert_eq!(stage.service.deployments.len(), 2, "the old one is listed until its last task is gone");
    old.iter().for_each(|id| stage.task(id).status = LastStatus::Stopped);
    stage.after(1);
    assert_eq!(stage.service.deployments.len(), 1);
    assert_eq!(stage.service.rollouts[0].status, RolloutStatus::Successful);
}

#[test]
fn an_exit_after_running_is_made_good_at_once_and_one_before_is_not() {
    let mut stage = Stage::new(1);
    stage.after(0);
    stage.run("t1");
    stage.after(1);
    stage.fail("t1");
    assert_eq!(stage.after(1).0, ["t2"]);
    stage.fail("t2");
    assert_eq!(stage.after(1).0, [""; 0]);
    assert_eq!(stage.after(999).0, [""; 0]);
    assert_eq!(stage.after(1).0, ["t3"]);
    for pause in [2_000, 4_000] {
        let last = format!("t{}", stage.number);
        stage.fail(&last);
        assert_eq!(stage.after(1).0, [""; 0]);
        assert_eq!(stage.after(pause).0.len(), 1);
    }
    assert!(
        stage.says("is unable to consistently start tasks successfully. For more information, see the Troubleshooting")
    );
}

#[test]
fn the_breaker_goes_back_to_the_deployment_that_was_completed() {
    let mut stage = Stage::new(3);
    stage.service.config.breaker = Breaker { enable: true, rollback: true, ..Breaker::default() };
    let old = stage.steady();
    begin(&mut stage.service, deploy(2), Timestamp(1));
    let (new, _) = stage.after(1);
    new.iter().for_each(|id| stage.fail(id));
    assert_eq!(stage.after(1), (vec![], vec![]));
    let id = "ecs-svc/0000000000000000002";
    assert!(stage.says(&format!("(service web) (deployment {id}) deployment failed: tasks failed to start.")));
    assert!(stage.says("(service web) rolling back to deployment ecs-svc/0000000000000000001."));
    assert_eq!(stage.service.deployments[0].id, "0000000000000000001");
    let rollout = &stage.service.rollouts[0];
    assert_eq!(rollout.status, RolloutStatus::RollbackSuccessful, "all that it goes back to is there");
    assert_eq!(rollout.rollback.as_ref().map(|back| back.revision.as_str()), Some("0000000000000000001"));
    assert!(old.iter().all(|id| stage.service.tasks.iter().any(|member| member.id == *id)), "its tasks were kept");
}

#[test]
fn a_breaker_without_a_completed_deployment_leaves_it_stuck() {
    let mut stage = Stage::new(2);
    stage.service.config.breaker = Breaker { enable: true, rollback: true, ..Breaker::default() };
    for _ in 0..3 {
        let (new, _) = stage.after(1_000_000);
        new.iter().for_each(|id| stage.fail(id));
    }
    assert_eq!(stage.after(1_000_000), (vec![], vec![]));
    let primary = &stage.service.deployments[0];
    assert_eq!(primary.rollout, RolloutState::Failed);
    assert_eq!(primary.reason, "ECS deployment circuit breaker: tasks failed to start.");
}

#[test]
fn an_unhealthy_task_goes_when_its_successor_is_healthy() {
    let mut stage = Stage::new(1);
    stage.health = Health::Unknown;
    stage.after(0);
    stage.run("t1");
    stage.task("t1").health = Health::Healthy;
    stage.after(1);
    stage.task("t1").health = Health::Unhealthy;
    assert_eq!(stage.after(1), (vec!["t2".to_owned()], vec![]));
    assert!(stage.says("(service web) (task t1) failed container health checks."));
    stage.run("t2");
    assert_eq!(stage.after(1), (vec![], vec![]));
    stage.task("t2").health = Health::Healthy;
    assert_eq!(stage.after(1).1, ["t1"]);
}

#[test]
fn floor_and_ceiling_that_leave_nothing_are_told() {
    let mut stage = Stage::new(1);
    (stage.service.config.minimum_healthy_percent, stage.service.config.maximum_percent) = (50, 100);
    stage.steady();
    begin(&mut stage.service, deploy(2), Timestamp(1));
    assert_eq!(stage.after(1), (vec![], vec![]));
    assert!(stage.says(
        "was unable to stop or start tasks during a deployment because of the service deployment configuration."
    ));
}

#[test]
fn what_does_not_fit_is_told_once_with_what_is_short() {
    let mut stage = Stage::new(1);
    stage.service.deployments[0].requirements.cpu = 2000;
    for _ in 0..5 {
        assert_eq!(stage.after(10_000), (vec![], vec![]));
    }
    let short = "(container-instance host) has insufficient CPU units available.";
    assert_eq!(stage.service.events.iter().filter(|event| event.message.ends_with(short)).count(), 1);
}

#[test]
fn all_clocks_run_at_the_services_pace() {
    let mut stage = Stage::new(1);
    stage.service.time_scale = 10_000;
    stage.after(0);
    stage.run("t1");
    stage.after(1);
    stage.after(400);
    assert!(stage.service.steady.is_some());
}
