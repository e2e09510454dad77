//! What ECS demands of a task definition as a whole: names, sizes, and what its containers must be together. Texts are
//! ECS's own where they are known. Called by `validate`.

use std::collections::{HashMap, HashSet};

use super::expression::Expression;
use super::log_rules;
use super::network_rules;
use super::order;
use super::report::{Path, Report, Words};
use super::sizes;
use super::support::Target;
use super::volume_rules;
use crate::ecs::arn::is_name;
use crate::ecs::container_definition::ContainerCondition;
use crate::ecs::service::PlacementConstraint;
use crate::ecs::task_definition::{Compatibility, NetworkMode, Tag};
use crate::ecs::{ContainerDefinition, TaskDefinition};

/// More containers than this ECS does not take, and no rule looks at.
pub(super) const MAX_CONTAINERS: usize = 10;

/// The task's size in plain units, as far as it is given and can be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub cpu_units: Option<u32>,
    pub memory_mib: Option<u32>,
}

/// What the definition says that it is for.
pub(super) fn target(definition: &TaskDefinition) -> Target {
    match definition.requires_compatibilities.iter().flatten().any(|one| *one == Compatibility::Fargate) {
        true => Target::Fargate,
        false => Target::Instance,
    }
}

/// Everything about the task but its containers, one by one.
pub(super) fn check(definition: &TaskDefinition, target: Target, report: &mut Report) -> Size {
    family(definition, report);
    network_rules::check_task(definition, target, report);
    let size = size(definition, target, report);
    storage(definition, target, report);
    placement(definition, target, report);
    tags(definition.tags.as_deref().unwrap_or_default(), report);
    let containers = definition.container_definitions.get(..MAX_CONTAINERS);
    let containers = containers.unwrap_or(&definition.container_definitions);
    count(definition.container_definitions.len(), report);
    unique_names(containers, report);
    essential(containers, report);
    cpu_sum(containers, size, report);
    dependencies(containers, report);
    port_names(containers, network_rules::mode(definition), report);
    volume_rules::check(definition, containers, report);
    log_rules::router(containers, report);
    size
}

fn family(definition: &TaskDefinition, report: &mut Report) {
    let path = Path::root().member("family");
    if definition.family.is_empty() {
        report.error(&path, "Family should not be null or empty.");
    } else if !is_name(&definition.family) {
        report.error(&path, "a family is 1 to 255 letters, digits, hyphens and underscores");
    }
}

fn size(definition: &TaskDefinition, target: Target, report: &mut Report) -> Size {
    let (cpu, memory) = (Path::root().member("cpu"), Path::root().member("memory"));
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (cpu_text, memory_text) = (given(&definition.cpu), given(&definition.memory));
    if target == Target::Fargate {
        for (path, text) in [(&cpu, &cpu_text), (&memory, &memory_text)] {
            if text.is_none() {
                report.error(path, format!("Fargate requires that '{path}' be defined at the task level."));
            }
        }
    }
    let size = Size {
        cpu_units: cpu_text.as_deref().and_then(sizes::cpu_units),
        memory_mib: memory_text.as_deref().and_then(sizes::memory_mib),
    };
    if cpu_text.is_some() && size.cpu_units.is_none() {
        let help = "CPU units (\"256\") or vCPUs (\".25 vCPU\")".to_owned();
        report.error(&cpu, Words::new("Invalid 'cpu' setting for task.").help(help));
    }
    if memory_text.is_some() && size.memory_mib.is_none_or(|mib| mib == 0) {
        let help = "MiB (\"512\") or gigabytes (\"0.5 GB\")".to_owned();
        report.error(&memory, Words::new("Invalid 'memory' setting for task.").help(help));
    }
    match target {
        Target::Fargate => pair(size, report),
        Target::Instance => {
            // 0.125 to 192 vCPU: the RegisterTaskDefinition reference.
            if size.cpu_units.is_some_and(|units| !(128..=196_608).contains(&units)) {
                let help = "it must be between 128 and 196608 CPU units".to_owned();
                report.error(&cpu, Words::new("Invalid 'cpu' setting for task.").help(help));
            }
        }
    }
    size
}

