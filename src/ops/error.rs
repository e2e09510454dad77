//! What an operation can fail with. The edge (command line, endpoint) turns these into sentences or ECS exceptions.

use std::io;
use std::path::PathBuf;

use crate::image::{ReferenceError, StoreError as ImageStoreError};
use crate::plan::make::PlanError;
use crate::plan::ports::{HostPort, Protocol};
use crate::store::StoreError;
use crate::supervisor::launch::LaunchError;
use crate::validate::Problem;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// What ECS would answer.
    #[error("{}", .0.message)]
    Ecs(#[from] crate::ecs::error::EcsError),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] super::config::ConfigError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The image store does not answer.
    #[error(transparent)]
    Images(#[from] ImageStoreError),
    /// A group has no such streams.
    #[error("no stream of group {group:?} begins with {prefix:?}; the groups here are: {groups}")]
    NoStreams {
        /// The group.
        group: String,
        /// What the streams' names were to begin with.
        prefix: String,
        /// The groups that there are.
        groups: String,
    },
    /// A group cannot have this name.
    #[error("the name of the group")]
    GroupName {
        /// Why not.
        source: crate::logging::LogOptionError,
    },
    /// An image cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] crate::image::Failure),
    /// The process that was to fetch an image.
    #[error("the process that fetches the image")]
    FetchWorker {
        /// How it failed.
        source: io::Error,
    },
    /// What was fetched is not published.
    #[error(transparent)]
    Publish(#[from] crate::image::PublishError),
    /// Layers of an image are removed as fast as they are fetched.
    #[error("layers of the image were removed while it was fetched, again and again: try again")]
    Restless,
    /// A user file of an image cannot be read.
    #[error(transparent)]
    Lookup(#[from] crate::image::LookupError),
    /// A container's image has an impossible name.
    #[error("container {container}: image")]
    Reference {
        /// The container.
        container: String,
        /// What is wrong with the name.
        source: ReferenceError,
    },
    /// An image cannot be pulled.
    #[error("pull {image}: {reason}")]
    Pull {
        /// The image in its familiar form.
        image: String,
        /// Why, in ECS's words: `CannotPullContainerError: ...`.
        reason: String,
    },
    /// The fetch came to a good end without an image.
    #[error("nothing was fetched for {image}")]
    NotFetched {
        /// The image in its familiar form.
        image: String,
    },
    /// Images cannot be written.
    #[error(transparent)]
    Save(#[from] crate::image::SaveError),
    /// A registry cannot be asked.
    #[error(transparent)]
    Registry(#[from] super::registries::RegistryError),
    /// A registry does not know us.
    #[error("log in to {registry}")]
    Login {
        /// The registry.
        registry: String,
        /// What it said.
        source: crate::image::LoginError,
    },
    /// Credentials cannot be kept or forgotten.
    #[error(transparent)]
    Credentials(#[from] super::credentials::CredentialError),
    /// The definition and the images do not fit together.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// What a run replaces does not fit into the definition.
    #[error("overrides: {}", Problem::first(problems))]
    Overrides {
        /// Why not, and where.
        problems: Vec<Problem>,
    },
    /// The host's configuration does not give what the definition wants.
    #[error(transparent)]
    NotGranted(#[from] crate::plan::grants::NotGranted),
    /// Every address of every subnet is leased.
    #[error("no address is free in the subnets {subnets}: stop a task, or configure larger subnets")]
    NoAddress {
        /// The subnets.
        subnets: String,
    },
    /// A port of the host that the definition names is another task's. The first words are RunTask's reason.
    #[error(
        "RESOURCE:PORTS: port {port} of the host is taken by task {task}: stop that task, or leave the hostPort open (0)"
    )]
    PortTaken {
        /// The port.
        port: HostPort,
        /// Whose it is.
        task: String,
    },
    /// The host has too few ports left. The first words are RunTask's reason.
    #[error("RESOURCE:PORTS: the host has no {count} free {protocol} ports in a row between 49153 and 65535")]
    NoPorts {
        /// How many were asked for.
        count: u16,
        /// Of which kind.
        protocol: Protocol,
    },
    /// No block of addresses is free.
    #[error("every block that berth knows for {purpose} conflicts with a route of this host: set {key} in {config}")]
    NoBlock {
        /// What it is for.
        purpose: &'static str,
        /// What to set.
        key: &'static str,
        /// The configuration file.
        config: PathBuf,
    },
    /// The host's routes cannot be read.
    #[error("read the host's routes")]
    Routes(#[source] crate::net::NetError),
    /// The host has too little left of something.
    #[error("{reason}: this host has no room for the task; stop others, or raise [capacity] in config.toml")]
    NoRoom {
        /// ECS's word for what is short, `RESOURCE:MEMORY`.
        reason: &'static str,
    },
    /// Nobody brings what a task waits for.
    #[error("start the process that brings what task {task} waits for")]
    Bring {
        /// The task id.
        task: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The subnet of a task that waited is gone.
    #[error("the subnet that task {task} was given is no longer there")]
    Moved {
        /// The task id.
        task: String,
    },
    /// Nobody holds the counts of services.
    #[error("start the process that holds the counts of services")]
    Scheduler {
        /// The system's answer.
        source: io::Error,
    },
    /// A service's revision is not in the store.
    #[error("the service {service} has no revision {revision}")]
    Revision {
        /// The service.
        service: String,
        /// The revision.
        revision: String,
    },
    /// The task has no supervisor.
    #[error("task {task}")]
    Launch {
        /// The task id.
        task: String,
        /// Why.
        source: LaunchError,
    },
    /// The host's control groups cannot be used.
    #[error(transparent)]
    Cgroup(crate::runtime::cgroup::CgroupError),
    /// The command cannot be run in the container.
    #[error("run a command in container {container}")]
    Exec {
        /// The container.
        container: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The image has no such user.
    #[error(transparent)]
    User(crate::plan::user::UserError),
    /// The secret store.
    #[error(transparent)]
    Secrets(#[from] crate::secrets::SecretError),
    /// The values of a task are gone.
    #[error(transparent)]
    Values(#[from] crate::secrets::ValuesError),
    /// A log cannot be read.
    #[error(transparent)]
    Logs(#[from] crate::logs::LogError),
    /// The caller's output cannot be written.
    #[error("write the output")]
    Output {
        /// The system's answer.
        source: io::Error,
    },
    /// No task has this id.
    #[error("no task has the id {0}: `berth ps --all` lists them")]
    NoTask(String),
    /// Several tasks begin like this.
    #[error("{count} tasks have ids that begin with {prefix}: give more digits")]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// How many fit.
        count: usize,
    },
    /// The task has several containers.
    #[error("the task has the containers {names}: name one with --container")]
    WhichContainer {
        /// Their names.
        names: String,
    },
    /// The task has no such container.
    #[error("the task has no container {name}, it has {names}")]
    NoContainer {
        /// What was given.
        name: String,
        /// What there is.
        names: String,
    },
    /// The container does not run.
    #[error("container {container} of task {task} does not run: it is {status}")]
    NotRunning {
        /// The container.
        container: String,
        /// The task id.
        task: String,
        /// Its state.
        status: String,
    },
    /// A task that is not stopped cannot be removed.
    #[error("task {0} is not stopped: stop it first, or use --force")]
    NotStopped(String),
    /// A task that stops cannot be interrupted.
    #[error("task {0} stops already, or has stopped")]
    StopsAlready(String),
    /// Only tasks of services are protected.
    #[error("task {task} belongs to no service: only a service's tasks can be protected")]
    NoService {
        /// The task id.
        task: String,
    },
    /// It is too late to protect the task.
    #[error("task {task} is stopping: it cannot be protected any more")]
    Stops {
        /// The task id.
        task: String,
    },
    /// Others changed the same records, again and again.
    #[error("the store changed under every attempt: try again")]
    Contention,
    /// The task is to be held to its ephemeral storage, and this host cannot.
    #[error(
        "this host cannot hold a task to its ephemeral storage: {reason}: {remedy}; or set [storage] limit = \"never\""
    )]
    StorageLimit {
        /// What is missing.
        reason: &'static str,
        /// How to get it.
        remedy: &'static str,
    },
    /// A fault cannot be injected.
    #[error(transparent)]
    Fault(#[from] super::TaskFaultError),
    /// A file cannot be read or written.
    #[error("{verb} {path}")]
    File {
        /// What was tried.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The task's supervisor does not answer on its socket.
    #[error("talk to the supervisor of task {task}")]
    Control {
        /// The task id.
        task: String,
        /// The system's answer.
        source: io::Error,
    },
}

impl OpsError {
    /// RunTask's reason and more words, if it is that the host cannot take the task now or as it is configured.
    pub(super) fn shortage(&self) -> Option<(&'static str, Option<String>)> {
        match self {
            Self::NoRoom { reason } => Some((reason, None)),
            Self::PortTaken { .. } | Self::NoPorts { .. } => Some(("RESOURCE:PORTS", Some(self.to_string()))),
            Self::NoAddress { .. } => Some(("RESOURCE:ENI", Some(self.to_string()))),
            Self::Plan(PlanError::Gpus(_)) => Some(("RESOURCE:GPU", Some(self.to_string()))),
            Self::NotGranted(_) => Some(("ATTRIBUTE", Some(self.to_string()))),
            _ => None,
        }
    }
}
