//! Bringing a task's network up, and taking down what does not go by itself.
//!
//! Both can be repeated: up of what is up and down of what is down succeed. Links are never deleted: the kernel does
//! that when the task's namespace ends, while an explicit deletion waits 30 ms for grace periods.

use std::fs;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;

use super::agent::AGENT;
use super::error::{NetError, Verb};
use super::link::{self, ETH0, LOOPBACK, Link};
use super::netlink::{Answer, Family, Netlink, NetlinkError};
use super::nft::{self, Old};
use super::{ports, routes, rules};

use crate::plan::{Cidr, LinkPlan, NetworkPlan, RootNetwork};
use crate::sys::netns;

const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// Whether other tasks of the root still hold an address.
///
/// Between the look at the leases and the end of `down` no other task of the root may come up: the caller holds a lock
/// for that, shared around `up` and exclusive around the look and `down`. Else a task could come up just before its
/// rules are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// At least one does: the root's table stays.
    Remain,
    /// None does: the table goes.
    None,
}

/// Brings up the network of the task in whose namespace the calling thread is. `host` is the host's network namespace.
///
/// The thread is in the task's namespace again when this returns, unless the error says that it could not go back.
/// What a failed `up` leaves on the host goes with the task's namespace, and with `down`.
pub fn up(plan: &LinkPlan, host: BorrowedFd<'_>) -> Result<(), NetError> {
    let task_namespace =
        netns::current().map_err(|source| NetError::Namespace { step: "open the task's network namespace", source })?;
    let mut task = open(Family::Route)?;
    let (mut links, mut tables) = in_namespace(host, || {
        forward()?;
        Ok((open(Family::Route)?, open(Family::Netfilter)?))
    })?;
    nft::ensure(&mut tables, &rules::links(plan), Old::Replaced)?; // first, so that there is never a link without its rules
    let pair = make_pair(plan, &mut links, &mut task, task_namespace.as_fd())?;
    set_up_host_end(plan, &mut links, pair.index)?;
    set_up_task_end(plan, &mut task, pair.peer)
}

/// Brings up `lo`, in the namespace in which the calling thread is.
pub fn loopback() -> Result<(), NetError> {
    let [answer] = open(Family::Route)?.ask([link::set_up(LOOPBACK)]).map_err(|source| NetError::Link {
        verb: Verb::LoopbackUp,
        link: "lo".to_owned(),
        source,
    })?;
    answer.result.map_err(|source| NetError::Link { verb: Verb::LoopbackUp, link: "lo".to_owned(), source })
}

/// Takes down what a task's network leaves on the host. The caller may be in any namespace, the task's may be gone.
///
/// A table that was deleted is seen by nobody from then on, but whoever closes the socket waits until the kernel has done
/// with it (`nft_rcv_nl_event`), for a grace period of some 3 to 10 ms. So the socket is left to the end of the process,
/// for which nobody waits.
pub fn down(plan: &NetworkPlan, root: &RootNetwork, host: BorrowedFd<'_>, others: Others) -> Result<(), Vec<NetError>> {
    let forwards = ports::forwards(plan);
    if others == Others::Remain && forwards.is_empty() || plan.addresses().is_empty() {
        return Ok(());
    }
    let tables = in_namespace(host, || open(Family::Netfilter)).map_err(|error| vec![error])?;
    let mut tables = ManuallyDrop::new(tables);
    let done = match others {
        Others::Remain => nft::unforward(&mut tables, &root.ports_table, &forwards),
        Others::None => nft::remove(&mut tables, root.tables()),
    };
    done.map_err(|error| vec![error])
}

/// Does something in another network namespace and comes back.
pub(super) fn in_namespace<T>(
    namespace: BorrowedFd<'_>,
    act: impl FnOnce() -> Result<T, NetError>,
) -> Result<T, NetError> {
    let step = |step| move |source| NetError::Namespace { step, source };
    let here = netns::current().map_err(step("open the current network namespace"))?;
    netns::enter(namespace).map_err(step("enter the host's network namespace"))?;
    let outcome = act();
    netns::enter(here.as_fd()).map_err(step("go back to the network namespace"))?;
    outcome
}

pub(super) fn open(family: Family) -> Result<Netlink, NetError> {
    Netlink::open(family).map_err(|source| NetError::Namespace { step: "open a netlink socket", source })
}

