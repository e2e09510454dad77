//! How far a container is shut off from its host and from the other containers of its task, beside its network, from its
//! definition. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ContainerPlan;
use crate::ecs::linux::{Device, SystemControl};
use crate::ecs::{ContainerDefinition, TaskDefinition};
use crate::validate::kernel_rules::is_of_ipc;

/// Whose processes a container sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PidNamespace {
    /// Its own.
    #[default]
    Own,
    /// Those of all containers of the task (`pidMode` task).
    Task,
    /// All of the host (`pidMode` host).
    Host,
}

/// Which shared memory, semaphores and message queues a container has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpcNamespace {
    /// Its own.
    #[default]
    Own,
    /// Its own, without `/dev/shm` (`ipcMode` none).
    OwnWithoutShm,
    /// The task's, `/dev/shm` included (`ipcMode` task).
    Task,
    /// The host's, `/dev/shm` included (`ipcMode` host).
    Host,
}

/// What a container's first process has for standard streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Streams {
    /// Nothing to read; pipes to write to.
    #[default]
    Pipes,
    /// As [`Streams::Pipes`], but reading waits, for ever (`interactive`).
    WaitingPipes,
    /// A terminal (`pseudoTerminal`).
    Terminal,
}

/// A device of the host that a container gets, or a directory with devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicePlan {
    /// The path on the host.
    pub host: String,
    /// The path in the container.
    pub container: String,
    /// Whether it can be read.
    pub read: bool,
    /// Whether it can be written.
    pub write: bool,
    /// Whether the container may make nodes of it.
    pub mknod: bool,
}

/// A kernel parameter: its path below `/proc/sys`, its value.
pub type Parameter = (String, String);

/// The rest of a container's confinement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// Whether it has all of the host's devices, and nothing of `/proc` and `/sys` is masked.
    pub privileged: bool,
    /// Devices of the host.
    pub devices: Vec<DevicePlan>,
    /// Its processes.
    pub pid: PidNamespace,
    /// Its shared memory.
    pub ipc: IpcNamespace,
    /// The size of its `/dev/shm` in bytes, where it is its own.
    pub shm: u64,
    /// Parameters of its IPC namespace.
    pub ipc_parameters: Vec<Parameter>,
    /// Parameters of its network namespace, which is the task's.
    pub network_parameters: Vec<Parameter>,
    /// Whether a small init is its first process (`initProcessEnabled`).
    pub init: bool,
    /// The streams of its first process.
    pub streams: Streams,
}

impl Isolation {
    /// Whether the end of its first process leaves nothing to do: the kernel kills the rest of a process namespace with it.
    pub fn ends_with_its_first_process(&self) -> bool {
        self.pid == PidNamespace::Own && self.streams != Streams::Terminal
    }
}

/// Docker's `/dev/shm`, in bytes.
const SHM: u64 = 64 << 20;

/// What a container's definition and its task's ask for.
pub fn isolation(container: &ContainerDefinition, task: &TaskDefinition) -> Isolation {
    let linux = container.linux_parameters.as_ref();
    let set = |flag: Option<bool>| flag.unwrap_or(false);
    let shm = linux.and_then(|linux| u64::try_from(linux.shared_memory_size?).ok()).map_or(SHM, |mib| mib << 20);
    let controls = container.system_controls.iter().flatten();
    let (ipc_parameters, network_parameters) =
        controls.map(parameter).partition(|(path, _)| is_of_ipc(&path.replace('/', ".")));
    Isolation {
        privileged: set(container.privileged),
        devices: linux.iter().flat_map(|linux| linux.devices.iter().flatten()).map(device).collect(),
        pid: match task.pid_mode.as_deref() {
            Some("task") => PidNamespace::Task,
            Some("host") => PidNamespace::Host,
            _ => PidNamespace::Own,
        },
        ipc: match task.ipc_mode.as_deref() {
            Some("task") => IpcNamespace::Task,
            Some("host") => IpcNamespace::Host,
            Some("none") => IpcNamespace::OwnWithoutShm,
            _ => IpcNamespace::Own,
        },
        shm,
        ipc_parameters,
        network_parameters,
        init: set(linux.and_then(|linux| linux.init_process_enabled)),
        streams: match (set(container.pseudo_terminal), set(container.interactive)) {
            (true, _) => Streams::Terminal,
            (false, true) => Streams::WaitingPipes,
            (false, false) => Streams::Pipes,
        },
    }
}

/// Docker's TERM for a process with a terminal, unless it has one already.
pub(super) fn add_term(container: &mut ContainerPlan) {
    let env = &mut container.process.env;
    if container.isolation.streams == Streams::Terminal && !env.iter().any(|(name, _)| name == "TERM") {
        env.push(("TERM".to_owned(), "xterm".to_owned()));
    }
}

