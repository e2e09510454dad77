//! What ECS demands of log configurations, of one container's and of the task's router. What only keeps a task from starting
//! is a warning here: ECS registers such a definition, too. Called by `container_rules` and `task_definition`.

use std::collections::{BTreeMap, HashSet};

use super::container_rules::Place;
use super::report::{Path, Report};
use super::support::Target;
use crate::ecs::ContainerDefinition;
use crate::ecs::container_definition::LogConfiguration;
use crate::logging::{Logging, firelens::Router, idle};

/// Fargate's drivers.
pub(super) const FARGATE: [&str; 3] = ["awslogs", "splunk", "awsfirelens"];

/// One container's log configuration.
pub(super) fn check(log: &LogConfiguration, place: &Place<'_>, report: &mut Report) {
    let path = place.path.member("logConfiguration");
    let all = log.options.iter().flatten().map(|(name, _)| name.as_str());
    let secret = log.secret_options.iter().flatten().map(|secret| secret.name.as_str());
    let options: HashSet<&str> = all.chain(secret).collect();
    let (driver, option) = (path.member("logDriver"), path.member("options"));
    let name = log.log_driver.as_str();
    let fargate = place.target == Target::Fargate;
    if fargate && !FARGATE.contains(&name) {
        let words = format!("{name} is not a valid log driver. Must be one of [awslogs, splunk, awsfirelens]");
        report.refused_by_ecs(&driver, words);
    }
    if name == "awslogs" && !options.contains("awslogs-group") {
        report.error(&option, "Log driver awslogs requires options: awslogs-group");
        return;
    }
    if name == "awslogs" && fargate && !options.contains("awslogs-stream-prefix") {
        let words = "Fargate requires log configuration options to include awslogs-stream-prefix";
        report.refused_by_ecs(&option, words);
    }
    if name == "awslogs" && fargate && place.execution_role.is_none_or(str::is_empty) {
        let words = "Fargate requires task definition to have execution role ARN to support log driver awslogs";
        report.refused_by_ecs(&driver, words);
    }
    let none = BTreeMap::new();
    let said = log.options.as_ref().unwrap_or(&none);
    // What a secret option holds is not known: it asks for something.
    let secret = log.secret_options.iter().flatten().map(|secret| (secret.name.clone(), "secret".to_owned()));
    for (name, why) in idle(name, &said.clone().into_iter().chain(secret).collect()) {
        report.warning(&option.member(name.to_owned()), format!("log opt '{name}' has no effect: {why}"));
    }
    if log.secret_options.as_ref().is_none_or(Vec::is_empty)
        && let Err(error) = Logging::read(name, said)
    {
        report.warning(&option, format!("the task will not start: failed to validate logger args: {error}"));
    }
}

/// The router, and who needs one.
pub(super) fn router(containers: &[ContainerDefinition], report: &mut Report) {
    let mut router = None;
    for (index, container) in containers.iter().enumerate() {
        let Some(configuration) = &container.firelens_configuration else { continue };
        let path = Path::container(index).member("firelensConfiguration");
        if router.replace(index).is_some() {
            report.error(&path, "only one container of a task can have a firelensConfiguration");
        }
        let none = BTreeMap::new();
        let read = Router::read(&configuration.r#type, configuration.options.as_ref().unwrap_or(&none));
        if let Err(error) = read {
            report.error(&path.member("options"), error.to_string());
        }
    }
    for (index, container) in containers.iter().enumerate() {
        let uses = container.log_configuration.as_ref().is_some_and(|log| log.log_driver == "awsfirelens");
        let path = Path::container(index).member("logConfiguration").member("logDriver");
        if uses && router.is_none() {
            report.error(&path, "log driver awsfirelens needs a container with firelensConfiguration in the same task");
        }
        if uses && router == Some(index) {
            report.error(&path, "the log router cannot be its own router");
        }
        let depends = router.filter(|router| {
            containers[*router].depends_on.iter().flatten().any(|on| on.container_name == container.name)
        });
        if uses && depends.is_some() {
            report.error(&path, "the log router depends on this container, which cannot start before it");
        }
    }
}
