//! `ECS Task State Change`: the task as DescribeTasks shows it, in the spelling of events.

use serde_json::{Value, json};

use super::super::TaskRecord;
use super::envelope::{Event, iso, with_written_times};
use crate::ecs::Task;
use crate::ecs::arn::Owner;

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
    all.into_iter().flatten().map(|at| at.0).max().unwrap_or_default()
}
