//! Faults in a task's own network namespace: packets to a port that are lost, packets to some addresses that are lost by
//! chance (both by nftables), and packets that are late (netem, below a queue of classes; nftables says which packets are of
//! its class). What is said to the endpoint is never touched.
//!
//! Called by the endpoint's process and by `berth fault`. Everything ends with the namespace.

use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage};
use nix::errno::Errno;

use super::agent::AGENT;
use super::apply::open;
use super::error::NetError;
use super::link::{self, ETH0};
use super::netlink::{Family, Netlink, NetlinkError, route_request};
use super::nft::{self, Old};
use super::rules::{Chain, Is, Match, Rule, Table, Verdict, rule};
use crate::metadata::{Fault, FaultAction, FaultKind, Impairment, PortFault, Traffic};

/// The root queue of `eth0`, its three classes, and netem below the first one.
const ROOT: TcHandle = TcHandle { major: 1, minor: 0 };
const LATE: TcHandle = TcHandle { major: 1, minor: 1 };
const NETEM: TcHandle = TcHandle { major: 10, minor: 0 };
const LATE_CLASS: u32 = 0x0001_0001;
/// Every packet that has no class of its own goes to the last one.
const BANDS: i32 = 3;
const LAST_BAND: u8 = 2;
/// Packets that netem keeps at most (tc-netem(8)).
const LIMIT: u32 = 1000;
/// `TCA_OPTIONS`, and netem's own attributes (include/uapi/linux/pkt_sched.h).
const TCA_OPTIONS: u16 = 2;
const TCA_NETEM_LATENCY64: u16 = 10;
const TCA_NETEM_JITTER64: u16 = 11;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sought {
    /// The fault is there.
    Running,
    /// It has been ended, or was not there.
    Stopped,
    /// It is not there.
    NotRunning,
}

