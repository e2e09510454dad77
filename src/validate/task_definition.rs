//! A task definition that can be run, and the one way to make one: `validate`. Past this module a definition is valid by
//! its type: sizes are numbers, defaults are filled in, names are names. Called by `ops`; read by `plan`.

use serde::{Deserialize, Serialize};

use super::container_rules::{self, Place};
use super::parse::Parsed;
use super::problem::Problem;
use super::report::{Path, Report};
use super::valid_container::ValidContainer;
use super::{network_rules, order, support, task_rules};
use crate::ecs::task_definition::{Compatibility, NetworkMode};
use crate::ecs::{ContainerDefinition, TaskDefinition};

/// ECS takes no definition that is longer than this without white space.
const MAX_BYTES: usize = 64 * 1024;

/// A definition that keeps all rules, in the form that ECS describes: sizes in plain units, its defaults filled in.
/// Serde writes and reads it for the store, which holds only what was valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ValidTaskDefinition(TaskDefinition);

/// Holds a definition against the table of fields and all rules. The second half of `Ok` are warnings; `Err` has every
/// error and warning. Both are in the order of the text.
pub fn validate(parsed: Parsed) -> Result<(ValidTaskDefinition, Vec<Problem>), Vec<Problem>> {
    let (definition, mut report) = parsed.into_parts();
    let Some(definition) = definition else { return Err(report.problems()) };
    check(&definition, &mut report);
    if report.has_errors() {
        return Err(report.problems());
    }
    Ok((ValidTaskDefinition::normal(definition), report.problems()))
}

pub(super) fn check(definition: &TaskDefinition, report: &mut Report) {
    let target = task_rules::target(definition);
    let value = serde_json::to_value(definition).unwrap_or_default();
    let bytes = value.to_string().len();
    if bytes > MAX_BYTES {
        report.error(&Path::root(), format!("the definition has {bytes} bytes, and ECS takes at most {MAX_BYTES}"));
        return;
    }
    support::check(&value, target, report);
    let task = task_rules::check(definition, target, report);
    let containers = definition.container_definitions.iter().take(task_rules::MAX_CONTAINERS);
    for (index, container) in containers.enumerate() {
        let execution_role = definition.execution_role_arn.as_deref();
        let mode = network_rules::mode(definition);
        let ipc_mode = definition.ipc_mode.as_deref();
        let place = Place { path: Path::container(index), target, mode, task, execution_role, ipc_mode };
        container_rules::check(container, &place, report);
    }
}

/// The definition as ECS describes it: sizes as plain units, and exactly the defaults that clients forgive.
fn normal(definition: TaskDefinition) -> TaskDefinition {
    let units =
        |text: Option<String>, read: fn(&str) -> Option<u32>| text.as_deref().and_then(read).map(|n| n.to_string());
    let mode = network_rules::mode(&definition);
    TaskDefinition {
        cpu: units(definition.cpu, super::sizes::cpu_units),
        memory: units(definition.memory, super::sizes::memory_mib),
        container_definitions: definition
            .container_definitions
            .into_iter()
            .map(|one| normal_container(one, mode))
            .collect(),
        ..definition
    }
}

fn normal_container(mut container: ContainerDefinition, mode: NetworkMode) -> ContainerDefinition {
    container.cpu.get_or_insert(0);
    container.essential.get_or_insert(true);
    container.environment.get_or_insert_default();
    container.mount_points.get_or_insert_default();
    container.volumes_from.get_or_insert_default();
    container.system_controls.get_or_insert_default();
    for mapping in container.port_mappings.get_or_insert_default() {
        let host_port = match mode {
            NetworkMode::Awsvpc | NetworkMode::Host => mapping.container_port,
            NetworkMode::Bridge | NetworkMode::None => mapping.container_port.map(|_| 0), // one is chosen for each task
        };
        mapping.host_port = mapping.host_port.or(host_port);
        let protocol = if super::port_rules::is_udp(mapping) { "udp" } else { "tcp" };
        mapping.protocol = Some(protocol.to_owned());
    }
    if let Some(check) = &mut container.health_check {
        check.interval.get_or_insert(30);
        check.timeout.get_or_insert(5);
        check.retries.get_or_insert(3);
    }
    container
}

impl ValidTaskDefinition {
    /// A definition that `check` has found nothing wrong with.
    pub(super) fn normal(definition: TaskDefinition) -> Self {
        Self(normal(definition))
    }

    /// The definition as ECS describes it, without what only registration sets.
    pub fn definition(&self) -> &TaskDefinition {
        &self.0
    }

    /// The family.
    pub fn family(&self) -> &str {
        &self.0.family
    }

    /// The task's CPU limit in CPU units (1024 = one CPU); on Fargate there always is one.
    pub fn cpu_units(&self) -> Option<u32> {
        self.0.cpu.as_deref().and_then(|units| units.parse().ok())
    }

    /// The task's memory limit in MiB; on Fargate there always is one.
    pub fn memory_mib(&self) -> Option<u32> {
        self.0.memory.as_deref().and_then(|mib| mib.parse().ok())
    }

    /// Whether it is for Fargate.
    pub fn is_fargate(&self) -> bool {
        self.0.requires_compatibilities.iter().flatten().any(|one| *one == Compatibility::Fargate)
    }

    /// How it is connected; absent means bridge.
    pub fn network_mode(&self) -> NetworkMode {
        network_rules::mode(&self.0)
    }

    /// The containers as they are listed: 1 to 10.
    pub fn containers(&self) -> impl ExactSizeIterator<Item = ValidContainer<'_>> {
        self.0.container_definitions.iter().map(ValidContainer::new)
    }

    /// The containers in an order in which they may start; they stop in its reverse.
    pub fn start_order(&self) -> Vec<ValidContainer<'_>> {
        let containers = &self.0.container_definitions;
        let order = order::start_order(containers).unwrap_or_else(|_| (0..containers.len()).collect());
        order.into_iter().map(|index| ValidContainer::new(&containers[index])).collect()
    }
}

#[cfg(test)]
mod tests;
