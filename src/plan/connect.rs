//! From a definition and what was chosen for it to the task's network plan, and to what its containers are told of it: host
//! name, hosts file, resolver. Pure; called by `make`.

use std::net::Ipv4Addr;

use super::make::{Names, Place};
use super::ports::PortBinding;
use super::vpc::{Subnet, Vpc, gateway};
use super::{Cidr, ContainerNetwork, EniPlan, LinkKind, LinkPlan, NetworkPlan, RootNetwork};
use crate::ecs::container_definition::{ContainerCondition, ContainerDependency};
use crate::ecs::task_definition::NetworkMode;
use crate::ecs::{ContainerDefinition, TaskDefinition};
use crate::validate::proxy;

/// What was chosen for a task, by its network mode.
#[derive(Debug, Clone)]
pub enum Connection<'a> {
    /// An interface in a subnet.
    Awsvpc {
        /// The VPC.
        vpc: &'a Vpc,
        /// The subnet.
        subnet: &'a Subnet,
        /// The address in it.
        address: Ipv4Addr,
    },
    /// Addresses in the bridge's block, and ports of the host.
    Bridge {
        /// All addresses of the bridge.
        block: Cidr,
        /// One for each container, but for those without a network.
        addresses: Vec<Option<Ipv4Addr>>,
        /// The ports of each container.
        ports: Vec<Vec<PortBinding>>,
    },
    /// The host's own network.
    Host {
        /// What the host calls itself and others.
        files: &'a HostFiles,
        /// The ports of each container.
        ports: Vec<Vec<PortBinding>>,
    },
    /// No network.
    None,
}

/// What containers in the host's network see of its names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFiles {
    /// Its name.
    pub hostname: String,
    /// The text of its /etc/hosts.
    pub hosts: String,
    /// The text of its /etc/resolv.conf.
    pub resolv_conf: String,
}

/// What a container is told of the network.
pub(super) struct Identity {
    pub(super) hostname: String,
    /// Paths in the container, and texts.
    pub(super) files: Vec<(String, String)>,
}

/// The host name of the container at this place, and the files about names.
pub(super) fn identity(definition: &TaskDefinition, index: usize, place: &Place, names: &Names) -> Identity {
    let container = &definition.container_definitions[index];
    let own = container.hostname.as_deref().filter(|name| !name.is_empty());
    // As Docker: the first twelve digits of the container's own id.
    let id = || names.containers[index].replace('-', "").chars().take(12).collect::<String>();
    let (hostname, hosts, resolver) = match &place.connection {
        Connection::Awsvpc { address, .. } => {
            let hostname = private_name(*address, place.region);
            let hosts = format!("{LOCALHOST}{address} {hostname}\n");
            (hostname, hosts, place.resolv_conf)
        }
        Connection::Bridge { addresses, .. } => {
            let hostname = own.map_or_else(id, str::to_owned);
            let mut hosts = format!("{LOCALHOST}{}{}", extra_hosts(container), links(definition, container, addresses));
            hosts.extend(addresses[index].map(|address| format!("{address} {hostname}\n")));
            (hostname, hosts, place.resolv_conf)
        }
        Connection::Host { files, .. } => {
            let end = if files.hosts.is_empty() || files.hosts.ends_with('\n') { "" } else { "\n" };
            let hosts = format!("{}{end}{}", files.hosts, extra_hosts(container));
            (own.unwrap_or(&files.hostname).to_owned(), hosts, files.resolv_conf.as_str())
        }
        Connection::None => {
            let hosts = format!("{LOCALHOST}{}", extra_hosts(container));
            (own.map_or_else(id, str::to_owned), hosts, place.resolv_conf)
        }
    };
    let resolver = resolv_conf(resolver, &container.dns_servers, &container.dns_search_domains);
    let files = [("/etc/hostname", format!("{hostname}\n")), ("/etc/hosts", hosts), ("/etc/resolv.conf", resolver)];
    Identity { hostname, files: files.map(|(path, text)| (path.to_owned(), text)).into() }
}

const LOCALHOST: &str = "127.0.0.1 localhost\n";

/// An interface's private DNS name as EC2 makes it.
fn private_name(address: Ipv4Addr, region: &str) -> String {
    let address = address.to_string().replace('.', "-");
    match region {
        "us-east-1" => format!("ip-{address}.ec2.internal"),
        region => format!("ip-{address}.{region}.compute.internal"),
    }
}

fn extra_hosts(container: &ContainerDefinition) -> String {
    let entries = container.extra_hosts.iter().flatten();
    entries.map(|entry| format!("{} {}\n", entry.ip_address, entry.hostname)).collect()
}

/// A container's links: the name of another one, and what it is called here.
fn link_names(container: &ContainerDefinition) -> impl Iterator<Item = (&str, &str)> {
    container.links.iter().flatten().map(|link| link.split_once(':').unwrap_or((link, link)))
}

