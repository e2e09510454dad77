//! The life of a task, one behaviour each, and properties over random histories.

use super::*;
use crate::ecs::HealthStatus;
use crate::ecs::container_definition::ContainerCondition::{Healthy, Start};
use crate::lifecycle::{CheckEnd, Dependency, HealthRule};
use crate::plan::{ContainerPlan, RestartPlan};

const DB: usize = 0;
const WEB: usize = 1;

fn at(seconds: u64) -> Now {
    Now { wall: Timestamp(1_700_000_000_000 + (seconds as i64) * 1000), boot: seconds * 1000 }
}

/// A container that waits for the start of those at these places.
fn container(name: &str, essential: bool, depends_on: &[usize]) -> Container {
    let plan = ContainerPlan {
        name: name.to_owned(),
        essential,
        stop_signal: 15,
        stop_timeout: 30,
        ..ContainerPlan::default()
    };
    let mut container = TaskState::new(&[plan], Timestamp(0), Timestamp(0)).containers.remove(0);
    container.depends_on = depends_on.iter().map(|on| Dependency { on: *on, condition: Start }).collect();
    container
}

/// One that is checked every 10 s, and UNHEALTHY after two failures.
fn checked_container(name: &str, essential: bool) -> Container {
    let mut container = container(name, essential, &[]);
    container.health.rule = Some(HealthRule { interval: 10_000, retries: 2, start_period: 0 });
    container
}

/// One that is started again if it ran for a minute and did not end with 0.
fn restarted(name: &str, essential: bool) -> Container {
    let restart = Some(RestartPlan { ignored_exit_codes: vec![0], attempt_period: 60 });
    Container { restart, ..checked_container(name, essential) }
}

fn task(containers: Vec<Container>) -> TaskState {
    let mut task = TaskState::new(&[], Timestamp(0), Timestamp(0));
    task.containers = containers;
    task
}

/// WEB depends on DB; both are essential.
fn pair() -> TaskState {
    task(vec![container("db", true, &[]), container("web", true, &[DB])])
}

fn running() -> TaskState {
    let mut task = pair();
    assert_eq!(step(&mut task, Event::Prepared, at(0)), [Action::Start(DB)]);
    assert_eq!(step(&mut task, begun(DB), at(1)), [Action::Start(WEB)]);
    assert_eq!(task.last_status, LastStatus::Pending);
    assert_eq!(step(&mut task, begun(WEB), at(2)), []);
    assert_eq!(task.last_status, LastStatus::Running);
    task
}

fn begun(container: usize) -> Event {
    Event::Started { container, pid: 10 + container as i32, oom_kills: 0 }
}

fn exit(container: usize, code: i32) -> Event {
    Event::Exited { container, exit: Exit::Code(code), out_of_memory: None }
}

fn checked(container: usize, run: u32, code: i32) -> Event {
    Event::Checked { container, run, checked: Checked { end: CheckEnd::Exited(code), output: String::new() } }
}

fn asked(reason: &str, grace: Option<u64>) -> Event {
    Event::StopRequested { code: StopCode::UserInitiated, reason: reason.to_owned(), grace }
}

#[test]
fn containers_start_in_the_order_of_their_dependencies() {
    assert_eq!(running().times.started_at, Some(at(2).wall));
}

#[test]
fn a_task_that_never_starts_is_over_at_once_and_names_the_container() {
    let mut task = pair();
    task.never_start("CannotPullContainerError: no", Some(WEB), at(3).wall);
    assert_eq!((task.last_status, task.is_empty(), task.version), (LastStatus::Stopped, true, 2));
    assert_eq!((task.containers[DB].reason.as_deref(), task.times.stopped_at), (None, Some(at(3).wall)));
    assert_eq!(task.containers[WEB].reason.as_deref(), Some("CannotPullContainerError: no"));
    let stop = task.stop.clone().unwrap();
    assert_eq!((stop.code, stop.container), (StopCode::TaskFailedToStart, Some(WEB)));
    assert_eq!(step(&mut task, Event::Tick, at(4)), []);
}

