//! The verbs of a task's veth pair: each builds one rtnetlink request or reads one answer. They decide nothing; the
//! order is `apply`'s.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkExtentMask, LinkFlags,
    LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::netlink::{attributes, route_request, u32_at};
use crate::plan::{Cidr, LinkPlan};

/// The task's interface.
pub(super) const ETH0: &str = "eth0";
/// `lo` has the index 1 in every network namespace (`LOOPBACK_IFINDEX` in include/net/flow.h).
pub(super) const LOOPBACK: u32 = 1;
/// The MAC address of every host end: no two of them share a link. One is given so that udev's MACAddressPolicy, which
/// replaces a random address some time after the link's birth, leaves it alone.
const HOST_MAC: [u8; 6] = [0xee; 6];

/// `struct ifinfomsg` and its attributes (include/uapi/linux/if_link.h).
pub(super) const LINK_HEADER: usize = 16;
const IFLA_LINK: u16 = 5;
const IFLA_GROUP: u16 = 27;

/// What we want to know of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    /// Its index in its own namespace.
    pub(super) index: u32,
    /// Its interface group.
    pub(super) group: u32,
    /// The index of its other end, in that one's namespace.
    pub(super) peer: u32,
}

/// Makes the pair: the host end here and up, `eth0` in the task's namespace. The MTU stays the 1500 of every veth.
///
/// A veth is moved between namespaces in 26 ms and born in the right one for nothing. One queue at each end, because
/// the kernel else allocates one for each possible CPU and uses the first.
pub(super) fn create_pair(plan: &LinkPlan, task: BorrowedFd<'_>) -> Vec<u8> {
    let mut eth0 = LinkMessage::default();
    eth0.attributes = vec![
        LinkAttribute::IfName(ETH0.to_owned()),
        LinkAttribute::Address(plan.mac.to_vec()),
        LinkAttribute::NetNsFd(task.as_raw_fd()),
        LinkAttribute::NumTxQueues(1),
        LinkAttribute::NumRxQueues(1),
    ];
    let mut host = LinkMessage::default();
    host.header.flags = LinkFlags::Up;
    host.header.change_mask = LinkFlags::Up;
    host.attributes = vec![
        LinkAttribute::IfName(plan.veth.clone()),
        LinkAttribute::Address(HOST_MAC.to_vec()),
        LinkAttribute::Group(plan.group),
        LinkAttribute::NumTxQueues(1),
        LinkAttribute::NumRxQueues(1),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(eth0))),
        ]),
    ];
    route_request(RouteNetlinkMessage::NewLink(host), NLM_F_CREATE | NLM_F_EXCL)
}

/// Asks for a link by name.
pub(super) fn find(name: &str) -> Vec<u8> {
    let mut link = LinkMessage::default();
    link.attributes =
        vec![LinkAttribute::IfName(name.to_owned()), LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])];
    route_request(RouteNetlinkMessage::GetLink(link), 0)
}

/// Asks for a link by index.
pub(super) fn find_index(index: u32) -> Vec<u8> {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.attributes = vec![LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])];
    route_request(RouteNetlinkMessage::GetLink(link), 0)
}

/// Lets the kernel make no IPv6 address on a link. It has to come before carrier, and the kernel takes this option
/// for links that exist only: it cannot be a part of the birth.
pub(super) fn without_ipv6_addresses(index: u32) -> Vec<u8> {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.attributes = vec![LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(
        In6AddrGenMode::None,
    )])])];
    route_request(RouteNetlinkMessage::SetLink(link), 0)
}

/// Brings a link up.
pub(super) fn set_up(index: u32) -> Vec<u8> {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    route_request(RouteNetlinkMessage::SetLink(link), 0)
}

/// Gives a link an address, without the route to its subnet that usually comes with one.
pub(super) fn add_address(index: u32, address: Cidr) -> Vec<u8> {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = address.prefix;
    message.header.scope = AddressScope::Universe;
    message.header.index = index;
    message.attributes = vec![
        AddressAttribute::Local(IpAddr::V4(address.address)),
        AddressAttribute::Address(IpAddr::V4(address.address)),
        AddressAttribute::Flags(AddressFlags::Noprefixroute),
    ];
    route_request(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
}

/// Routes one address to a link; refused if any route to exactly that address exists, whoever's it is.
pub(super) fn add_direct_route(index: u32, destination: Ipv4Addr, source: Ipv4Addr) -> Vec<u8> {
    route_request(direct_route(index, destination, source), NLM_F_CREATE | NLM_F_EXCL)
}

/// Routes one address to a link instead of to the one that it is routed to.
pub(super) fn take_direct_route(index: u32, destination: Ipv4Addr, source: Ipv4Addr) -> Vec<u8> {
    route_request(direct_route(index, destination, source), NLM_F_CREATE | NLM_F_REPLACE)
}

fn direct_route(index: u32, destination: Ipv4Addr, source: Ipv4Addr) -> RouteNetlinkMessage {
    let mut message = new_route(RouteScope::Link, 32);
    message.attributes = vec![
        RouteAttribute::Destination(RouteAddress::Inet(destination)),
        RouteAttribute::PrefSource(RouteAddress::Inet(source)),
        RouteAttribute::Oif(index),
    ];
    RouteNetlinkMessage::NewRoute(message)
}

/// Routes everything else to the gateway.
pub(super) fn add_default_route(index: u32, gateway: Ipv4Addr) -> Vec<u8> {
    let mut message = new_route(RouteScope::Universe, 0);
    message.attributes = vec![RouteAttribute::Gateway(RouteAddress::Inet(gateway)), RouteAttribute::Oif(index)];
    route_request(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_EXCL)
}

fn new_route(scope: RouteScope, prefix: u8) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.destination_prefix_length = prefix;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.scope = scope;
    message.header.kind = RouteType::Unicast;
    message
}

/// Reads the answer to `find`. Only the three values that we need are looked at, so that an attribute of a newer
/// kernel cannot spoil the answer.
pub(super) fn read_link(payload: &[u8]) -> Option<Link> {
    let mut link = Link { index: u32_at(payload, 4)?, group: 0, peer: 0 };
    for (kind, value) in attributes(payload, LINK_HEADER) {
        match kind {
            IFLA_GROUP => link.group = u32_at(value, 0)?,
            IFLA_LINK => link.peer = u32_at(value, 0)?,
            _ => {}
        }
    }
    Some(link)
}
