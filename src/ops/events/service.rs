//! `ECS Service Action` and `ECS Deployment State Change`: what a service's record tells that it did not tell before.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::services::ServiceRecord;
use super::envelope::{Event, iso};
use crate::scheduler::RolloutState;

const ACTION: &str = "ECS Service Action";
const DEPLOYMENT: &str = "ECS Deployment State Change";

/// What was known of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    told: u64,
    desired: Option<u32>,
    deployments: BTreeMap<String, RolloutState>,
}

impl Seen {
    pub(super) fn of(record: &ServiceRecord) -> Self {
        let service = &record.service;
        let deployments = service.deployments.iter().map(|one| (one.id.clone(), one.rollout)).collect();
        Self { told: service.told, desired: Some(service.desired), deployments }
    }
}

/// The events between two looks, oldest first.
pub(super) fn events(record: &ServiceRecord, seen: &Seen, now: i64) -> Vec<Event> {
    let mut events = Vec::new();
    let service = &record.service;
    if seen.desired.is_some_and(|desired| desired != service.desired) {
        let detail = detail(record, "INFO", "SERVICE_DESIRED_COUNT_UPDATED", now);
        events.push(with(record, detail, "desiredCount", json!(service.desired), now));
    }
    for deployment in service.deployments.iter().rev() {
        if seen.deployments.get(&deployment.id) != Some(&deployment.rollout) {
            events.push(of_deployment(
                record,
                &deployment.id,
                deployment.rollout,
                &deployment.reason,
                deployment.updated_at.0,
            ));
        }
    }
    // A deployment that is over may be gone from the list before anybody looks.
    for one in service.events.iter().rev().filter(|one| one.number > seen.told) {
        events.extend(of_message(record, &one.message, one.at.0));
    }
    events.sort_by_key(Event::at);
    events
}

fn of_deployment(record: &ServiceRecord, id: &str, state: RolloutState, reason: &str, at: i64) -> Event {
    let (kind, name) = match state {
        RolloutState::InProgress => ("INFO", "SERVICE_DEPLOYMENT_IN_PROGRESS"),
        RolloutState::Completed => ("INFO", "SERVICE_DEPLOYMENT_COMPLETED"),
        RolloutState::Failed => ("ERROR", "SERVICE_DEPLOYMENT_FAILED"),
    };
    let detail = json!({
        "eventType": kind,
        "eventName": name,
        "deploymentId": format!("ecs-svc/{id}"),
        "updatedAt": iso(at),
        "reason": reason,
    });
    Event::new(DEPLOYMENT, &record.arn.owner, at, vec![record.arn.to_string()], detail)
}

/// Of the sentences that a service tells, those that EventBridge carries. (ECS does not for starts and stops of tasks:
/// these are events of the tasks.)
fn of_message(record: &ServiceRecord, message: &str, at: i64) -> Option<Event> {
    let (kind, name, reason) = classify(message)?;
    let detail = detail(record, kind, name, at);
    Some(match reason {
        Some(reason) => with(record, detail, "reason", json!(reason), at),
        None => Event::new(ACTION, &record.arn.owner, at, vec![record.arn.to_string()], detail),
    })
}

fn classify(message: &str) -> Option<(&'static str, &'static str, Option<&str>)> {
    if message.ends_with("has reached a steady state.") {
        return Some(("INFO", "SERVICE_STEADY_STATE", None));
    }
    if message.contains("unable to consistently start tasks successfully") {
        return Some(("WARN", "SERVICE_TASK_START_IMPAIRED", None));
    }
    if message.contains("operations are being throttled") {
        return Some(("WARN", "ECS_OPERATION_THROTTLED", None));
    }
    let reason = message.split_once("Reason: ").map(|(_, reason)| reason);
    if message.contains("was unable to place a task") {
        return Some(("ERROR", "SERVICE_TASK_PLACEMENT_FAILURE", reason));
    }
    message.contains("unable to start a task").then_some(("WARN", "SERVICE_TASK_CONFIGURATION_FAILURE", reason))
}

fn detail(record: &ServiceRecord, kind: &str, name: &str, at: i64) -> Value {
    json!({
        "eventType": kind,
        "eventName": name,
        "clusterArn": record.arn.owner.cluster(&record.arn.cluster).to_string(),
        "createdAt": iso(at),
    })
}

fn with(record: &ServiceRecord, mut detail: Value, name: &str, value: Value, at: i64) -> Event {
    detail[name] = value;
    Event::new(ACTION, &record.arn.owner, at, vec![record.arn.to_string()], detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_become_the_events_that_ecs_sends() {
        let steady = classify("(service web) has reached a steady state.");
        assert_eq!(steady, Some(("INFO", "SERVICE_STEADY_STATE", None)));
        let full = "(service web) was unable to place a task. Reason: RESOURCE:MEMORY.";
        assert_eq!(classify(full), Some(("ERROR", "SERVICE_TASK_PLACEMENT_FAILURE", Some("RESOURCE:MEMORY."))));
        let crash = "(service web) is unable to consistently start tasks successfully. For more information, see x.";
        assert_eq!(classify(crash), Some(("WARN", "SERVICE_TASK_START_IMPAIRED", None)));
        assert_eq!(classify("(service web) has started 1 tasks: (task 1)."), None);
    }
}
