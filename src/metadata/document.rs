//! The documents about a task and its containers, from the plan and the record. Pure. Times are RFC 3339 here, and members that
//! have nothing to say are left out, as ECS's agent leaves them out.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::ecs::arn::Owner;
use crate::ecs::{HealthStatus, LaunchType};
use crate::lifecycle::{CheckEnd, Container, ContainerPhase, Exit, LastStatus, TaskState, Timestamp};
use crate::plan::TaskPlan;
use crate::plan::ports::{HostPort, Protocol};
use crate::plan::volume::{MountPlan, MountSource, VolumeSource};
use crate::plan::{Cidr, ContainerNetwork};

/// The version of the documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// The one without containers in its paths.
    V2,
    /// The same documents by container.
    V3,
    /// The one with networks in full.
    V4,
}

/// What the kernel knows of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// The most that it may be wrong, in microseconds.
    pub error_us: u64,
    /// Whether something keeps it right.
    pub is_synchronized: bool,
    /// What it says, in milliseconds.
    pub now: Timestamp,
}

/// How full a task's ephemeral storage is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storage {
    /// What is used.
    pub used: u64,
    /// What there is.
    pub size: u64,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// The tags of one of the two that a task is asked about, under the name that its document has for them; or why they
/// cannot be told, which ECS's agent says in the document too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// `TaskTags` or `ContainerInstanceTags`.
    pub member: &'static str,
    /// Whose they are.
    pub arn: String,
    /// The tags, or the reason.
    pub tags: Result<Vec<Tag>, String>,
}

/// What stands neither in the plan nor in the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Whether somebody wants the task stopped.
    pub stops: bool,
    /// The clock.
    pub clock: Clock,
    /// The ephemeral storage of a task that has some.
    pub storage: Option<Storage>,
}

/// An object that is being written: what is empty is left out.
struct Object(Map<String, Value>);

impl Object {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        let empty = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        };
        if !empty {
            self.0.insert(name.to_owned(), value);
        }
    }
}

/// The document about a task.
pub fn task_document(version: Version, plan: &TaskPlan, state: &TaskState, facts: &Facts) -> Value {
    let owner = Owner { region: plan.region.clone(), account: plan.account.clone() };
    let cluster = match plan.launch_type {
        LaunchType::Fargate => owner.cluster(&plan.cluster).to_string(),
        LaunchType::Ec2 | LaunchType::External | LaunchType::ManagedInstances => plan.cluster.clone(),
    };
    let mut task = Object(Map::new());
    task.put("Cluster", cluster);
    task.put("TaskARN", owner.task(&plan.cluster, &plan.id).to_string());
    task.put("Family", plan.family.clone());
    task.put("Revision", plan.revision.to_string());
    if version == Version::V4 {
        task.put("ServiceName", plan.group.as_deref().and_then(|group| group.strip_prefix("service:")));
    }
    task.put("DesiredStatus", desired(state, facts));
    task.put("KnownStatus", known(state.last_status));
    task.put("Limits", task_limits(plan));
    task.put("PullStartedAt", time(state.times.pull_started_at));
    task.put("PullStoppedAt", time(state.times.pull_stopped_at));
    task.put("ExecutionStoppedAt", execution_stopped_at(state).map(time));
    task.put("AvailabilityZone", plan.zone.clone());
    if version == Version::V4 {
        task.put("AvailabilityZoneID", zone_id(&plan.zone, &plan.region));
        task.put("LaunchType", launch_type(plan.launch_type));
    }
    let containers = (0..plan.containers.len()).map(|place| container_at(version, plan, state, facts, place));
    task.put("Containers", containers.collect::<Vec<_>>());
    if version == Version::V4 {
        task.put("VPCID", plan.agent.vpc.clone());
        task.put("Group", plan.group.clone().unwrap_or_else(|| format!("family:{}", plan.family)));
        task.put("ClockDrift", clock(facts.clock));
        task.put("EphemeralStorageMetrics", facts.storage.map(storage));
        task.put("FaultInjectionEnabled", plan.agent.fault_injection);
    }
    Value::Object(task.0)
}

/// The same with its tags and, where it was placed on one, those of its container instance.
pub fn task_with_tags(version: Version, plan: &TaskPlan, state: &TaskState, facts: &Facts, all: &[Tagged]) -> Value {
    let Value::Object(task) = task_document(version, plan, state, facts) else { unreachable!("it is an object") };
    let mut task = Object(task);
    let mut errors = Vec::new();
    for Tagged { member, arn, tags } in all {
        match tags {
            Ok(tags) => {
                let pairs = tags.iter().map(|tag| (tag.key.clone(), tag.value.clone().into()));
                task.put(member, Value::Object(pairs.collect()));
            }
            Err(reason) => errors.push(json!({
                "ErrorField": member, "ErrorCode": "ServerException", "ErrorMessage": reason, "StatusCode": 500,
                "ResourceARN": arn,
            })),
        }
    }
    task.put("Errors", errors);
    Value::Object(task.0)
}

