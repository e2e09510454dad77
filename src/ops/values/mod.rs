//! The values that a task's containers are given beside their plan: those of `secrets` and of `environmentFiles`, resolved
//! anew for each task by whoever starts it, before anything is pulled, as ECS does it. From here they go into the task's
//! values file and nowhere else.

mod error;
mod files;
mod json_key;
mod local;
mod remote;
mod source;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use self::error::LookupError;
pub(super) use self::error::Unavailable;
use self::files::Files;
pub(super) use self::source::Sources;
use super::Engine;
use super::config::Source;
use crate::ecs::container_definition::Secret;
use crate::ecs::value_from::ValueFrom;
use crate::ecs::{ContainerDefinition, TaskDefinition};
use crate::plan::env_file::merged;
use crate::secrets::{ROLE_VALUES, TaskValues, log_values};

/// What is resolved, by what a definition writes.
type Values = HashMap<ValueFrom, String>;

impl Engine {
    /// Resolves everything that a definition names. Secrets come first, and all of them before any file.
    pub(super) fn values(&self, task: &TaskDefinition) -> Result<TaskValues, Unavailable> {
        let mut values = values(&Sources::new(&self.layout, &self.config), task)?;
        values.0.extend(self.role_keys(task).map(|keys| (ROLE_VALUES.to_owned(), keys)));
        Ok(values)
    }

    /// Whether AWS is asked for some of it: whoever must not wait leaves that to another process.
    pub(super) fn asks_aws(&self, task: &TaskDefinition) -> bool {
        let containers = &task.container_definitions;
        let mut files = containers.iter().flat_map(|container| container.environment_files.iter().flatten());
        let secrets = containers.iter().any(|one| {
            one.secrets.as_ref().is_some_and(|secrets| !secrets.is_empty()) || log_secrets(one).next().is_some()
        });
        (secrets && self.config.secrets.source == Source::Aws)
            || files.any(|file| files::is_at_s3(&self.config.environment_files, &file.value))
    }
}

fn values(sources: &Sources<'_>, task: &TaskDefinition) -> Result<TaskValues, Unavailable> {
    let containers = &task.container_definitions;
    let mut wanted = BTreeSet::new();
    for secret in containers.iter().flat_map(|container| container.secrets.iter().flatten()) {
        wanted.insert(secret.value_from.parse::<ValueFrom>()?);
    }
    for secret in containers.iter().flat_map(log_secrets) {
        wanted.insert(secret.value_from.parse::<ValueFrom>()?);
    }
    let secrets = sources.resolve(&wanted)?;
    let mut files = Files::new(sources);
    let mut all = BTreeMap::new();
    for container in containers {
        if let Some(own) = of_container(container, &secrets, &mut files)? {
            all.insert(container.name.clone(), own);
        }
    }
    for (place, container) in containers.iter().enumerate() {
        of_log(task, place, container, &secrets, &mut all)?;
    }
    Ok(TaskValues(all))
}

fn log_secrets(container: &ContainerDefinition) -> impl Iterator<Item = &Secret> {
    container.log_configuration.iter().flat_map(|log| log.secret_options.iter().flatten())
}

/// The secret options of a container's log: those of `awsfirelens` are variables of the router, all others belong to whoever
/// sends the log on.
fn of_log(
    task: &TaskDefinition,
    place: usize,
    container: &ContainerDefinition,
    secrets: &Values,
    all: &mut BTreeMap<String, Vec<(String, String)>>,
) -> Result<(), Unavailable> {
    let routed = container.log_configuration.as_ref().is_some_and(|log| log.log_driver == "awsfirelens");
    let router = crate::plan::log::router(task).map(|(router, _)| &task.container_definitions[router].name);
    for secret in log_secrets(container) {
        let Some(value) = secrets.get(&secret.value_from.parse()?) else { continue };
        let (whose, name) = match router.filter(|_| routed) {
            Some(router) => (router.clone(), crate::plan::log::secret_variable(&secret.name, place)),
            None => (log_values(&container.name), secret.name.clone()),
        };
        all.entry(whose).or_default().push((name, value.clone()));
    }
    Ok(())
}

/// The variables of one container: those of its files, and over them those of its secrets.
fn of_container(
    container: &ContainerDefinition,
    secrets: &Values,
    files: &mut Files<'_>,
) -> Result<Option<Vec<(String, String)>>, Unavailable> {
    let own_files = container.environment_files.as_deref().unwrap_or_default();
    let own_secrets = container.secrets.as_deref().unwrap_or_default();
    if own_files.is_empty() && own_secrets.is_empty() {
        return Ok(None);
    }
    let texts = own_files.iter().map(|file| files.text(&file.value)).collect::<Result<Vec<_>, _>>()?;
    let mut all = merged(&texts);
    for secret in own_secrets {
        // It was parsed and resolved before.
        let Some(value) = secrets.get(&secret.value_from.parse()?) else { continue };
        match all.iter_mut().find(|(known, _)| *known == secret.name) {
            Some((_, old)) => old.clone_from(value),
            None => all.push((secret.name.clone(), value.clone())),
        }
    }
    Ok(Some(all))
}

#[cfg(test)]
mod tests;