#[test]
fn an_essential_exit_stops_the_rest_of_the_task() {
    let mut task = running();
    assert_eq!(step(&mut task, exit(WEB, 1), at(5)), [Action::Signal(DB, 15)]);
    assert_eq!(deadline(&task), Some(35_000));
    let stop = task.stop.as_ref().unwrap();
    assert_eq!((stop.code, stop.container), (StopCode::EssentialContainerExited, Some(WEB)));
    assert_eq!(step(&mut task, exit(DB, 143), at(6)), [Action::CleanUp]);
    assert_eq!(step(&mut task, Event::CleanedUp, at(7)), [Action::Finish]);
    assert_eq!((task.last_status, task.times.stopped_at), (LastStatus::Stopped, Some(at(7).wall)));
}

#[test]
fn containers_stop_in_reverse_order_and_are_killed_at_their_timeout() {
    let mut task = running();
    assert_eq!(step(&mut task, asked("Task stopped by user", None), at(5)), [Action::Signal(WEB, 15)]);
    assert_eq!(step(&mut task, Event::Tick, at(34)), []);
    assert_eq!(step(&mut task, Event::Tick, at(35)), [Action::Signal(WEB, 9)]);
    assert_eq!(step(&mut task, exit(WEB, 137), at(36)), [Action::Signal(DB, 15)]);
    assert_eq!(step(&mut task, exit(DB, 0), at(37)), [Action::CleanUp]);
    assert_eq!(task.stop.unwrap().reason, "Task stopped by user");
}

#[test]
fn a_second_request_may_shorten_the_wait_but_not_change_the_reason() {
    let mut task = running();
    assert_eq!(step(&mut task, asked("first", None), at(5)), [Action::Signal(WEB, 15)]);
    assert_eq!(step(&mut task, asked("second", Some(0)), at(6)), [Action::Signal(WEB, 9)]);
    assert_eq!(task.stop.unwrap().reason, "first");
}

#[test]
fn a_task_whose_time_is_given_has_one_end_for_all_its_containers() {
    let mut task = running();
    assert_eq!(step(&mut task, asked("taken back", Some(40_000)), at(5)), [Action::Signal(WEB, 15)]);
    assert_eq!(step(&mut task, Event::Tick, at(35)), [Action::Signal(WEB, 9)], "its own time is shorter");
    assert_eq!(step(&mut task, exit(WEB, 137), at(36)), [Action::Signal(DB, 15)]);
    assert_eq!(deadline(&task), Some(45_000), "not thirty seconds of its own");
    assert_eq!(step(&mut task, Event::Tick, at(45)), [Action::Signal(DB, 9)]);
}

#[test]
fn a_non_essential_exit_leaves_the_task_running() {
    let mut task = task(vec![container("web", true, &[]), container("once", false, &[])]);
    assert_eq!(step(&mut task, Event::Prepared, at(0)), [Action::Start(0), Action::Start(1)]);
    step(&mut task, begun(1), at(0));
    step(&mut task, exit(1, 3), at(0));
    assert_eq!(step(&mut task, begun(0), at(1)), []);
    assert_eq!(task.last_status, LastStatus::Running);
}

#[test]
fn a_failed_preparation_takes_the_same_road_down() {
    let mut task = pair();
    let failed = Event::PrepareFailed { reason: "ContainerNetworkingError: no".to_owned() };
    assert_eq!(step(&mut task, failed, at(1)), [Action::CleanUp]);
    assert_eq!(task.stop.as_ref().unwrap().code, StopCode::TaskFailedToStart);
    assert_eq!(task.times.started_at, None);
}

#[test]
fn a_container_that_fails_to_start_gives_its_reason_to_the_task() {
    let mut task = pair();
    step(&mut task, Event::Prepared, at(0));
    let reason = "CannotStartContainerError: exec /nothing: no such file".to_owned();
    assert_eq!(step(&mut task, Event::StartFailed { container: DB, reason: reason.clone() }, at(1)), [Action::CleanUp]);
    assert_eq!(task.stop.as_ref().unwrap().reason, reason);
    assert_eq!(task.containers[DB].reason.as_ref(), Some(&reason));
}

const NEVER: &str = "TaskDependencyError: failed to resolve container ordering dependency [side] for target [web] because \
                     dependency will never start";

#[test]
fn what_depends_on_a_container_that_never_ran_fails_the_task() {
    let mut task = task(vec![container("side", false, &[]), container("web", true, &[0])]);
    step(&mut task, Event::Prepared, at(0));
    let failed = Event::StartFailed { container: 0, reason: "no".to_owned() };
    assert_eq!(step(&mut task, failed, at(1)), [Action::CleanUp]);
    assert_eq!(task.stop.unwrap().reason, NEVER);
}