/// The document about the container with this runtime id; `None` if the task has none such.
pub fn container_document(
    version: Version,
    plan: &TaskPlan,
    state: &TaskState,
    facts: &Facts,
    id: &str,
) -> Option<Value> {
    let place = plan.containers.iter().position(|container| container.runtime_id == id)?;
    Some(container_at(version, plan, state, facts, place))
}

fn container_at(version: Version, plan: &TaskPlan, state: &TaskState, facts: &Facts, place: usize) -> Value {
    let (container, now) = (&plan.containers[place], &state.containers[place]);
    let agent = plan.agent.containers.get(place).cloned().unwrap_or_default();
    let owner = Owner { region: plan.region.clone(), account: plan.account.clone() };
    let mut all = Object(Map::new());
    all.put("DockerId", container.runtime_id.clone());
    all.put("Name", container.name.clone());
    all.put("DockerName", container.name.clone());
    all.put("Image", container.image.clone());
    all.put("ImageID", container.image_digest.clone());
    all.put("Ports", ports(plan, place, &agent.ports));
    all.put("Labels", json!(container.labels));
    all.put("DesiredStatus", desired(state, facts));
    all.put("KnownStatus", container_status(now));
    let exit = now.exit.filter(|_| now.phase == ContainerPhase::Stopped);
    all.put("ExitCode", exit.and_then(|exit| if let Exit::Code(code) = exit { Some(code) } else { None }));
    all.put("Limits", container_limits(plan, &agent));
    all.put("CreatedAt", now.started_at.map(|_| time(state.times.pull_stopped_at)));
    all.put("StartedAt", now.restarted_at.or(now.started_at).map(time));
    all.put("FinishedAt", now.finished_at.map(time));
    all.put("Type", "NORMAL");
    all.put("Health", health(now));
    all.put("Volumes", volumes(plan, place));
    all.put("LogDriver", agent.log_driver);
    all.put("LogOptions", json!(log_options(plan, place, agent.log_options)));
    all.put("ContainerARN", owner.container(&plan.cluster, &plan.id, &container.arn_id).to_string());
    if version == Version::V4 {
        // Told of a container that may be restarted, even if it never was.
        all.put("RestartCount", container.restart.as_ref().map(|_| now.restarts));
    }
    all.put("Networks", networks(version, plan, place));
    if version == Version::V4 {
        all.put("Snapshotter", "overlayfs");
    }
    Value::Object(all.0)
}

/// The options as the driver has them: of awslogs the stream, not what its name begins with.
fn log_options(plan: &TaskPlan, place: usize, mut options: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let log = &plan.containers[place].log;
    if let Some(stream) = log.stream.as_ref().filter(|_| options.contains_key("awslogs-group")) {
        options.remove("awslogs-stream-prefix");
        options.insert("awslogs-stream".to_owned(), stream.stream.clone());
    }
    options
}

fn task_limits(plan: &TaskPlan) -> Value {
    let mut limits = Object(Map::new());
    let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<u32>().ok());
    limits.put("CPU", number(&plan.cpu).map(|units| f64::from(units) / 1024.0));
    limits.put("Memory", number(&plan.memory));
    Value::Object(limits.0)
}

/// A container without a share of its own has the least, 2; without a limit of memory, its task's.
fn container_limits(plan: &TaskPlan, agent: &crate::plan::agent::AgentContainer) -> Value {
    let memory = agent.memory.or_else(|| plan.memory.as_deref().and_then(|text| text.parse().ok()));
    let mut limits = Object(Map::new());
    limits.put("CPU", agent.cpu.max(2));
    limits.put("Memory", memory);
    Value::Object(limits.0)
}

fn ports(plan: &TaskPlan, place: usize, own: &[(u16, String)]) -> Value {
    let bound = plan.network.ports(place);
    if plan.network.eni().is_some() {
        let port = |(number, protocol): &(u16, String)| json!({ "ContainerPort": number, "Protocol": protocol });
        return own.iter().map(port).collect();
    }
    let pairs = bound.iter().flat_map(|binding| binding.pairs().map(|pair| (pair, binding.protocol)));
    let port = |((inside, outside), protocol): ((u16, HostPort), Protocol)| {
        json!({
            "ContainerPort": inside, "Protocol": protocol.to_string(), "HostPort": outside.port, "HostIp": "0.0.0.0",
        })
    };
    pairs.map(port).collect()
}

