//! A task as ECS shows it: plan, desired state and record put together into the Task of DescribeTasks.

use super::TaskRecord;
use crate::ecs::arn::Owner;
use crate::ecs::container_definition::KeyValuePair;
use crate::ecs::overrides::ContainerOverride;
use crate::ecs::task::{Attachment, ManagedAgent, NetworkBinding, NetworkInterface};
use crate::ecs::task_definition::EphemeralStorage;
use crate::ecs::{self, Connectivity, ContainerStatus, LaunchType, Task, TaskOverride, TaskStatus, Timestamp};
use crate::lifecycle::{self, ContainerPhase, Exit, LastStatus, StopCode};
use crate::plan::ports::PortBinding;
use crate::plan::volume::{DiskFormat, VolumeSource};
use crate::plan::{EniPlan, Shown, TaskPlan};

/// Fargate's current platform version for Linux.
const PLATFORM_VERSION: &str = "1.4.0";

/// The whole Task.
pub(super) fn task<C: Shown>(record: &TaskRecord<C>) -> Task {
    let (plan, state) = (&record.plan, &record.state);
    let owner = Owner { region: plan.region.clone(), account: plan.account.clone() };
    let times = &state.times;
    let fargate = |text: &str| (plan.launch_type == LaunchType::Fargate).then(|| text.to_owned());
    // What somebody wants holds until the supervisor has heard of it.
    let stop = state.stop.as_ref().map(|stop| (stop.code, stop.reason.clone()));
    let stop = stop.or_else(|| record.desired.as_ref().map(|desired| (desired.code, desired.stop.clone())));
    Task {
        attachments: plan
            .network
            .eni()
            .map(|eni| attachment(eni, state.last_status))
            .into_iter()
            .chain(volumes(record))
            .collect(),
        availability_zone: Some(plan.zone.clone()),
        cluster_arn: owner.cluster(&plan.cluster),
        connectivity: times.connectivity_at.map(|_| Connectivity::Connected),
        connectivity_at: times.connectivity_at.map(time),
        containers: (0..plan.containers.len()).map(|place| container(record, place, &owner)).collect(),
        cpu: plan.cpu.clone(),
        created_at: Some(time(times.created_at)),
        desired_status: if stop.is_some() { TaskStatus::Stopped } else { TaskStatus::Running },
        execution_stopped_at: times.execution_stopped_at.map(time),
        group: Some(plan.group.clone().unwrap_or_else(|| format!("family:{}", plan.family))),
        last_status: status(state.last_status),
        launch_type: Some(plan.launch_type),
        memory: plan.memory.clone(),
        platform_version: fargate(plan.asked.platform_version.as_deref().unwrap_or(PLATFORM_VERSION)),
        platform_family: fargate("Linux"),
        started_at: times.started_at.map(time),
        started_by: plan.started_by.clone(),
        stop_code: stop.as_ref().map(|(code, _)| stop_code(*code)),
        stopped_at: times.stopped_at.map(time),
        stopped_reason: stop.map(|(_, reason)| reason),
        stopping_at: times.stopping_at.map(time),
        task_arn: owner.task(&plan.cluster, &plan.id),
        task_definition_arn: owner.task_definition(&plan.family, plan.revision),
        // That it is wanted stopped is a change of its own.
        version: i64::try_from(state.version + u64::from(record.desired.is_some())).unwrap_or(i64::MAX),
        attributes: Vec::new(),
        capacity_provider_name: plan.asked.capacity_provider.clone(),
        container_instance_arn: plan
            .asked
            .container_instance
            .as_ref()
            .map(|id| owner.container_instance(&plan.cluster, id)),
        enable_execute_command: plan.asked.enable_execute_command,
        ephemeral_storage: plan
            .storage
            .size_gib
            .and_then(|size| Some(EphemeralStorage { size_in_gib: size.try_into().ok()? })),
        fargate_ephemeral_storage: None,
        health_status: Some(state.health()),
        inference_accelerators: Vec::new(),
        overrides: overrides(plan),
        pull_started_at: Some(time(times.pull_started_at)),
        // One that waits has pulled nothing yet.
        pull_stopped_at: Some(times.pull_stopped_at).filter(|at| at.0 != 0).map(time),
        tags: Vec::new(),
    }
}

