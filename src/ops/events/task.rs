//! `ECS Task State Change`: the task as DescribeTasks shows it, in the spelling of events.

use serde_json::{Value, json};

use super::super::TaskRecord;
use super::envelope::{Event, iso, with_written_times};
use crate::ecs::arn::Owner;
use crate::ecs::{StopCode, Task};
use crate::lifecycle::{ContainerPhase, LastStatus};

const DETAIL_TYPE: &str = "ECS Task State Change";

/// What must be different for an event to be sent: the states of the task, of its containers and of its attachments.
pub(super) fn standing(task: &Task) -> String {
    let containers = task.containers.iter().map(|one| json!([one.last_status, one.health_status, one.exit_code]));
    let attachments = task.attachments.iter().map(|one| json!(one.status));
    let all = json!([
        task.last_status,
        task.desired_status,
        task.connectivity,
        task.health_status,
        containers.collect::<Value>(),
        attachments.collect::<Value>(),
    ]);
    all.to_string()
}

/// The event of a task's present state; `at` is when that was seen.
pub(super) fn event(record: &TaskRecord, task: &Task, at: i64) -> Event {
    let plan = &record.plan;
    let owner = Owner { region: plan.region.clone(), account: plan.account.clone() };
    let mut detail = serde_json::to_value(task).unwrap_or_default();
    with_written_times(&mut detail);
    if let Some(members) = detail.as_object_mut() {
        members.shift_remove("tags");
        members.shift_remove("inferenceAccelerators");
        members.insert("updatedAt".to_owned(), iso(at));
        for attachment in members.get_mut("attachments").and_then(Value::as_array_mut).into_iter().flatten() {
            // The word that events have for it.
            if attachment["type"] == "ElasticNetworkInterface" {
                attachment["type"] = "eni".into();
            }
        }
    }
    Event::new(DETAIL_TYPE, &owner, at, vec![task.task_arn.to_string()], detail)
}

/// The warning of a Spot interruption, if the task's present state is a later one: nobody has to look at the right moment to
/// be warned. It is ECS's: the task as it was, but wanted stopped; of the moment at which that was said, which is just before
/// the stop signal.
pub(super) fn warning(record: &TaskRecord) -> Option<Event> {
    let desired = record.desired.as_ref().filter(|_| is_interrupted(&record.view()))?;
    let mut record = record.clone();
    let state = &mut record.state;
    state.stop.take()?; // else the present state is the warning
    let times = &mut state.times;
    // Whoever killed it meanwhile has wanted that later.
    let at = times.stopping_at.map_or(desired.at, |at| at.0.min(desired.at));
    (times.stopping_at, times.execution_stopped_at, times.stopped_at) = (None, None, None);
    state.last_status = match (times.started_at, times.connectivity_at) {
        (Some(_), _) => LastStatus::Running,
        (None, Some(_)) => LastStatus::Pending,
        (None, None) => LastStatus::Provisioning,
    };
    for container in &mut state.containers {
        let ran = container.finished_at.is_none_or(|finished| finished.0 >= at);
        match container.started_at {
            Some(_) if ran => container.phase = ContainerPhase::Running,
            Some(_) => continue,
            None => container.phase = ContainerPhase::Waiting,
        }
        (container.exit, container.reason) = (None, None);
    }
    state.version = state.version.saturating_sub(1);
    Some(event(&record, &record.view(), at))
}

/// When a state was reached that is seen now: one that somebody has just asked for, when that was.
pub(super) fn seen_at(record: &TaskRecord, now: i64) -> i64 {
    match &record.desired {
        Some(desired) if record.state.stop.is_none() => desired.at,
        _ => now,
    }
}

/// Whether a task's capacity has been taken back.
pub(super) fn is_interrupted(task: &Task) -> bool {
    task.stop_code == Some(StopCode::SpotInterruption)
}

/// When the state of a record was reached, as far as it says.
pub(super) fn reached(record: &TaskRecord) -> i64 {
    let times = &record.state.times;
    let all = [
        Some(times.created_at),
        times.connectivity_at,
        times.started_at,
        times.stopping_at,
        times.execution_stopped_at,
        times.stopped_at,
    ];
    seen_at(record, all.into_iter().flatten().map(|at| at.0).max().unwrap_or_default())
}
