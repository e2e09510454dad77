//! What ECS demands of the members about the network, by network mode, and what no hosts file or resolver could hold. Texts
//! are ECS's own where they are known. Called by `task_rules` and `container_rules`.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::ports::{HostPort, Wish, wishes};
use super::proxy;
use super::report::{Path, Report};
use super::support::Target;
use crate::ecs::task_definition::{NetworkMode, ProxyConfiguration};
use crate::ecs::{ContainerDefinition, TaskDefinition};

/// The properties of an App Mesh proxy.
const PROXY_PROPERTIES: [&str; 7] = [
    "IgnoredUID",
    "IgnoredGID",
    "AppPorts",
    "ProxyIngressPort",
    "ProxyEgressPort",
    "EgressIgnoredPorts",
    "EgressIgnoredIPs",
];

/// The mode, and what only the containers together can be asked.
pub(super) fn check_task(definition: &TaskDefinition, target: Target, report: &mut Report) {
    if definition.network_mode.is_none() && target == Target::Fargate {
        report.error(&Path::root().member("networkMode"), "Fargate only supports network mode 'awsvpc'.");
    }
    let mode = mode(definition);
    links(&definition.container_definitions, mode, report);
    host_ports(&definition.container_definitions, mode, report);
    if let Some(configuration) = &definition.proxy_configuration {
        proxy_configuration(configuration, definition, mode, report);
    }
    if mode != NetworkMode::Awsvpc {
        endpoint(definition, mode, report);
    }
}

/// What only the endpoint at 169.254.170.2 can give. In host mode it would be everybody's on this host, and containers in
/// bridge mode share no namespace in which it could be the task's alone.
fn endpoint(definition: &TaskDefinition, mode: NetworkMode, report: &mut Report) {
    let has_role = definition.task_role_arn.as_ref().is_some_and(|arn| !arn.is_empty());
    let members = [
        ("taskRoleArn", has_role, "its containers get no credentials of a role"),
        ("enableFaultInjection", definition.enable_fault_injection == Some(true), "nobody can inject faults"),
    ];
    for (member, _, so) in members.iter().filter(|(_, is_given, _)| *is_given) {
        let mode = word(mode);
        let words = format!("a task has no endpoint at 169.254.170.2 when networkMode={mode}: {so}; awsvpc has it");
        report.warning(&Path::root().member(*member), words);
    }
}

/// How a definition is connected; absent means bridge.
pub(super) fn mode(definition: &TaskDefinition) -> NetworkMode {
    definition.network_mode.unwrap_or(NetworkMode::Bridge)
}

fn word(mode: NetworkMode) -> &'static str {
    match mode {
        NetworkMode::Awsvpc => "awsvpc",
        NetworkMode::Bridge => "bridge",
        NetworkMode::Host => "host",
        NetworkMode::None => "none",
    }
}

/// One container. For Fargate the table of fields refuses all of this.
pub(super) fn check(
    container: &ContainerDefinition,
    mode: NetworkMode,
    target: Target,
    path: &Path,
    report: &mut Report,
) {
    if mode == NetworkMode::Awsvpc && target == Target::Instance {
        let given = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
        let members = [
            ("hostname", "hostname is", container.hostname.as_ref().is_some_and(|name| !name.is_empty())),
            ("disableNetworking", "Disable Networking is", container.disable_networking == Some(true)),
            ("dnsServers", "DNS servers are", given(&container.dns_servers)),
            ("dnsSearchDomains", "DNS search domains are", given(&container.dns_search_domains)),
            ("extraHosts", "Extra hosts are", container.extra_hosts.as_ref().is_some_and(|hosts| !hosts.is_empty())),
        ];
        for (member, words, _) in members.iter().filter(|(_, _, is_given)| *is_given) {
            let words = format!("{words} not supported on container when networkMode=awsvpc");
            report.error(&path.member(*member), words);
        }
    }
    forms(container, path, report);
}

fn forms(container: &ContainerDefinition, path: &Path, report: &mut Report) {
    if container.hostname.as_deref().is_some_and(|name| !name.is_empty() && !is_host_name(name, 64)) {
        report.error(&path.member("hostname"), "a host name is up to 64 letters, digits, hyphens and full stops");
    }
    for (index, server) in container.dns_servers.iter().flatten().enumerate() {
        if server.parse::<IpAddr>().is_err() {
            report.error(&path.member("dnsServers").element(index), "a DNS server is an IP address");
        }
    }
    for (index, domain) in container.dns_search_domains.iter().flatten().enumerate() {
        if !is_host_name(domain, 254) {
            report.error(&path.member("dnsSearchDomains").element(index), "this is not a domain");
        }
    }
    for (index, entry) in container.extra_hosts.iter().flatten().enumerate() {
        let path = path.member("extraHosts").element(index);
        if !is_host_name(&entry.hostname, 254) {
            report.error(&path.member("hostname"), "this is not a host name");
        }
        if entry.ip_address.parse::<IpAddr>().is_err() {
            report.error(&path.member("ipAddress"), "this is not an IP address");
        }
    }
}