fn links(definition: &TaskDefinition, container: &ContainerDefinition, addresses: &[Option<Ipv4Addr>]) -> String {
    let line = |(name, alias): (&str, &str)| {
        let place = definition.container_definitions.iter().position(|other| other.name == name)?;
        let names = if name == alias { name.to_owned() } else { format!("{alias} {name}") };
        Some(format!("{} {names}\n", addresses[place]?))
    };
    link_names(container).filter_map(line).collect()
}

/// What a link means for the order: the other container starts first.
pub(super) fn link_dependencies(container: &ContainerDefinition) -> Vec<ContainerDependency> {
    let start = |(name, _): (&str, &str)| ContainerDependency {
        container_name: name.to_owned(),
        condition: ContainerCondition::Start,
    };
    link_names(container).map(start).collect()
}

/// The host's text with a container's own servers and search domains in place of the host's, as Docker does it.
fn resolv_conf(text: &str, servers: &Option<Vec<String>>, search: &Option<Vec<String>>) -> String {
    let given = |list: &Option<Vec<String>>| list.clone().filter(|list| !list.is_empty());
    let (servers, search) = (given(servers), given(search));
    if servers.is_none() && search.is_none() {
        return text.to_owned();
    }
    let stays = |line: &&str| match line.split_whitespace().next() {
        Some("nameserver") => servers.is_none(),
        Some("search" | "domain") => search.is_none(),
        _ => true,
    };
    let mut lines: Vec<String> = search.iter().map(|search| format!("search {}", search.join(" "))).collect();
    lines.extend(text.lines().filter(stays).map(str::to_owned));
    lines.extend(servers.iter().flatten().map(|server| format!("nameserver {server}")));
    lines.into_iter().map(|line| line + "\n").collect()
}

/// The plan of the task's network.
pub(super) fn network(definition: &TaskDefinition, place: &Place, names: &Names, root: &RootNetwork) -> NetworkPlan {
    let containers = &definition.container_definitions;
    match &place.connection {
        Connection::Awsvpc { vpc, subnet, address } => NetworkPlan::Awsvpc(Box::new(EniPlan {
            link: LinkPlan {
                veth: format!("ve{:.13}", names.task), // 15 bytes is the kernel's limit
                group: root.group,
                table: root.table.clone(),
                ..link(LinkKind::Task, vpc.cidr, subnet.cidr, *address)
            },
            subnet: subnet.id.clone(),
            interface: format!("eni-{:.17}", names.task),
            attachment: names.attachment.clone(),
            host_name: private_name(*address, place.region),
            proxy: definition.proxy_configuration.as_ref().and_then(|proxy| proxy::read(proxy).ok()),
        })),
        Connection::Bridge { block, addresses, ports } => {
            let one = |index: usize| match addresses[index] {
                None => ContainerNetwork::Loopback,
                Some(address) => ContainerNetwork::Bridge {
                    link: LinkPlan {
                        veth: format!("ve{:.12}{index:x}", names.task),
                        group: root.bridge_group,
                        table: root.bridge_table.clone(),
                        ..link(LinkKind::Container, *block, *block, address)
                    },
                    ports: ports[index].clone(),
                },
            };
            let containers = (0..containers.len()).map(one).collect();
            NetworkPlan::PerContainer { mode: NetworkMode::Bridge, containers }
        }
        Connection::Host { ports, .. } => {
            let one = |(container, ports): (&ContainerDefinition, &Vec<PortBinding>)| match container.disable_networking
            {
                Some(true) => ContainerNetwork::Loopback,
                Some(false) | None => ContainerNetwork::Host { ports: ports.clone() },
            };
            let containers = containers.iter().zip(ports).map(one).collect();
            NetworkPlan::PerContainer { mode: NetworkMode::Host, containers }
        }
        Connection::None => NetworkPlan::PerContainer {
            mode: NetworkMode::None,
            containers: containers.iter().map(|_| ContainerNetwork::Loopback).collect(),
        },
    }
}

/// A link without a name, a group and a table yet.
fn link(kind: LinkKind, block: Cidr, subnet: Cidr, address: Ipv4Addr) -> LinkPlan {
    let mut mac = [0x0a, 0x58, 0, 0, 0, 0]; // locally administered, unicast; the rest is the address
    mac[2..].copy_from_slice(&address.octets());
    LinkPlan {
        kind,
        veth: String::new(),
        group: 0,
        table: String::new(),
        vpc: block,
        address: Cidr { address, prefix: subnet.prefix },
        gateway: gateway(&subnet),
        mac,
    }
}

/// The keys of what a network holds in the store: its addresses, and its ports of the host.
pub(super) fn leases(network: &NetworkPlan) -> Vec<String> {
    let addresses = network.addresses().into_iter().map(|address| format!("lease/{address}"));
    let ports = network.host_ports().into_iter().map(|port| format!("port/{port}"));
    addresses.chain(ports).collect()
}

#[cfg(test)]
#[path = "connect_tests.rs"]
mod tests;
