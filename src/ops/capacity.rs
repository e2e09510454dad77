//! What this host has room for: one container instance, with the host's CPU and memory or what the configuration says, less
//! what the tasks on it take.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::{Flock, FlockArg};

use super::{Engine, OpsError};
use crate::ecs::error::EcsError;
use crate::ecs::service::{PlacementConstraint, PlacementStrategy};
use crate::ecs::task_definition::NetworkMode;
use crate::scheduler::{Attribute, Constraint, Instance, PlacementRules, Requirements, Strategy, place};
use crate::store::records::{PORTS, ROOMS, Room};
use crate::validate::ValidTaskDefinition;

/// What a task of a definition takes of an instance: its size, or without one what its containers say; and host ports.
pub(super) fn requirements(definition: &ValidTaskDefinition) -> Requirements {
    let containers = || definition.containers();
    let cpu =
        definition.cpu_units().map_or_else(|| containers().map(|one| u64::from(one.cpu_units())).sum(), u64::from);
    let of =
        |one: crate::validate::ValidContainer| one.memory_mib().or(one.memory_reservation_mib()).map_or(0, u64::from);
    let memory = definition.memory_mib().map_or_else(|| containers().map(of).sum(), u64::from);
    let shares_host = matches!(definition.network_mode(), NetworkMode::Bridge | NetworkMode::Host);
    let mappings =
        definition.definition().container_definitions.iter().flat_map(|one| one.port_mappings.iter().flatten());
    let ports = mappings.filter_map(|mapping| u16::try_from(mapping.host_port?).ok()).filter(|port| *port != 0);
    Requirements { cpu, memory, ports: ports.filter(|_| shares_host).collect(), constraints: Vec::new() }
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
    /// The instances of a cluster: this host.
    pub(super) fn instances(&self) -> Result<Vec<Instance>, OpsError> {
        let rooms = self.store.list::<Room>(ROOMS)?;
        let taken = |of: fn(&Room) -> u64| rooms.iter().map(|room| of(&room.value)).sum::<u64>();
        let ports = self.store.list_text(PORTS)?;
        let port = |key: &str| key.strip_prefix(PORTS)?.split('/').next()?.parse().ok();
        let (cpu, memory) = self.capacity()?;
        let zone = format!("{}a", self.config.region);
        let attribute = |name: &str, value: &str| Attribute { name: name.to_owned(), value: Some(value.to_owned()) };
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
        Ok(vec![Instance {
            id: format!("{:0>32}", self.layout.tag()),
            zone,
            cpu: cpu.saturating_sub(taken(|room| room.cpu)),
            memory: memory.saturating_sub(taken(|room| room.memory)),
            ports: ports.iter().filter_map(|lease| port(&lease.key)).collect(),
            attributes: vec![
                attribute("ecs.os-type", "linux"),
                attribute("ecs.os-family", "LINUX"),
                attribute("ecs.cpu-architecture", architecture),
            ],
        }])
    }

    /// Whether there is room for one more task.
    pub(super) fn check_room(&self, definition: &ValidTaskDefinition, rules: &PlacementRules) -> Result<(), OpsError> {
        let instances = self.instances()?;
        let found = place(&instances, &requirements(definition), rules, &|_| Ok(0));
        found.map(drop).map_err(|shortage| OpsError::NoRoom { reason: shortage.reason() })
    }

    /// CPU units and MiB of this host that tasks may have.
    fn capacity(&self) -> Result<(u64, u64), OpsError> {
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

fn memory_of_host() -> Result<u64, OpsError> {
    let path = "/proc/meminfo";
    let text = fs::read_to_string(path).map_err(|source| OpsError::File { verb: "read", path: path.into(), source })?;
    let kibibytes =
        text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    Ok(kibibytes.unwrap_or(0_u64) / 1024)
}
