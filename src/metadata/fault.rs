//! Faults, as a container asks for them (`/api/ID/fault/v1/...`) and as `berth fault` does. Pure. The errors' texts are the
//! agent's.

use std::net::Ipv4Addr;

use serde::Deserialize;

use super::path::FaultAction;
use crate::plan::Cidr;
use crate::plan::ports::Protocol;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Packets to a port are lost.
    BlackholePort,
    /// Packets are late.
    Latency,
    /// Some packets are lost.
    PacketLoss,
}

impl FaultKind {
    /// Its name in paths.
    pub fn name(self) -> &'static str {
        match self {
            Self::BlackholePort => "network-blackhole-port",
            Self::Latency => "network-latency",
            Self::PacketLoss => "network-packet-loss",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::BlackholePort, Self::Latency, Self::PacketLoss].into_iter().find(|kind| kind.name() == name)
    }
}

/// Whose packets are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// Those that come.
    Ingress,
    /// Those that go.
    Egress,
}

impl Traffic {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// A port whose packets are lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortFault {
    /// The port that they go to.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Those that come, or those that go.
    pub traffic: Traffic,
    /// Addresses whose packets are not.
    pub except: Vec<Cidr>,
}

/// What happens to packets that leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impairment {
    /// Milliseconds that they wait, and how much that varies.
    pub delay: Option<(u64, u64)>,
    /// Of a hundred, how many are lost.
    pub loss: Option<u8>,
    /// The addresses to which they go.
    pub to: Vec<Cidr>,
    /// But not to these.
    pub except: Vec<Cidr>,
}

/// A fault that is begun, ended, or asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A port's.
    Port(PortFault),
    /// All packets' to some addresses; none is said where it is ended or asked about.
    Impaired(FaultKind, Option<Impairment>),
}

