//! What this host has room for: one container instance, with the host's CPU and memory or what the configuration says, less
//! what the tasks on it take.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::{Flock, FlockArg};

use super::engine::DEFAULT_CLUSTER;
use super::{Engine, ListedTask, OpsError, RunOptions};
use crate::ecs::error::EcsError;
use crate::ecs::service::{PlacementConstraint, PlacementStrategy};
use crate::plan::ports::{HostPort, wishes};
use crate::plan::{gpus, grants};
use crate::scheduler::{Attribute, Constraint, Instance, Lack, PlacementRules, Requirements, Strategy, place};
use crate::store::records::{GPUS, PORTS, ROOMS, Room};
use crate::validate::ValidTaskDefinition;

/// What a task of a definition takes of an instance: its size, or without one what its containers say; host ports, and GPUs.
pub(super) fn requirements(definition: &ValidTaskDefinition) -> Requirements {
    let containers = || definition.containers();
    let cpu =
        definition.cpu_units().map_or_else(|| containers().map(|one| u64::from(one.cpu_units())).sum(), u64::from);
    let of =
        |one: crate::validate::ValidContainer| one.memory_mib().or(one.memory_reservation_mib()).map_or(0, u64::from);
    let memory = definition.memory_mib().map_or_else(|| containers().map(of).sum(), u64::from);
    let mode = definition.network_mode();
    let wishes = definition.definition().container_definitions.iter().flat_map(|one| wishes(one, mode));
    let ports = wishes.filter_map(|wish| Some(HostPort { protocol: wish.protocol, port: wish.host? })).collect();
    let gpus = gpus::wanted(&definition.definition().container_definitions);
    Requirements { cpu, memory, gpus, ports, constraints: Vec::new() }
}

/// The constraints of the definition itself.
pub(super) fn constraints(definition: &ValidTaskDefinition) -> Result<Vec<Constraint>, EcsError> {
    let Some(given) = &definition.definition().placement_constraints else { return Ok(Vec::new()) };
    let given = serde_json::from_value::<Vec<PlacementConstraint>>(given.clone());
    let given = given.map_err(|error| EcsError::invalid_parameter(format!("placementConstraints: {error}")))?;
    Ok(rules(&given, &[])?.constraints)
}

/// The rules of a request, or what is wrong with them.
pub(super) fn rules(
    constraints: &[PlacementConstraint],
    strategies: &[PlacementStrategy],
) -> Result<PlacementRules, EcsError> {
    let constraint = |one: &PlacementConstraint| match (one.r#type.as_str(), &one.expression) {
        ("distinctInstance", None) => Ok(Constraint::DistinctInstance),
        ("memberOf", Some(expression)) => {
            let parsed = expression.parse().map_err(|error| EcsError::invalid_parameter(format!("{error}")));
            parsed.map(Constraint::MemberOf)
        }
        ("distinctInstance", Some(_)) => Err(EcsError::invalid_parameter("distinctInstance takes no expression.")),
        ("memberOf", None) => Err(EcsError::invalid_parameter("memberOf needs an expression.")),
        (other, _) => Err(EcsError::invalid_parameter(format!("Invalid placement constraint type: {other}"))),
    };
    let strategy = |one: &PlacementStrategy| match (one.r#type.as_str(), one.field.as_deref()) {
        ("random", _) => Ok(Strategy::Random),
        ("spread", Some(field)) => Ok(Strategy::Spread(field.to_owned())),
        ("binpack", Some(field)) if field.eq_ignore_ascii_case("cpu") => Ok(Strategy::BinpackCpu),
        ("binpack", Some(field)) if field.eq_ignore_ascii_case("memory") => Ok(Strategy::BinpackMemory),
        (kind, field) => {
            let field = field.unwrap_or_default();
            Err(EcsError::invalid_parameter(format!("Invalid placement strategy: {kind} {field}")))
        }
    };
    Ok(PlacementRules {
        constraints: constraints.iter().map(constraint).collect::<Result<_, _>>()?,
        strategies: strategies.iter().map(strategy).collect::<Result<_, _>>()?,
    })
}

impl Engine {
    /// This host as an instance.
    pub(super) fn instances(&self) -> Result<Vec<Instance>, OpsError> {
        let rooms = self.store.list::<Room>(ROOMS)?;
        let taken = |of: fn(&Room) -> u64| rooms.iter().map(|room| of(&room.value)).sum::<u64>();
        let ports = self.store.list_text(PORTS)?;
        let port = |key: &str| key.strip_prefix(PORTS)?.parse().ok();
        let gpus = self.config.instance.gpus.len().saturating_sub(self.store.list_text(GPUS)?.len());
        let (cpu, memory) = self.capacity()?;
        let zone = format!("{}a", self.config.region);
        let attribute = |name: &str, value: &str| Attribute { name: name.to_owned(), value: Some(value.to_owned()) };
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
        Ok(vec![Instance {
            id: format!("{:0>32}", self.layout.tag()),
            zone,
            cpu: cpu.saturating_sub(taken(|room| room.cpu)),
            memory: memory.saturating_sub(taken(|room| room.memory)),
            gpus,
            ports: ports.iter().filter_map(|lease| port(&lease.key)).collect(),
            attributes: vec![
                attribute("ecs.os-type", "linux"),
                attribute("ecs.os-family", "LINUX"),
                attribute("ecs.cpu-architecture", architecture),
            ],
            refuses: Vec::new(),
            draining: false,
        }])
    }

