//! What ECS demands of a container's port mappings. In awsvpc and host mode a mapping opens nothing: it only names what the
//! container listens on; in bridge mode a port of the host leads to it. Called by `container_rules`.

use super::ports::range;
use super::report::{Path, Report, Words};
use crate::ecs::ContainerDefinition;
use crate::ecs::container_definition::PortMapping;
use crate::ecs::task_definition::NetworkMode;

/// ECS takes this many ranges in one container.
const MAX_RANGES: usize = 100;

/// All mappings of a container.
pub(super) fn check(container: &ContainerDefinition, mode: NetworkMode, path: &Path, report: &mut Report) {
    let path = path.member("portMappings");
    let mut ranges: Vec<(u16, u16, bool)> = Vec::new();
    for (index, mapping) in container.port_mappings.iter().flatten().enumerate() {
        let path = path.element(index);
        mapping_form(mapping, mode, &path, report);
        let Some(text) = mapping.container_port_range.as_deref() else { continue };
        let range_path = path.member("containerPortRange");
        let Some((first, last)) = range(text) else {
            let help = "a range is written \"8000-8010\", from 1 to 65535".to_owned();
            report.error(&range_path, Words::new("Invalid 'containerPortRange' setting").help(help));
            continue;
        };
        let udp = is_udp(mapping);
        if ranges.iter().any(|other| other.2 == udp && first <= other.1 && other.0 <= last) {
            report.error(&range_path, "container port is used multiple times in task");
        }
        ranges.push((first, last, udp));
    }
    if ranges.len() > MAX_RANGES {
        report.error(&path, format!("more than {MAX_RANGES} port ranges"));
    }
}

fn mapping_form(mapping: &PortMapping, mode: NetworkMode, path: &Path, report: &mut Report) {
    let port = |port: &i32| (1..=65_535).contains(port);
    match (mapping.container_port, mapping.container_port_range.is_some()) {
        (Some(_), true) => report.error(path, "cannot specify both single port and port range"),
        (None, false) => report.error(&path.member("containerPort"), "containerPort is missing"),
        (None, true) => {}
        (Some(container), false) if !port(&container) => {
            report.error(&path.member("containerPort"), "a port must be between 1 and 65535");
        }
        (Some(container), false) => {
            host_port(mapping.host_port, container, mode, &path.member("hostPort"), report);
        }
    }
    if mapping.container_port_range.is_some() {
        if mapping.host_port.is_some_and(|port| port != 0) {
            report.error(&path.member("hostPort"), "the host's ports of a range are chosen: leave hostPort out");
        }
        if mode == NetworkMode::Host {
            let words = "a port range needs the network mode awsvpc or bridge";
            report.error(&path.member("containerPortRange"), words);
        }
    }
    let protocol = mapping.protocol.as_deref().unwrap_or("tcp");
    if !["tcp", "udp", ""].contains(&protocol) {
        report.warning(&path.member("protocol"), "the protocol is tcp or udp; ECS takes any other word as tcp");
    }
    if mapping.name.as_ref().is_some_and(|name| name.chars().count() > 64) {
        report.error(&path.member("name"), "the name of a port has at most 64 characters");
    }
}

/// Whether a mapping is for UDP; every other word means TCP.
pub(super) fn is_udp(mapping: &PortMapping) -> bool {
    mapping.protocol.as_deref() == Some("udp")
}

fn host_port(host: Option<i32>, container: i32, mode: NetworkMode, path: &Path, report: &mut Report) {
    let Some(host) = host else { return };
    match mode {
        NetworkMode::Awsvpc | NetworkMode::Host if host != container => {
            let mode = if mode == NetworkMode::Host { "host" } else { "awsvpc" };
            let words = "the host ports and container ports in port mappings must match.";
            report.error(path, format!("When networkMode={mode}, {words}"));
        }
        NetworkMode::Bridge if !(0..=65_535).contains(&host) => {
            report.error(path, "a port of the host must be between 0 (which means: any) and 65535");
        }
        NetworkMode::Awsvpc | NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => {}
    }
}
