//! What a definition says of a container's life, with ECS's defaults: its health check, its restart policy, how long others
//! wait for it. Called by `make`.

use super::{HealthPlan, RestartPlan};
use crate::ecs::ContainerDefinition;

/// Seconds from one health check to the next (ECS: `healthCheck.interval`).
const INTERVAL: u32 = 30;
/// Seconds that a health check may take (ECS: `healthCheck.timeout`).
const TIMEOUT: u32 = 5;
/// Failures in a row that make a container UNHEALTHY (ECS: `healthCheck.retries`).
const RETRIES: u32 = 3;
/// Seconds that a container must have run to be started again (ECS: `restartAttemptPeriod`).
const ATTEMPT_PERIOD: u32 = 300;
/// What CMD-SHELL stands for, as in Docker.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// The health check; none where the definition has none or says NONE. The image's own is not ECS's business.
pub(super) fn health(container: &ContainerDefinition) -> Option<HealthPlan> {
    let check = container.health_check.as_ref()?;
    let words = check.command.iter().map(String::as_str);
    let args: Vec<&str> = match check.command.first().map(String::as_str) {
        None | Some("NONE") => return None,
        Some("CMD") => words.skip(1).collect(),
        Some("CMD-SHELL") => SHELL.into_iter().chain(words.skip(1)).collect(),
        Some(_) => words.collect(),
    };
    Some(HealthPlan {
        args: args.into_iter().map(str::to_owned).collect(),
        interval: seconds(check.interval).unwrap_or(INTERVAL),
        timeout: seconds(check.timeout).unwrap_or(TIMEOUT),
        retries: seconds(check.retries).unwrap_or(RETRIES),
        start_period: seconds(check.start_period).unwrap_or(0),
    })
}

/// The restart policy, if it is enabled.
pub(super) fn restart(container: &ContainerDefinition) -> Option<RestartPlan> {
    let policy = container.restart_policy.as_ref().filter(|policy| policy.enabled)?;
    Some(RestartPlan {
        ignored_exit_codes: policy.ignored_exit_codes.clone().unwrap_or_default(),
        attempt_period: seconds(policy.restart_attempt_period).unwrap_or(ATTEMPT_PERIOD),
    })
}

/// How long others wait for it.
pub(super) fn start_timeout(container: &ContainerDefinition) -> Option<u32> {
    seconds(container.start_timeout)
}

/// Rules keep these from being negative.
fn seconds(value: Option<i32>) -> Option<u32> {
    value.and_then(|value| u32::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::container_definition::{HealthCheck, RestartPolicy};

    fn args(command: &[&str]) -> Option<Vec<String>> {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let health_check = Some(HealthCheck { command, ..HealthCheck::default() });
        health(&ContainerDefinition { health_check, ..ContainerDefinition::default() }).map(|plan| plan.args)
    }

    #[test]
    fn a_check_is_a_program_or_a_line_for_the_shell_or_none() {
        let strings = |list: &[&str]| Some(list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(args(&["CMD", "curl", "-f", "localhost"]), strings(&["curl", "-f", "localhost"]));
        assert_eq!(args(&["CMD-SHELL", "a || exit 1"]), strings(&["/bin/sh", "-c", "a || exit 1"]));
        assert_eq!(args(&["curl", "localhost"]), strings(&["curl", "localhost"]), "taken as CMD");
        assert_eq!(args(&["NONE"]), None);
        assert_eq!(health(&ContainerDefinition::default()), None);
    }

    #[test]
    fn what_the_definition_does_not_say_is_ecss_default() {
        let health_check = Some(HealthCheck { command: vec!["x".to_owned()], ..HealthCheck::default() });
        let plan = health(&ContainerDefinition { health_check, ..ContainerDefinition::default() }).unwrap();
        assert_eq!((plan.interval, plan.timeout, plan.retries, plan.start_period), (30, 5, 3, 0));
        let policy = |enabled| ContainerDefinition {
            restart_policy: Some(RestartPolicy { enabled, ..RestartPolicy::default() }),
            ..ContainerDefinition::default()
        };
        assert_eq!(restart(&policy(false)), None);
        assert_eq!(restart(&policy(true)).map(|plan| plan.attempt_period), Some(300));
        assert_eq!(start_timeout(&ContainerDefinition::default()), None, "they wait for ever");
    }
}
