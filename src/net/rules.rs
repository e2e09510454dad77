//! The nftables rules as data: a table for each kind of link, the same for all of them, so that a task adds nothing to it;
//! one that leads ports of the host to containers, by maps; and, in a task's own namespace, one that leads to its proxy.
//!
//! Host ends are known by their interface group, tasks by the routes of their host ends. Pure; `nft` carries it out.
//! The texts are `nft`'s own syntax: what is shown here is what `nft list ruleset` shows.

use std::fmt;
use std::net::Ipv4Addr;

use crate::plan::ports::{HostPort, Protocol};
use crate::plan::{Cidr, LinkKind, LinkPlan, RootNetwork};
use crate::validate::proxy::Proxy;

/// The instance metadata service of the clouds: its credentials are the host's, not a task's.
const HOST_METADATA: Cidr = Cidr { address: Ipv4Addr::new(169, 254, 169, 254), prefix: 32 };
const LOOPBACK: Cidr = Cidr { address: Ipv4Addr::new(127, 0, 0, 0), prefix: 8 };
/// The table with the way to the proxy, in the namespace of the task.
const PROXY_TABLE: &str = "berth-proxy";

/// A base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chain {
    /// What tasks send, before connection tracking and routing.
    Ingress,
    /// What leaves the host.
    Egress,
    /// The destination of connections from elsewhere.
    FromElsewhere,
    /// The destination of connections from here.
    FromHere,
    /// What is sent from here, before everything else.
    Sent,
    /// What comes for here.
    Coming,
    /// What is sent from here, when its destination is known.
    Going,
    /// What leaves.
    Leaving,
}

impl Chain {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
            Self::FromElsewhere => "from-elsewhere",
            Self::FromHere => "from-here",
            Self::Sent => "sent",
            Self::Coming => "coming",
            Self::Going => "going",
            Self::Leaving => "leaving",
        }
    }
}

/// A table with all that is in it; the rules are in order, chain by chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    /// Maps from ports to addresses with ports, by what they are ports of.
    pub(super) maps: &'static [Protocol],
    pub(super) chains: &'static [Chain],
    pub(super) rules: Vec<Rule>,
}

/// A port of the host that leads to a container's: one element of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forward {
    pub(super) from: HostPort,
    pub(super) address: Ipv4Addr,
    pub(super) port: u16,
}

/// Whether a value has to be the given one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Is {
    Equal,
    Not,
}

/// One condition of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    /// The packet came from a link of the group.
    FromGroup(Is, u32),
    /// The packet goes to a link of the group.
    ToGroup(Is, u32),
    /// It is no IPv4 packet.
    NotIpv4,
    /// Its source address.
    Source(Is, Cidr),
    /// Its destination address.
    Destination(Is, Cidr),
    /// The host has no route to its source address through the link that it came from.
    NoWayBack,
    /// It goes to an address of this namespace.
    ToHere,
    /// It is TCP or UDP.
    Carries(Protocol),
    /// It is TCP or UDP to this port.
    Port(Protocol, u16),
    /// It is sent by a socket of this user.
    User(u32),
    /// It is sent by a socket of this group.
    Group(u32),
    /// Its connection was led to another destination.
    LedElsewhere,
    /// It is TCP or UDP from this port.
    FromPort(Protocol, u16),
    /// Chance has it, in so many of a hundred cases.
    Chance(u8),
}

/// What becomes of a packet that meets all conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    Drop,
    Masquerade,
    /// To this port of this namespace.
    Redirect(u16),
    /// If it is TCP or UDP, to what the map says about the port that it goes to; on to the next rule if it says nothing.
    Forward(Protocol),
    /// It goes to this port from now on; nothing remembers it.
    SetPort(u16),
    /// It comes from this port from now on.
    SetFromPort(u16),
    /// It is queued in this class.
    Class(u32),
}

/// A rule; its place in the list is its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) chain: Chain,
    pub(super) matches: Vec<Match>,
    pub(super) verdict: Verdict,
}

