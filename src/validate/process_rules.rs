//! What a container's process can be given: environment, directory, limits, capabilities, labels. Called by
//! `container_rules`.

use std::collections::HashSet;

use super::container_rules::Place;
use super::json::excerpt;
use super::report::{Path, Report, Words};
use super::suggest;
use super::support::Target;
use super::value_rules;
use crate::ecs::ContainerDefinition;
use crate::ecs::linux::Ulimit;

/// The capabilities that ECS knows, as the reference of KernelCapabilities lists them (capabilities(7)).
pub(crate) const CAPABILITIES: [&str; 37] = [
    "AUDIT_CONTROL",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "SYSLOG",
    "WAKE_ALARM",
];

/// Everything that the process is given.
pub(super) fn check(container: &ContainerDefinition, place: &Place<'_>, report: &mut Report) {
    environment(container, &place.path, report);
    value_rules::check(container, place, report);
    directory(container, &place.path, report);
    ulimits(container.ulimits.as_deref().unwrap_or_default(), &place.path.member("ulimits"), report);
    capabilities(container, place, report);
}

fn environment(container: &ContainerDefinition, path: &Path, report: &mut Report) {
    let mut names = HashSet::new();
    for (index, variable) in container.environment.iter().flatten().enumerate() {
        let path = path.member("environment").element(index);
        let name = variable.name.as_deref().unwrap_or_default();
        if name.is_empty() {
            report.error(&path.member("name"), "a variable has no name");
        } else if name.contains('=') {
            report.error(&path.member("name"), "the name of a variable cannot hold '='");
        } else if !names.insert(name) {
            report.warning(&path.member("name"), format!("the variable {} stands twice: the last wins", excerpt(name)));
        }
    }
}

fn directory(container: &ContainerDefinition, path: &Path, report: &mut Report) {
    let directory = container.working_directory.as_deref().filter(|directory| !directory.is_empty());
    if directory.is_some_and(|directory| !directory.starts_with('/')) {
        report.error(&path.member("workingDirectory"), "a working directory is an absolute path");
    }
}

fn ulimits(ulimits: &[Ulimit], path: &Path, report: &mut Report) {
    let mut names = HashSet::new();
    for (index, ulimit) in ulimits.iter().enumerate() {
        let path = path.element(index);
        let Ulimit { name, soft_limit: soft, hard_limit: hard } = ulimit;
        // -1 is unlimited: above every number.
        let height = |limit: i32| if limit == -1 { i64::MAX } else { i64::from(limit) };
        if *soft < -1 || *hard < -1 {
            report.error(&path, "a limit is -1 (unlimited), 0 or more");
        } else if height(*soft) > height(*hard) {
            report.error(&path.member("softLimit"), format!("Soft limit exceeds hard limit for ulimit {name}"));
        }
        if !names.insert(name) {
            report.error(&path.member("name"), format!("the ulimit {name} stands twice"));
        }
    }
}

fn capabilities(container: &ContainerDefinition, place: &Place<'_>, report: &mut Report) {
    let Some(capabilities) = container.linux_parameters.as_ref().and_then(|linux| linux.capabilities.as_ref()) else {
        return;
    };
    let path = place.path.member("linuxParameters").member("capabilities");
    for (index, name) in capabilities.add.iter().flatten().enumerate() {
        let path = path.member("add").element(index);
        match (name.as_str(), place.target) {
            ("SYS_PTRACE", _) => {}
            (name, Target::Fargate) => report.error(&path, format!("{name} is not allowed on Fargate.")),
            // Whether the host lets it have them is the host's configuration (`plan::grants`).
            (name, Target::Instance) if is_known(name) => {}
            (name, Target::Instance) => unknown(name, &path, report),
        }
    }
    for (index, name) in capabilities.drop.iter().flatten().enumerate() {
        if !is_known(name) {
            unknown(name, &path.member("drop").element(index), report);
        }
    }
}

fn is_known(name: &str) -> bool {
    name == "ALL" || CAPABILITIES.contains(&name)
}

fn unknown(name: &str, path: &Path, report: &mut Report) {
    let bare = name.strip_prefix("CAP_").unwrap_or(name);
    let help = suggest::nearest(bare, CAPABILITIES).map(|known| format!("did you mean {known:?}?"));
    report.error(path, Words::new(format!("{} is not a capability", excerpt(name))).help(help));
}