fn parameter(control: &SystemControl) -> Parameter {
    let (name, value) = (control.namespace.as_deref(), control.value.as_deref());
    (name.unwrap_or_default().replace('.', "/"), value.unwrap_or_default().to_owned())
}

/// Without permissions it has all three (the reference of Device).
fn device(device: &Device) -> DevicePlan {
    let permissions = device.permissions.as_deref().filter(|list| !list.is_empty());
    let may = |word: &str| permissions.is_none_or(|list| list.iter().any(|other| other == word));
    let inside = device.container_path.clone().filter(|path| !path.is_empty());
    DevicePlan {
        container: inside.unwrap_or_else(|| device.host_path.clone()),
        host: device.host_path.clone(),
        read: may("read"),
        write: may("write"),
        mknod: may("mknod"),
    }
}

/// Swap in bytes that a container may use beside its memory. Absent on Fargate, whose tasks have none.
pub(super) fn swap(container: &ContainerDefinition) -> u64 {
    let linux = container.linux_parameters.as_ref();
    linux.and_then(|linux| u64::try_from(linux.max_swap?).ok()).unwrap_or_default() << 20
}

/// How willingly the kernel swaps a container's memory out, 0 to 100; ECS ignores it without `maxSwap`.
pub(super) fn swappiness(container: &ContainerDefinition) -> Option<u8> {
    let linux = container.linux_parameters.as_ref()?;
    linux.max_swap?;
    linux.swappiness.and_then(|swappiness| u8::try_from(swappiness).ok())
}

/// A container's labels: its own, and the five of the ECS agent, which cannot be overridden (the agent's
/// `engine.createContainer` writes them last).
pub(super) fn labels(
    container: &ContainerDefinition,
    family: &str,
    revision: u32,
    cluster: &str,
    task_arn: &str,
) -> BTreeMap<String, String> {
    let mut labels = container.docker_labels.clone().unwrap_or_default();
    let revision = revision.to_string();
    let own = [
        ("cluster", cluster),
        ("container-name", container.name.as_str()),
        ("task-arn", task_arn),
        ("task-definition-family", family),
        ("task-definition-version", revision.as_str()),
    ];
    labels.extend(own.map(|(name, value)| (format!("com.amazonaws.ecs.{name}"), value.to_owned())));
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn isolation_of(container: &str, task: &str) -> Isolation {
        isolation(&serde_json::from_str(container).unwrap(), &serde_json::from_str(task).unwrap())
    }

    #[test]
    fn what_is_not_asked_for_is_dockers_default() {
        let isolation = isolation_of("{}", "{}");
        assert_eq!(isolation, Isolation { shm: 64 << 20, ..Isolation::default() });
    }

    #[test]
    fn kernel_parameters_are_told_apart_by_their_namespace() {
        let isolation = isolation_of(
            r#"{"systemControls": [{"namespace": "net.core.somaxconn", "value": "9"},
                {"namespace": "kernel.sem", "value": "1 2 3 4"}, {"namespace": "fs.mqueue.msg_max", "value": "5"}]}"#,
            "{}",
        );
        assert_eq!(isolation.network_parameters, [("net/core/somaxconn".to_owned(), "9".to_owned())]);
        let names: Vec<&str> = isolation.ipc_parameters.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["kernel/sem", "fs/mqueue/msg_max"]);
    }

    #[test]
    fn a_device_without_permissions_has_all_and_keeps_its_path() {
        let isolation = isolation_of(
            r#"{"linuxParameters": {"devices": [{"hostPath": "/dev/fuse"},
                {"hostPath": "/dev/fuse", "containerPath": "/dev/x", "permissions": ["read"]}]}}"#,
            "{}",
        );
        let [all, read] = &isolation.devices[..] else { panic!("two devices") };
        assert_eq!((all.container.as_str(), all.read, all.write, all.mknod), ("/dev/fuse", true, true, true));
        assert_eq!((read.container.as_str(), read.read, read.write, read.mknod), ("/dev/x", true, false, false));
    }

    #[test]
    fn the_labels_of_ecs_stand_above_those_of_the_definition() {
        let container: ContainerDefinition = serde_json::from_str(
            r#"{"name": "web", "dockerLabels": {"a": "b", "com.amazonaws.ecs.container-name": "other"}}"#,
        )
        .unwrap();
        let labels = labels(&container, "f", 7, "c", "arn");
        assert_eq!(labels.len(), 6);
        assert_eq!(labels["com.amazonaws.ecs.container-name"], "web");
        assert_eq!((labels["a"].as_str(), labels["com.amazonaws.ecs.task-definition-version"].as_str()), ("b", "7"));
    }
}
