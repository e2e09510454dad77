//! Making the plan: a valid definition, the facts of its images, and what was chosen from the world, put together. Pure; called
//! by `ops` for each task, again if the world moved before it was committed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::agent::{self, RoleSource};
use super::connect::{self, Connection, Identity};
use super::environment::{environment, has_values};
pub use super::facts::ImageFacts;
use super::gpus::Gpu;
use super::life;
use super::user::{UserError, resolve};
use super::volume::{MountPlan, StoragePlan};
use super::volumes::{StorageSettings, VolumeError, size, storage};
use super::{
    Asked, CgroupPlan, ContainerLimits, ContainerPlan, Layout, LogPlan, LogSettings, PrivateEnvironment, ProcessPlan,
    RootNetwork, RootfsPlan, ServiceLink, TaskLimits, TaskPlan, gpus, isolation, rights,
};
use crate::ecs::arn::Owner;
use crate::ecs::{ContainerDefinition, LaunchType, TaskDefinition, TaskOverride};
use crate::validate::ValidTaskDefinition;

/// Where the task is to be.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// The account.
    pub account: &'a str,
    /// The region.
    pub region: &'a str,
    /// The cluster's name.
    pub cluster: &'a str,
    /// What runs it.
    pub launch_type: LaunchType,
    /// The availability zone.
    pub zone: &'a str,
    /// Its addresses and ports.
    pub connection: Connection<'a>,
    /// The root.
    pub layout: &'a Layout,
    /// The text of the containers' /etc/resolv.conf, where they have neither the host's network nor servers of their own.
    pub resolv_conf: &'a str,
    /// What becomes of the containers' output.
    pub log: &'a LogSettings,
    /// The group in which the root's is made, relative to a hierarchy's mount point; empty for the first one.
    pub cgroup: &'a str,
    /// How many processes each container may have.
    pub pids: u32,
    /// The open-files limit of containers whose definition names none: Fargate's, or what this host allows of it.
    pub open_files: i64,
    /// What is said of storage.
    pub storage: &'a StorageSettings,
    /// The GPUs that are free.
    pub gpus: Vec<Gpu>,
    /// Where the credentials of the task's role come from, if the configuration knows it.
    pub role: Option<RoleSource>,
}

/// Names that nobody has had before.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Names {
    /// The task id: 32 hexadecimal digits.
    pub task: String,
    /// The attachment's UUID.
    pub attachment: String,
    /// The last part of the path of the role's credentials: a UUID.
    pub credentials: String,
    /// One UUID per container.
    pub containers: Vec<String>,
    /// When the task was asked for, in milliseconds since the epoch.
    pub created_at: i64,
    /// When its images were here, or were given up.
    pub pulled_at: i64,
    /// `startedBy`.
    pub started_by: Option<String>,
    /// What the run has replaced in the definition.
    pub overrides: TaskOverride,
    /// `group`, where it is not the family's.
    pub group: Option<String>,
    /// The service that it belongs to.
    pub service: Option<ServiceLink>,
    /// What else its run was told.
    pub asked: Asked,
}

