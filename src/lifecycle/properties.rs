//! Properties of the life of a task, over random histories.

use proptest::prelude::*;

use super::*;

/// A world that answers actions in random order: each start may fail, each container may exit at any time, some are checked
/// and some started again.
fn history(choices: &[(u8, u8)]) -> Vec<(TaskState, Vec<Action>)> {
    history_by(choices, |step| at(step * 10))
}

/// The same by another clock: what time it is at each step.
fn history_by(choices: &[(u8, u8)], clock: impl Fn(u64) -> Now) -> Vec<(TaskState, Vec<Action>)> {
    let again = |period| Some(RestartPlan { ignored_exit_codes: vec![0, 3], attempt_period: period });
    let mut task = task(vec![
        Container { restart: again(60), ..checked_container("a", true) },
        Container { restart: again(0), ..container("b", false, &[0]) },
        Container { depends_on: vec![Dependency { on: 0, condition: Healthy }], ..container("c", true, &[1]) },
        container("d", false, &[]),
    ]);
    let mut open: Vec<Event> = vec![Event::Prepared];
    let mut trace = Vec::new();
    for (number, (choice, detail)) in (0..).zip(choices) {
        let event = match open.len() {
            0 => Event::Tick,
            n if *choice < 200 => open.swap_remove(usize::from(*choice) % n),
            _ if *choice < 215 => asked("asked", (*detail > 128).then_some(0)),
            _ => Event::Tick,
        };
        if let Event::Started { container, .. } = event {
            open.push(exit(container, i32::from(*detail)));
        }
        let actions = step(&mut task, event, clock(number));
        open.extend(actions.iter().filter_map(|action| match action {
            Action::Start(container) if detail % 7 == 0 => {
                Some(Event::StartFailed { container: *container, reason: "no".to_owned() })
            }
            Action::Start(container) => Some(begun(*container)),
            Action::Check(container) => {
                let run = task.containers[*container].restarts;
                Some(checked(*container, run, i32::from(detail % 2)))
            }
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
                let begins = |action: &Action| matches!(action, Action::Start(_) | Action::Check(_));
                prop_assert!(!pair[1].1.iter().any(begins));
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
                let up = |one: &Container| one.phase == ContainerPhase::Running || one.started_at.is_some();
                prop_assert!(task.containers.iter().all(|one| up(one) || !one.essential));
            }
        }
    }

    #[test]
    fn a_restart_keeps_what_the_container_is(choices in prop::collection::vec(any::<(u8, u8)>(), 1..200)) {
        let trace = history(&choices);
        for pair in trace.windows(2) {
            prop_assert!(pair[0].0.preparation == Preparation::UnderWay || pair[1].0.preparation == Preparation::Over);
            for (old, new) in pair[0].0.containers.iter().zip(&pair[1].0.containers) {
                prop_assert!(old.started_at.is_none() || old.started_at == new.started_at);
                prop_assert!(old.restarts <= new.restarts);
                prop_assert!(old.phase != ContainerPhase::Stopped || new.phase == ContainerPhase::Stopped);
                if old.restarts < new.restarts {
                    prop_assert!(new.restart.is_some() && new.health.status == HealthStatus::Unknown);
                    prop_assert!(new.exit.is_none() && pair[0].0.stop.is_none() || pair[0].0.stop == pair[1].0.stop);
                }
            }
        }
    }

    #[test]
    fn what_is_due_is_done_at_once(choices in prop::collection::vec(any::<(u8, u8)>(), 1..200)) {
        for (clock, (mut task, _)) in history(&choices).into_iter().enumerate() {
            let now = at(clock as u64 * 10);
            step(&mut task, Event::Tick, now);
            prop_assert!(deadline(&task).is_none_or(|due| due > now.boot), "the loop would spin: {:?}", deadline(&task));
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

    /// But for a removal that has failed: how soon it is tried again depends on the clock, within its bounds.
    #[test]
    fn a_clock_that_is_set_changes_nothing_that_is_done(
        choices in prop::collection::vec((any::<u8>(), any::<u8>().prop_filter("a removal", |detail| detail % 5 != 0)), 1..200),
        jumps in prop::collection::vec(-40_000_000_000..40_000_000_000_i64, 200),
    ) {
        let set = |step: u64| Now { wall: Timestamp(at(step * 10).wall.0 + jumps[step as usize]), ..at(step * 10) };
        for ((task, actions), (other, same)) in history(&choices).iter().zip(&history_by(&choices, set)) {
            prop_assert_eq!(actions, same);
            prop_assert_eq!((task.last_status, deadline(task)), (other.last_status, deadline(other)));
        }
    }
}
