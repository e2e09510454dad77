//! Checks of the network: whether a task's link and rules can be made at all, forwarding, names, and addresses.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use super::{Caller, Check, State, aside, chain, not_seen};
use crate::net::{self, HostRoute, NetError, Resolver};
use crate::ops::config::Config;
use crate::plan::ports::{PortBinding, Protocol};
use crate::plan::vpc::Vpc;
use crate::plan::{Cidr, Layout, LinkKind, LinkPlan, RootNetwork};
use crate::store::Store;
use crate::store::records::{BRIDGE, VPC};
use crate::sys::netns;
use crate::validate::proxy::Proxy;

/// What a task's link and the root's rules need, where the kernel has them as modules.
const MODULES: &str = "modprobe -a veth nf_tables nft_chain_nat nft_nat nft_masq nft_redir nft_ct nft_fib_inet";

/// `file` is where the settings are from.
pub(super) fn checks(layout: &Layout, file: &Path, settings: &Config, caller: Caller) -> Vec<Check> {
    let mut checks = vec![link(caller), forwarding(), resolver(file, settings)];
    checks.extend(blocks(layout, file, settings, caller));
    checks
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
        vpc: Cidr { address: Ipv4Addr::new(172, 31, 0, 0), prefix: 16 },
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

fn resolver(file: &Path, settings: &Config) -> Check {
    let name = "name servers";
    let list = |servers: &[Ipv4Addr]| servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if !settings.dns.is_empty() {
        return Check::ok(name, format!("{}, as {} says", list(&settings.dns), file.display()));
    }
    let remedy = format!("name servers that tasks can reach: dns = [\"10.0.0.2\"] in {}", file.display());
    match Resolver::of_host() {
        Err(error) => Check::warn(name, chain(&error)).remedy(remedy),
        Ok(resolver) if resolver.servers.is_empty() => {
            Check::warn(name, "the host's resolv.conf has none that a task can reach (loopback, IPv6 only)")
                .remedy(remedy)
        }
        Ok(resolver) => Check::ok(name, list(&resolver.servers)),
    }
}

/// The addresses of tasks beside what the host has routes to: both blocks, as they are configured, else as they were chosen once.
fn blocks(layout: &Layout, file: &Path, settings: &Config, caller: Caller) -> Vec<Check> {
    let names = ["VPC", "bridge mode"];
    if caller == Caller::Other {
        return names.map(not_seen).into();
    }
    let host = File::open("/proc/thread-self/ns/net").map_err(|error| error.to_string());
    let mut routes = match host.and_then(|host| net::host_routes(host.as_fd()).map_err(|error| chain(&error))) {
        Ok(routes) => routes,
        Err(error) => {
            let unknown =
                |name| Check::warn(name, format!("the host's routes are not known: {error}")).remedy("ip route");
            return names.map(unknown).into();
        }
    };
    // Tasks of this host have routes of their own.
    routes.retain(|route| route.device.as_deref().is_none_or(|device| !device.starts_with("ve")));
    // A store that cannot be read is told of by a check of its own.
    let store = Some(layout.store()).filter(|path| path.exists()).and_then(|path| Store::open(&path).ok());
    let vpc = settings.vpc.as_ref().map(|vpc| vpc.cidr);
    let vpc = vpc.or_else(|| Some(store.as_ref()?.get::<Vpc>(VPC).ok()??.value.cidr));
    let bridge = settings.network.bridge_cidr;
    let bridge = bridge.or_else(|| Some(store.as_ref()?.get::<Cidr>(BRIDGE).ok()??.value));
    let place = file.display();
    vec![
        block(names[0], vpc, &Vpc::candidates(), &routes, &format!("cidr below [vpc] in {place}"), State::Fail),
        block(
            names[1],
            bridge,
            &Vpc::bridge_candidates(),
            &routes,
            &format!("bridge-cidr below [network] in {place}"),
            State::Warn,
        ),
    ]
}

/// `block` is none before the first task, which takes the first candidate that is free. `setting` says where another is chosen, and
/// `without` what it is that no task can have one.
fn block(
    name: &'static str,
    block: Option<Cidr>,
    candidates: &[Cidr],
    routes: &[HostRoute],
    setting: &str,
    without: State,
) -> Check {
    let rival = |block: &Cidr| routes.iter().find(|route| route.destination.overlaps(block));
    let free = candidates.iter().find(|block| rival(block).is_none());
    let remedy = match free {
        Some(free) => format!("set {setting}, to \"{free}\" for one"),
        None => format!("set {setting} to a block that nobody on this host's networks has"),
    };
    match (block, free) {
        (None, Some(free)) => Check::ok(name, format!("the first task takes {free}: no route conflicts with it")),
        (None, None) => {
            let found =
                "every block that berth knows conflicts with a route of this host: tasks of this kind get no address";
            Check::new(name, without, found).remedy(remedy)
        }
        (Some(block), _) => match rival(&block) {
            None => Check::ok(name, format!("no route conflicts with {block}")),
            Some(route) => {
                let by = route.device.as_deref().map(|device| format!(" by {device}")).unwrap_or_default();
                Check::warn(name, format!("the route to {}{by} conflicts with {block} of the tasks", route.destination))
                    .remedy(remedy)
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn vpc(has: Option<&str>, routes: &[&str]) -> Check {
        let route = |text: &&str| HostRoute { destination: cidr(text), device: Some("wg0".to_owned()) };
        let routes: Vec<HostRoute> = routes.iter().map(route).collect();
        block("VPC", has.map(cidr), &Vpc::candidates(), &routes, "cidr below [vpc] in FILE", State::Fail)
    }

    #[test]
    fn the_block_that_tasks_have_is_compared_and_not_the_one_that_they_would_have_by_default() {
        assert_eq!(vpc(Some("10.9.0.0/16"), &["172.31.0.0/16"]).state, State::Ok);
        let check = vpc(Some("10.9.0.0/16"), &["172.31.0.0/16", "10.0.0.0/8"]);
        assert_eq!(check.state, State::Warn);
        assert_eq!(check.found, "the route to 10.0.0.0/8 by wg0 conflicts with 10.9.0.0/16 of the tasks");
        assert_eq!(check.remedy.unwrap(), "set cidr below [vpc] in FILE, to \"172.30.0.0/16\" for one");
    }

    #[test]
    fn before_the_first_task_a_conflict_matters_only_if_no_block_is_free() {
        let check = vpc(None, &["172.31.5.0/24"]);
        assert!(check.state == State::Ok && check.found.contains("takes 172.30.0.0/16"), "{}", check.found);
        let check = vpc(None, &["172.16.0.0/12", "10.0.0.0/8"]);
        assert!(
            check.state == State::Fail && check.remedy.unwrap().starts_with("set cidr below [vpc] in FILE to a block")
        );
    }

    #[test]
    fn name_servers_of_the_configuration_are_enough() {
        let settings = Config { dns: vec![Ipv4Addr::new(10, 0, 0, 2)], ..Config::default() };
        let check = resolver(Path::new("FILE"), &settings);
        assert_eq!((check.state, check.found.as_str()), (State::Ok, "10.0.0.2, as FILE says"));
    }
}