/// As ECS shows them: every container is there, if only by its name.
fn overrides<C: Shown>(plan: &TaskPlan<C>) -> TaskOverride {
    let given = &plan.overrides.container_overrides;
    let of = |container: &C| {
        let name = container.shown().name;
        let found = given.iter().find(|one| one.name.as_deref() == Some(name)).cloned();
        found.unwrap_or_else(|| ContainerOverride { name: Some(name.to_owned()), ..ContainerOverride::default() })
    };
    TaskOverride { container_overrides: plan.containers.iter().map(of).collect(), ..plan.overrides.clone() }
}

fn container<C: Shown>(record: &TaskRecord<C>, place: usize, owner: &Owner) -> ecs::Container {
    let (plan, state) = (&record.plan, &record.state.containers[place]);
    let container = plan.containers[place].shown();
    let exit_code = match state.exit {
        // Not that of an earlier run.
        Some(Exit::Code(code)) if state.phase == ContainerPhase::Stopped => Some(code),
        Some(Exit::Code(_) | Exit::Unknown) | None => None,
    };
    let mib = |bytes: Option<u64>| bytes.map(|bytes| (bytes >> 20).to_string());
    ecs::Container {
        container_arn: owner.container(&plan.cluster, &plan.id, container.arn_id),
        task_arn: owner.task(&plan.cluster, &plan.id),
        name: container.name.to_owned(),
        image: Some(container.image.to_owned()),
        image_digest: Some(container.image_digest).filter(|digest| !digest.is_empty()).map(str::to_owned),
        runtime_id: Some(container.runtime_id.to_owned()),
        last_status: container_status(state),
        exit_code,
        reason: state.reason.clone(),
        network_interfaces: plan.network.eni().map(interface).into_iter().collect(),
        cpu: Some(container.limits.cpu_shares.to_string()),
        memory: mib(container.limits.memory),
        memory_reservation: mib(container.limits.memory_reservation),
        health_status: Some(state.health.status),
        managed_agents: managed_agents(record, place),
        network_bindings: network_bindings(record, place),
    }
}

/// The agent of ECS Exec, for a task that it was enabled for: here it is a part of the endpoint, and in every container.
fn managed_agents<C>(record: &TaskRecord<C>, place: usize) -> Option<Vec<ManagedAgent>> {
    let state = &record.state.containers[place];
    let agent = ManagedAgent {
        name: "ExecuteCommandAgent".to_owned(),
        last_status: Some(container_status(state)),
        last_started_at: state.started_at.map(time),
        reason: None,
    };
    record.plan.asked.enable_execute_command.then(|| vec![agent])
}

fn interface(eni: &EniPlan) -> NetworkInterface {
    NetworkInterface {
        attachment_id: eni.attachment.clone(),
        private_ipv4_address: Some(eni.link.address.address.to_string()),
        ipv6_address: None,
    }
}

/// The host's ports of a container that runs, or has run; before that, as in ECS, nobody listens.
fn network_bindings<C>(record: &TaskRecord<C>, place: usize) -> Vec<NetworkBinding> {
    let has_started = record.state.containers[place].started_at.is_some();
    let binding = |ports: &PortBinding| {
        let range = |first: u16| (ports.count > 1).then(|| format!("{first}-{}", first + (ports.count - 1)));
        let single = |port: u16| (ports.count == 1).then_some(i32::from(port));
        NetworkBinding {
            bind_ip: Some("0.0.0.0".to_owned()),
            container_port: single(ports.container),
            host_port: single(ports.host),
            protocol: Some(ports.protocol.to_string()),
            container_port_range: range(ports.container),
            host_port_range: range(ports.host),
        }
    };
    record.plan.network.ports(place).iter().filter(|_| has_started).map(binding).collect()
}

