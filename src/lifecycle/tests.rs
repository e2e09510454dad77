//! The life of a task, one behaviour each, and properties over random histories.

use proptest::prelude::*;

use super::*;

const DB: usize = 0;
const WEB: usize = 1;

fn at(seconds: u64) -> Now {
    Now { wall: Timestamp(1_700_000_000_000 + (seconds as i64) * 1000), boot: seconds * 1000 }
}

fn container(name: &str, essential: bool, depends_on: &[usize]) -> Container {
    Container {
        name: name.to_owned(),
        essential,
        depends_on: depends_on.to_vec(),
        stop_signal: 15,
        stop_timeout: 30_000,
        phase: ContainerPhase::Waiting,
        pid: None,
        started_at: None,
        exit: None,
        reason: None,
    }
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
    assert_eq!(step(&mut task, Event::Started { container: DB, pid: 10 }, at(1)), [Action::Start(WEB)]);
    assert_eq!(task.last_status, LastStatus::Pending);
    assert_eq!(step(&mut task, Event::Started { container: WEB, pid: 11 }, at(2)), []);
    assert_eq!(task.last_status, LastStatus::Running);
    task
}

fn exit(container: usize, code: i32) -> Event {
    Event::Exited { container, exit: Exit::Code(code), out_of_memory: false }
}

#[test]
fn containers_start_in_the_order_of_their_dependencies() {
    assert_eq!(running().times.started_at, Some(at(2).wall));
}

#[test]
fn a_task_that_never_starts_is_over_at_once_and_names_the_container() {
    let mut task = pair();
    task.never_start("CannotPullContainerError: no".to_owned(), Some(WEB), at(3).wall);
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
    let request = Event::StopRequested { reason: "Task stopped by user".to_owned(), grace: None };
    assert_eq!(step(&mut task, request, at(5)), [Action::Signal(WEB, 15)]);
    assert_eq!(step(&mut task, Event::Tick, at(34)), []);
    assert_eq!(step(&mut task, Event::Tick, at(35)), [Action::Signal(WEB, 9)]);
    assert_eq!(step(&mut task, exit(WEB, 137), at(36)), [Action::Signal(DB, 15)]);
    assert_eq!(step(&mut task, exit(DB, 0), at(37)), [Action::CleanUp]);
    assert_eq!(task.stop.unwrap().reason, "Task stopped by user");
}

#[test]
fn a_second_request_may_shorten_the_wait_but_not_change_the_reason() {
    let mut task = running();
    let request = |reason: &str, grace| Event::StopRequested { reason: reason.to_owned(), grace };
    assert_eq!(step(&mut task, request("first", None), at(5)), [Action::Signal(WEB, 15)]);
    assert_eq!(step(&mut task, request("second", Some(0)), at(6)), [Action::Signal(WEB, 9)]);
    assert_eq!(task.stop.unwrap().reason, "first");
}