/// The table about the links of one kind.
///
/// The second address rule is strict reverse path filtering: each host end has one route, to its task's address, so
/// nothing else can come from it. The first one closes what the kernel's look-up lets through, 0.0.0.0 to broadcast
/// (`nft_fib4_eval` in net/ipv4/netfilter/nft_fib_ipv4.c).
pub(super) fn links(plan: &LinkPlan) -> Table {
    let vpc = Cidr { address: plan.vpc.network(), ..plan.vpc };
    let ingress = [
        (Match::FromGroup(Is::Not, plan.group), Verdict::Accept),
        (Match::NotIpv4, Verdict::Drop),
        (Match::Source(Is::Not, vpc), Verdict::Drop),
        (Match::NoWayBack, Verdict::Drop),
        (Match::Destination(Is::Equal, HOST_METADATA), Verdict::Drop),
        (Match::Destination(Is::Equal, LOOPBACK), Verdict::Drop),
    ];
    let mut rules: Vec<Rule> = ingress.map(|(condition, verdict)| rule(Chain::Ingress, [condition], verdict)).into();
    let out = [Match::ToGroup(Is::Not, plan.group), Match::Source(Is::Equal, vpc), Match::Destination(Is::Not, vpc)];
    if plan.kind == LinkKind::Container {
        // A port of the host leads to a container that has just ended: its caller must not be sent to who knows whom.
        let astray = [Match::ToGroup(Is::Not, plan.group), Match::Destination(Is::Equal, vpc), Match::LedElsewhere];
        rules.push(rule(Chain::Egress, astray, Verdict::Drop));
    }
    rules.push(rule(Chain::Egress, out, Verdict::Masquerade));
    Table { name: plan.table.clone(), maps: &[], chains: &[Chain::Ingress, Chain::Egress], rules }
}

/// The table that leads ports of the host to bridge containers: those who come from elsewhere, other tasks among them, and
/// the host's own programs. Two kinds of callers would get answers that they cannot know: one who called 127.0.0.1 (no
/// answer goes there from outside), and a container that was led to itself. They call as the gateway. As with Docker, so do
/// other containers of the bridge that come by way of the host.
pub(super) fn ports(root: &RootNetwork) -> Table {
    let mut rules = Vec::new();
    for chain in [Chain::FromElsewhere, Chain::FromHere] {
        for protocol in PROTOCOLS {
            rules.push(rule(chain, [Match::ToHere], Verdict::Forward(*protocol)));
        }
    }
    let group = root.bridge_group;
    let loopback = [Match::ToGroup(Is::Equal, group), Match::Source(Is::Equal, LOOPBACK)];
    rules.push(rule(Chain::Egress, loopback, Verdict::Masquerade));
    let round = [Match::FromGroup(Is::Equal, group), Match::ToGroup(Is::Equal, group), Match::LedElsewhere];
    rules.push(rule(Chain::Egress, round, Verdict::Masquerade));
    let chains = &[Chain::FromElsewhere, Chain::FromHere, Chain::Egress];
    Table { name: root.ports_table.clone(), maps: PROTOCOLS, chains, rules }
}

const PROTOCOLS: &[Protocol] = &[Protocol::Tcp, Protocol::Udp];

/// The table that leads a task's connections through its proxy, in the task's own namespace. What is sent within the
/// namespace never is.
pub(super) fn proxy(plan: &Proxy) -> Table {
    let mut rules: Vec<Rule> = Vec::new();
    for port in &plan.app_ports {
        rules.push(rule(Chain::FromElsewhere, [Match::Port(Protocol::Tcp, *port)], Verdict::Redirect(plan.ingress)));
    }
    let users = plan.ignored_uid.map(Match::User);
    let groups = plan.ignored_gid.map(Match::Group);
    let blocks = plan.ignored_addresses.iter().map(|(address, prefix)| Cidr { address: *address, prefix: *prefix });
    let addresses = blocks.map(|block| Match::Destination(Is::Equal, block));
    let left_alone = [Match::NotIpv4, Match::ToHere].into_iter().chain(users).chain(groups).chain(addresses);
    rules.extend(left_alone.map(|condition| rule(Chain::FromHere, [condition], Verdict::Accept)));
    for port in &plan.ignored_ports {
        rules.push(rule(Chain::FromHere, [Match::Port(Protocol::Tcp, *port)], Verdict::Accept));
    }
    rules.push(rule(Chain::FromHere, [Match::Carries(Protocol::Tcp)], Verdict::Redirect(plan.egress)));
    let chains = &[Chain::FromElsewhere, Chain::FromHere];
    Table { name: PROXY_TABLE.to_owned(), maps: &[], chains, rules }
}

pub(super) fn rule(chain: Chain, matches: impl IntoIterator<Item = Match>, verdict: Verdict) -> Rule {
    Rule { chain, matches: matches.into_iter().collect(), verdict }
}