fn pair(size: Size, report: &mut Report) {
    let Size { cpu_units: Some(cpu), memory_mib: Some(memory) } = size else { return };
    let fits = sizes::fargate_memory(cpu);
    if fits.contains(&memory) {
        return;
    }
    let words = format!(
        "No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. See the Amazon ECS documentation for \
         the valid values."
    );
    let list = |numbers: &[u32]| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let known: Vec<u32> = sizes::fargate_cpu().collect();
    let (member, help) = match fits.is_empty() {
        true => ("cpu", format!("cpu is one of {}", list(&known))),
        false => ("memory", format!("with {cpu} CPU, memory is one of {}", list(&fits))),
    };
    report.error(&Path::root().member(member), Words::new(words).help(help));
}

fn storage(definition: &TaskDefinition, target: Target, report: &mut Report) {
    let Some(storage) = &definition.ephemeral_storage else { return };
    let path = Path::root().member("ephemeralStorage");
    match storage.size_in_gib {
        _ if target == Target::Instance => {
            report.refused_by_ecs(&path, "Tasks using the EC2 launch type do not support EphemeralStorage");
        }
        ..21 => report.error(&path.member("sizeInGiB"), "EphemeralStorage size should be at least 21"),
        21..=200 => {}
        201.. => report.error(&path.member("sizeInGiB"), "EphemeralStorage size should be at most 200"),
    }
}

fn tags(tags: &[Tag], report: &mut Report) {
    let path = Path::root().member("tags");
    if tags.len() > 50 {
        report.error(&path, "more than 50 tags");
    }
    let mut keys = HashSet::new();
    for (index, tag) in tags.iter().enumerate() {
        let key = tag.key.as_deref().unwrap_or_default();
        if !(1..=128).contains(&key.chars().count()) {
            report.error(&path.element(index), "the key of a tag has 1 to 128 characters");
        } else if !keys.insert(key) {
            report.error(&path.element(index).member("key"), "this key stands twice");
        }
        if tag.value.as_deref().unwrap_or_default().chars().count() > 256 {
            report.error(&path.element(index).member("value"), "the value of a tag has at most 256 characters");
        }
    }
}

/// ECS's limits: RegisterTaskDefinition takes 10 constraints, all of them memberOf. What Fargate says of them is in the table of
/// fields.
fn placement(definition: &TaskDefinition, target: Target, report: &mut Report) {
    let path = Path::root().member("placementConstraints");
    let Some(given) = definition.placement_constraints.as_ref().filter(|_| target == Target::Instance) else { return };
    // One without a type has been refused by the table.
    let Ok(given) = serde_json::from_value::<Vec<PlacementConstraint>>(given.clone()) else { return };
    if given.len() > 10 {
        report.error(&path, "more than 10 placement constraints");
    }
    for (index, constraint) in given.iter().enumerate() {
        let path = path.element(index);
        match (constraint.r#type.as_str(), constraint.expression.as_deref().unwrap_or_default()) {
            ("memberOf", "") => report.error(&path.member("expression"), "memberOf needs an expression."),
            ("memberOf", text) if text.chars().count() > 2000 => {
                report.error(&path.member("expression"), "a placement expression has at most 2000 characters");
            }
            ("memberOf", text) => {
                if let Err(error) = text.parse::<Expression>() {
                    report.error(&path.member("expression"), error.to_string());
                }
            }
            _ => report.error(&path.member("type"), "a task definition takes constraints of the type memberOf only"),
        }
    }
}

fn count(containers: usize, report: &mut Report) {
    let path = Path::root().member("containerDefinitions");
    match containers {
        0 => report.error(&path, "Container list cannot be empty"),
        1..=MAX_CONTAINERS => {}
        _ => report.error(&path, format!("Too many containers: {containers}, and at most {MAX_CONTAINERS} are taken")),
    }
}

