//! What ECS demands of one container definition, and what no runtime could carry out. Texts are ECS's own where they are
//! known. Called by `validate`.

use super::kernel_rules;
use super::log_rules;
use super::names::{image_fault, user_fault};
use super::network_rules;
use super::port_rules;
use super::process_rules;
use super::report::{Path, Report};
use super::support::Target;
use super::task_rules::Size;
use crate::ecs::ContainerDefinition;
use crate::ecs::arn::is_name;
use crate::ecs::container_definition::{HealthCheck, RestartPolicy};
use crate::ecs::task_definition::NetworkMode;

/// Where a container stands: what its rules need beside itself.
pub(super) struct Place<'a> {
    pub path: Path,
    pub target: Target,
    pub mode: NetworkMode,
    pub task: Size,
    pub execution_role: Option<&'a str>,
    pub ipc_mode: Option<&'a str>,
}

/// Everything about one container.
pub(super) fn check(container: &ContainerDefinition, place: &Place<'_>, report: &mut Report) {
    name_and_image(container, &place.path, report);
    cpu(container, &place.path, report);
    memory(container, place, report);
    network_rules::check(container, place.mode, place.target, &place.path, report);
    port_rules::check(container, place.mode, &place.path, report);
    process_rules::check(container, place, report);
    kernel_rules::check(container, place, report);
    timeouts(container, &place.path, report);
    user(container, &place.path, report);
    if let Some(check) = &container.health_check {
        health_check(check, &place.path.member("healthCheck"), report);
    }
    if let Some(policy) = &container.restart_policy {
        restart_policy(policy, &container.name, &place.path.member("restartPolicy"), report);
    }
    if let Some(log) = &container.log_configuration {
        log_rules::check(log, place, report);
    }
}

fn name_and_image(container: &ContainerDefinition, path: &Path, report: &mut Report) {
    let name = path.member("name");
    if container.name.is_empty() {
        report.error(&name, "Container.name should not be null or empty.");
    } else if !is_name(&container.name) {
        report.error(&name, "a container's name is 1 to 255 letters, digits, hyphens and underscores");
    }
    let image = path.member("image");
    if container.image.is_empty() {
        report.error(&image, "Container.image should not be null or empty.");
    } else if let Some(fault) = image_fault(&container.image) {
        report.error(&image, format!("this is not an image reference: {fault}"));
    }
}

fn cpu(container: &ContainerDefinition, path: &Path, report: &mut Report) {
    // 262144 is the kernel's largest weight (cgroups-v1, cpu.shares).
    if container.cpu.is_some_and(|cpu| !(0..=262_144).contains(&cpu)) {
        report.error(&path.member("cpu"), "cpu must be between 0 and 262144 CPU units");
    }
}

fn memory(container: &ContainerDefinition, place: &Place<'_>, report: &mut Report) {
    let (memory, reservation) = (place.path.member("memory"), place.path.member("memoryReservation"));
    let name = &container.name;
    let invalid = format!("Invalid setting for container '{name}'.");
    for (value, path) in [(container.memory, &memory), (container.memory_reservation, &reservation)] {
        let Some(value) = value else { continue };
        // 6 MiB is ECS's least; Docker's own.
        if value < 6 {
            report.error(path, format!("{invalid} {value} MiB is less than the 6 MiB that a container needs"));
        }
        let member = if path == &memory { "memory" } else { "memoryReservation" };
        if place.task.memory_mib.is_some_and(|limit| i64::from(value) > i64::from(limit)) {
            report.error(path, format!("The '{member}' setting for container '{name}' is greater than for the task"));
        }
    }
    match (container.memory, container.memory_reservation) {
        (Some(hard), Some(soft)) if soft > hard => {
            let words = "'memory' must be greater than or equal to 'memoryReservation'";
            report.error(&reservation, format!("{invalid} {words}"));
        }
        (None, None) if place.task.memory_mib.is_none() => {
            let words = "At least one of 'memory' or 'memoryReservation' must be specified.";
            report.error(&memory, format!("{invalid} {words}"));
        }
        _ => {}
    }
}

fn timeouts(container: &ContainerDefinition, path: &Path, report: &mut Report) {
    for (member, value) in [("startTimeout", container.start_timeout), ("stopTimeout", container.stop_timeout)] {
        let Some(seconds) = value else { continue };
        let path = path.member(member);
        if seconds < 0 {
            report.error(&path, format!("{member} must be between 2 and 120 seconds"));
        } else if !(2..=120).contains(&seconds) {
            report.refused_by_ecs(&path, format!("ECS takes a {member} between 2 and 120 seconds only"));
        }
    }
}

fn user(container: &ContainerDefinition, path: &Path, report: &mut Report) {
    let user = container.user.as_deref().filter(|user| !user.is_empty());
    if let Some(fault) = user.and_then(user_fault) {
        report.error(&path.member("user"), format!("this is not a user: {fault}"));
    }
}

/// Only what cannot be carried out is an error here: checks at shorter intervals than ECS allows are of use to who tries
/// something out.
fn health_check(check: &HealthCheck, path: &Path, report: &mut Report) {
    let ranges = [
        ("interval", check.interval, 1, 5..=300),
        ("timeout", check.timeout, 1, 2..=60),
        ("retries", check.retries, 1, 1..=10),
        ("startPeriod", check.start_period, 0, 0..=300),
    ];
    for (member, value, least, range) in ranges {
        let Some(value) = value.filter(|value| !range.contains(value)) else { continue };
        let words = format!("{member} of a health check must be between {} and {}", range.start(), range.end());
        match value < least {
            true => report.error(&path.member(member), words),
            false => report.refused_by_ecs(&path.member(member), words),
        }
    }
    let command = path.member("command");
    match check.command.first().map(String::as_str) {
        None => report.error(&command, "the command of a health check is empty"),
        Some("CMD" | "CMD-SHELL") if check.command.get(1).is_none_or(String::is_empty) => {
            report.error(&command, "the command of a health check names no program");
        }
        Some("CMD" | "CMD-SHELL" | "NONE") => {}
        Some(_) => report
            .refused_by_ecs(&command, "the command of a health check begins with CMD or CMD-SHELL; it is taken as CMD"),
    }
}

fn restart_policy(policy: &RestartPolicy, container: &str, path: &Path, report: &mut Report) {
    if let Some(period) = policy.restart_attempt_period.filter(|period| !(60..=1800).contains(period)) {
        let words =
            format!("the 'restartAttemptPeriod' setting for container '{container}' must be between 60 and 1800");
        match period < 0 {
            true => report.error(&path.member("restartAttemptPeriod"), words),
            false => report.refused_by_ecs(&path.member("restartAttemptPeriod"), words),
        }
    }
    if policy.ignored_exit_codes.as_ref().is_some_and(|codes| codes.len() > 50) {
        report.error(&path.member("ignoredExitCodes"), "more than 50 exit codes");
    }
}