fn attachment(eni: &EniPlan, status: LastStatus) -> Attachment {
    let detail = |name: &str, value: String| KeyValuePair { name: Some(name.to_owned()), value: Some(value) };
    let status = match status {
        LastStatus::Provisioning => "ATTACHING",
        LastStatus::Pending | LastStatus::Running | LastStatus::Stopping => "ATTACHED",
        LastStatus::Deprovisioning => "DETACHING",
        LastStatus::Stopped => "DELETED",
    };
    Attachment {
        id: eni.attachment.clone(),
        r#type: "ElasticNetworkInterface".to_owned(),
        status: status.to_owned(),
        details: vec![
            detail("subnetId", eni.subnet.clone()),
            detail("networkInterfaceId", eni.interface.clone()),
            detail("macAddress", eni.link.mac_text()),
            detail("privateDnsName", eni.host_name.clone()),
            detail("privateIPv4Address", eni.link.address.address.to_string()),
        ],
    }
}

/// The EBS volume, as DescribeTasks shows one.
fn volumes<C>(record: &TaskRecord<C>) -> impl Iterator<Item = Attachment> {
    let volumes = record.plan.storage.volumes.iter();
    volumes.filter_map(|volume| {
        let VolumeSource::Ebs { id, disk } = &volume.source else { return None };
        let DiskFormat::New(kind) = &disk.format else { return None };
        let detail = |name: &str, value: String| KeyValuePair { name: Some(name.to_owned()), value: Some(value) };
        let status = match record.state.last_status {
            LastStatus::Provisioning => "ATTACHING",
            LastStatus::Pending | LastStatus::Running | LastStatus::Stopping => "ATTACHED",
            LastStatus::Deprovisioning => "DETACHING",
            LastStatus::Stopped => "DELETED",
        };
        Some(Attachment {
            id: uuid::Uuid::try_parse(&record.plan.id).map(|id| id.to_string()).unwrap_or_default(),
            r#type: "AmazonElasticBlockStorage".to_owned(),
            status: status.to_owned(),
            details: vec![
                detail("volumeId", id.clone()),
                detail("volumeName", volume.name.clone()),
                detail("sizeInGiB", (disk.bytes >> 30).to_string()),
                detail("filesystemType", kind.name().to_owned()),
                detail("deleteOnTermination", disk.ends_with_task().to_string()),
            ],
        })
    })
}

fn time(at: lifecycle::Timestamp) -> Timestamp {
    Timestamp::from_millis(at.0)
}

fn status(status: LastStatus) -> TaskStatus {
    match status {
        LastStatus::Provisioning => TaskStatus::Provisioning,
        LastStatus::Pending => TaskStatus::Pending,
        LastStatus::Running => TaskStatus::Running,
        LastStatus::Stopping => TaskStatus::Stopping,
        LastStatus::Deprovisioning => TaskStatus::Deprovisioning,
        LastStatus::Stopped => TaskStatus::Stopped,
    }
}

pub(super) fn container_status(container: &lifecycle::Container) -> ContainerStatus {
    match container.phase {
        // One that is started again counts as running meanwhile.
        ContainerPhase::Waiting | ContainerPhase::Starting if container.started_at.is_some() => {
            ContainerStatus::Running
        }
        ContainerPhase::Waiting | ContainerPhase::Starting => ContainerStatus::Pending,
        ContainerPhase::Running | ContainerPhase::Stopping { .. } => ContainerStatus::Running,
        ContainerPhase::Stopped => ContainerStatus::Stopped,
    }
}

fn stop_code(code: StopCode) -> ecs::StopCode {
    match code {
        StopCode::TaskFailedToStart => ecs::StopCode::TaskFailedToStart,
        StopCode::EssentialContainerExited => ecs::StopCode::EssentialContainerExited,
        StopCode::UserInitiated => ecs::StopCode::UserInitiated,
        StopCode::ServiceSchedulerInitiated => ecs::StopCode::ServiceSchedulerInitiated,
        StopCode::SpotInterruption => ecs::StopCode::SpotInterruption,
    }
}
