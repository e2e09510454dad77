//! The one paragraph that says why a task is as it is.

use super::{ContainerWhy, FailureWhy, HealthWhy, MemoryWhy, Why};
use crate::ecs::{ContainerStatus, HealthStatus, StopCode, TaskStatus, Timestamp};

/// The paragraph.
pub(super) fn summary(why: &Why, id: &str) -> String {
    let mut sentences = vec![format!("Task {id:.12} ({}) {}.", why.task_definition, end(why))];
    for container in why.containers.iter().filter(|container| container.culprit) {
        sentences.extend(of_container(container));
    }
    let others: Vec<String> = why.containers.iter().filter(|one| !one.culprit).filter_map(of_other).collect();
    if why.stop_code.is_some() && !others.is_empty() {
        sentences.push(format!(
            "{} {}.",
            if others.len() == 1 { "Container" } else { "Containers" },
            others.join(", ")
        ));
    }
    sentences.join(" ")
}

/// What became of the task.
fn end(why: &Why) -> String {
    let reason = why.stopped_reason.as_deref().unwrap_or_default().trim_end_matches('.');
    let ran = match (why.started_at, why.stopping_at) {
        (Some(from), Some(to)) => format!(" after it had run for {}", span(from, to)),
        _ => String::new(),
    };
    let tense = if why.last_status == TaskStatus::Stopped { "stopped" } else { "is stopping" };
    match why.stop_code {
        None => format!("is {}, and nothing has ended it", word(why.last_status)),
        Some(StopCode::TaskFailedToStart) => format!("failed to start{}: {reason}", at(why.stopping_at)),
        Some(StopCode::EssentialContainerExited) => {
            let name = why.containers.iter().find(|one| one.culprit).map_or("", |one| one.name.as_str());
            format!("{tense}{} because its essential container {name} ended{ran}", at(why.stopping_at))
        }
        Some(StopCode::ServiceSchedulerInitiated) => {
            format!("was stopped by its service{}{ran}: {reason}", at(why.stopping_at))
        }
        Some(StopCode::UserInitiated) => format!("was stopped on request{}{ran}: {reason}", at(why.stopping_at)),
        Some(StopCode::SpotInterruption | StopCode::TerminationNotice | StopCode::InfrastructureHealth) => {
            format!("{tense}{}{ran}: {reason}", at(why.stopping_at))
        }
    }
}

