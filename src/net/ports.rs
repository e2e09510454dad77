//! Ports of the host that lead to containers in bridge mode: elements of two maps in one table of the root's, whatever the
//! number of tasks. The host's own use of a port is asked for by listening on it for a moment.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::{Duration, Instant};

use super::apply::{in_namespace, open};
use super::error::NetError;
use super::netlink::Family;
use super::nft::{self, Old};
use super::rules::{self, Forward};
use crate::plan::ports::{HostPort, PortBinding, Protocol};
use crate::plan::{ContainerNetwork, LinkPlan, NetworkPlan, RootNetwork};

/// How long a port may be in use: others ask in the same way, for a moment.
const PATIENCE: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(5);

/// Leads ports of the host to a container whose link is up. Fails if the host itself listens on one of them: it would be cut
/// off from those who call it.
pub fn forward(
    link: &LinkPlan,
    ports: &[PortBinding],
    root: &RootNetwork,
    host: BorrowedFd<'_>,
) -> Result<(), NetError> {
    if ports.is_empty() {
        return Ok(());
    }
    let all = of_link(link, ports);
    in_namespace(host, || {
        for one in &all {
            wait_until_free(one.from)?;
        }
        to_loopback(link)?;
        let mut tables = open(Family::Netfilter)?;
        nft::ensure(&mut tables, &rules::ports(root), Old::Kept)?;
        nft::forward(&mut tables, &root.ports_table, &all)
    })
}

/// All that leads to a task's containers.
pub(super) fn forwards(plan: &NetworkPlan) -> Vec<Forward> {
    let NetworkPlan::PerContainer { containers, .. } = plan else { return Vec::new() };
    let of_container = |container: &ContainerNetwork| match container {
        ContainerNetwork::Bridge { link, ports } => of_link(link, ports),
        ContainerNetwork::Host { .. } | ContainerNetwork::Loopback => Vec::new(),
    };
    containers.iter().flat_map(of_container).collect()
}

fn of_link(link: &LinkPlan, ports: &[PortBinding]) -> Vec<Forward> {
    let address = link.address.address;
    let pairs = ports.iter().flat_map(PortBinding::pairs);
    pairs.map(|(port, from)| Forward { from, address, port }).collect()
}

/// Lets what the host sends from 127.0.0.1 leave by this link, and its answers come back. What a container sends to such
/// addresses by itself is dropped by the rules.
fn to_loopback(link: &LinkPlan) -> Result<(), NetError> {
    let path = format!("/proc/sys/net/ipv4/conf/{}/route_localnet", link.veth);
    fs::write(&path, "1").map_err(|source| NetError::Loopback { path, source })
}

fn wait_until_free(port: HostPort) -> Result<(), NetError> {
    let start = Instant::now();
    loop {
        match listen(port) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && start.elapsed() < PATIENCE => {
                thread::sleep(PAUSE)
            }
            Err(source) => return Err(NetError::PortInUse { port, source }),
        }
    }
}

/// Whether nobody in the calling thread's network namespace listens on a port.
pub fn is_free(port: HostPort) -> bool {
    listen(port).is_ok()
}

fn listen(HostPort { protocol, port }: HostPort) -> io::Result<()> {
    let address = (Ipv4Addr::UNSPECIFIED, port);
    match protocol {
        Protocol::Tcp => TcpListener::bind(address).map(drop),
        Protocol::Udp => UdpSocket::bind(address).map(drop),
    }
}