fn unique_names(containers: &[ContainerDefinition], report: &mut Report) {
    let mut names = HashSet::new();
    for (index, container) in containers.iter().enumerate() {
        if !container.name.is_empty() && !names.insert(&container.name) {
            let path = Path::container(index).member("name");
            report.error(&path, "Container names must be unique within a task definition");
        }
    }
}

fn essential(containers: &[ContainerDefinition], report: &mut Report) {
    if !containers.is_empty() && containers.iter().all(|container| container.essential == Some(false)) {
        let path = Path::root().member("containerDefinitions");
        report.error(&path, "Task definition doesn't have any essential container");
    }
}

fn cpu_sum(containers: &[ContainerDefinition], size: Size, report: &mut Report) {
    let sum: i64 = containers.iter().filter_map(|container| container.cpu).map(i64::from).sum();
    if let Some(limit) = size.cpu_units.filter(|units| sum > i64::from(*units)) {
        let words = "The sum of all container 'cpu' values cannot be greater than the task-level 'cpu' value";
        let help = format!("{sum} is greater than {limit}");
        report.error(&Path::root().member("cpu"), Words::new(words).help(help));
    }
}

fn dependencies(containers: &[ContainerDefinition], report: &mut Report) {
    for (index, container) in containers.iter().enumerate() {
        for (at, dependency) in container.depends_on.iter().flatten().enumerate() {
            let path = Path::container(index).member("dependsOn").element(at);
            let other = containers.iter().find(|other| other.name == dependency.container_name);
            let Some(other) = other else {
                let name = &dependency.container_name;
                let words = format!("Cannot depend on container {name} because it does not exist");
                report.error(&path.member("containerName"), words);
                continue;
            };
            let condition = path.member("condition");
            match dependency.condition {
                ContainerCondition::Complete | ContainerCondition::Success if other.essential != Some(false) => report
                    .error(
                        &condition,
                        "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container",
                    ),
                ContainerCondition::Healthy if !is_checked(other) => report.error(
                    &condition,
                    "A dependency container with HEALTHY condition must have health check configured",
                ),
                ContainerCondition::Start
                | ContainerCondition::Complete
                | ContainerCondition::Success
                | ContainerCondition::Healthy => {}
            }
        }
    }
    if let Err(cycle) = order::start_order(containers) {
        let round = cycle.iter().chain(cycle.first()).map(|index| containers[*index].name.as_str());
        let words = format!("dependsOn (and links) go round in a circle: {}", round.collect::<Vec<_>>().join(" -> "));
        let first = cycle.first().copied().unwrap_or_default();
        report.error(&Path::container(first).member("dependsOn"), words);
    }
}

fn is_checked(container: &ContainerDefinition) -> bool {
    container.health_check.as_ref().is_some_and(|check| check.command.first().is_some_and(|word| word != "NONE"))
}

fn port_names(containers: &[ContainerDefinition], mode: NetworkMode, report: &mut Report) {
    let share = matches!(mode, NetworkMode::Awsvpc | NetworkMode::Host);
    let mut names = HashSet::new();
    let mut ports: HashMap<(i32, bool), &str> = HashMap::new();
    for (index, container) in containers.iter().enumerate() {
        for (at, mapping) in container.port_mappings.iter().flatten().enumerate() {
            let path = Path::container(index).member("portMappings").element(at);
            let name = mapping.name.as_deref().filter(|name| !name.is_empty());
            if name.is_some_and(|name| !names.insert(name)) {
                report.error(&path.member("name"), "port mapping name is already used");
            }
            let udp = mapping.protocol.as_deref() == Some("udp");
            let other = mapping.container_port.and_then(|port| ports.insert((port, udp), &container.name));
            if let Some(other) = other.filter(|_| share) {
                let words = format!("container {other} has this port too: all containers of a task share localhost");
                report.warning(&path.member("containerPort"), words);
            }
        }
    }
}
