//! The nftables rules of a root as data: one table, the same for all its tasks, so that a task adds nothing to it.
//!
//! Host ends are known by their interface group, tasks by the routes of their host ends. Pure; `nft` carries it out.
//! The texts are `nft`'s own syntax: what is shown here is what `nft list ruleset` shows.

use std::fmt;
use std::net::Ipv4Addr;

use crate::plan::{Cidr, NetworkPlan};

/// The instance metadata service of the clouds: its credentials are the host's, not a task's.
const HOST_METADATA: Cidr = Cidr { address: Ipv4Addr::new(169, 254, 169, 254), prefix: 32 };
const LOOPBACK: Cidr = Cidr { address: Ipv4Addr::new(127, 0, 0, 0), prefix: 8 };

/// A base chain of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chain {
    /// What tasks send, before connection tracking and routing.
    Ingress,
    /// What leaves the host.
    Egress,
}

impl Chain {
    pub(super) const ALL: [Self; 2] = [Self::Ingress, Self::Egress];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
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
}

/// What becomes of a packet that meets all conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    Drop,
    Masquerade,
}

/// A rule; its place in the list is its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) chain: Chain,
    pub(super) matches: Vec<Match>,
    pub(super) verdict: Verdict,
}

/// The rules of a root.
///
/// The second address rule is strict reverse path filtering: each host end has one route, to its task's address, so
/// nothing else can come from it. The first one closes what the kernel's look-up lets through, 0.0.0.0 to broadcast
/// (`nft_fib4_eval` in net/ipv4/netfilter/nft_fib_ipv4.c).
pub(super) fn table_spec(plan: &NetworkPlan) -> Vec<Rule> {
    let vpc = Cidr { address: plan.vpc.network(), ..plan.vpc };
    let ingress = [
        (Match::FromGroup(Is::Not, plan.group), Verdict::Accept),
        (Match::NotIpv4, Verdict::Drop),
        (Match::Source(Is::Not, vpc), Verdict::Drop),
        (Match::NoWayBack, Verdict::Drop),
        (Match::Destination(Is::Equal, HOST_METADATA), Verdict::Drop),
        (Match::Destination(Is::Equal, LOOPBACK), Verdict::Drop),
    ];
    let mut rules: Vec<Rule> =
        ingress.map(|(condition, verdict)| Rule { chain: Chain::Ingress, matches: vec![condition], verdict }).into();
    rules.push(Rule {
        chain: Chain::Egress,
        matches: vec![
            Match::ToGroup(Is::Not, plan.group),
            Match::Source(Is::Equal, vpc),
            Match::Destination(Is::Not, vpc),
        ],
        verdict: Verdict::Masquerade,
    });
    rules
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
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for condition in &self.matches {
            write!(f, "{condition} ")?;
        }
        f.write_str(match self.verdict {
            Verdict::Accept => "accept",
            Verdict::Drop => "drop",
            Verdict::Masquerade => "masquerade",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_holds_no_word_about_a_single_task() {
        let plan = NetworkPlan {
            veth: "ve0123456789abc".into(),
            group: 77,
            table: "berth-x".into(),
            vpc: "172.31.9.9/16".parse().unwrap(),
            address: "172.31.0.10/20".parse().unwrap(),
            gateway: Ipv4Addr::new(172, 31, 0, 1),
            mac: [2, 0, 0, 0, 0, 1],
        };
        let lines: Vec<String> = table_spec(&plan).iter().map(|r| format!("{}: {r}", r.chain.name())).collect();
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
    }
}
