//! The network of a task as data: names, addresses and ports, from which `net` makes and unmakes it.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ports::{HostPort, PortBinding};
use crate::ecs::task_definition::NetworkMode;
use crate::validate::proxy::Proxy;

/// An IPv4 block, `172.31.0.0/20`. Host bits may be set: then it is an address with its subnet's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    /// The address before the slash.
    pub address: Ipv4Addr,
    /// The prefix length, 0 to 32.
    pub prefix: u8,
}

impl Cidr {
    /// The netmask as a number.
    pub fn mask(&self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0)
    }

    /// The first address of the block.
    pub fn network(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() & self.mask())
    }

    /// Whether an address lies in the block.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.mask() == self.network().to_bits()
    }

    /// Whether two blocks share an address.
    pub fn overlaps(&self, other: &Cidr) -> bool {
        self.contains(other.network()) || other.contains(self.network())
    }

    /// How many addresses the block has.
    pub fn size(&self) -> u64 {
        1 << (32 - u32::from(self.prefix))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The text is not an IPv4 block.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an IPv4 block such as 172.31.0.0/16")]
pub struct ParseCidrError(String);

impl FromStr for Cidr {
    type Err = ParseCidrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let prefix: u8 = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
            Some(Self { address: address.parse().ok()?, prefix })
        };
        parse().ok_or_else(|| ParseCidrError(text.to_owned()))
    }
}

impl TryFrom<String> for Cidr {
    type Error = ParseCidrError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

/// Whose a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkKind {
    /// An awsvpc task's.
    Task,
    /// A container's in bridge mode, which ports of the host may lead to.
    Container,
}

/// A veth pair: the host's end, and `eth0` in a namespace of a task or a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkPlan {
    /// Whose it is.
    pub kind: LinkKind,
    /// The host's end, at most 15 bytes: `ve` and digits of the task id. The other is `eth0`.
    pub veth: String,
    /// The interface group (IFLA_GROUP) of all host ends of this kind and root: what the nftables rules match.
    pub group: u32,
    /// The nftables table (family inet) with these rules.
    pub table: String,
    /// All addresses of this kind of links, a VPC's or the bridge's: between them nothing is translated.
    pub vpc: Cidr,
    /// The address with its subnet's prefix, `172.31.0.10/20`.
    pub address: Cidr,
    /// The subnet's gateway (its first address), which the host answers for on every host end.
    pub gateway: Ipv4Addr,
    /// The MAC address of `eth0`.
    pub mac: [u8; 6],
}

impl LinkPlan {
    /// The MAC address as ECS writes it.
    pub fn mac_text(&self) -> String {
        self.mac.map(|byte| format!("{byte:02x}")).join(":")
    }
}

/// What all tasks of a root share in the host's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootNetwork {
    /// The group of awsvpc tasks' host ends.
    pub group: u32,
    /// The nftables table about these, `berth-TAG`.
    pub table: String,
    /// The group of bridge containers' host ends.
    pub bridge_group: u32,
    /// The table about these.
    pub bridge_table: String,
    /// The table that leads ports of the host to containers.
    pub ports_table: String,
}

impl RootNetwork {
    /// That of the root with this tag, eight hexadecimal digits.
    pub fn of(tag: &str) -> Self {
        let group = u32::from_str_radix(tag, 16).unwrap_or_default();
        let table = format!("berth-{tag}");
        Self {
            group: group.max(1), // 0 is every other interface's group
            bridge_group: (group ^ 1 << 31).max(1),
            bridge_table: format!("{table}-bridge"),
            ports_table: format!("{table}-ports"),
            table,
        }
    }

    /// All its tables.
    pub fn tables(&self) -> [&str; 3] {
        [&self.table, &self.bridge_table, &self.ports_table]
    }
}

