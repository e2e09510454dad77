//! A container instance as DescribeContainerInstances answers it, and as filters and placement see it.

use super::super::{Engine, OpsError};
use super::record::{InstanceRecord, InstanceStatus, Registration};
use crate::ecs::container_instance::{
    Attribute, ContainerInstance, InstanceHealth, InstanceHealthCheck, Resource, VersionInfo,
};
use crate::ecs::{LaunchType, Timestamp};
use crate::lifecycle::LastStatus;
use crate::scheduler::{self, Instance};
use crate::store::records::{GPUS, PORTS, ROOMS, Room};

/// A task of instances, as far as they show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TaskOn {
    instance: String,
    status: LastStatus,
    group: String,
}

/// Whether somebody asks for the tasks of instances, all of which must be read for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tasks {
    /// They are looked at.
    Read,
    /// Nobody asks.
    Leave,
}

/// What the views of all instances of a cluster are made from, read once.
#[derive(Debug, Clone)]
pub(super) struct Surround {
    host: Instance,
    /// CPU units and MiB of the host.
    capacity: (u64, u64),
    rooms: Vec<Room>,
    /// Ports of the host that tasks have, `8080` by `tcp`.
    ports: Vec<(String, String)>,
    gpus: (usize, usize),
    tasks: Vec<TaskOn>,
    now: i64,
}

impl Engine {
    pub(super) fn surround(&self, cluster: &str, tasks: Tasks) -> Result<Surround, OpsError> {
        let host_id = self.host_id();
        let all = match tasks {
            Tasks::Read => self.briefs()?,
            Tasks::Leave => Vec::new(),
        };
        let tasks = all.iter().filter(|task| {
            task.cluster == cluster && task.launch_type == LaunchType::Ec2 && task.status != LastStatus::Stopped
        });
        let tasks = tasks.map(|task| TaskOn {
            instance: task.container_instance.clone().unwrap_or_else(|| host_id.clone()),
            status: task.status,
            group: task.group.clone(),
        });
        let port = |key: &str| {
            let (port, protocol) = key.strip_prefix(PORTS)?.split_once('/')?;
            Some((port.to_owned(), protocol.to_owned()))
        };
        Ok(Surround {
            tasks: tasks.collect(),
            host: self.host_instance()?,
            capacity: self.capacity()?,
            rooms: self.store.list::<Room>(ROOMS)?.into_iter().map(|entry| entry.value).collect(),
            ports: self.store.list_text(PORTS)?.iter().filter_map(|entry| port(&entry.key)).collect(),
            gpus: (self.config.instance.gpus.len(), self.store.list_text(GPUS)?.len()),
            now: crate::sys::time::wall_ns() / 1_000_000,
        })
    }

    /// An instance as the answer shows it.
    pub(super) fn instance_view(&self, cluster: &str, record: &InstanceRecord, around: &Surround) -> ContainerInstance {
        let placed = around.instance(record);
        let count = |which: fn(LastStatus) -> bool| {
            let of = around.tasks.iter().filter(|task| task.instance == record.id && which(task.status));
            u32::try_from(of.count()).unwrap_or(u32::MAX)
        };
        let version_info = match &record.registration {
            Some(registration) => registration.version_info.clone(),
            None => VersionInfo {
                agent_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
                agent_hash: None,
                docker_version: None,
            },
        };
        let shown = |one: &scheduler::Attribute| Attribute {
            name: one.name.clone(),
            value: one.value.clone(),
            ..Attribute::default()
        };
        let attributes = placed.attributes.iter().filter(|one| !one.is_fact()).map(shown).collect();
        ContainerInstance {
            container_instance_arn: self.owner().container_instance(cluster, &record.id),
            ec2_instance_id: Some(record.ec2_instance_id()),
            capacity_provider_name: None,
            version: record.version,
            version_info,
            remaining_resources: around.remaining(record, &placed),
            registered_resources: around.registered(record),
            status: record.status.word().to_owned(),
            agent_connected: record.is_connected(),
            running_tasks_count: count(|status| status == LastStatus::Running),
            pending_tasks_count: count(|status| status < LastStatus::Running),
            agent_update_status: record.agent_update.clone(),
            attributes,
            registered_at: Timestamp::from_millis(record.registered_at),
            attachments: Vec::new(),
            tags: Vec::new(),
            health_status: None,
        }
    }
}

impl InstanceRecord {
    /// This host has one in EC2's form as well: it is what filters call `ec2InstanceId`.
    pub(super) fn ec2_instance_id(&self) -> String {
        match &self.registration {
            Some(registration) => registration.ec2_instance_id.clone(),
            None => format!("i-{}", &self.id[self.id.len().saturating_sub(17)..]),
        }
    }

    /// Whoever carries its tasks is berth itself, which is there as long as it is registered.
    pub(super) fn is_connected(&self) -> bool {
        self.status != InstanceStatus::Inactive
    }
}