/// A fault cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ImpairError {
    /// One is there already.
    #[error("There is already one network fault running")]
    Already,
    /// The kernel cannot delay packets.
    #[error(
        "the kernel of this host has no {0}: it is needed for network-latency (load the module sch_{0}, or build the \
         kernel with it)"
    )]
    NoQueue(&'static str),
    /// The kernel refused something else about the queue.
    #[error("queue of eth0")]
    Queue(#[source] NetlinkError),
    /// It refused a rule.
    #[error(transparent)]
    Rules(#[from] NetError),
}

/// Netlink sockets of a task's namespace.
#[derive(Debug)]
pub struct FaultSockets {
    route: Netlink,
    tables: Netlink,
}

impl FaultSockets {
    /// Opens them in the calling thread's network namespace.
    pub fn open() -> Result<Self, NetError> {
        Ok(Self { route: open(Family::Route)?, tables: open(Family::Netfilter)? })
    }

    /// Carries out what is asked for.
    pub fn act(&mut self, fault: &Fault, action: FaultAction) -> Result<Sought, ImpairError> {
        let table = match fault {
            Fault::Port(fault) => port_table(fault),
            Fault::Impaired(kind, impairment) => impaired_table(*kind, impairment.as_ref()),
        };
        let is_there = nft::is_there(&mut self.tables, &table.name)?;
        match (action, is_there) {
            (FaultAction::Status, true) => Ok(Sought::Running),
            (FaultAction::Status, false) => Ok(Sought::NotRunning),
            (FaultAction::Start, true) => match fault {
                Fault::Port(_) => Ok(Sought::Running),
                Fault::Impaired(..) => Err(ImpairError::Already),
            },
            (FaultAction::Start, false) => self.start(fault, &table).map(|()| Sought::Running),
            (FaultAction::Stop, false) => Ok(Sought::Stopped),
            (FaultAction::Stop, true) => {
                nft::remove_one(&mut self.tables, &table.name)?;
                if matches!(fault, Fault::Impaired(FaultKind::Latency, _)) {
                    self.undo_queue()?;
                }
                Ok(Sought::Stopped)
            }
        }
    }

    fn start(&mut self, fault: &Fault, table: &Table) -> Result<(), ImpairError> {
        if let Fault::Impaired(_, Some(Impairment { delay: Some((delay, jitter)), .. })) = fault {
            self.queue(*delay, *jitter)?;
        }
        Ok(nft::ensure(&mut self.tables, table, Old::Replaced)?)
    }

    /// First netem's own words would tell that there is none: what stands above it is taken back then.
    fn queue(&mut self, delay: u64, jitter: u64) -> Result<(), ImpairError> {
        let index = self.eth0()?;
        let steps = [("prio", prio(index)), ("netem", netem(index, delay, jitter))];
        for (kind, request) in steps {
            let [answer] = self.route.ask([request]).map_err(ImpairError::Queue)?;
            match answer.result {
                Ok(()) => {}
                Err(error) => {
                    let _ = self.undo_queue(); // it may not be there yet
                    return Err(if error.is(Errno::ENOENT) {
                        ImpairError::NoQueue(kind)
                    } else {
                        ImpairError::Queue(error)
                    });
                }
            }
        }
        Ok(())
    }

    fn undo_queue(&mut self) -> Result<(), ImpairError> {
        let index = self.eth0()?;
        let request = route_request(RouteNetlinkMessage::DelQueueDiscipline(message(index, ROOT, TcHandle::ROOT)), 0);
        let [answer] = self.route.ask([request]).map_err(ImpairError::Queue)?;
        answer.result.map_err(ImpairError::Queue)
    }

    fn eth0(&mut self) -> Result<i32, ImpairError> {
        let [answer] = self.route.ask([link::find(ETH0)]).map_err(ImpairError::Queue)?;
        answer.result.map_err(ImpairError::Queue)?;
        let found = answer.payloads.first().and_then(|payload| link::read_link(payload));
        let index = found.and_then(|link| i32::try_from(link.index).ok());
        index.ok_or(ImpairError::Queue(NetlinkError::Malformed))
    }
}

fn message(index: i32, handle: TcHandle, parent: TcHandle) -> TcMessage {
    let mut message = TcMessage::default();
    message.header.index = index;
    message.header.handle = handle;
    message.header.parent = parent;
    message
}

fn new_queue(index: i32, handle: TcHandle, parent: TcHandle, kind: &str, options: Vec<u8>) -> Vec<u8> {
    let mut message = message(index, handle, parent);
    message.attributes =
        vec![TcAttribute::Kind(kind.to_owned()), TcAttribute::Other(DefaultNla::new(TCA_OPTIONS, options))];
    route_request(RouteNetlinkMessage::NewQueueDiscipline(message), NLM_F_CREATE | NLM_F_EXCL)
}

/// `struct tc_prio_qopt`.
fn prio(index: i32) -> Vec<u8> {
    let options = [&BANDS.to_ne_bytes()[..], &[LAST_BAND; 16]].concat();
    new_queue(index, ROOT, TcHandle::ROOT, "prio", options)
}

/// `struct tc_netem_qopt`: times in ticks, which newer attributes replace by nanoseconds.
fn netem(index: i32, delay: u64, jitter: u64) -> Vec<u8> {
    let mut options: Vec<u8> = [0, LIMIT, 0, 0, 0, 0].iter().flat_map(|number: &u32| number.to_ne_bytes()).collect();
    for (kind, milliseconds) in [(TCA_NETEM_LATENCY64, delay), (TCA_NETEM_JITTER64, jitter)] {
        options.extend_from_slice(&12_u16.to_ne_bytes());
        options.extend_from_slice(&kind.to_ne_bytes());
        options.extend_from_slice(&milliseconds.saturating_mul(1_000_000).to_ne_bytes());
    }
    new_queue(index, NETEM, LATE, "netem", options)
}

fn port_table(fault: &PortFault) -> Table {
    let (chain, chains): (_, &'static [Chain]) = match fault.traffic {
        Traffic::Ingress => (Chain::Coming, &[Chain::Coming]),
        Traffic::Egress => (Chain::Going, &[Chain::Going]),
    };
    let other = |block| match fault.traffic {
        Traffic::Ingress => Match::Source(Is::Equal, block),
        Traffic::Egress => Match::Destination(Is::Equal, block),
    };
    let spared = [AGENT].into_iter().chain(fault.except.iter().copied());
    let mut rules: Vec<Rule> = spared.map(|block| rule(chain, [other(block)], Verdict::Accept)).collect();
    rules.push(rule(chain, [Match::Port(fault.protocol, fault.port)], Verdict::Drop));
    let name = format!("berth-fault-{}-{}-{}", fault.traffic.word(), fault.protocol, fault.port);
    Table { name, maps: &[], chains, rules }
}

fn impaired_table(kind: FaultKind, impairment: Option<&Impairment>) -> Table {
    let mut rules = Vec::new();
    if let Some(fault) = impairment {
        let spared = [AGENT].into_iter().chain(fault.except.iter().copied());
        let spared = spared.map(|block| rule(Chain::Leaving, [Match::Destination(Is::Equal, block)], Verdict::Accept));
        rules.extend(spared);
        for block in &fault.to {
            let to = Match::Destination(Is::Equal, *block);
            rules.push(match fault.loss {
                Some(percent) => rule(Chain::Leaving, [to, Match::Chance(percent)], Verdict::Drop),
                None => rule(Chain::Leaving, [to], Verdict::Class(LATE_CLASS)),
            });
        }
    }
    Table { name: format!("berth-fault-{}", kind.name()), maps: &[], chains: &[Chain::Leaving], rules }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Cidr;
    use crate::plan::ports::Protocol;

    fn lines(table: &Table) -> Vec<String> {
        table.rules.iter().map(|r| format!("{}: {r}", r.chain.name())).collect()
    }

    fn block(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn a_fault_spares_the_endpoint_and_what_is_named() {
        let fault = PortFault {
            port: 80,
            protocol: Protocol::Tcp,
            traffic: Traffic::Ingress,
            except: vec![block("10.0.0.0/8")],
        };
        let table = port_table(&fault);
        assert_eq!(table.name, "berth-fault-ingress-tcp-80");
        assert_eq!(
            lines(&table),
            [
                "coming: ip saddr 169.254.170.2 accept",
                "coming: ip saddr 10.0.0.0/8 accept",
                "coming: tcp dport 80 drop"
            ]
        );
        let loss = Impairment { delay: None, loss: Some(30), to: vec![block("0.0.0.0/0")], except: Vec::new() };
        assert_eq!(
            lines(&impaired_table(FaultKind::PacketLoss, Some(&loss))),
            ["leaving: ip daddr 169.254.170.2 accept", "leaving: ip daddr 0.0.0.0/0 numgen random mod 100 < 30 drop",]
        );
        let late = Impairment { delay: Some((5, 1)), loss: None, to: vec![block("10.0.0.1/32")], except: Vec::new() };
        let table = impaired_table(FaultKind::Latency, Some(&late));
        assert_eq!(lines(&table)[1], "leaving: ip daddr 10.0.0.1 meta priority set 1:1");
    }

    #[test]
    fn netem_is_told_of_nanoseconds() {
        let bytes = netem(7, 100, 5);
        let place = |number: u64| bytes.windows(8).position(|window| window == number.to_ne_bytes());
        assert!(place(100_000_000).is_some() && place(5_000_000).is_some());
        assert!(bytes.windows(6).any(|window| window == b"netem\0"));
    }
}