/// What can stand in a hosts file and resolv.conf; underscores too, which people use.
fn is_host_name(text: &str, most: usize) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=most).contains(&text.len()) && text.bytes().all(known) && !text.starts_with(['-', '.'])
}

fn links(containers: &[ContainerDefinition], mode: NetworkMode, report: &mut Report) {
    for (index, container) in containers.iter().enumerate() {
        let path = Path::container(index).member("links");
        let links = container.links.as_deref().unwrap_or_default();
        if !links.is_empty() && mode != NetworkMode::Bridge {
            report.error(&path, format!("Links are not supported when networkMode={}", word(mode)));
            continue;
        }
        for (at, link) in links.iter().enumerate() {
            let path = path.element(at);
            let (name, alias) = link.split_once(':').unwrap_or((link, link));
            let other = containers.iter().find(|other| other.name == name);
            if !is_host_name(alias, 254) {
                report.error(&path, "a link is written NAME or NAME:ALIAS");
            } else if other.is_none() {
                report.error(&path, format!("Invalid 'links' setting. Unknown container: '{name}'"));
            } else if other.is_some_and(|other| other.disable_networking == Some(true)) {
                report.error(&path, format!("container {name} has no network: there is nothing to link to"));
            }
        }
    }
}

/// A port of the host leads to one container.
fn host_ports(containers: &[ContainerDefinition], mode: NetworkMode, report: &mut Report) {
    let mut owners: HashMap<HostPort, &str> = HashMap::new();
    for (index, container) in containers.iter().enumerate() {
        let path = Path::container(index).member("portMappings");
        let mappings = container.port_mappings.as_deref().unwrap_or_default();
        if mode == NetworkMode::None && !mappings.is_empty() {
            report.error(&path, "Port mappings are not supported when networkMode=none");
        }
        let is_mode_with_ports = matches!(mode, NetworkMode::Bridge | NetworkMode::Host);
        if is_mode_with_ports && container.disable_networking == Some(true) && !mappings.is_empty() {
            report.warning(&path, "the container has no network (disableNetworking): the mappings open nothing");
        }
        let mut used = HashSet::new();
        for Wish { protocol, host, .. } in wishes(container, mode) {
            let Some(port) = host.map(|port| HostPort { protocol, port }) else { continue };
            let twice = !used.insert(port);
            if let Some(owner) = owners.insert(port, &container.name).filter(|owner| twice || *owner != container.name)
            {
                report.error(&path, format!("port {port} of the host is given to container {owner} already"));
            }
        }
    }
}

fn proxy_configuration(
    configuration: &ProxyConfiguration,
    definition: &TaskDefinition,
    mode: NetworkMode,
    report: &mut Report,
) {
    let path = Path::root().member("proxyConfiguration");
    if mode != NetworkMode::Awsvpc {
        report.error(&path, "APPMESH proxy configuration is only supported in networkMode=awsvpc");
    }
    let name = &configuration.container_name;
    if !name.is_empty() && !definition.container_definitions.iter().any(|container| container.name == *name) {
        report.error(&path.member("containerName"), format!("Proxy container [{name}] does not exist"));
    }
    let properties = path.member("properties");
    for (index, property) in configuration.properties.iter().flatten().enumerate() {
        let name = property.name.as_deref().unwrap_or_default();
        if !PROXY_PROPERTIES.contains(&name) {
            let words = format!("{name:?} is not one of {}", PROXY_PROPERTIES.join(", "));
            report.error(&properties.element(index).member("name"), words);
        }
    }
    for fault in proxy::read(configuration).err().into_iter().flatten() {
        let all = configuration.properties.iter().flatten();
        let at = all.enumerate().filter(|(_, pair)| pair.name.as_deref() == Some(fault.property)).last();
        match at {
            Some((index, _)) => report.error(&properties.element(index).member("value"), fault.words),
            None => report.error(&properties, fault.words),
        }
    }
}

#[cfg(test)]
#[path = "network_rules_tests.rs"]
mod tests;
