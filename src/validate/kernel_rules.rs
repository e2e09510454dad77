//! What a container may ask of the kernel beside its process: devices, shared memory, swap, kernel parameters, security
//! options. Called by `container_rules`.

use std::collections::HashSet;

use serde_json::Value;

use super::container_rules::Place;
use super::json::excerpt;
use super::report::{Path, Report};
use super::support::Target;
use crate::ecs::ContainerDefinition;
use crate::ecs::linux::{Device, LinuxParameters, SystemControl};
use crate::ecs::task_definition::NetworkMode;

/// The kernel parameters of an IPC namespace, as the reference of SystemControl lists them; `fs.mqueue.*` besides.
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shm_rmid_forced",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
];
/// The longest value that is taken, in bytes; those of the kernel are shorter.
const LONGEST_VALUE: usize = 128;

/// Whether a kernel parameter belongs to an IPC namespace.
pub(crate) fn is_of_ipc(name: &str) -> bool {
    IPC.contains(&name) || name.starts_with("fs.mqueue.")
}

/// How many GPUs a container wants. Of one that is valid.
pub(crate) fn gpus(container: &ContainerDefinition) -> usize {
    let requirements = container.resource_requirements.as_ref().and_then(Value::as_array);
    let gpus = requirements.into_iter().flatten().filter(|one| one["type"] == "GPU");
    gpus.filter_map(|one| one["value"].as_str()?.parse::<usize>().ok()).sum()
}

/// More than any host has.
const MOST_GPUS: u32 = 64;

fn requirements(container: &ContainerDefinition, place: &Place<'_>, report: &mut Report) {
    if place.target == Target::Fargate {
        return; // refused as a whole
    }
    let path = place.path.member("resourceRequirements");
    let list = container.resource_requirements.as_ref().and_then(Value::as_array);
    for (index, one) in list.into_iter().flatten().enumerate() {
        let path = path.element(index);
        let number = one["value"].as_str().and_then(|value| value.parse::<u32>().ok());
        match one["type"].as_str() {
            Some("GPU") if number.is_none_or(|number| !(1..=MOST_GPUS).contains(&number)) => {
                let words = format!("the number of GPUs is a string, \"1\" to \"{MOST_GPUS}\"");
                report.error(&path.member("value"), words);
            }
            Some("GPU") if one.get("sharingStrategy").is_some_and(|strategy| !strategy.is_null()) => {
                let words = "sharingStrategy is not supported by this version of berth";
                report.error(&path.member("sharingStrategy"), words);
            }
            Some("GPU") => {}
            other => {
                let name = other.unwrap_or("this resource");
                report.error(&path.member("type"), format!("{name} is not supported by this version of berth"));
            }
        }
    }
}

/// Everything of the kernel.
pub(super) fn check(container: &ContainerDefinition, place: &Place<'_>, report: &mut Report) {
    let path = place.path.member("systemControls");
    system_controls(container.system_controls.as_deref().unwrap_or_default(), &path, place, report);
    let path = place.path.member("dockerSecurityOptions");
    security_options(container.docker_security_options.as_deref().unwrap_or_default(), &path, place, report);
    requirements(container, place, report);
    if let Some(linux) = &container.linux_parameters {
        linux_parameters(container, linux, &place.path.member("linuxParameters"), report);
    }
}

fn system_controls(controls: &[SystemControl], path: &Path, place: &Place<'_>, report: &mut Report) {
    let mut names = HashSet::new();
    for (index, control) in controls.iter().enumerate() {
        let path = path.element(index);
        let (name, value) = (control.namespace.as_deref(), control.value.as_deref());
        let (name, value) = (name.unwrap_or_default(), value.unwrap_or_default());
        if let Some(fault) = parameter_fault(name, place) {
            report.error(&path.member("namespace"), format!("{} {fault}", excerpt(name)));
        } else if !names.insert(name) {
            report.error(&path.member("namespace"), format!("the kernel parameter {name} stands twice"));
        }
        if value.is_empty() || value.len() > LONGEST_VALUE || !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            let words = format!("the value of a kernel parameter is 1 to {LONGEST_VALUE} printable characters");
            report.error(&path.member("value"), words);
        }
    }
}

