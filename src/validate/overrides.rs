//! What a run replaces in a task definition: read like a definition, put into one, and the result held against all rules
//! again. Problems carry their place in the overrides. Called by `ops` and, for their text, by the callers.

use std::collections::HashSet;

use super::convert;
use super::fields::overrides::TASK_OVERRIDE;
use super::json;
use super::parse::document;
use super::problem::{Problem, Severity};
use super::report::{Path, Report, Strictness};
use super::task_definition::{self, ValidTaskDefinition};
use crate::ecs::container_definition::KeyValuePair;
use crate::ecs::error::Exception;
use crate::ecs::overrides::ContainerOverride;
use crate::ecs::{ContainerDefinition, TaskDefinition, TaskOverride};

/// ECS takes no overrides that are longer than this without white space.
const MAX_CHARACTERS: usize = 8192;

/// Overrides as they were read, and what was wrong with their form.
#[derive(Debug, Clone)]
pub struct ParsedOverrides {
    overrides: TaskOverride,
    report: Report,
}

/// A task definition with a run's overrides in it, and the overrides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overridden {
    /// The definition as the run has it.
    pub definition: ValidTaskDefinition,
    /// What was replaced.
    pub overrides: TaskOverride,
}

/// Reads overrides: RunTask's `overrides`.
pub fn parse_overrides(text: &str, strictness: Strictness) -> ParsedOverrides {
    let (root, mut report) = document(text, strictness);
    report.exception = Exception::InvalidParameterException;
    report.source.root.clone_from(&root);
    let overrides = root.map(|root| match &root.value {
        json::Value::Object(members) => {
            let value = convert::members(TASK_OVERRIDE, members, &Path::root(), &mut report);
            serde_json::from_value(value.into()).unwrap_or_else(|error| {
                report.unreadable(&Path::root(), Exception::SerializationException, error.to_string());
                TaskOverride::default()
            })
        }
        other => {
            let message = format!("expected an object with containerOverrides, cpu ..., found {}", other.kind());
            report.unreadable(&Path::root(), Exception::SerializationException, message);
            TaskOverride::default()
        }
    });
    ParsedOverrides { overrides: overrides.unwrap_or_default(), report }
}

/// Puts overrides into a definition, and holds the result against all rules. Of what is wrong with it, what was wrong with
/// the definition already is not said again.
pub fn overridden(
    definition: &ValidTaskDefinition,
    parsed: ParsedOverrides,
) -> Result<(Overridden, Vec<Problem>), Vec<Problem>> {
    let ParsedOverrides { overrides, mut report } = parsed;
    form(&overrides, &mut report);
    let (applied, moves) = applied(definition.definition(), &overrides, &mut report);
    report.moves = moves;
    let mut before = Report::new("", report.strictness);
    before.moves.clone_from(&report.moves);
    task_definition::check(definition.definition(), &mut before);
    let known: HashSet<(String, String)> =
        before.problems().into_iter().map(|problem| (problem.path, problem.message)).collect();
    task_definition::check(&applied, &mut report);
    let problems: Vec<_> =
        report.problems().into_iter().filter(|one| !known.contains(&(one.path.clone(), one.message.clone()))).collect();
    match problems.iter().any(|problem| problem.severity == Severity::Error) {
        true => Err(problems),
        false => Ok((Overridden { definition: ValidTaskDefinition::normal(applied), overrides }, problems)),
    }
}

impl From<TaskOverride> for ParsedOverrides {
    /// Overrides that a program made. Their problems have no place in a text.
    fn from(overrides: TaskOverride) -> Self {
        let mut report = Report::new("", Strictness::Lenient);
        report.exception = Exception::InvalidParameterException;
        Self { overrides, report }
    }
}

fn form(overrides: &TaskOverride, report: &mut Report) {
    let length = serde_json::to_string(overrides).map_or(0, |text| text.chars().count());
    if length > MAX_CHARACTERS {
        let message = format!("Container Overrides length must be at most {MAX_CHARACTERS}: this is {length}");
        report.error(&Path::root(), message);
    }
    if !overrides.inference_accelerator_overrides.is_empty() {
        let path = Path::root().member("inferenceAcceleratorOverrides");
        report.error(&path, "Unsupported field 'inferenceAcceleratorOverrides'");
    }
}

/// A place in the definition, and what stands there by the overrides.
type Moves = Vec<(Path, Path)>;

fn applied(definition: &TaskDefinition, overrides: &TaskOverride, report: &mut Report) -> (TaskDefinition, Moves) {
    let mut definition = definition.clone();
    let mut moves = Moves::new();
    let text = |own: &mut Option<String>, other: &Option<String>| {
        if let Some(other) = other.as_ref().filter(|text| !text.is_empty()) {
            *own = Some(other.clone());
        }
    };
    text(&mut definition.cpu, &overrides.cpu);
    text(&mut definition.memory, &overrides.memory);
    text(&mut definition.execution_role_arn, &overrides.execution_role_arn);
    text(&mut definition.task_role_arn, &overrides.task_role_arn);
    replace(&mut definition.ephemeral_storage, &overrides.ephemeral_storage);
    let mut names = HashSet::new();
    for (index, one) in overrides.container_overrides.iter().enumerate() {
        let path = Path::root().member("containerOverrides").element(index);
        let name = one.name.as_deref().unwrap_or_default();
        let place = definition.container_definitions.iter().position(|container| container.name == name);
        match place {
            _ if name.is_empty() => report.error(&path.member("name"), "which container is overridden must be named"),
            None => {
                let message = format!("Override for container named {name} is not a container in the TaskDefinition.");
                report.error(&path.member("name"), message);
            }
            Some(_) if !names.insert(name) => {
                report.error(&path.member("name"), format!("container {name} is overridden twice"));
            }
            Some(place) => {
                let own = Path::container(place);
                let variables = container(&mut definition.container_definitions[place], one);
                let variable = |(from, to)| (environment(&own, from), environment(&path, to));
                moves.extend(variables.into_iter().map(variable));
                moves.push((own, path));
            }
        }
    }
    (definition, moves)
}

fn environment(container: &Path, index: usize) -> Path {
    container.member("environment").element(index)
}

/// Overrides one container. The answer: which of its variables stand where in the override.
fn container(own: &mut ContainerDefinition, other: &ContainerOverride) -> Vec<(usize, usize)> {
    replace(&mut own.command, &other.command);
    replace(&mut own.environment_files, &other.environment_files);
    replace(&mut own.cpu, &other.cpu);
    replace(&mut own.memory, &other.memory);
    replace(&mut own.memory_reservation, &other.memory_reservation);
    replace(&mut own.resource_requirements, &other.resource_requirements);
    let variables = other.environment.iter().flatten().enumerate();
    variables.map(|(index, variable)| (set(own.environment.get_or_insert_default(), variable), index)).collect()
}

/// Puts a variable in the place of the last one of its name, which is the one that counts; else behind all others.
fn set(variables: &mut Vec<KeyValuePair>, variable: &KeyValuePair) -> usize {
    let known = variables.iter().rposition(|one| one.name == variable.name);
    let place = known.unwrap_or(variables.len());
    match known {
        Some(place) => variables[place] = variable.clone(),
        None => variables.push(variable.clone()),
    }
    place
}

fn replace<T: Clone>(own: &mut Option<T>, other: &Option<T>) {
    if other.is_some() {
        own.clone_from(other);
    }
}

#[cfg(test)]
mod tests;