/// The definition cannot run with its images. The texts are those of ECS's container reasons.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlanError {
    /// There are not GPUs enough.
    #[error(transparent)]
    Gpus(#[from] gpus::NoGpu),
    /// Neither definition nor image says what to run.
    #[error("container {container}: no command specified: neither the task definition nor the image {image} names one")]
    NoCommand {
        /// The container.
        container: String,
        /// Its image.
        image: String,
    },
    /// The user is not in the image.
    #[error("container {container}, image {image}")]
    User {
        /// The container.
        container: String,
        /// Its image.
        image: String,
        /// Which name is missing.
        source: UserError,
    },
    /// The working directory is relative.
    #[error("container {container}: the working directory {directory:?} is not absolute")]
    WorkingDirectory {
        /// The container.
        container: String,
        /// The directory.
        directory: String,
    },
    /// A volume cannot be had.
    #[error(transparent)]
    Volume(#[from] VolumeError),
}

/// Seconds from the stop signal to SIGKILL (ECS: `stopTimeout`).
const STOP_TIMEOUT: u32 = 30;
/// Fargate's open-files limit (Fargate developer guide, "Task definition differences").
pub const OPEN_FILES: i64 = 65_535;
/// The fewest CPU shares that the kernel knows; ECS's 0, 1 and absent all mean it.
const FEWEST_SHARES: u32 = 2;
const SIGTERM: i32 = 15;

/// Makes the plan; `images` stand in the order of the containers.
pub fn plan(
    definition: &ValidTaskDefinition,
    revision: u32,
    images: &[ImageFacts],
    place: &Place,
    names: Names,
) -> Result<TaskPlan, PlanError> {
    let paths = place.layout.task(&names.task);
    let (storage, mounts) = storage(definition.definition(), images, &paths, &names.task, place.storage)?;
    let containers = definition.definition().container_definitions.iter().enumerate().zip(images).zip(mounts);
    let containers = containers.map(|(((index, container), image), mounts)| {
        let identity = connect::identity(definition.definition(), index, place, &names);
        let process = process(container, image, place, &identity.hostname)?;
        let ids = (names.task.as_str(), names.containers[index].as_str());
        let mut planned = with_mounts(plan_container(container, image, process, place, ids, identity), mounts);
        planned.isolation = isolation::isolation(container, definition.definition());
        isolation::add_term(&mut planned);
        planned.labels = labels(container, definition, revision, place, &names.task);
        Ok(planned)
    });
    let mut containers = containers.collect::<Result<Vec<_>, PlanError>>()?;
    let gpus = gpus::give(&mut containers, &definition.definition().container_definitions, &place.gpus)?;
    let mut task = TaskPlan { storage, ..plan_task(definition, revision, containers, place, names) };
    task.leases.extend(gpus);
    agent::inject(&mut task);
    Ok(task)
}

/// What the definition mounts at the path of one of our files takes its place.
fn with_mounts(mut container: ContainerPlan, mounts: Vec<MountPlan>) -> ContainerPlan {
    container.files.retain(|(path, _)| mounts.iter().all(|mount| mount.path != *path));
    ContainerPlan { mounts, ..container }
}

/// The plan of a task whose images cannot be had: what its record needs. Its containers have neither files nor a process.
pub fn plan_unstarted(definition: &ValidTaskDefinition, revision: u32, place: &Place, names: Names) -> TaskPlan {
    let image = ImageFacts::default();
    let unstarted = |(index, container): (usize, &ContainerDefinition)| {
        let identity = connect::identity(definition.definition(), index, place, &names);
        let ids = (names.task.as_str(), names.containers[index].as_str());
        plan_container(container, &image, ProcessPlan::default(), place, ids, identity)
    };
    let containers = definition.definition().container_definitions.iter().enumerate().map(unstarted).collect();
    plan_task(definition, revision, containers, place, names)
}

fn plan_task(
    definition: &ValidTaskDefinition,
    revision: u32,
    containers: Vec<ContainerPlan>,
    place: &Place,
    names: Names,
) -> TaskPlan {
    let task: &TaskDefinition = definition.definition();
    let tag = place.layout.tag();
    let key = format!("task/{}/{}/{}/{}/", place.account, place.region, place.cluster, names.task);
    let root_network = RootNetwork::of(&tag);
    let network = connect::network(task, place, &names, &root_network);
    let agent = agent::agent(task, place, &names, &network);
    let mut plan = TaskPlan {
        key,
        agent,
        account: place.account.to_owned(),
        region: place.region.to_owned(),
        cluster: place.cluster.to_owned(),
        family: task.family.clone(),
        revision,
        cpu: definition.cpu_units().map(|units| units.to_string()),
        memory: definition.memory_mib().map(|mib| mib.to_string()),
        started_by: names.started_by,
        overrides: names.overrides,
        group: names.group,
        service: names.service,
        asked: names.asked,
        created_at: names.created_at,
        pulled_at: names.pulled_at,
        launch_type: place.launch_type,
        zone: place.zone.to_owned(),
        leases: connect::leases(&network),
        network,
        root_network,
        cgroup: CgroupPlan {
            root: cgroup_root(place.cgroup, &tag),
            task: names.task.clone(),
            limits: task_limits(definition, &containers),
        },
        storage: StoragePlan { size_gib: size(task), ..StoragePlan::default() },
        paths: place.layout.task(&names.task),
        store: place.layout.store(),
        network_lock: place.layout.network_lock(),
        filters: place.layout.filters(),
        containers,
        id: names.task,
    };
    super::log::complete(task, place.log, place.layout, &mut plan);
    plan
}

/// The group of a root with that tag in the group `parent`.
fn cgroup_root(parent: &str, tag: &str) -> String {
    match parent {
        "" => format!("berth-{tag}"),
        parent => format!("{parent}/berth-{tag}"),
    }
}

fn task_limits(definition: &ValidTaskDefinition, containers: &[ContainerPlan]) -> TaskLimits {
    let cpu_units = definition.cpu_units();
    let shares = containers.iter().map(|container| container.limits.cpu_shares).sum();
    TaskLimits {
        cpu_units,
        cpu_shares: cpu_units.is_none().then_some(shares),
        memory: definition.memory_mib().map(|mib| u64::from(mib) << 20),
        swap: containers.iter().map(|container| container.limits.swap).sum(),
    }
}

fn plan_container(
    container: &ContainerDefinition,
    image: &ImageFacts,
    process: ProcessPlan,
    place: &Place,
    (task, arn_id): (&str, &str),
    identity: Identity,
) -> ContainerPlan {
    let number = arn_id.bytes().fold(0_u64, |number, byte| number.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let dependencies = container.depends_on.clone().unwrap_or_default();
    let links = connect::link_dependencies(container);
    ContainerPlan {
        name: container.name.clone(),
        runtime_id: format!("{task}-{:010}", number % 10_000_000_000),
        arn_id: arn_id.to_owned(),
        image: container.image.clone(),
        image_digest: image.digest.clone(),
        essential: container.essential.unwrap_or(true),
        depends_on: dependencies.into_iter().chain(links).collect(),
        start_timeout: life::start_timeout(container),
        restart: life::restart(container),
        health: life::health(container),
        stop_signal: stop_signal(&image.stop_signal),
        stop_timeout: container.stop_timeout.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(STOP_TIMEOUT),
        process,
        rootfs: RootfsPlan {
            layers: image.layers.clone(),
            readonly: container.readonly_root_filesystem.unwrap_or(false),
        },
        limits: limits(container, place),
        isolation: isolation::Isolation::default(),
        labels: BTreeMap::new(),
        log: LogPlan::local(place.log.max_bytes, place.log.max_files),
        files: identity.files,
        socket_directory: None,
        hostname: identity.hostname,
        mounts: Vec::new(),
    }
}

/// A name with or without SIG, or a number; SIGTERM where the image names none that exists.
fn stop_signal(text: &str) -> i32 {
    let name = text.to_ascii_uppercase();
    let long = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    let number = text.parse().ok().filter(|number| (1..=64).contains(number));
    number.or_else(|| long.parse::<nix::sys::signal::Signal>().ok().map(|signal| signal as i32)).unwrap_or(SIGTERM)
}

fn limits(container: &ContainerDefinition, place: &Place) -> ContainerLimits {
    let bytes = |mib: Option<i32>| mib.and_then(|mib| u64::try_from(mib).ok()).map(|mib| mib << 20);
    let shares = container.cpu.and_then(|cpu| u32::try_from(cpu).ok()).unwrap_or_default();
    ContainerLimits {
        cpu_shares: shares.max(FEWEST_SHARES),
        memory: bytes(container.memory),
        memory_reservation: bytes(container.memory_reservation),
        pids: place.pids,
        swap: isolation::swap(container),
        swappiness: isolation::swappiness(container),
    }
}

fn labels(
    container: &ContainerDefinition,
    definition: &ValidTaskDefinition,
    revision: u32,
    place: &Place,
    task: &str,
) -> BTreeMap<String, String> {
    let owner = Owner { region: place.region.to_owned(), account: place.account.to_owned() };
    // Fargate's agent knows the cluster by its ARN, that of an instance by its name.
    let cluster = match definition.is_fargate() {
        true => owner.cluster(place.cluster).to_string(),
        false => place.cluster.to_owned(),
    };
    let arn = owner.task(place.cluster, task).to_string();
    isolation::labels(container, definition.family(), revision, &cluster, &arn)
}

fn process(
    container: &ContainerDefinition,
    image: &ImageFacts,
    place: &Place,
    hostname: &str,
) -> Result<ProcessPlan, PlanError> {
    let named =
        |error| PlanError::User { container: container.name.clone(), image: container.image.clone(), source: error };
    let user = container.user.as_deref().filter(|user| !user.is_empty()).unwrap_or(&image.user);
    let user = resolve(user, &image.passwd, &image.group).map_err(named)?;
    let cwd = container.working_directory.as_deref().filter(|directory| !directory.is_empty());
    let cwd = cwd.unwrap_or(if image.working_dir.is_empty() { "/" } else { &image.working_dir });
    if !cwd.starts_with('/') {
        return Err(PlanError::WorkingDirectory { container: container.name.clone(), directory: cwd.to_owned() });
    }
    let (env, fixed) = environment(container, image, place, hostname, &user);
    Ok(ProcessPlan {
        args: args(container, image)?,
        env,
        cwd: cwd.to_owned(),
        uid: user.uid,
        gid: user.gid,
        groups: user.groups,
        capabilities: rights::capabilities(container),
        rlimits: rights::rlimits(container, place.open_files),
        no_new_privileges: rights::no_new_privileges(container),
        seccomp: container.privileged != Some(true),
        oom_score_adj: 0,
        private: has_values(container).then_some(PrivateEnvironment { fixed }),
    })
}

/// As Docker: an entry point of the definition's own drops the image's command.
fn args(container: &ContainerDefinition, image: &ImageFacts) -> Result<Vec<String>, PlanError> {
    let given = |list: &Option<Vec<String>>| list.clone().filter(|list| !list.is_empty());
    let entry_point = given(&container.entry_point);
    let command = match (given(&container.command), &entry_point) {
        (Some(command), _) => command,
        (None, Some(_)) => Vec::new(),
        (None, None) => image.cmd.clone(),
    };
    let args: Vec<String> =
        entry_point.unwrap_or_else(|| image.entrypoint.clone()).into_iter().chain(command).collect();
    if args.is_empty() {
        return Err(PlanError::NoCommand { container: container.name.clone(), image: container.image.clone() });
    }
    Ok(args)
}

#[cfg(test)]
#[path = "make_tests.rs"]
pub(crate) mod tests;
