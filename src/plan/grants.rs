//! What the host's configuration lets definitions for container instances have of the host itself. By default that is
//! nothing: who writes definitions is not who owns the host. Pure; the settings are those of `[instance]` in config.toml.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::ecs::{ContainerDefinition, TaskDefinition};

/// Capabilities whose reach ends at the container's namespaces and limits; all others are to be granted by name.
const HARMLESS: [&str; 3] = ["SYS_PTRACE", "NET_ADMIN", "NET_BROADCAST"];

/// `[instance]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grants {
    /// `privileged`: everything below, and all of the host's devices.
    pub privileged: bool,
    /// Capabilities beside Docker's default ones, `SYS_ADMIN`.
    pub capabilities: Vec<String>,
    /// Devices by their paths, and directories of such.
    pub devices: Vec<PathBuf>,
    /// The device nodes of each GPU.
    pub gpus: Vec<Vec<PathBuf>>,
    /// `pidMode` host.
    pub host_pid: bool,
    /// `ipcMode` host.
    pub host_ipc: bool,
}

/// Something that this host does not give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not allowed on this host: {setting} in its config.toml would allow it")]
pub struct NotGranted {
    /// What was asked for, and by whom.
    pub what: String,
    /// The setting.
    pub setting: String,
}

/// The first thing that a definition asks for and this host does not give.
pub fn missing(task: &TaskDefinition, grants: &Grants) -> Option<NotGranted> {
    let refused = |what: String, setting: String| Some(NotGranted { what, setting });
    if task.pid_mode.as_deref() == Some("host") && !grants.host_pid {
        return refused("pidMode host".to_owned(), "[instance] host-pid = true".to_owned());
    }
    if task.ipc_mode.as_deref() == Some("host") && !grants.host_ipc {
        return refused("ipcMode host".to_owned(), "[instance] host-ipc = true".to_owned());
    }
    let gpus = super::gpus::wanted(&task.container_definitions);
    if gpus > grants.gpus.len() {
        let setting = "[instance] gpus = [[\"/dev/nvidia0\", ...], ...]".to_owned();
        return refused(format!("{gpus} GPUs for a task"), setting);
    }
    if grants.privileged {
        return None;
    }
    task.container_definitions.iter().find_map(|container| {
        let (what, setting) = missing_of(container, grants)?;
        refused(format!("container {}: {what}", container.name), setting)
    })
}

fn missing_of(container: &ContainerDefinition, grants: &Grants) -> Option<(String, String)> {
    if container.privileged == Some(true) {
        return Some(("privileged".to_owned(), "[instance] privileged = true".to_owned()));
    }
    let linux = container.linux_parameters.as_ref()?;
    let added = linux.capabilities.iter().flat_map(|capabilities| capabilities.add.iter().flatten());
    let usual =
        |name: &str| super::spec::DEFAULT_CAPABILITIES.iter().any(|known| known.strip_prefix("CAP_") == Some(name));
    let granted = |name: &str| grants.capabilities.iter().any(|granted| granted == name || granted == "ALL");
    if let Some(name) =
        added.into_iter().find(|name| !HARMLESS.contains(&name.as_str()) && !usual(name) && !granted(name))
    {
        return Some((format!("the capability {name}"), format!("[instance] capabilities = [{name:?}]")));
    }
    let device = linux.devices.iter().flatten().find(|device| {
        let path = Path::new(&device.host_path);
        !grants.devices.iter().any(|granted| path.starts_with(granted))
    })?;
    let path = &device.host_path;
    Some((format!("the device {path}"), format!("[instance] devices = [{path:?}]")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing_of(definition: &str, grants: &Grants) -> Option<String> {
        missing(&serde_json::from_str(definition).unwrap(), grants).map(|missing| missing.to_string())
    }

    fn with(container: &str) -> String {
        format!(r#"{{"containerDefinitions": [{{"name": "a"}}, {{"name": "b", {container}}}]}}"#)
    }

    #[test]
    fn nothing_of_the_host_is_given_by_default_and_the_setting_is_named() {
        let none = Grants::default();
        let cases = [
            (r#"{"pidMode": "host"}"#.to_owned(), "pidMode host is not allowed", "host-pid = true"),
            (r#"{"ipcMode": "host"}"#.to_owned(), "ipcMode host", "host-ipc = true"),
            (
                with(r#""resourceRequirements": [{"type": "GPU", "value": "2"}]"#),
                "2 GPUs for a task is not allowed",
                "[instance] gpus = ",
            ),
            (with(r#""privileged": true"#), "container b: privileged", "privileged = true"),
            (
                with(r#""linuxParameters": {"capabilities": {"add": ["CHOWN", "NET_ADMIN", "SYS_ADMIN"]}}"#),
                "the capability SYS_ADMIN",
                r#"capabilities = ["SYS_ADMIN"]"#,
            ),
            (
                with(r#""linuxParameters": {"devices": [{"hostPath": "/dev/sda"}]}"#),
                "/dev/sda",
                r#"devices = ["/dev/sda"]"#,
            ),
        ];
        for (definition, what, setting) in cases {
            let text = missing_of(&definition, &none).unwrap();
            assert!(text.contains(what) && text.contains(setting), "{text}");
        }
        assert_eq!(missing_of(r#"{"pidMode": "task", "ipcMode": "none"}"#, &none), None);
    }

    #[test]
    fn what_is_granted_is_given_and_no_more() {
        let grants =
            Grants { devices: vec!["/dev/snd".into()], capabilities: vec!["SYS_TIME".to_owned()], ..Grants::default() };
        let device = |path: &str| with(&format!(r#""linuxParameters": {{"devices": [{{"hostPath": {path:?}}}]}}"#));
        assert_eq!(missing_of(&device("/dev/snd/pcm"), &grants), None);
        assert!(missing_of(&device("/dev/sndx"), &grants).is_some());
        let add = |name: &str| with(&format!(r#""linuxParameters": {{"capabilities": {{"add": [{name:?}]}}}}"#));
        assert_eq!(missing_of(&add("SYS_TIME"), &grants), None);
        assert!(missing_of(&add("ALL"), &grants).is_some());
        let all = Grants { privileged: true, ..Grants::default() };
        assert_eq!(missing_of(&add("ALL"), &all), None);
        assert!(missing_of(r#"{"pidMode": "host"}"#, &all).is_some(), "the namespaces have settings of their own");
    }
}