    /// Instances, each with those of some definitions (`FAMILY:REVISION`) that want what its configuration does not grant.
    pub(super) fn instances_for(
        &self,
        mut instances: Vec<Instance>,
        definitions: &[String],
    ) -> Result<Vec<Instance>, OpsError> {
        let mut refuses = Vec::new();
        for name in definitions {
            // One that is gone says why when a task of it is to start.
            let Ok((definition, _)) = self.runnable(name, Some(name)) else { continue };
            refuses.extend(grants::missing(definition.definition(), &self.config.instance).map(|_| name.clone()));
        }
        instances.iter_mut().for_each(|instance| instance.refuses.clone_from(&refuses));
        Ok(instances)
    }

    /// The instance that has room for one more task of a revision, and is the best one for it.
    pub(super) fn check_room(
        &self,
        definition: &ValidTaskDefinition,
        options: &RunOptions,
    ) -> Result<String, OpsError> {
        self.places(definition, options)?.next().map_err(|(_, reason)| OpsError::NoRoom { reason })
    }

    /// Where tasks of a revision can be.
    pub(super) fn places(&self, definition: &ValidTaskDefinition, options: &RunOptions) -> Result<Places, OpsError> {
        let instances = self.instances_for_run(definition, options)?;
        let distinct = options.placement.is_distinct();
        let others = match distinct || instances.len() > 1 {
            true => self.alive_in_group(definition.family(), options)?,
            false => BTreeMap::new(),
        };
        Ok(Places {
            instances,
            needs: Requirements { constraints: constraints(definition)?, ..requirements(definition) },
            rules: options.placement.clone(),
            others,
            granted: grants::missing(definition.definition(), &self.config.instance).is_none(),
        })
    }

    /// Whether this host is what the definition asks for, however little room there is.
    pub(super) fn check_constraints(&self, definition: &ValidTaskDefinition) -> Result<(), OpsError> {
        let needs = Requirements { constraints: constraints(definition)?, ..Requirements::default() };
        if needs.constraints.is_empty() {
            return Ok(());
        }
        let found = place(&self.instances()?, &needs, &PlacementRules::default(), &|_| Ok(0));
        found.map(drop).map_err(|shortage| OpsError::NoRoom { reason: shortage.reason() })
    }

    /// How many tasks of the group that a task is to be in are to run, by their instances.
    fn alive_in_group(&self, family: &str, options: &RunOptions) -> Result<BTreeMap<String, usize>, OpsError> {
        let group_of = |group: Option<&String>, family: &str| {
            group.cloned().unwrap_or_else(|| format!("family:{family}")) // as ECS names those that name none
        };
        let (group, cluster) =
            (group_of(options.group.as_ref(), family), options.cluster.as_deref().unwrap_or(DEFAULT_CLUSTER));
        let all: Vec<ListedTask> = self.live_records()?;
        let alive = all.iter().filter(|one| {
            let stops = one.desired.is_some() || one.state.stop.is_some();
            !stops && one.plan.cluster == cluster && group_of(one.plan.group.as_ref(), &one.plan.family) == group
        });
        let mut counts = BTreeMap::new();
        for one in alive {
            *counts.entry(one.plan.asked.container_instance.clone().unwrap_or_else(|| self.host_id())).or_default() +=
                1;
        }
        Ok(counts)
    }

    /// CPU units and MiB of this host that tasks may have.
    pub(super) fn capacity(&self) -> Result<(u64, u64), OpsError> {
        let cpus = || std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
        let cpu = self.config.capacity.cpu.unwrap_or_else(|| cpus() * 1024);
        let memory = match self.config.capacity.memory_mib {
            Some(memory) => memory,
            None => memory_of_host()?,
        };
        Ok((cpu, memory))
    }

    /// Whoever looks for room holds this until the task that takes it is on record.
    pub(super) fn lock_capacity(&self) -> Result<Flock<fs::File>, OpsError> {
        let path = self.layout.state.join("capacity.lock");
        let fail = |verb| {
            let path = path.clone();
            move |source| OpsError::File { verb, path, source }
        };
        let file = fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(fail("open"))?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| fail("lock")(errno.into()))
    }
}

/// Instances, and what tasks of one revision take of them, one after the other.
pub(super) struct Places {
    instances: Vec<Instance>,
    needs: Requirements,
    rules: PlacementRules,
    /// How many tasks of the same group there are on each.
    others: BTreeMap<String, usize>,
    /// Whether the host's configuration grants what they want.
    granted: bool,
}

impl Places {
    /// The best instance for one more task, which takes its room; else the nearest one, and RunTask's reason.
    pub(super) fn next(&mut self) -> Result<String, (Option<String>, &'static str)> {
        let distinct = self.rules.is_distinct();
        let found = place(&self.instances, &self.needs, &self.rules, &|one| match self
            .others
            .get(&one.id)
            .copied()
            .unwrap_or(0)
        {
            _ if !self.granted => Err(Lack::Attribute),
            0 => Ok(0),
            _ if distinct => Err(Lack::Distinct),
            others => Ok(others),
        });
        let nearest = || self.instances.first().map(|one| one.id.clone());
        let place = found.map_err(|shortage| (nearest(), shortage.reason()))?;
        let instance = &mut self.instances[place];
        instance.take(&self.needs);
        let id = instance.id.clone();
        *self.others.entry(id.clone()).or_default() += 1;
        Ok(id)
    }
}

fn memory_of_host() -> Result<u64, OpsError> {
    let path = "/proc/meminfo";
    let text = fs::read_to_string(path).map_err(|source| OpsError::File { verb: "read", path: path.into(), source })?;
    let kibibytes =
        text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    Ok(kibibytes.unwrap_or(0_u64) / 1024)
}