/// A body that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// It cannot be read.
    #[error("failed to decode request: {0}")]
    Body(String),
    /// A member is not there.
    #[error("required parameter {0} is missing")]
    Missing(&'static str),
    /// A member has another value than it may have.
    #[error("invalid value {0} for parameter {1}")]
    Value(String, &'static str),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PortBody {
    port: Option<i64>,
    protocol: Option<String>,
    traffic_type: Option<String>,
    sources_to_filter: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ImpairedBody {
    delay_milliseconds: Option<i64>,
    jitter_milliseconds: Option<i64>,
    loss_percent: Option<i64>,
    sources: Option<Vec<String>>,
    sources_to_filter: Option<Vec<String>>,
    flows_percent: Option<i64>,
}

/// Reads what is asked for.
pub fn parse_fault(kind: FaultKind, action: FaultAction, body: &[u8]) -> Result<Fault, FaultError> {
    match (kind, action) {
        (FaultKind::BlackholePort, _) => port(body).map(Fault::Port),
        (kind, FaultAction::Stop | FaultAction::Status) => Ok(Fault::Impaired(kind, None)),
        (kind, FaultAction::Start) => Ok(Fault::Impaired(kind, Some(impairment(kind, body)?))),
    }
}

fn port(body: &[u8]) -> Result<PortFault, FaultError> {
    let body: PortBody = read(body)?;
    let text = |text: Option<String>, name| text.filter(|text| !text.is_empty()).ok_or(FaultError::Missing(name));
    let number = body.port.ok_or(FaultError::Missing("Port"))?;
    let port = u16::try_from(number).map_err(|_| FaultError::Value(number.to_string(), "Port"))?;
    let protocol = match text(body.protocol, "Protocol")?.as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        other => return Err(FaultError::Value(other.to_owned(), "Protocol")),
    };
    let traffic = match text(body.traffic_type, "TrafficType")?.as_str() {
        "ingress" => Traffic::Ingress,
        "egress" => Traffic::Egress,
        other => return Err(FaultError::Value(other.to_owned(), "TrafficType")),
    };
    let except = addresses(body.sources_to_filter.unwrap_or_default(), "SourcesToFilter")?;
    Ok(PortFault { port, protocol, traffic, except })
}

fn impairment(kind: FaultKind, body: &[u8]) -> Result<Impairment, FaultError> {
    let body: ImpairedBody = read(body)?;
    let milliseconds = |value: Option<i64>, name| {
        let value = value.ok_or(FaultError::Missing(name))?;
        u64::try_from(value).map_err(|_| FaultError::Value(value.to_string(), name))
    };
    let (delay, loss) = match kind {
        FaultKind::PacketLoss => {
            let percent = body.loss_percent.ok_or(FaultError::Missing("LossPercent"))?;
            let wrong = || FaultError::Value(percent.to_string(), "LossPercent");
            (None, Some(u8::try_from(percent).ok().filter(|percent| (1..=100).contains(percent)).ok_or_else(wrong)?))
        }
        FaultKind::Latency | FaultKind::BlackholePort => {
            let delay = milliseconds(body.delay_milliseconds, "DelayMilliseconds")?;
            (Some((delay, milliseconds(body.jitter_milliseconds, "JitterMilliseconds")?)), None)
        }
    };
    // A part of the connections only: said, and not done otherwise.
    if let Some(percent) = body.flows_percent.filter(|percent| *percent != 100) {
        return Err(FaultError::Value(percent.to_string(), "FlowsPercent"));
    }
    let sources = body.sources.filter(|sources| !sources.is_empty()).ok_or(FaultError::Missing("Sources"))?;
    Ok(Impairment {
        delay,
        loss,
        to: addresses(sources, "Sources")?,
        except: addresses(body.sources_to_filter.unwrap_or_default(), "SourcesToFilter")?,
    })
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, FaultError> {
    serde_json::from_slice(body).map_err(|error| FaultError::Body(error.to_string()))
}

/// IPv4 addresses and blocks; tasks have no others.
fn addresses(all: Vec<String>, name: &'static str) -> Result<Vec<Cidr>, FaultError> {
    let one = |text: String| {
        let block = text.parse::<Cidr>().ok();
        let single = || text.parse::<Ipv4Addr>().ok().map(|address| Cidr { address, prefix: 32 });
        block.or_else(single).ok_or(FaultError::Value(text, name))
    };
    all.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: FaultKind, action: FaultAction, body: &str) -> Result<Fault, String> {
        parse_fault(kind, action, body.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_port_fault_says_which_packets() {
        let start = |body| said(FaultKind::BlackholePort, FaultAction::Start, body);
        let fault = start(
            r#"{"Port": 80, "Protocol": "tcp", "TrafficType": "egress", "SourcesToFilter": ["10.0.0.1", "10.1.0.0/16"]}"#,
        );
        let Ok(Fault::Port(fault)) = fault else { panic!("{fault:?}") };
        assert_eq!((fault.port, fault.protocol, fault.traffic), (80, Protocol::Tcp, Traffic::Egress));
        assert_eq!(fault.except.iter().map(Cidr::to_string).collect::<Vec<_>>(), ["10.0.0.1/32", "10.1.0.0/16"]);
        for (body, text) in [
            ("{}", "required parameter Port is missing"),
            (r#"{"Port": 80}"#, "required parameter Protocol is missing"),
            (r#"{"Port": 80, "Protocol": "tcp"}"#, "required parameter TrafficType is missing"),
            (
                r#"{"Port": 80, "Protocol": "icmp", "TrafficType": "egress"}"#,
                "invalid value icmp for parameter Protocol",
            ),
            (r#"{"Port": 80, "Protocol": "tcp", "TrafficType": "x"}"#, "invalid value x for parameter TrafficType"),
            (
                r#"{"Port": 65536, "Protocol": "tcp", "TrafficType": "egress"}"#,
                "invalid value 65536 for parameter Port",
            ),
        ] {
            assert_eq!(start(body), Err(text.to_owned()), "{body}");
        }
    }

    #[test]
    fn an_impairment_says_how_much_and_to_whom() {
        let latency = r#"{"DelayMilliseconds": 100, "JitterMilliseconds": 5, "Sources": ["10.0.0.0/8"]}"#;
        let Ok(Fault::Impaired(_, Some(fault))) = said(FaultKind::Latency, FaultAction::Start, latency) else {
            panic!()
        };
        assert_eq!((fault.delay, fault.loss, fault.to.len()), (Some((100, 5)), None, 1));
        let loss = |body| said(FaultKind::PacketLoss, FaultAction::Start, body);
        assert!(loss(r#"{"LossPercent": 100, "Sources": ["10.0.0.1"]}"#).is_ok());
        for (body, text) in [
            (r#"{"LossPercent": 0, "Sources": ["10.0.0.1"]}"#, "invalid value 0 for parameter LossPercent"),
            (r#"{"Sources": ["10.0.0.1"]}"#, "required parameter LossPercent is missing"),
            (r#"{"LossPercent": 1, "Sources": []}"#, "required parameter Sources is missing"),
            (r#"{"LossPercent": 1, "Sources": ["x"]}"#, "invalid value x for parameter Sources"),
            (
                r#"{"LossPercent": 1, "Sources": ["10.0.0.1"], "FlowsPercent": 50}"#,
                "invalid value 50 for parameter FlowsPercent",
            ),
        ] {
            assert_eq!(loss(body), Err(text.to_owned()), "{body}");
        }
        assert_eq!(
            said(FaultKind::PacketLoss, FaultAction::Status, ""),
            Ok(Fault::Impaired(FaultKind::PacketLoss, None))
        );
    }
}