/// As the wire names it.
fn word(status: TaskStatus) -> String {
    serde_json::to_value(status).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// All that is known of a container that the end is due to.
fn of_container(container: &ContainerWhy) -> Vec<String> {
    let name = &container.name;
    let mut sentences = Vec::new();
    if container.last_status == ContainerStatus::Stopped {
        sentences.push(match (container.exit_code, &container.reason) {
            (Some(_), _) => format!("{name} {}.", exit(container)),
            (None, Some(reason)) => format!("{name} has no exit code: {}.", reason.trim_end_matches('.')),
            (None, None) => format!("{name} never ran."),
        });
    }
    sentences.extend(container.memory.as_ref().map(|memory| out_of_memory(name, memory)));
    if container.restart_count > 0 {
        sentences.push(format!("It had been started again {}.", times(container.restart_count)));
    }
    let health = container.health.as_ref().filter(|health| health.status != HealthStatus::Healthy);
    sentences.extend(health.map(|health| unwell(name, health)));
    sentences
}

fn of_other(container: &ContainerWhy) -> Option<String> {
    container.exit_code.map(|_| format!("{} {}", container.name, exit(container)))
}

fn exit(container: &ContainerWhy) -> String {
    let code = container.exit_code.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
    match container.signal {
        Some(signal) => format!("ended with exit code {code} ({signal})"),
        None => format!("ended with exit code {code}"),
    }
}

fn out_of_memory(name: &str, memory: &MemoryWhy) -> String {
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let figures = match (memory.peak_bytes, memory.limit_bytes) {
        (Some(peak), Some(limit)) => format!(": it had {} of {}", mib(peak), mib(limit)),
        (None, Some(limit)) => format!(": it might have {}", mib(limit)),
        (Some(peak), None) => format!(": it had {}", mib(peak)),
        (None, None) => String::new(),
    };
    format!("The kernel killed {name} for want of memory{figures}.")
}

fn unwell(name: &str, health: &HealthWhy) -> String {
    let status = match health.status {
        HealthStatus::Unhealthy => "UNHEALTHY",
        HealthStatus::Unknown => "not known yet",
        HealthStatus::Healthy => "HEALTHY",
    };
    let failures = format!("{} of {} checks in a row failed", health.failures, health.retries);
    let last = match &health.last_failure {
        None => "no check has failed".to_owned(),
        Some(failure) => format!("{failures}, the last one {}", failed(failure)),
    };
    format!(
        "The health of {name} is {status}{}: {last}.",
        health.since.map(|since| format!(" since {}", clock(since))).unwrap_or_default()
    )
}

fn failed(failure: &FailureWhy) -> String {
    match (failure.exit_code, failure.timed_out) {
        (_, true) => "because it took too long".to_owned(),
        (Some(code), false) => format!("with exit code {code}"),
        (None, false) => "because it could not be run".to_owned(),
    }
}

fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn at(time: Option<Timestamp>) -> String {
    time.map(|time| format!(" at {}", clock(time))).unwrap_or_default()
}

/// To the second, in UTC.
fn clock(time: Timestamp) -> String {
    let seconds = jiff::Timestamp::from_second(time.millis().div_euclid(1000));
    seconds.map_or_else(|_| time.millis().to_string(), |time| time.to_string())
}

/// In the two largest units: `250 ms`, `12 s`, `3 min 4 s`, `2 h 5 min`, `9 d 3 h`.
fn span(from: Timestamp, to: Timestamp) -> String {
    let milliseconds = (to.millis() - from.millis()).max(0);
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds} ms"),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(name: &str) -> ContainerWhy {
        ContainerWhy {
            name: name.to_owned(),
            culprit: false,
            essential: true,
            last_status: ContainerStatus::Stopped,
            exit_code: Some(0),
            signal: None,
            reason: None,
            restart_count: 0,
            memory: None,
            health: None,
            last_lines: Vec::new(),
        }
    }

    fn why(stop_code: Option<StopCode>, reason: &str, containers: Vec<ContainerWhy>) -> String {
        let stops = stop_code.is_some();
        let time = |seconds: i64| Timestamp::from_millis(1_763_721_710_482 + seconds * 1000);
        let why = Why {
            task_arn: "arn".to_owned(),
            task_definition: "web:3".to_owned(),
            summary: String::new(),
            last_status: if stops { TaskStatus::Stopped } else { TaskStatus::Running },
            desired_status: TaskStatus::Running,
            health_status: HealthStatus::Unknown,
            stop_code,
            stopped_reason: stops.then(|| reason.to_owned()),
            started_at: Some(time(0)),
            stopping_at: stops.then(|| time(192)),
            stopped_at: None,
            containers,
        };
        summary(&why, "0123456789abcdef0123456789abcdef")
    }

    #[test]
    fn an_oom_kill_is_told_with_its_figures_and_what_became_of_the_others() {
        let web = ContainerWhy {
            culprit: true,
            exit_code: Some(137),
            signal: Some("SIGKILL"),
            restart_count: 2,
            memory: Some(MemoryWhy { limit_bytes: Some(64 << 20), peak_bytes: Some(64 << 20) }),
            ..container("web")
        };
        let code = Some(StopCode::EssentialContainerExited);
        assert_eq!(
            why(code, "Essential container in task exited", vec![web, container("db")]),
            "Task 0123456789ab (web:3) stopped at 2025-11-21T10:45:02Z because its essential container web ended after it \
             had run for 3 min 12 s. web ended with exit code 137 (SIGKILL). The kernel killed web for want of memory: it \
             had 64.0 MiB of 64.0 MiB. It had been started again 2 times. Container db ended with exit code 0."
        );
    }

    #[test]
    fn a_running_task_is_told_to_run_and_what_is_wrong_with_it() {
        let health = HealthWhy {
            status: HealthStatus::Unhealthy,
            since: Some(Timestamp::from_millis(1_763_721_710_482)),
            failures: 3,
            retries: 3,
            last_failure: Some(FailureWhy {
                at: Timestamp::from_millis(0),
                exit_code: None,
                timed_out: true,
                output: String::new(),
            }),
        };
        let web = ContainerWhy {
            culprit: true,
            last_status: ContainerStatus::Running,
            exit_code: None,
            health: Some(health),
            ..container("web")
        };
        assert_eq!(
            why(None, "", vec![web]),
            "Task 0123456789ab (web:3) is RUNNING, and nothing has ended it. The health of web is UNHEALTHY since \
             2025-11-21T10:41:50Z: 3 of 3 checks in a row failed, the last one because it took too long."
        );
    }

    #[test]
    fn a_request_is_told_with_its_reason() {
        let text = why(Some(StopCode::UserInitiated), "enough.", vec![container("web")]);
        assert!(
            text.contains("was stopped on request at 2025-11-21T10:45:02Z after it had run for 3 min 12 s: enough.")
        );
        assert!(text.ends_with("Container web ended with exit code 0."), "{text}");
    }
}
