//! The way to the endpoint at 169.254.170.2: its port 80 leads to the port on which the endpoint listens, so that a
//! container may listen on port 80 of all addresses. Called by a worker inside the namespace, with which it ends.
//!
//! Ports are written into packets that stay on `lo`; no connection is tracked for it.

use super::apply::open;
use super::error::NetError;
use super::netlink::Family;
use super::nft::{self, Old};
use super::rules::{Chain, Is, Match, Table, Verdict, rule};
use crate::plan::Cidr;
use crate::plan::agent::{AGENT_ADDRESS, AGENT_PORT};
use crate::plan::ports::Protocol;

/// The table, in the namespace of the task.
const TABLE: &str = "berth-agent";
/// Where SDKs look for it.
const KNOWN_PORT: u16 = 80;

/// The agent's address as a block.
pub(super) const AGENT: Cidr = Cidr { address: AGENT_ADDRESS, prefix: 32 };

/// Leads port 80 of the agent's address to the endpoint, in the calling thread's network namespace.
pub fn lead_to_agent() -> Result<(), NetError> {
    nft::ensure(&mut open(Family::Netfilter)?, &table(), Old::Replaced)
}

fn table() -> Table {
    let there = [Match::Destination(Is::Equal, AGENT), Match::Port(Protocol::Tcp, KNOWN_PORT)];
    let back = [Match::Source(Is::Equal, AGENT), Match::FromPort(Protocol::Tcp, AGENT_PORT)];
    let rules = vec![
        rule(Chain::Sent, there, Verdict::SetPort(AGENT_PORT)),
        rule(Chain::Sent, back, Verdict::SetFromPort(KNOWN_PORT)),
    ];
    Table { name: TABLE.to_owned(), maps: &[], chains: &[Chain::Sent], rules }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_to_port_80_is_led_there_and_back() {
        let lines: Vec<String> = table().rules.iter().map(|r| format!("{}: {r}", r.chain.name())).collect();
        assert_eq!(
            lines,
            [
                "sent: ip daddr 169.254.170.2 tcp dport 80 tcp dport set 51679",
                "sent: ip saddr 169.254.170.2 tcp sport 51679 tcp sport set 80",
            ]
        );
    }
}