fn parameter_fault(name: &str, place: &Place<'_>) -> Option<String> {
    // Dots become slashes: an empty part would climb or stand still, and a name with a slash has its dots elsewhere.
    let part =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if !name.split('.').all(part) {
        return Some("is not the name of a kernel parameter (net.core.somaxconn)".to_owned());
    }
    if name.starts_with("net.") {
        let foreign = place.mode == NetworkMode::Host;
        return foreign.then(|| "cannot be set in the network mode host: it is the host's".to_owned());
    }
    if !is_of_ipc(name) {
        let known = format!("net.*, fs.mqueue.*, {}", IPC.join(", "));
        return Some(format!("is not a kernel parameter that belongs to a namespace: {known}"));
    }
    let foreign = place.ipc_mode == Some("host");
    foreign.then(|| "cannot be set in the IPC mode host: it is the host's".to_owned())
}

/// The reference of ContainerDefinition lists no-new-privileges, apparmor:PROFILE, label:VALUE, credentialspec:PATH.
fn security_options(options: &[String], path: &Path, place: &Place<'_>, report: &mut Report) {
    if place.target == Target::Fargate {
        return; // refused as a whole
    }
    for (index, option) in options.iter().enumerate() {
        let kind = option.split([':', '=']).next().unwrap_or_default();
        let words = match (option.as_str(), kind) {
            // A container of berth never has a profile.
            ("no-new-privileges" | "apparmor:unconfined", _) => continue,
            (_, "apparmor") => "AppArmor profiles are not loaded by this version of berth: only apparmor:unconfined",
            (_, "label") => "SELinux labels are not supported by this version of berth",
            (_, "credentialspec") => "credential specifications (gMSA) are not supported by this version of berth",
            _ => "Docker security options are no-new-privileges, apparmor:PROFILE, label:VALUE, credentialspec:PATH",
        };
        report.error(&path.element(index), words);
    }
}

fn linux_parameters(container: &ContainerDefinition, linux: &LinuxParameters, path: &Path, report: &mut Report) {
    for (index, one) in linux.devices.iter().flatten().enumerate() {
        device(one, &path.member("devices").element(index), report);
    }
    if linux.shared_memory_size.is_some_and(|mib| mib < 1) {
        report.error(&path.member("sharedMemorySize"), "sharedMemorySize must be 1 MiB or more");
    }
    // The reference of LinuxParameters: 0 is no swap, and without a maxSwap there is no swappiness.
    if linux.max_swap.is_some_and(|mib| mib < 0) {
        report.error(&path.member("maxSwap"), "maxSwap must be 0 MiB (no swap) or more");
    }
    if linux.max_swap.is_some() && container.memory.is_none() {
        report.error(&path.member("maxSwap"), "maxSwap is swap beside the container's 'memory', which is not set");
    }
    if linux.swappiness.is_some_and(|swappiness| !(0..=100).contains(&swappiness)) {
        report.error(&path.member("swappiness"), "swappiness must be between 0 and 100");
    } else if linux.swappiness.is_some() && linux.max_swap.is_none() {
        report.warning(&path.member("swappiness"), "swappiness is ignored without maxSwap");
    }
}

fn device(device: &Device, path: &Path, report: &mut Report) {
    if let Some(fault) = path_fault(&device.host_path) {
        report.error(&path.member("hostPath"), format!("the path of a device {fault}"));
    }
    let inside = device.container_path.as_deref().filter(|inside| !inside.is_empty());
    if let Some(fault) = inside.and_then(path_fault) {
        report.error(&path.member("containerPath"), format!("the path of a device {fault}"));
    }
}