/// The interface of an awsvpc task, and what ECS tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EniPlan {
    /// The link.
    pub link: LinkPlan,
    /// The subnet's id.
    pub subnet: String,
    /// The interface's id, `eni-` and 17 digits of the task id.
    pub interface: String,
    /// The attachment's UUID.
    pub attachment: String,
    /// The private DNS name, the host name of the task's containers.
    pub host_name: String,
    /// The redirection to a proxy container.
    pub proxy: Option<Proxy>,
}

/// What one container of a task has where the task itself has no interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerNetwork {
    /// The host's own.
    Host {
        /// The ports that it listens on there.
        ports: Vec<PortBinding>,
    },
    /// A namespace with a link.
    Bridge {
        /// The link.
        link: LinkPlan,
        /// The host's ports that lead to it.
        ports: Vec<PortBinding>,
    },
    /// A namespace with nothing but `lo`.
    Loopback,
}

/// How a task is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkPlan {
    /// By an interface that all containers share (awsvpc).
    Awsvpc(Box<EniPlan>),
    /// Container by container, in their order (bridge, host, none).
    PerContainer {
        /// The task definition's word for it.
        mode: NetworkMode,
        /// The containers.
        containers: Vec<ContainerNetwork>,
    },
}

impl NetworkPlan {
    /// The interface of an awsvpc task.
    pub fn eni(&self) -> Option<&EniPlan> {
        match self {
            Self::Awsvpc(eni) => Some(eni),
            Self::PerContainer { .. } => None,
        }
    }

    /// What the container at this place has of its own; nothing in an awsvpc task.
    pub fn container(&self, place: usize) -> Option<&ContainerNetwork> {
        match self {
            Self::Awsvpc(_) => None,
            Self::PerContainer { containers, .. } => containers.get(place),
        }
    }

    /// The ports of the host that belong to the container at this place.
    pub fn ports(&self, place: usize) -> &[PortBinding] {
        match self.container(place) {
            Some(ContainerNetwork::Host { ports } | ContainerNetwork::Bridge { ports, .. }) => ports,
            Some(ContainerNetwork::Loopback) | None => &[],
        }
    }

    /// All ports of the host that belong to it.
    pub fn host_ports(&self) -> Vec<HostPort> {
        let count = match self {
            Self::Awsvpc(_) => 0,
            Self::PerContainer { containers, .. } => containers.len(),
        };
        let bindings = (0..count).flat_map(|place| self.ports(place));
        bindings.flat_map(PortBinding::pairs).map(|(_, port)| port).collect()
    }

    /// The addresses that it holds, in the order of the containers.
    pub fn addresses(&self) -> Vec<Ipv4Addr> {
        match self {
            Self::Awsvpc(eni) => vec![eni.link.address.address],
            Self::PerContainer { containers, .. } => {
                let address = |container: &ContainerNetwork| match container {
                    ContainerNetwork::Bridge { link, .. } => Some(link.address.address),
                    ContainerNetwork::Host { .. } | ContainerNetwork::Loopback => None,
                };
                containers.iter().filter_map(address).collect()
            }
        }
    }

    /// The task definition's word for it.
    pub fn mode(&self) -> NetworkMode {
        match self {
            Self::Awsvpc(_) => NetworkMode::Awsvpc,
            Self::PerContainer { mode, .. } => *mode,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_knows_its_addresses() {
        let block: Cidr = "172.31.16.9/20".parse().unwrap();
        assert_eq!(block.network(), Ipv4Addr::new(172, 31, 16, 0));
        assert!(block.contains(Ipv4Addr::new(172, 31, 31, 255)) && !block.contains(Ipv4Addr::new(172, 31, 32, 0)));
        assert!("0.0.0.0/0".parse::<Cidr>().unwrap().contains(Ipv4Addr::BROADCAST));
        assert!(block.overlaps(&"172.31.0.0/16".parse().unwrap()));
        assert!("172.31.0.0/33".parse::<Cidr>().is_err() && "172.31.0.0".parse::<Cidr>().is_err());
    }
}
