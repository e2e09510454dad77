//! The ports of containers and of the host: what port mappings ask for, by network mode. Pure text and numbers; `plan` chooses
//! what is left open.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ecs::ContainerDefinition;
use crate::ecs::container_definition::PortMapping;
use crate::ecs::task_definition::NetworkMode;

/// What a port is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// One port of the host, `8080/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HostPort {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The number.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.protocol)
    }
}

impl FromStr for HostPort {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (port, protocol) = text.split_once('/').ok_or(())?;
        let protocol = [Protocol::Tcp, Protocol::Udp].into_iter().find(|one| one.to_string() == protocol).ok_or(())?;
        Ok(Self { protocol, port: port.parse().map_err(|_| ())? })
    }
}

/// What one port mapping asks of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// The container's first port.
    pub container: u16,
    /// How many ports.
    pub count: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The host's first port; none where it is to be chosen.
    pub host: Option<u16>,
}

/// What a container's mappings ask of the host: nothing in awsvpc and none mode, nor without a network.
pub fn wishes(container: &ContainerDefinition, mode: NetworkMode) -> Vec<Wish> {
    let fixed = match mode {
        NetworkMode::Awsvpc | NetworkMode::None => return Vec::new(),
        NetworkMode::Bridge | NetworkMode::Host if container.disable_networking == Some(true) => return Vec::new(),
        NetworkMode::Bridge => false,
        NetworkMode::Host => true,
    };
    container.port_mappings.iter().flatten().filter_map(|mapping| wish(mapping, fixed)).collect()
}

fn wish(mapping: &PortMapping, fixed: bool) -> Option<Wish> {
    let number = |port: Option<i32>| port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    let protocol = if mapping.protocol.as_deref() == Some("udp") { Protocol::Udp } else { Protocol::Tcp };
    if let Some((first, last)) = mapping.container_port_range.as_deref().and_then(range) {
        return Some(Wish { container: first, count: last - first + 1, protocol, host: None });
    }
    let container = number(mapping.container_port)?;
    let host = if fixed { Some(container) } else { number(mapping.host_port) };
    Some(Wish { container, count: 1, protocol, host })
}

/// Reads a range of ports, `8000-8010`.
pub fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-')?;
    let port = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let (first, last): (u16, u16) = (port(first)?, port(last)?);
    (first > 0 && first < last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_ask_for_what_their_mode_means() {
        let mapping = |container, host, range: Option<&str>| PortMapping {
            container_port: container,
            host_port: host,
            container_port_range: range.map(str::to_owned),
            ..PortMapping::default()
        };
        let mappings = vec![
            mapping(Some(80), Some(8080), None),
            mapping(Some(81), Some(0), None),
            mapping(None, None, Some("90-92")),
        ];
        let container = ContainerDefinition { port_mappings: Some(mappings), ..ContainerDefinition::default() };
        let of = |mode| {
            wishes(&container, mode).iter().map(|wish| (wish.container, wish.count, wish.host)).collect::<Vec<_>>()
        };
        assert_eq!(of(NetworkMode::Bridge), [(80, 1, Some(8080)), (81, 1, None), (90, 3, None)]);
        assert_eq!(of(NetworkMode::Host)[1], (81, 1, Some(81)));
        assert!(of(NetworkMode::Awsvpc).is_empty() && of(NetworkMode::None).is_empty());
        let cut_off = ContainerDefinition { disable_networking: Some(true), ..container };
        assert!(wishes(&cut_off, NetworkMode::Bridge).is_empty());
    }

    #[test]
    fn a_port_of_the_host_is_a_number_with_a_protocol() {
        assert_eq!("8080/tcp".parse(), Ok(HostPort { protocol: Protocol::Tcp, port: 8080 }));
        assert!("8080/x".parse::<HostPort>().is_err() && "80800/tcp".parse::<HostPort>().is_err());
    }
}