#[test]
fn a_non_essential_exit_leaves_the_task_running() {
    let mut task = task(vec![container("web", true, &[]), container("once", false, &[])]);
    assert_eq!(step(&mut task, Event::Prepared, at(0)), [Action::Start(0), Action::Start(1)]);
    step(&mut task, Event::Started { container: 1, pid: 2 }, at(0));
    step(&mut task, exit(1, 3), at(0));
    assert_eq!(step(&mut task, Event::Started { container: 0, pid: 1 }, at(1)), []);
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

#[test]
fn what_depends_on_a_container_that_never_ran_fails_the_task() {
    let mut task = task(vec![container("side", false, &[]), container("web", true, &[0])]);
    step(&mut task, Event::Prepared, at(0));
    let failed = Event::StartFailed { container: 0, reason: "no".to_owned() };
    assert_eq!(step(&mut task, failed, at(1)), [Action::CleanUp]);
    assert_eq!(task.stop.unwrap().reason, "TaskDependencyError: dependency container side will never start");
}

#[test]
fn a_stop_during_the_start_waits_for_the_worker_and_starts_nothing_more() {
    let mut task = pair();
    step(&mut task, Event::Prepared, at(0));
    assert_eq!(step(&mut task, Event::StopRequested { reason: String::new(), grace: None }, at(1)), []);
    assert_eq!(step(&mut task, Event::Started { container: DB, pid: 9 }, at(2)), [Action::Signal(DB, 15)]);
    assert_eq!(step(&mut task, exit(DB, 0), at(3)), [Action::CleanUp]);
}

#[test]
fn an_out_of_memory_kill_is_the_containers_reason() {
    let mut task = running();
    let killed = Event::Exited { container: WEB, exit: Exit::Code(137), out_of_memory: true };
    step(&mut task, killed, at(3));
    let reason = task.containers[WEB].reason.as_deref();
    assert_eq!(reason, Some("OutOfMemoryError: Container killed due to memory usage"));
}

#[test]
fn a_failed_removal_is_tried_again() {
    let mut task = pair();
    step(&mut task, Event::PrepareFailed { reason: String::new() }, at(0));
    assert_eq!(step(&mut task, Event::CleanUpFailed, at(1)), []);
    assert_eq!(deadline(&task), Some(2000));
    assert_eq!(step(&mut task, Event::Tick, at(2)), [Action::CleanUp]);
}

/// A world that answers actions in random order: each start may fail, each container may exit at any time.
fn history(choices: &[(u8, u8)]) -> Vec<(TaskState, Vec<Action>)> {
    let mut task = task(vec![
        container("a", true, &[]),
        container("b", false, &[0]),
        container("c", true, &[0, 1]),
        container("d", false, &[]),
    ]);
    let mut open: Vec<Event> = vec![Event::Prepared];
    let mut trace = Vec::new();
    for (clock, (choice, detail)) in choices.iter().enumerate() {
        let event = match open.len() {
            0 => Event::Tick,
            n if *choice < 200 => open.swap_remove(usize::from(*choice) % n),
            _ if *choice < 215 => {
                Event::StopRequested { reason: "asked".to_owned(), grace: (*detail > 128).then_some(0) }
            }
            _ => Event::Tick,
        };
        if let Event::Started { container, .. } = event {
            open.push(exit(container, i32::from(*detail)));
        }
        let actions = step(&mut task, event, at(clock as u64 * 10));
        open.extend(actions.iter().filter_map(|action| match action {
            Action::Start(container) if detail % 7 == 0 => {
                Some(Event::StartFailed { container: *container, reason: "no".to_owned() })
            }
            Action::Start(container) => Some(Event::Started { container: *container, pid: 1 }),
            Action::CleanUp if detail % 5 == 0 => Some(Event::CleanUpFailed),
            Action::CleanUp => Some(Event::CleanedUp),
            Action::Signal(..) | Action::Finish => None,
        }));
        trace.push((task.clone(), actions));
    }
    trace
}

proptest! {
    #[test]
    fn after_a_stop_nothing_starts_and_the_status_never_goes_back(choices in prop::collection::vec(any::<(u8, u8)>(), 1..120)) {
        let trace = history(&choices);
        for pair in trace.windows(2) {
            prop_assert!(pair[0].0.last_status <= pair[1].0.last_status);
            prop_assert!(pair[0].0.version <= pair[1].0.version);
            if pair[0].0.stop.is_some() {
                prop_assert!(!pair[1].1.iter().any(|action| matches!(action, Action::Start(_))));
                prop_assert_eq!(&pair[0].0.stop, &pair[1].0.stop);
            }
        }
    }

    #[test]
    fn the_task_is_removed_only_when_every_container_is_gone(choices in prop::collection::vec(any::<(u8, u8)>(), 1..120)) {
        for (task, actions) in history(&choices) {
            let removed = actions.iter().any(|action| matches!(action, Action::CleanUp | Action::Finish));
            prop_assert!(!removed || task.is_empty());
            if task.last_status == LastStatus::Running && task.stop.is_none() {
                prop_assert!(task.containers.iter().all(|one| one.phase == ContainerPhase::Running || !one.essential));
            }
        }
    }

    #[test]
    fn once_its_containers_are_gone_a_stopped_task_finishes(choices in prop::collection::vec(any::<(u8, u8)>(), 1..60)) {
        let mut all = choices;
        all.push((210, 1));
        all.extend(std::iter::repeat_n((0, 1), 40));
        let trace = history(&all);
        let finishes = trace.iter().filter(|(_, actions)| actions.contains(&Action::Finish)).count();
        prop_assert_eq!(finishes, 1);
    }
}