#[test]
fn a_stop_during_the_start_waits_for_the_worker_and_starts_nothing_more() {
    let mut task = pair();
    step(&mut task, Event::Prepared, at(0));
    assert_eq!(step(&mut task, asked("", None), at(1)), []);
    assert_eq!(step(&mut task, begun(DB), at(2)), [Action::Signal(DB, 15)]);
    assert_eq!(step(&mut task, exit(DB, 0), at(3)), [Action::CleanUp]);
}

#[test]
fn an_out_of_memory_kill_is_the_containers_reason() {
    let mut task = running();
    let memory = OutOfMemory { limit: Some(64 << 20), peak: None };
    let killed = Event::Exited { container: WEB, exit: Exit::Code(137), out_of_memory: Some(memory) };
    step(&mut task, killed, at(3));
    let reason = task.containers[WEB].reason.as_deref();
    assert_eq!(reason, Some("OutOfMemoryError: Container killed due to memory usage"));
}

#[test]
fn a_failed_removal_is_tried_again() {
    let mut task = pair();
    step(&mut task, Event::PrepareFailed { reason: String::new() }, at(0));
    assert_eq!(step(&mut task, Event::CleanUpFailed, at(1)), []);
    assert_eq!(deadline(&task), Some(1500), "half the time that it has taken already");
    assert_eq!(step(&mut task, Event::Tick, at(2)), [Action::CleanUp]);
}

#[test]
fn a_container_is_checked_again_an_interval_after_each_check() {
    let mut task = task(vec![checked_container("db", true)]);
    step(&mut task, Event::Prepared, at(0));
    assert_eq!(step(&mut task, begun(DB), at(1)), []);
    assert_eq!(deadline(&task), Some(11_000));
    assert_eq!(step(&mut task, Event::Tick, at(11)), [Action::Check(DB)]);
    assert_eq!((deadline(&task), step(&mut task, Event::Tick, at(20))), (None, vec![]), "one at a time");
    assert_eq!(step(&mut task, checked(DB, 0, 0), at(21)), []);
    assert_eq!((task.health(), task.healthy_since()), (HealthStatus::Healthy, Some(at(21).wall)));
    assert_eq!(deadline(&task), Some(31_000));
    let version = task.version;
    step(&mut task, Event::Tick, at(31));
    step(&mut task, checked(DB, 0, 0), at(31));
    assert_eq!(task.version, version, "another success changes nothing that is written down");
}

#[test]
fn an_unhealthy_task_of_nobodys_runs_on() {
    let mut task = task(vec![checked_container("db", true)]);
    step(&mut task, Event::Prepared, at(0));
    step(&mut task, begun(DB), at(0));
    for seconds in [10, 20] {
        assert_eq!(step(&mut task, Event::Tick, at(seconds)), [Action::Check(DB)]);
        assert_eq!(step(&mut task, checked(DB, 0, 1), at(seconds)), []);
    }
    assert_eq!((task.health(), task.last_status, &task.stop), (HealthStatus::Unhealthy, LastStatus::Running, &None));
}

#[test]
fn the_health_of_a_task_is_that_of_its_essential_containers() {
    let mut task = task(vec![checked_container("a", true), container("b", true, &[]), checked_container("c", false)]);
    let mut health = |statuses: [HealthStatus; 3]| {
        for (container, status) in task.containers.iter_mut().zip(statuses) {
            container.health.status = status;
        }
        task.health()
    };
    use HealthStatus::{Healthy, Unhealthy, Unknown};
    assert_eq!(health([Healthy, Unknown, Healthy]), Unknown, "one without a check is never HEALTHY");
    assert_eq!(health([Unhealthy, Unknown, Healthy]), Unhealthy);
    assert_eq!(health([Healthy, Healthy, Unhealthy]), Healthy);
}

