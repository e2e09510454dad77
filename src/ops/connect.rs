//! The choice of a new task's addresses and ports, by its network mode: what is leased is passed over, and so are ports that
//! programs of the host listen on.

use std::collections::HashSet;
use std::fs;
use std::net::Ipv4Addr;

use super::{Engine, OpsError};
use crate::ecs::TaskDefinition;
use crate::ecs::task_definition::NetworkMode;
use crate::net;
use crate::plan::connect::{Connection, HostFiles};
use crate::plan::ports::{HostPort, NoPort, PortBinding, choose, wishes};
use crate::plan::vpc::{Subnet, Vpc};
use crate::plan::{Cidr, ContainerNetwork, NetworkPlan};
use crate::store::records::{LEASES, Lease, PORTS};
use crate::validate::ValidTaskDefinition;

/// What a task is connected to, the same at each attempt to plan it.
#[derive(Debug)]
pub(super) enum Ground {
    /// The VPC.
    Awsvpc(Vpc),
    /// The bridge's block, as a subnet.
    Bridge(Vpc),
    /// The host.
    Host(HostFiles),
    /// Nothing.
    None,
}

impl Engine {
    /// What a definition's tasks are connected to.
    pub(super) fn ground(&mut self, definition: &ValidTaskDefinition) -> Result<Ground, OpsError> {
        Ok(match definition.network_mode() {
            NetworkMode::Awsvpc => Ground::Awsvpc(self.vpc()?),
            NetworkMode::Bridge => {
                let block = self.bridge_block()?;
                Ground::Bridge(Vpc { cidr: block, subnets: vec![self.bridge_subnet(block)] })
            }
            NetworkMode::Host => Ground::Host(host_files()?),
            NetworkMode::None => Ground::None,
        })
    }

    fn bridge_subnet(&self, cidr: Cidr) -> Subnet {
        Subnet { id: String::new(), zone: self.zone(), cidr }
    }

    /// The zone of tasks that are in no subnet.
    pub(super) fn zone(&self) -> String {
        let configured = self.config.vpc.as_ref().and_then(|vpc| vpc.subnets.first());
        configured.map_or_else(|| format!("{}a", self.config.region), |subnet| subnet.zone.clone())
    }

    /// Addresses and ports that are free now.
    pub(super) fn connection<'a>(
        &self,
        ground: &'a Ground,
        definition: &ValidTaskDefinition,
        also: &HashSet<String>,
    ) -> Result<Connection<'a>, OpsError> {
        let task = definition.definition();
        Ok(match ground {
            Ground::Awsvpc(vpc) => {
                let (subnet, address) = free_address(vpc, &self.leased_addresses(also)?)?;
                Connection::Awsvpc { vpc, subnet, address }
            }
            Ground::Bridge(vpc) => Connection::Bridge {
                block: vpc.cidr,
                addresses: self.bridge_addresses(vpc, task, also)?,
                ports: self.ports(task, NetworkMode::Bridge, also)?,
            },
            Ground::Host(files) => Connection::Host { files, ports: self.ports(task, NetworkMode::Host, also)? },
            Ground::None => Connection::None,
        })
    }

    fn leased_addresses(&self, also: &HashSet<String>) -> Result<HashSet<Ipv4Addr>, OpsError> {
        let leases = self.store.list::<Lease>(LEASES)?;
        let keys = leases.iter().map(|lease| &lease.key).chain(also);
        Ok(keys.filter_map(|key| key.strip_prefix(LEASES)?.parse().ok()).collect())
    }

    fn bridge_addresses(
        &self,
        block: &Vpc,
        task: &TaskDefinition,
        also: &HashSet<String>,
    ) -> Result<Vec<Option<Ipv4Addr>>, OpsError> {
        let mut taken = self.leased_addresses(also)?;
        let mut next = || {
            let (_, address) = free_address(block, &taken)?;
            taken.insert(address);
            Ok(address)
        };
        let containers = task.container_definitions.iter();
        containers.map(|one| (one.disable_networking != Some(true)).then(&mut next).transpose()).collect()
    }

    /// The ports of each container.
    fn ports(
        &self,
        task: &TaskDefinition,
        mode: NetworkMode,
        also: &HashSet<String>,
    ) -> Result<Vec<Vec<PortBinding>>, OpsError> {
        let of_containers: Vec<_> = task.container_definitions.iter().map(|one| wishes(one, mode)).collect();
        let all = of_containers.concat();
        if all.is_empty() {
            return Ok(vec![Vec::new(); of_containers.len()]);
        }
        let leases = self.store.list::<Lease>(PORTS)?;
        let port = |key: &str| key.strip_prefix(PORTS)?.parse::<HostPort>().ok();
        let taken = leases.iter().map(|lease| &lease.key).chain(also).filter_map(|key| port(key)).collect();
        let chosen = choose(&all, &taken, net::is_free, &mut rand::rng()).map_err(|none| match none {
            NoPort::Full(count, protocol) => OpsError::NoPorts { count, protocol },
            NoPort::Taken(taken) => {
                let lease = leases.iter().find(|lease| port(&lease.key) == Some(taken));
                let task = lease.map(|lease| lease.value.task.clone()).unwrap_or_default();
                OpsError::PortTaken { port: taken, task }
            }
        })?;
        let mut chosen = chosen.into_iter();
        Ok(of_containers.iter().map(|wishes| chosen.by_ref().take(wishes.len()).collect()).collect())
    }
}