/// Lets the host forward between its links. The file shows the namespace of whoever opens it.
fn forward() -> Result<(), NetError> {
    let set = || match fs::read(IP_FORWARD)?.first() {
        Some(b'0') => fs::write(IP_FORWARD, "1"),
        Some(_) => Ok(()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    };
    set().map_err(|source| NetError::Forwarding { path: IP_FORWARD, source })
}

/// Makes the pair, or finds that this task has it already.
fn make_pair(
    plan: &LinkPlan,
    host: &mut Netlink,
    task: &mut Netlink,
    namespace: BorrowedFd<'_>,
) -> Result<Link, NetError> {
    let requests = [routes::find(plan.address.address), link::create_pair(plan, namespace), link::find(&plan.veth)];
    let [route, created, found] = exchange(plan, host, Verb::CreatePair, requests)?;
    let fail = |verb| move |source| NetError::Link { verb, link: plan.veth.clone(), source };
    let old = match created.result {
        Err(error) if error.is(Errno::EEXIST) => Some(error),
        result => result.map(|()| None).map_err(fail(Verb::CreatePair))?,
    };
    let pair = match (found.result, old) {
        (Err(_), Some(error)) => return Err(fail(Verb::CreatePair)(error)), // it is eth0 that exists already
        (Err(error), None) => return Err(fail(Verb::FindHostEnd)(error)),
        (Ok(()), old) => {
            let pair = found.payloads.first().and_then(|payload| link::read_link(payload));
            let pair = pair.ok_or(NetlinkError::Malformed).map_err(fail(Verb::FindHostEnd))?;
            if old.is_some() && !is_ours(plan, task, pair)? {
                return Err(NetError::LinkTaken { name: plan.veth.clone() });
            }
            pair
        }
    };
    // No route at all is an error of the kernel's, and is as it should be.
    match route.payloads.first().and_then(|payload| routes::read(payload)) {
        Some(route) if route.is_claim() && route.link != pair.index && !is_leftover(plan, host, route.link)? => {
            Err(address_taken(plan, host, route.link))
        }
        _ => Ok(pair),
    }
}

/// Whether a link is an ended task's of this root: the leases say that the address is ours, and the kernel takes its time to
/// end a namespace. One that is gone by now is a leftover too.
fn is_leftover(plan: &LinkPlan, host: &mut Netlink, index: u32) -> Result<bool, NetError> {
    let [found] = exchange(plan, host, Verb::FindRoute, [link::find_index(index)])?;
    match found.result {
        Ok(()) => Ok(found
            .payloads
            .first()
            .and_then(|payload| link::read_link(payload))
            .is_some_and(|link| link.group == plan.group)),
        Err(error) => Ok(error.is(Errno::ENODEV)),
    }
}

/// Whether the host end that was found is the other end of this namespace's `eth0`.
fn is_ours(plan: &LinkPlan, task: &mut Netlink, pair: Link) -> Result<bool, NetError> {
    let [found] = exchange(plan, task, Verb::FindEth0, [link::find(ETH0)])?;
    let eth0 = found.payloads.first().and_then(|payload| link::read_link(payload));
    Ok(pair.group == plan.group && eth0.is_some_and(|eth0| eth0.index == pair.peer && eth0.peer == pair.index))
}

/// The gateway's address on the host end, so that the host answers for it, and the route to the task. The route is
/// what makes an address one link's: the kernel takes no second one to it, whichever root asks. Only from a link of an ended
/// task of the same root is the route taken over.
fn set_up_host_end(plan: &LinkPlan, host: &mut Netlink, index: u32) -> Result<(), NetError> {
    let address = plan.address.address;
    let steps = [
        (Verb::DisableIpv6Addresses, link::without_ipv6_addresses(index)),
        (Verb::AddGateway, link::add_address(index, Cidr { address: plan.gateway, prefix: 32 })),
        (Verb::AddHostRoute, link::add_direct_route(index, address, plan.gateway)),
    ];
    let refused = run(plan, host, steps)?;
    if !refused.contains(&Verb::AddHostRoute) {
        return Ok(());
    }
    let [found] = exchange(plan, host, Verb::FindRoute, [routes::find(address)])?;
    match found.payloads.first().and_then(|payload| routes::read(payload)) {
        Some(route) if route.link == index => Ok(()),
        Some(route) if !is_leftover(plan, host, route.link)? => Err(address_taken(plan, host, route.link)),
        Some(_) | None => {
            run(plan, host, [(Verb::AddHostRoute, link::take_direct_route(index, address, plan.gateway))]).map(|_| ())
        }
    }
}

/// `lo`, and `eth0` with an address that makes no route: even a neighbour of the same subnet is behind the gateway.
/// `eth0` comes up last of the two ends, so that it has carrier, and can send, from the first moment.
fn set_up_task_end(plan: &LinkPlan, task: &mut Netlink, index: u32) -> Result<(), NetError> {
    let steps = [
        (Verb::LoopbackUp, link::set_up(LOOPBACK)),
        (Verb::DisableIpv6Addresses, link::without_ipv6_addresses(index)),
        (Verb::Eth0Up, link::set_up(index)),
        (Verb::AddAddress, link::add_address(index, plan.address)),
        (Verb::AddGatewayRoute, link::add_direct_route(index, plan.gateway, plan.address.address)),
        (Verb::AddDefaultRoute, link::add_default_route(index, plan.gateway)),
        (Verb::AddAgent, link::add_address(LOOPBACK, AGENT)),
    ];
    run(plan, task, steps).map(|_| ())
}

/// Sends all steps at once. Those whose result is there already are returned; another refusal is an error.
fn run<const N: usize>(
    plan: &LinkPlan,
    netlink: &mut Netlink,
    steps: [(Verb, Vec<u8>); N],
) -> Result<Vec<Verb>, NetError> {
    let verbs = steps.each_ref().map(|(verb, _)| *verb);
    let answers = exchange(plan, netlink, verbs[0], steps.map(|(_, request)| request))?;
    let mut there_already = Vec::new();
    for (verb, answer) in verbs.into_iter().zip(answers) {
        match answer.result {
            Ok(()) => {}
            // A host without IPv6 has nothing to switch off.
            Err(error) if verb == Verb::DisableIpv6Addresses && error.is(Errno::EAFNOSUPPORT) => {}
            Err(error) if error.is(Errno::EEXIST) => there_already.push(verb),
            Err(source) => return Err(NetError::Link { verb, link: plan.veth.clone(), source }),
        }
    }
    Ok(there_already)
}

fn exchange<const N: usize>(
    plan: &LinkPlan,
    netlink: &mut Netlink,
    verb: Verb,
    requests: [Vec<u8>; N],
) -> Result<[Answer; N], NetError> {
    netlink.ask(requests).map_err(|source| NetError::Link { verb, link: plan.veth.clone(), source })
}

fn address_taken(plan: &LinkPlan, host: &mut Netlink, index: u32) -> NetError {
    match routes::name(host, index) {
        Ok(name) => NetError::AddressTaken {
            address: plan.address.address,
            device: name.unwrap_or_else(|| "a route without a device".to_owned()),
        },
        Err(source) => NetError::List { what: "links", source },
    }
}
