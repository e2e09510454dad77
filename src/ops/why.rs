//! Why a task is not what somebody wanted it to be: what is known of its end, and of the containers that it is due to, in one
//! place. The sentences are in `why/words`.

mod words;

use nix::sys::signal::Signal;
use serde::Serialize;

use super::{Engine, OpsError, TaskRecord};
use crate::ecs::{ContainerStatus, HealthStatus, StopCode, TaskStatus, Timestamp};
use crate::lifecycle::{self, CheckEnd, ContainerPhase, Health};
use crate::logs::{Query, Until};

/// How many of a container's last lines are shown.
const LINES: u64 = 10;
/// 128 and the signal's number: how a container ends that a signal has ended.
const SIGNALLED: i32 = 128;

/// What is known of a task's end, or that there is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// The task's ARN.
    pub task_arn: String,
    /// Its definition, `FAMILY:REVISION`.
    pub task_definition: String,
    /// One paragraph for people.
    pub summary: String,
    /// What it is.
    pub last_status: TaskStatus,
    /// What it should be.
    pub desired_status: TaskStatus,
    /// The health of its essential containers.
    pub health_status: HealthStatus,
    /// Why it stops, as a class.
    pub stop_code: Option<StopCode>,
    /// Why it stops, in ECS's words.
    pub stopped_reason: Option<String>,
    /// When it ran.
    pub started_at: Option<Timestamp>,
    /// When it began to stop.
    pub stopping_at: Option<Timestamp>,
    /// When it was over.
    pub stopped_at: Option<Timestamp>,
    /// The containers, those first that it is due to.
    pub containers: Vec<ContainerWhy>,
}

/// What is known of a container.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerWhy {
    /// Its name.
    pub name: String,
    /// Whether the task's end, or its poor health, is due to it.
    pub culprit: bool,
    /// Whether its end is the task's.
    pub essential: bool,
    /// What it is.
    pub last_status: ContainerStatus,
    /// The exit code of its last run, if that has ended.
    pub exit_code: Option<i32>,
    /// The signal that such a code stands for: `SIGKILL`.
    pub signal: Option<&'static str>,
    /// ECS's reason.
    pub reason: Option<String>,
    /// How often it was started again.
    pub restart_count: u32,
    /// Memory, if the kernel killed it for want of that.
    pub memory: Option<MemoryWhy>,
    /// Its health, if it is checked.
    pub health: Option<HealthWhy>,
    /// Its last lines of output, if the task's end is due to it.
    pub last_lines: Vec<String>,
}

/// The memory of a container that was killed for want of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryWhy {
    /// What it might have, in bytes.
    pub limit_bytes: Option<u64>,
    /// What it had, in bytes.
    pub peak_bytes: Option<u64>,
}

/// The health of a container.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthWhy {
    /// What it is.
    pub status: HealthStatus,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Failures in a row.
    pub failures: u32,
    /// How many make it UNHEALTHY.
    pub retries: u32,
    /// The last check that failed.
    pub last_failure: Option<FailureWhy>,
}

/// A health check that failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureWhy {
    /// When.
    pub at: Timestamp,
    /// Its exit code, if it ended.
    pub exit_code: Option<i32>,
    /// Whether it took too long.
    pub timed_out: bool,
    /// What it wrote, as much as is kept; what kept it from being run, if it was not.
    pub output: String,
}

impl Engine {
    /// Why a task has ended, or what is wrong with it.
    pub fn why(&self, record: &TaskRecord) -> Result<Why, OpsError> {
        let (view, state) = (record.view(), &record.state);
        let culprits = culprits(record);
        let mut containers = (0..state.containers.len())
            .map(|place| container(record, place, culprits.contains(&place)))
            .collect::<Result<Vec<_>, _>>()?;
        containers.sort_by_key(|container| !container.culprit);
        let mut why = Why {
            task_arn: view.task_arn.to_string(),
            task_definition: format!("{}:{}", record.plan.family, record.plan.revision),
            summary: String::new(),
            last_status: view.last_status,
            desired_status: view.desired_status,
            health_status: state.health(),
            stop_code: view.stop_code,
            stopped_reason: view.stopped_reason,
            started_at: view.started_at,
            stopping_at: view.stopping_at,
            stopped_at: view.stopped_at,
            containers,
        };
        why.summary = words::summary(&why, &record.plan.id);
        Ok(why)
    }
}

/// The containers that the state of the task is due to: the one whose end it was and those that are unwell.
fn culprits(record: &TaskRecord) -> Vec<usize> {
    let state = &record.state;
    let ended = state.stop.as_ref().and_then(|stop| stop.container);
    let unwell = |place: &usize| {
        let container = &state.containers[*place];
        let failed = container.reason.is_some() && container.phase == ContainerPhase::Stopped;
        container.health.status == HealthStatus::Unhealthy || (ended.is_none() && failed)
    };
    // A container waits in vain for another one: that one's end tells more.
    let awaited = ended.filter(|place| state.containers[*place].started_at.is_none());
    let awaited = awaited.into_iter().flat_map(|place| state.containers[place].depends_on.iter().map(|other| other.on));
    let awaited = awaited.filter(|place| state.containers[*place].phase == ContainerPhase::Stopped);
    ended.into_iter().chain(awaited).chain((0..state.containers.len()).filter(unwell)).collect()
}

fn container(record: &TaskRecord, place: usize, culprit: bool) -> Result<ContainerWhy, OpsError> {
    let container = &record.state.containers[place];
    let exit_code = record.container_exit_code(place);
    let last_lines = if culprit { last_lines(record, place)? } else { Vec::new() };
    Ok(ContainerWhy {
        name: container.name.clone(),
        culprit,
        essential: container.essential,
        last_status: super::view::container_status(container),
        exit_code,
        signal: exit_code.and_then(signal),
        reason: container.reason.clone(),
        restart_count: container.restarts,
        memory: container.out_of_memory.map(|memory| MemoryWhy { limit_bytes: memory.limit, peak_bytes: memory.peak }),
        health: health(&container.health),
        last_lines,
    })
}

fn health(health: &Health) -> Option<HealthWhy> {
    let time = |at: lifecycle::Timestamp| Timestamp::from_millis(at.0);
    let last_failure = health.last_failure.as_ref().map(|(at, checked)| FailureWhy {
        at: time(*at),
        exit_code: match checked.end {
            CheckEnd::Exited(code) => Some(code),
            CheckEnd::TimedOut | CheckEnd::NotRun => None,
        },
        timed_out: checked.end == CheckEnd::TimedOut,
        output: checked.output.clone(),
    });
    Some(HealthWhy {
        status: health.status,
        since: health.since.map(time),
        failures: health.failures,
        retries: health.rule?.retries,
        last_failure,
    })
}

fn signal(code: i32) -> Option<&'static str> {
    Signal::try_from(code.checked_sub(SIGNALLED)?).ok().map(Signal::as_str)
}

fn last_lines(record: &TaskRecord, place: usize) -> Result<Vec<String>, OpsError> {
    let query = Query { tail: Some(LINES), ..Query::default() };
    let mut lines = record.logs(&[place], query, Until::Now)?;
    let mut all = Vec::new();
    while let Some((_, line)) = lines.next_line()? {
        all.push(String::from_utf8_lossy(&line.message).into_owned());
    }
    Ok(all)
}