/// The addresses and ports that a task holds already, on the same ground; `None` if the ground is no longer there.
pub(super) fn held<'a>(ground: &'a Ground, network: &NetworkPlan) -> Option<Connection<'a>> {
    let containers = |network: &NetworkPlan| match network {
        NetworkPlan::PerContainer { containers, .. } => containers.clone(),
        NetworkPlan::Awsvpc(_) => Vec::new(),
    };
    let ports = |network: &NetworkPlan| {
        let ports = containers(network).into_iter().map(|one| match one {
            ContainerNetwork::Bridge { ports, .. } | ContainerNetwork::Host { ports } => ports,
            ContainerNetwork::Loopback => Vec::new(),
        });
        ports.collect()
    };
    Some(match ground {
        Ground::Awsvpc(vpc) => {
            let eni = network.eni()?;
            let subnet = vpc.subnets.iter().find(|subnet| subnet.id == eni.subnet)?;
            Connection::Awsvpc { vpc, subnet, address: eni.link.address.address }
        }
        Ground::Bridge(vpc) => {
            let addresses = containers(network).into_iter().map(|one| match one {
                ContainerNetwork::Bridge { link, .. } => Some(link.address.address),
                ContainerNetwork::Host { .. } | ContainerNetwork::Loopback => None,
            });
            Connection::Bridge { block: vpc.cidr, addresses: addresses.collect(), ports: ports(network) }
        }
        Ground::Host(files) => Connection::Host { files, ports: ports(network) },
        Ground::None => Connection::None,
    })
}

fn free_address<'a>(vpc: &'a Vpc, taken: &HashSet<Ipv4Addr>) -> Result<(&'a Subnet, Ipv4Addr), OpsError> {
    vpc.free_address(taken, &mut rand::rng()).ok_or_else(|| OpsError::NoAddress {
        subnets: vpc.subnets.iter().map(|subnet| subnet.cidr.to_string()).collect::<Vec<_>>().join(", "),
    })
}

/// What a container in the host's network sees of its names. A file that is not there says nothing.
fn host_files() -> Result<HostFiles, OpsError> {
    let read = |path: &str| match fs::read(path) {
        Ok(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(OpsError::File { verb: "read", path: path.into(), source }),
    };
    let name = nix::unistd::gethostname();
    let name =
        name.map_err(|errno| OpsError::File { verb: "ask for", path: "the host's name".into(), source: errno.into() })?;
    Ok(HostFiles {
        hostname: name.to_string_lossy().into_owned(),
        hosts: read("/etc/hosts")?,
        resolv_conf: read("/etc/resolv.conf")?,
    })
}