fn volumes(plan: &TaskPlan, place: usize) -> Value {
    let volume = |mount: &MountPlan| {
        let MountSource::Volume(number) = mount.source else { return None };
        let volume = plan.storage.volumes.get(number)?;
        let host = match &volume.source {
            VolumeSource::Host { allowed, below } => Some(allowed.join(below).to_string_lossy().into_owned()),
            VolumeSource::Empty | VolumeSource::Shared { .. } | VolumeSource::Efs { .. } | VolumeSource::Ebs { .. } => {
                None
            }
        };
        let mut all = Object(Map::new());
        all.put("DockerName", volume.name.clone());
        all.put("Source", host);
        all.put("Destination", mount.path.clone());
        Some(Value::Object(all.0))
    };
    plan.containers[place].mounts.iter().filter_map(volume).collect()
}

fn networks(version: Version, plan: &TaskPlan, place: usize) -> Value {
    let mut network = Object(Map::new());
    network.put("NetworkMode", json!(plan.network.mode()));
    let link = match (plan.network.eni(), plan.network.container(place)) {
        (Some(eni), _) => Some(&eni.link),
        (None, Some(ContainerNetwork::Bridge { link, .. })) => Some(link),
        (None, _) => None,
    };
    network.put("IPv4Addresses", link.map(|link| json!([link.address.address.to_string()])));
    if let (Version::V4, Some(eni)) = (version, plan.network.eni()) {
        let subnet = Cidr { address: eni.link.address.network(), prefix: eni.link.address.prefix };
        network.put("AttachmentIndex", 0);
        network.put("MACAddress", eni.link.mac_text());
        network.put("IPv4SubnetCIDRBlock", subnet.to_string());
        network.put("DomainNameServers", plan.agent.dns.0.clone());
        network.put("DomainNameSearchList", plan.agent.dns.1.clone());
        network.put("PrivateDNSName", eni.host_name.clone());
        network.put("SubnetGatewayIpv4Address", format!("{}/{}", eni.link.gateway, subnet.prefix));
    }
    json!([Value::Object(network.0)])
}

fn health(container: &Container) -> Value {
    if container.health.rule.is_none() {
        return Value::Null;
    }
    let mut health = Object(Map::new());
    health.put("status", json!(container.health.status));
    health.put("statusSince", container.health.since.map(time));
    let failed = container.health.last_failure.as_ref().filter(|_| container.health.status != HealthStatus::Healthy);
    health.put(
        "exitCode",
        failed.map(|(_, checked)| match checked.end {
            CheckEnd::Exited(code) => code,
            CheckEnd::TimedOut | CheckEnd::NotRun => -1,
        }),
    );
    health.put("output", failed.map(|(_, checked)| checked.output.clone()));
    Value::Object(health.0)
}

fn clock(clock: Clock) -> Value {
    let status = if clock.is_synchronized { "SYNCHRONIZED" } else { "NOT_SYNCHRONIZED" };
    json!({
        "ClockErrorBound": clock.error_us as f64 / 1000.0,
        "ReferenceTimestamp": time(clock.now),
        "ClockSynchronizationStatus": status,
    })
}

fn storage(storage: Storage) -> Value {
    json!({ "Utilized": storage.used >> 20, "Reserved": storage.size >> 20 })
}

/// When the first container ended that the task cannot do without, as ECS's agent has it: who reads this still runs.
fn execution_stopped_at(state: &TaskState) -> Option<Timestamp> {
    let ended = |container: &&Container| container.essential && container.phase == ContainerPhase::Stopped;
    let first = state.containers.iter().filter(ended).filter_map(|container| container.finished_at).min();
    first.or(state.times.execution_stopped_at)
}

fn desired(state: &TaskState, facts: &Facts) -> &'static str {
    if facts.stops || state.stop.is_some() { "STOPPED" } else { "RUNNING" }
}

/// The agent's own states: what comes before RUNNING it calls NONE, PULLED, CREATED; what clients look for is RUNNING.
fn known(status: LastStatus) -> &'static str {
    match status {
        LastStatus::Provisioning => "NONE",
        LastStatus::Pending => "CREATED",
        LastStatus::Running | LastStatus::Stopping => "RUNNING",
        LastStatus::Deprovisioning | LastStatus::Stopped => "STOPPED",
    }
}

fn container_status(container: &Container) -> &'static str {
    match container.phase {
        // One that is started again counts as running meanwhile.
        ContainerPhase::Waiting | ContainerPhase::Starting if container.started_at.is_some() => "RUNNING",
        ContainerPhase::Waiting => "PULLED",
        ContainerPhase::Starting => "CREATED",
        ContainerPhase::Running | ContainerPhase::Stopping { .. } => "RUNNING",
        ContainerPhase::Stopped => "STOPPED",
    }
}

fn launch_type(launch_type: LaunchType) -> Value {
    json!(launch_type)
}

/// AWS's ids of zones are not the same letters for everybody; here they are: `us-east-1a` is `us-east-1-az1`.
fn zone_id(zone: &str, region: &str) -> Option<String> {
    let letter = zone.strip_prefix(region)?.bytes().next().filter(u8::is_ascii_lowercase)?;
    Some(format!("{region}-az{}", letter - b'a' + 1))
}

fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
