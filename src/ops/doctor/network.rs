//! Checks of the network: whether a task's link and rules can be made at all, forwarding, names, and addresses.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use super::{Caller, Check, aside, chain, not_seen};
use crate::net::{self, NetError, Resolver};
use crate::plan::ports::{PortBinding, Protocol};
use crate::plan::{Cidr, LinkKind, LinkPlan, RootNetwork};
use crate::sys::netns;
use crate::validate::proxy::Proxy;

/// What a task's link and the root's rules need, where the kernel has them as modules.
const MODULES: &str = "modprobe -a veth nf_tables nft_chain_nat nft_nat nft_masq nft_redir nft_ct nft_fib_inet";
/// The block that a VPC has where nothing else is configured.
const DEFAULT_VPC: Cidr = Cidr { address: Ipv4Addr::new(172, 31, 0, 0), prefix: 16 };

/// `config` is the file in which a root is told its name servers and its VPC.
pub(super) fn checks(config: &Path, caller: Caller) -> Vec<Check> {
    vec![link(caller), forwarding(), resolver(config), routes(config, caller)]
}

/// Makes a whole task network between two namespaces of its own, and lets the kernel drop both.
fn link(caller: Caller) -> Check {
    let name = "veth, nftables";
    if caller == Caller::Other {
        return not_seen(name);
    }
    let made = aside(|| {
        netns::enter_new()?;
        let host = netns::current()?;
        netns::enter_new()?;
        trial(host.as_fd()).map_err(|error| io::Error::other(chain(&error)))
    });
    match made {
        Ok(()) => Check::ok(name, "links, routes, rules and ports were made on trial"),
        Err(error) => Check::fail(name, format!("a trial failed: {error}")).remedy(format!(
            "{MODULES}; or boot a kernel with VETH, NF_TABLES_INET, NFT_NAT, NFT_MASQ, NFT_REDIR, NFT_CT, NFT_FIB_INET"
        )),
    }
}

/// The link of a container, ports that lead to it, and the way to a proxy: all kinds of rules.
fn trial(host: BorrowedFd<'_>) -> Result<(), NetError> {
    let (link, root) = (plan(), RootNetwork::of("00000001"));
    let port = PortBinding { container: 80, host: 50_000, count: 1, protocol: Protocol::Tcp };
    net::up(&link, host)?;
    net::forward(&link, &[port], &root, host)?;
    let user = Some(1);
    net::redirect(&Proxy { app_ports: vec![80], ingress: 1, egress: 2, ignored_uid: user, ..Proxy::default() })
}

fn plan() -> LinkPlan {
    LinkPlan {
        kind: LinkKind::Container,
        veth: "vedoctor".to_owned(),
        group: 1,
        table: "berth-doctor".to_owned(),
        vpc: DEFAULT_VPC,
        address: Cidr { address: Ipv4Addr::new(172, 31, 0, 10), prefix: 20 },
        gateway: Ipv4Addr::new(172, 31, 0, 1),
        mac: [0x02, 0, 0, 0, 0, 0x0a],
    }
}

/// What the kernel does between links. The rules of a root do not depend on the last two: they look at each packet of
/// a task themselves, and there is no bridge.
fn forwarding() -> Check {
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/net/{name}")).map(|text| text.trim().to_owned());
    let filter = read("ipv4/conf/all/rp_filter").unwrap_or_else(|_| "?".to_owned());
    let bridges = read("bridge/bridge-nf-call-iptables").map_or("not loaded", |_| "loaded, without effect on tasks");
    let rest = format!("rp_filter {filter}, br_netfilter {bridges}");
    match read("ipv4/ip_forward").as_deref() {
        Ok("0") => Check::ok("forwarding", format!("off: the first task switches it on; {rest}")),
        Ok(_) => Check::ok("forwarding", format!("on; {rest}")),
        Err(error) => Check::fail("forwarding", format!("/proc/sys/net/ipv4/ip_forward: {error}"))
            .remedy("mount /proc, with its sys directory writable"),
    }
}

fn resolver(config: &Path) -> Check {
    let remedy = format!("name servers that tasks can reach: dns = [\"10.0.0.2\"] in {}", config.display());
    match Resolver::of_host() {
        Err(error) => Check::warn("name servers", chain(&error)).remedy(remedy),
        Ok(resolver) if resolver.servers.is_empty() => {
            Check::warn("name servers", "the host's resolv.conf has none that a task can reach (loopback, IPv6 only)")
                .remedy(remedy)
        }
        Ok(resolver) => {
            let servers: Vec<String> = resolver.servers.iter().map(ToString::to_string).collect();
            Check::ok("name servers", servers.join(", "))
        }
    }
}

fn routes(config: &Path, caller: Caller) -> Check {
    if caller == Caller::Other {
        return not_seen("VPC");
    }
    let host = File::open("/proc/thread-self/ns/net").map_err(|error| error.to_string());
    let routes = host.and_then(|host| net::host_routes(host.as_fd()).map_err(|error| chain(&error)));
    let routes = match routes {
        Ok(routes) => routes,
        Err(error) => {
            return Check::warn("VPC", format!("the host's routes are not known: {error}")).remedy("ip route");
        }
    };
    // Tasks of this host have routes of their own.
    let is_other = |device: &Option<String>| device.as_deref().is_none_or(|device| !device.starts_with("ve"));
    let conflict = routes.iter().find(|route| route.destination.overlaps(&DEFAULT_VPC) && is_other(&route.device));
    match conflict {
        None => Check::ok("VPC", format!("no route conflicts with {DEFAULT_VPC}")),
        Some(route) => {
            let by = route.device.as_deref().map(|device| format!(" by {device}")).unwrap_or_default();
            Check::warn("VPC", format!("the route to {}{by} conflicts with {DEFAULT_VPC}", route.destination)).remedy(
                format!("another block is taken for the first task; or choose one: [vpc] cidr in {}", config.display()),
            )
        }
    }
}