fn path_fault(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') || path.len() < 2 {
        Some("is absolute")
    } else if path.split('/').any(|part| part == "..") || path.contains('\0') {
        Some("has no '..' and no NUL in it")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::validate::{Problem, Strictness, ValidTaskDefinition, parse, validate};

    fn instance() -> Value {
        json!({
            "family": "app", "networkMode": "awsvpc", "requiresCompatibilities": ["EC2"], "cpu": "256", "memory": "512",
            "containerDefinitions": [{"name": "web", "image": "nginx"}],
        })
    }

    fn run(definition: &Value) -> Result<(ValidTaskDefinition, Vec<Problem>), Vec<Problem>> {
        validate(parse(&definition.to_string(), Strictness::Strict))
    }

    #[test]
    fn what_an_instance_cannot_be_asked_for_is_refused_by_name() {
        let linux = |linux: Value| json!({"linuxParameters": linux, "memory": 64});
        let device = |device: Value| linux(json!({"devices": [device]}));
        let options = |option: &str| json!({"memory": 64, "dockerSecurityOptions": [option]});
        let cases = [
            (linux(json!({"sharedMemorySize": 0})), ".linuxParameters.sharedMemorySize", "1 MiB or more"),
            (linux(json!({"maxSwap": -1})), ".linuxParameters.maxSwap", "0 MiB (no swap) or more"),
            (
                json!({"memoryReservation": 64, "linuxParameters": {"maxSwap": 1}}),
                ".linuxParameters.maxSwap",
                "not set",
            ),
            (linux(json!({"maxSwap": 1, "swappiness": 101})), ".linuxParameters.swappiness", "between 0 and 100"),
            (device(json!({"hostPath": "dev/a"})), ".linuxParameters.devices[0].hostPath", "is absolute"),
            (device(json!({"hostPath": "/dev/../a"})), ".linuxParameters.devices[0].hostPath", "no '..'"),
            (
                device(json!({"hostPath": "/dev/a", "containerPath": "a"})),
                ".linuxParameters.devices[0].containerPath",
                "is absolute",
            ),
            (options("apparmor:mine"), ".dockerSecurityOptions[0]", "AppArmor profiles are not loaded"),
            (options("label:type:x"), ".dockerSecurityOptions[0]", "SELinux labels"),
            (options("credentialspec:file:x"), ".dockerSecurityOptions[0]", "gMSA"),
            (options("seccomp=unconfined"), ".dockerSecurityOptions[0]", "Docker security options are"),
            (
                json!({"memory": 64, "resourceRequirements": [{"type": "GPU", "value": "0"}]}),
                ".resourceRequirements[0].value",
                "the number of GPUs",
            ),
            (
                json!({"memory": 64, "resourceRequirements": [{"type": "NeuronDevice", "value": "1"}]}),
                ".resourceRequirements[0].type",
                "NeuronDevice is not supported by this version of berth",
            ),
        ];
        for (members, path, message) in cases {
            let mut definition = instance();
            for (name, value) in members.as_object().unwrap() {
                definition["containerDefinitions"][0][name] = value.clone();
            }
            let problems = run(&definition).unwrap_err();
            let path = format!("containerDefinitions[0]{path}");
            let found = problems.iter().any(|problem| problem.path == path && problem.message.contains(message));
            assert!(found, "{members}: {problems:#?}");
        }
    }

    #[test]
    fn parameters_of_the_hosts_own_namespaces_cannot_be_set() {
        let mut definition = instance();
        definition["ipcMode"] = json!("host");
        definition["containerDefinitions"][0]["systemControls"] = json!([{"namespace": "kernel.sem", "value": "1"}]);
        let problems = run(&definition).unwrap_err();
        assert!(problems.iter().any(|problem| problem.message.contains("in the IPC mode host")), "{problems:#?}");
        definition["ipcMode"] = json!("none");
        run(&definition).unwrap();
    }
}
