//! The host's routes: which one leads to an address, and all of them, for choosing a range that is free.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;

use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::apply::in_namespace;
use super::error::NetError;
use super::link::LINK_HEADER;
use super::netlink::{Family, Netlink, NetlinkError, attributes, route_request, u32_at};
use crate::plan::Cidr;

/// `struct rtmsg` and its attributes and values (include/uapi/linux/rtnetlink.h).
const ROUTE_HEADER: usize = 12;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
/// The name of a link (include/uapi/linux/if_link.h).
const IFLA_IFNAME: u16 = 3;

/// An IPv4 network that the host already has a route to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRoute {
    /// The network.
    pub destination: Cidr,
    /// The interface that it is reached through; none for a route that only refuses.
    pub device: Option<String>,
}

/// One entry of the host's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    destination: Cidr,
    table: u8,
    scope: u8,
    kind: u8,
    /// The index of the link that it leads to; 0 for none.
    pub(super) link: u32,
}

impl Route {
    /// Whether an address with this route is somebody's: the host's own, another link's, or on a network that the
    /// host is directly connected to. A route by way of a gateway claims nothing.
    pub(super) fn is_claim(&self) -> bool {
        let direct = self.destination.prefix == 32 || self.scope == libc::RT_SCOPE_LINK && self.destination.prefix > 0;
        self.kind == libc::RTN_LOCAL || self.kind == libc::RTN_UNICAST && direct
    }
}

/// Asks which route the host would take to an address: the entry of its table, not the route made from it.
pub(super) fn find(destination: Ipv4Addr) -> Vec<u8> {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.destination_prefix_length = 32;
    message.header.flags = RouteFlags::FibMatch;
    message.attributes = vec![RouteAttribute::Destination(RouteAddress::Inet(destination))];
    route_request(RouteNetlinkMessage::GetRoute(message), 0)
}

/// Reads one route.
pub(super) fn read(payload: &[u8]) -> Option<Route> {
    let &[_, prefix, _, _, table, _, scope, kind, ..] = payload else { return None };
    let destination = Cidr { address: Ipv4Addr::UNSPECIFIED, prefix };
    let mut route = Route { destination, table, scope, kind, link: 0 };
    for (kind, value) in attributes(payload, ROUTE_HEADER) {
        match kind {
            RTA_DST => route.destination.address = Ipv4Addr::from(*value.first_chunk::<4>()?),
            RTA_OIF => route.link = u32_at(value, 0)?,
            _ => {}
        }
    }
    Some(route)
}

/// All IPv4 networks, but the default one, that the host has routes to, in all its tables. A route with several next
/// hops is shown without a device.
pub fn host_routes(host: BorrowedFd<'_>) -> Result<Vec<HostRoute>, NetError> {
    let mut netlink = in_namespace(host, || {
        Netlink::open(Family::Route).map_err(|source| NetError::Namespace { step: "open a netlink socket", source })
    })?;
    let names = names(&mut netlink).map_err(|source| NetError::List { what: "links", source })?;
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    let request = route_request(RouteNetlinkMessage::GetRoute(message), NLM_F_DUMP);
    let routes = netlink.dump(&request).map_err(|source| NetError::List { what: "routes", source })?;
    let routes = routes.iter().filter_map(|payload| read(payload));
    let wanted = routes.filter(|route| route.table != libc::RT_TABLE_LOCAL && route.destination.prefix > 0);
    Ok(wanted
        .map(|route| HostRoute { destination: route.destination, device: names.get(&route.link).cloned() })
        .collect())
}

/// The name of one link.
pub(super) fn name(netlink: &mut Netlink, index: u32) -> Result<Option<String>, NetlinkError> {
    Ok(names(netlink)?.remove(&index))
}

fn names(netlink: &mut Netlink) -> Result<HashMap<u32, String>, NetlinkError> {
    let mut message = LinkMessage::default();
    message.attributes = vec![LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])];
    let links = netlink.dump(&route_request(RouteNetlinkMessage::GetLink(message), NLM_F_DUMP))?;
    let named = links.iter().filter_map(|payload| {
        let (_, name) = attributes(payload, LINK_HEADER).find(|(kind, _)| *kind == IFLA_IFNAME)?;
        let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
        Some((u32_at(payload, 4)?, name))
    });
    Ok(named.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(destination: &str, scope: u8, kind: u8) -> Route {
        Route { destination: destination.parse().unwrap(), table: 254, scope, kind, link: 2 }
    }

    #[test]
    fn only_direct_routes_claim_an_address() {
        let claims = [
            route("172.31.0.10/32", libc::RT_SCOPE_LINK, libc::RTN_UNICAST),
            route("172.31.0.10/32", libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST),
            route("172.31.0.10/32", libc::RT_SCOPE_HOST, libc::RTN_LOCAL),
            route("172.31.0.0/24", libc::RT_SCOPE_LINK, libc::RTN_UNICAST),
        ];
        assert!(claims.iter().all(Route::is_claim));
        let others = [
            route("0.0.0.0/0", libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST),
            route("0.0.0.0/0", libc::RT_SCOPE_LINK, libc::RTN_UNICAST),
            route("172.16.0.0/12", libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST),
            route("172.31.0.0/16", libc::RT_SCOPE_UNIVERSE, libc::RTN_UNREACHABLE),
        ];
        assert!(!others.iter().any(Route::is_claim));
    }
}