impl Surround {
    /// An instance as placement sees it, with what is left on it.
    pub(super) fn instance(&self, record: &InstanceRecord) -> Instance {
        let draining = record.status == InstanceStatus::Draining;
        let mut instance = Instance { id: record.id.clone(), draining, ..self.host.clone() };
        if let Some(of) = &record.registration {
            let taken = |count: fn(&Room) -> u64| {
                let on = self.rooms.iter().filter(|room| room.instance.as_deref() == Some(&record.id));
                on.map(count).sum::<u64>()
            };
            instance.cpu = instance.cpu.min(of.cpu.saturating_sub(taken(|room| room.cpu)));
            instance.memory = instance.memory.min(of.memory.saturating_sub(taken(|room| room.memory)));
            instance.zone.clone_from(&of.zone);
        }
        let zone =
            scheduler::Attribute { name: "ecs.availability-zone".to_owned(), value: Some(instance.zone.clone()) };
        instance.attributes.push(zone);
        for given in &record.attributes {
            instance.attributes.retain(|one| one.name != given.name);
            instance.attributes.push(scheduler::Attribute { name: given.name.clone(), value: given.value.clone() });
        }
        instance.attributes.extend(self.facts(record));
        instance
    }

    /// What filters and constraints ask of an instance besides its attributes.
    fn facts(&self, record: &InstanceRecord) -> Vec<scheduler::Attribute> {
        let on = || self.tasks.iter().filter(|task| task.instance == record.id);
        let running = on().filter(|task| task.status == LastStatus::Running).count();
        let registered = jiff::Timestamp::from_millisecond(record.registered_at).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let version = record.registration.as_ref().and_then(|of| of.version_info.agent_version.clone());
        let version = version.unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned());
        let mut groups: Vec<&str> = on().map(|task| task.group.as_str()).collect();
        groups.sort_unstable();
        groups.dedup();
        let fact = |name: &str, value: String| scheduler::Attribute::fact(name, value);
        [
            fact("agentConnected", record.is_connected().to_string()),
            fact("agentVersion", version),
            fact("ec2InstanceId", record.ec2_instance_id()),
            fact("registeredAt", registered.to_string()),
            fact("runningTasksCount", running.to_string()),
        ]
        .into_iter()
        .chain(groups.into_iter().map(|group| fact("task:group", group.to_owned())))
        .collect()
    }

    fn registered(&self, record: &InstanceRecord) -> Vec<Resource> {
        let none = Registration::default();
        let of = record.registration.as_ref();
        let (cpu, memory) = of.map_or(self.capacity, |of| (of.cpu, of.memory));
        let kept = of.unwrap_or(&none);
        let mut all = vec![integer("CPU", cpu), integer("MEMORY", memory), strings("PORTS", kept.ports.clone())];
        all.push(strings("PORTS_UDP", kept.ports_udp.clone()));
        if of.is_none() && self.gpus.0 > 0 {
            all.push(strings("GPU", (0..self.gpus.0).map(|number| number.to_string()).collect()));
        }
        all
    }

    fn remaining(&self, record: &InstanceRecord, placed: &Instance) -> Vec<Resource> {
        let of = record.registration.clone().unwrap_or_default();
        let taken = |protocol: &str, kept: Vec<String>| {
            let used = self.ports.iter().filter(|(_, of)| of == protocol).map(|(port, _)| port.clone());
            let mut all: Vec<String> = kept.into_iter().chain(used).collect();
            all.sort_by_key(|port| (port.len(), port.clone()));
            all.dedup();
            all
        };
        let mut all = vec![
            integer("CPU", placed.cpu),
            integer("MEMORY", placed.memory),
            strings("PORTS", taken("tcp", of.ports)),
            strings("PORTS_UDP", taken("udp", of.ports_udp)),
        ];
        if record.registration.is_none() && self.gpus.0 > 0 {
            all.push(strings(
                "GPU",
                (self.gpus.1.min(self.gpus.0)..self.gpus.0).map(|number| number.to_string()).collect(),
            ));
        }
        all
    }

    /// Whether an instance is well: what carries its containers is this program, which has just answered.
    pub(super) fn health(&self, record: &InstanceRecord) -> InstanceHealth {
        let (status, since) = ("OK".to_owned(), Timestamp::from_millis(record.registered_at));
        let check = InstanceHealthCheck {
            r#type: "CONTAINER_RUNTIME".to_owned(),
            status: status.clone(),
            last_updated: Timestamp::from_millis(self.now),
            last_status_change: since,
        };
        InstanceHealth { overall_status: status, details: vec![check] }
    }

    /// How many tasks are on an instance.
    pub(super) fn tasks_on(&self, id: &str) -> usize {
        self.tasks.iter().filter(|task| task.instance == id).count()
    }
}

fn integer(name: &str, value: u64) -> Resource {
    let integer_value = i64::try_from(value).unwrap_or(i64::MAX).min(i64::from(i32::MAX));
    Resource { name: name.to_owned(), r#type: "INTEGER".to_owned(), integer_value, ..Resource::default() }
}

fn strings(name: &str, values: Vec<String>) -> Resource {
    let (name, r#type) = (name.to_owned(), "STRINGSET".to_owned());
    Resource { name, r#type, string_set_value: Some(values), ..Resource::default() }
}
