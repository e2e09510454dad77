//! What can go wrong while a task's network is brought up or taken down.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;

use super::netlink::NetlinkError;
use crate::plan::ports::HostPort;

/// A step of `up` or `down` failed.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The task's address belongs to the host, to another link, or to a network that the host is directly on.
    #[error("address {address} is already in use on this host, by {device}")]
    AddressTaken {
        /// The task's address.
        address: Ipv4Addr,
        /// The interface that the host reaches it through.
        device: String,
    },
    /// A link with our name exists, but it is not the other end of this namespace's `eth0`.
    #[error("interface {name} exists already and belongs to something else")]
    LinkTaken {
        /// The host end's name.
        name: String,
    },
    /// The kernel refused one request about a link, its addresses or its routes.
    #[error("{verb} of {link}")]
    Link {
        /// What was asked.
        verb: Verb,
        /// The host end's name.
        link: String,
        /// The kernel's answer.
        #[source]
        source: NetlinkError,
    },
    /// The kernel refused a part of the nftables table; a missing kernel option shows here, as the rule that needs it.
    #[error("nftables table {table}: {part}")]
    Table {
        /// The table's name.
        table: String,
        /// The rule, in the syntax of `nft`, or the step.
        part: String,
        /// The kernel's answer.
        #[source]
        source: NetlinkError,
    },
    /// The routes or links of the host cannot be listed.
    #[error("list the host's {what}")]
    List {
        /// Routes or links.
        what: &'static str,
        /// The kernel's answer.
        #[source]
        source: NetlinkError,
    },
    /// Another namespace cannot be entered, or not be left again.
    #[error("{step}")]
    Namespace {
        /// What was tried.
        step: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A program of the host has the port.
    #[error("listen {} 0.0.0.0:{}: bind", .port.protocol, .port.port)]
    PortInUse {
        /// The port.
        port: HostPort,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The host's own programs cannot be led to a container.
    #[error("switch on {path}")]
    Loopback {
        /// The file.
        path: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// IPv4 forwarding is off on the host and cannot be switched on.
    #[error("switch on IPv4 forwarding in {path}")]
    Forwarding {
        /// The file.
        path: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// One request about a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Making the veth pair.
    CreatePair,
    /// Looking for the route to the task's address.
    FindRoute,
    /// Looking at the host end.
    FindHostEnd,
    /// Looking at `eth0`.
    FindEth0,
    /// Switching off IPv6 addresses on one end.
    DisableIpv6Addresses,
    /// The gateway's address on the host end.
    AddGateway,
    /// The host's route to the task.
    AddHostRoute,
    /// Bringing up `lo`.
    LoopbackUp,
    /// Bringing up `eth0`.
    Eth0Up,
    /// The task's address on `eth0`.
    AddAddress,
    /// The task's route to the gateway.
    AddGatewayRoute,
    /// The task's default route.
    AddDefaultRoute,
    /// The agent's address on `lo`.
    AddAgent,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreatePair => "creation",
            Self::FindRoute => "look-up of the route",
            Self::FindHostEnd => "look-up of the host end",
            Self::FindEth0 => "look-up of eth0",
            Self::DisableIpv6Addresses => "no link-local address",
            Self::AddGateway => "gateway address",
            Self::AddHostRoute => "host route",
            Self::LoopbackUp => "lo up, in the namespace",
            Self::Eth0Up => "eth0 up, other end",
            Self::AddAddress => "address on eth0, other end",
            Self::AddGatewayRoute => "gateway route on eth0, other end",
            Self::AddAgent => "the agent's address on lo, in the namespace",
            Self::AddDefaultRoute => "default route on eth0, other end",
        })
    }
}