impl fmt::Display for Is {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "",
            Self::Not => "!= ",
        })
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FromGroup(is, group) => write!(f, "iifgroup {is}{group}"),
            Self::ToGroup(is, group) => write!(f, "oifgroup {is}{group}"),
            Self::NotIpv4 => f.write_str("meta nfproto != ipv4"),
            Self::Source(is, Cidr { address, prefix: 32 }) => write!(f, "ip saddr {is}{address}"),
            Self::Source(is, block) => write!(f, "ip saddr {is}{block}"),
            Self::Destination(is, Cidr { address, prefix: 32 }) => write!(f, "ip daddr {is}{address}"),
            Self::Destination(is, block) => write!(f, "ip daddr {is}{block}"),
            Self::NoWayBack => f.write_str("fib saddr . iif oif missing"),
            Self::ToHere => f.write_str("meta nfproto ipv4 fib daddr type local"),
            Self::Carries(protocol) => write!(f, "meta l4proto {protocol}"),
            Self::Port(protocol, port) => write!(f, "{protocol} dport {port}"),
            Self::User(id) => write!(f, "meta skuid {id}"),
            Self::Group(id) => write!(f, "meta skgid {id}"),
            Self::LedElsewhere => f.write_str("ct status dnat"),
            Self::FromPort(protocol, port) => write!(f, "{protocol} sport {port}"),
            Self::Chance(percent) => write!(f, "numgen random mod 100 < {percent}"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for condition in &self.matches {
            write!(f, "{condition} ")?;
        }
        match self.verdict {
            Verdict::Accept => f.write_str("accept"),
            Verdict::Drop => f.write_str("drop"),
            Verdict::Masquerade => f.write_str("masquerade"),
            Verdict::Redirect(port) => write!(f, "redirect to :{port}"),
            Verdict::Forward(protocol) => write!(f, "dnat ip to {protocol} dport map @{protocol}"),
            Verdict::SetPort(port) => write!(f, "tcp dport set {port}"),
            Verdict::SetFromPort(port) => write!(f, "tcp sport set {port}"),
            Verdict::Class(class) => write!(f, "meta priority set {:x}:{:x}", class >> 16, class & 0xffff),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_holds_no_word_about_a_single_task() {
        let plan = LinkPlan {
            kind: LinkKind::Task,
            veth: "ve0123456789abc".into(),
            group: 77,
            table: "berth-x".into(),
            vpc: "172.31.9.9/16".parse().unwrap(),
            address: "172.31.0.10/20".parse().unwrap(),
            gateway: Ipv4Addr::new(172, 31, 0, 1),
            mac: [2, 0, 0, 0, 0, 1],
        };
        let lines: Vec<String> = links(&plan).rules.iter().map(|r| format!("{}: {r}", r.chain.name())).collect();
        assert_eq!(
            lines,
            [
                "ingress: iifgroup != 77 accept",
                "ingress: meta nfproto != ipv4 drop",
                "ingress: ip saddr != 172.31.0.0/16 drop",
                "ingress: fib saddr . iif oif missing drop",
                "ingress: ip daddr 169.254.169.254 drop",
                "ingress: ip daddr 127.0.0.0/8 drop",
                "egress: oifgroup != 77 ip saddr 172.31.0.0/16 ip daddr != 172.31.0.0/16 masquerade",
            ]
        );
        let of_container = links(&LinkPlan { kind: LinkKind::Container, ..plan });
        let more: Vec<String> = of_container
            .rules
            .iter()
            .map(Rule::to_string)
            .filter(|rule| !lines.iter().any(|line| line.ends_with(rule)))
            .collect();
        assert_eq!(more, ["oifgroup != 77 ip daddr 172.31.0.0/16 ct status dnat drop"]);
    }

    #[test]
    fn a_proxys_own_connections_are_left_alone() {
        let plan = Proxy {
            app_ports: vec![80],
            ingress: 15_000,
            egress: 15_001,
            ignored_uid: Some(1337),
            ignored_gid: None,
            ignored_ports: vec![22],
            ignored_addresses: vec![(Ipv4Addr::new(169, 254, 170, 2), 32)],
        };
        let lines: Vec<String> = proxy(&plan).rules.iter().map(|r| format!("{}: {r}", r.chain.name())).collect();
        assert_eq!(
            lines,
            [
                "from-elsewhere: tcp dport 80 redirect to :15000",
                "from-here: meta nfproto != ipv4 accept",
                "from-here: meta nfproto ipv4 fib daddr type local accept",
                "from-here: meta skuid 1337 accept",
                "from-here: ip daddr 169.254.170.2 accept",
                "from-here: tcp dport 22 accept",
                "from-here: meta l4proto tcp redirect to :15001",
            ]
        );
    }
}
