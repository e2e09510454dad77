//! The order of a task's containers: whether one may start, must wait, or never will. Pure; called by `step`.

use serde::{Deserialize, Serialize};

use super::state::{Container, ContainerPhase, Exit, TaskState};
use crate::ecs::HealthStatus;
use crate::ecs::container_definition::ContainerCondition;

/// Another container, and what it must have come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// Its place in the task's list.
    pub on: usize,
    /// What it must have come to.
    pub condition: ContainerCondition,
}

/// Whether a container may start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Now.
    Ready,
    /// Not yet; what it waits for must have come by this time since boot in milliseconds, if by any.
    Waits(Option<u64>),
    /// Never: ECS's reason.
    Never(String),
}

/// How a container stands that has not started yet.
pub(super) fn standing(task: &TaskState, place: usize, boot: u64) -> Standing {
    let container = &task.containers[place];
    let mut waits = false;
    let mut deadline: Option<u64> = None;
    for dependency in &container.depends_on {
        let on = &task.containers[dependency.on];
        if is_met(dependency.condition, on) {
            continue;
        }
        if let Some(why) = obstacle(dependency.condition, on, boot) {
            let edge = format!("container ordering dependency [{}] for target [{}]", on.name, container.name);
            return Standing::Never(format!("TaskDependencyError: failed to resolve {edge} {why}"));
        }
        waits = true;
        deadline = deadline.into_iter().chain(patience(dependency.condition, on)).min();
    }
    if waits { Standing::Waits(deadline) } else { Standing::Ready }
}

fn is_met(condition: ContainerCondition, on: &Container) -> bool {
    let is_over = on.phase == ContainerPhase::Stopped && on.started_at.is_some();
    match condition {
        ContainerCondition::Start => on.started_at.is_some(),
        ContainerCondition::Complete => is_over,
        ContainerCondition::Success => is_over && on.exit == Some(Exit::Code(0)),
        ContainerCondition::Healthy => on.phase == ContainerPhase::Running && on.health.status == HealthStatus::Healthy,
    }
}

/// Why a condition that is not met will never be.
fn obstacle(condition: ContainerCondition, on: &Container, boot: u64) -> Option<String> {
    if on.phase != ContainerPhase::Stopped {
        let late = patience(condition, on).is_some_and(|until| until <= boot);
        let seconds = on.start_timeout.unwrap_or_default() / 1000;
        return late.then(|| format!("as dependency has timed out after its startTimeout of {seconds} seconds"));
    }
    if on.started_at.is_none() {
        return Some("because dependency will never start".to_owned());
    }
    let end = match on.exit {
        Some(Exit::Code(code)) => format!("exit code {code}"),
        Some(Exit::Unknown) | None => "its exit code is not known".to_owned(),
    };
    Some(match condition {
        ContainerCondition::Healthy => format!("as dependency stopped before it was healthy ({end})"),
        ContainerCondition::Start | ContainerCondition::Complete | ContainerCondition::Success => {
            format!("as dependency did not exit successfully ({end})")
        }
    })
}

/// Until when a condition must be met: the dependency's `startTimeout` after its start. START is met by the start itself.
fn patience(condition: ContainerCondition, on: &Container) -> Option<u64> {
    match condition {
        ContainerCondition::Start => None,
        ContainerCondition::Complete | ContainerCondition::Success | ContainerCondition::Healthy => {
            Some(on.began?.first + on.start_timeout?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::{Began, Timestamp};
    use super::*;
    use crate::plan::ContainerPlan;
    use ContainerCondition::{Complete, Healthy, Start, Success};

    /// How a container stands that waits for a condition of another one, at 100 s; the other one began at 10 s.
    fn stands(condition: ContainerCondition, change: impl FnOnce(&mut Container)) -> Standing {
        let plan = |name: &str| ContainerPlan { name: name.to_owned(), ..ContainerPlan::default() };
        let mut task = TaskState::new(&[plan("db"), plan("web")], Timestamp(0), Timestamp(0));
        task.containers[1].depends_on = vec![Dependency { on: 0, condition }];
        change(&mut task.containers[0]);
        standing(&task, 1, 100_000)
    }

    fn runs(container: &mut Container) {
        container.phase = ContainerPhase::Running;
        container.started_at = Some(Timestamp(0));
        container.began = Some(Began { first: 10_000, last: 50_000 });
    }

    fn ended(code: i32) -> impl FnOnce(&mut Container) {
        move |container| {
            runs(container);
            container.phase = ContainerPhase::Stopped;
            container.exit = Some(Exit::Code(code));
        }
    }

    fn never(standing: &Standing) -> &str {
        let Standing::Never(reason) = standing else { panic!("{standing:?}") };
        let start = "TaskDependencyError: failed to resolve container ordering dependency [db] for target [web] ";
        reason.strip_prefix(start).unwrap_or_else(|| panic!("{reason}"))
    }

    #[test]
    fn each_condition_is_met_by_what_ecs_says() {
        for condition in [Start, Complete, Success, Healthy] {
            assert_eq!(stands(condition, |_| {}), Standing::Waits(None));
        }
        assert_eq!(stands(Start, runs), Standing::Ready);
        assert_eq!(stands(Start, ended(1)), Standing::Ready, "it has started, and stopped since");
        assert_eq!(stands(Complete, runs), Standing::Waits(None));
        assert_eq!(stands(Complete, ended(1)), Standing::Ready);
        assert_eq!(stands(Success, runs), Standing::Waits(None));
        assert_eq!(stands(Success, ended(0)), Standing::Ready);
        assert_eq!(stands(Healthy, runs), Standing::Waits(None));
        let healthy = |container: &mut Container| {
            runs(container);
            container.health.status = HealthStatus::Healthy;
        };
        assert_eq!(stands(Healthy, healthy), Standing::Ready);
    }

    #[test]
    fn what_can_never_be_met_says_why() {
        let reason = |condition, code| never(&stands(condition, ended(code))).to_owned();
        assert_eq!(reason(Success, 3), "as dependency did not exit successfully (exit code 3)");
        assert_eq!(reason(Healthy, 0), "as dependency stopped before it was healthy (exit code 0)");
        let not_started = stands(Start, |container| container.phase = ContainerPhase::Stopped);
        assert_eq!(never(&not_started), "because dependency will never start");
    }

    #[test]
    fn the_start_timeout_counts_from_the_first_start_of_the_dependency() {
        let timed = |seconds: u64| {
            move |container: &mut Container| {
                runs(container);
                container.start_timeout = Some(seconds * 1000);
            }
        };
        for condition in [Complete, Success, Healthy] {
            assert_eq!(stands(condition, timed(91)), Standing::Waits(Some(101_000)));
            let late = stands(condition, timed(90));
            assert_eq!(never(&late), "as dependency has timed out after its startTimeout of 90 seconds");
        }
        assert_eq!(stands(Start, timed(1)), Standing::Ready);
    }
}