#[test]
fn a_container_that_ran_long_enough_is_started_again_in_the_task_that_runs_on() {
    let mut task = task(vec![restarted("db", true)]);
    step(&mut task, Event::Prepared, at(0));
    step(&mut task, begun(DB), at(0));
    step(&mut task, Event::Tick, at(10));
    step(&mut task, checked(DB, 0, 0), at(10));
    assert_eq!(step(&mut task, exit(DB, 1), at(60)), [Action::Start(DB)]);
    assert_eq!((task.last_status, &task.stop, task.containers[DB].next_run()), (LastStatus::Running, &None, 1));
    assert_eq!(step(&mut task, exit(DB, 1), at(60)), [], "told twice");
    step(&mut task, begun(DB), at(61));
    let container = &task.containers[DB];
    assert_eq!((container.restarts, container.started_at, container.exit), (1, Some(at(0).wall), None));
    assert_eq!(container.health.status, HealthStatus::Unknown, "health starts anew");
    step(&mut task, checked(DB, 0, 0), at(62));
    assert_eq!(task.containers[DB].health.status, HealthStatus::Unknown, "a check of the run before says nothing");
    assert_eq!(deadline(&task), Some(71_000));
}

#[test]
fn no_period_makes_a_container_start_more_than_once_a_second() {
    let restart = Some(RestartPlan { ignored_exit_codes: Vec::new(), attempt_period: 0 });
    let mut task = task(vec![Container { restart, ..container("db", true, &[]) }]);
    step(&mut task, Event::Prepared, at(0));
    let after = |milliseconds: u64| Now { boot: milliseconds, ..at(0) };
    step(&mut task, begun(DB), after(5));
    assert_eq!(step(&mut task, exit(DB, 1), after(6)), [], "it rests");
    assert_eq!(deadline(&task), Some(1005));
    assert_eq!(step(&mut task, Event::Tick, after(1004)), []);
    assert_eq!(step(&mut task, Event::Tick, after(1005)), [Action::Start(DB)]);
    step(&mut task, begun(DB), after(1010));
    assert_eq!(step(&mut task, exit(DB, 1), after(3000)), [Action::Start(DB)], "it ran for longer");
    assert_eq!(step(&mut task, asked("enough", None), after(3001)), []);
}

#[test]
fn a_crash_loop_a_wanted_end_and_a_lost_exit_code_are_final() {
    let ended = |exit: Exit, seconds: u64| {
        let mut task = task(vec![restarted("db", true)]);
        step(&mut task, Event::Prepared, at(0));
        step(&mut task, begun(DB), at(0));
        step(&mut task, Event::Exited { container: DB, exit, out_of_memory: None }, at(seconds));
        task.stop.map(|stop| stop.code)
    };
    let over = Some(StopCode::EssentialContainerExited);
    assert_eq!(ended(Exit::Code(1), 59), over);
    assert_eq!(ended(Exit::Code(0), 100), over, "an ignored exit code");
    assert_eq!(ended(Exit::Unknown, 100), over);
    assert_eq!(ended(Exit::Code(1), 60), None);
}

#[test]
fn nothing_is_started_again_in_a_task_that_stops() {
    let mut task = task(vec![restarted("db", true)]);
    step(&mut task, Event::Prepared, at(0));
    step(&mut task, begun(DB), at(0));
    assert_eq!(step(&mut task, asked("enough", None), at(100)), [Action::Signal(DB, 15)]);
    assert_eq!(step(&mut task, exit(DB, 143), at(101)), [Action::CleanUp]);
}

#[test]
fn a_restart_that_fails_is_the_end_of_the_container_with_its_last_exit_code() {
    let mut task = task(vec![restarted("db", true)]);
    step(&mut task, Event::Prepared, at(0));
    step(&mut task, begun(DB), at(0));
    assert_eq!(step(&mut task, exit(DB, 9), at(100)), [Action::Start(DB)]);
    let reason = "CannotStartContainerError: no".to_owned();
    assert_eq!(step(&mut task, Event::StartFailed { container: DB, reason }, at(101)), [Action::CleanUp]);
    assert_eq!(task.containers[DB].exit, Some(Exit::Code(9)));
    assert_eq!(task.stop.unwrap().code, StopCode::EssentialContainerExited);
}

#[test]
fn a_service_stops_its_tasks_in_its_own_name() {
    let mut task = running();
    let reason = "Task failed container health checks".to_owned();
    step(&mut task, Event::StopRequested { code: StopCode::ServiceSchedulerInitiated, reason, grace: None }, at(5));
    assert_eq!(task.stop.unwrap().code, StopCode::ServiceSchedulerInitiated);
}

#[path = "properties.rs"]
mod properties;
