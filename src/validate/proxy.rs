//! The redirection of a task's connections to a proxy container (`proxyConfiguration`, type APPMESH), as data. Read from
//! the properties of a definition; `net` makes rules of it in the task's own namespace. Pure.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::ecs::task_definition::ProxyConfiguration;

/// What is redirected, and what is not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Proxy {
    /// Connections from outside to these ports go to the ingress port.
    pub app_ports: Vec<u16>,
    /// Where the proxy waits for connections from outside.
    pub ingress: u16,
    /// Where the proxy waits for connections of the task to the outside.
    pub egress: u16,
    /// What this user sends is left alone: the proxy itself.
    pub ignored_uid: Option<u32>,
    /// What this group sends is left alone.
    pub ignored_gid: Option<u32>,
    /// Connections to these ports are left alone.
    pub ignored_ports: Vec<u16>,
    /// Connections to these addresses are left alone: each with the length of its prefix.
    pub ignored_addresses: Vec<(Ipv4Addr, u8)>,
}

/// A property is missing, or is not what it should be: its name, and ECS's words or ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyFault {
    /// The property.
    pub property: &'static str,
    /// What is wrong.
    pub words: String,
}

/// Reads the properties; every fault at once.
pub fn read(configuration: &ProxyConfiguration) -> Result<Proxy, Vec<ProxyFault>> {
    let mut reader = Reader { configuration, faults: Vec::new() };
    let plan = Proxy {
        app_ports: reader.needed("AppPorts", "App ports not found", ports),
        ingress: reader.needed("ProxyIngressPort", "Ingress port not found", port),
        egress: reader.needed("ProxyEgressPort", "Egress port not found", port),
        ignored_uid: reader.optional("IgnoredUID", |text| text.parse().ok()),
        ignored_gid: reader.optional("IgnoredGID", |text| text.parse().ok()),
        ignored_ports: reader.optional("EgressIgnoredPorts", ports).unwrap_or_default(),
        ignored_addresses: reader.optional("EgressIgnoredIPs", addresses).unwrap_or_default(),
    };
    if reader.text("EgressIgnoredIPs").is_none() {
        reader.fault("EgressIgnoredIPs", "Egress ignored IPs not found".to_owned());
    }
    if reader.given("IgnoredUID").or(reader.given("IgnoredGID")).is_none() {
        reader.fault(
            "IgnoredUID",
            "one of IgnoredUID and IgnoredGID is needed, or the proxy's own connections would come \
                     back to it"
                .to_owned(),
        );
    }
    match reader.faults {
        faults if faults.is_empty() => Ok(plan),
        faults => Err(faults),
    }
}

struct Reader<'a> {
    configuration: &'a ProxyConfiguration,
    faults: Vec<ProxyFault>,
}

impl<'a> Reader<'a> {
    /// The value of a property that is there, if only as an empty one.
    fn text(&self, name: &str) -> Option<&'a str> {
        let mut all = self.configuration.properties.iter().flatten();
        let found = all.rfind(|pair| pair.name.as_deref() == Some(name))?;
        Some(found.value.as_deref().unwrap_or_default().trim())
    }

    fn given(&self, name: &str) -> Option<&'a str> {
        self.text(name).filter(|text| !text.is_empty())
    }

    fn fault(&mut self, property: &'static str, words: String) {
        self.faults.push(ProxyFault { property, words });
    }

    fn optional<T>(&mut self, name: &'static str, parse: fn(&str) -> Option<T>) -> Option<T> {
        let text = self.given(name)?;
        let value = parse(text);
        if value.is_none() {
            self.fault(name, format!("{name} cannot be {text:?}"));
        }
        value
    }

    fn needed<T: Default>(&mut self, name: &'static str, missing: &str, parse: fn(&str) -> Option<T>) -> T {
        if self.given(name).is_none() {
            self.fault(name, missing.to_owned());
        }
        self.optional(name, parse).unwrap_or_default()
    }
}

fn port(text: &str) -> Option<u16> {
    text.trim().parse().ok().filter(|port| *port > 0)
}

fn ports(text: &str) -> Option<Vec<u16>> {
    text.split(',').map(port).collect()
}

/// IPv4 addresses and blocks. IPv6 ones are taken too, and mean nothing: a task sends no IPv6.
fn addresses(text: &str) -> Option<Vec<(Ipv4Addr, u8)>> {
    let read = |one: &str| -> Option<Option<(Ipv4Addr, u8)>> {
        let (address, prefix) = one.split_once('/').map_or((one, None), |(address, prefix)| (address, Some(prefix)));
        match address.parse().ok()? {
            IpAddr::V4(address) => block(address, prefix).map(Some),
            IpAddr::V6(_) => Some(None),
        }
    };
    let all: Option<Vec<Option<(Ipv4Addr, u8)>>> = text.split(',').map(|one| read(one.trim())).collect();
    Some(all?.into_iter().flatten().collect())
}

fn block(address: Ipv4Addr, prefix: Option<&str>) -> Option<(Ipv4Addr, u8)> {
    let prefix = prefix.map_or(Some(32), |prefix| prefix.parse().ok()).filter(|prefix| *prefix <= 32)?;
    Some((address, prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::container_definition::KeyValuePair;

    fn configuration(properties: &[(&str, &str)]) -> ProxyConfiguration {
        let pair = |(name, value): &(&str, &str)| KeyValuePair {
            name: Some((*name).to_owned()),
            value: Some((*value).to_owned()),
        };
        ProxyConfiguration {
            r#type: None,
            container_name: "envoy".to_owned(),
            properties: Some(properties.iter().map(pair).collect()),
        }
    }

    const GOOD: [(&str, &str); 7] = [
        ("AppPorts", "80, 8080"),
        ("ProxyIngressPort", "15000"),
        ("ProxyEgressPort", "15001"),
        ("IgnoredUID", "1337"),
        ("IgnoredGID", ""),
        ("EgressIgnoredPorts", "22"),
        ("EgressIgnoredIPs", "169.254.170.2,10.0.0.0/8,fd00::1"),
    ];

    #[test]
    fn properties_become_numbers_and_blocks() {
        let plan = read(&configuration(&GOOD)).unwrap();
        assert_eq!((plan.app_ports.as_slice(), plan.ingress, plan.egress), (&[80, 8080][..], 15_000, 15_001));
        assert_eq!((plan.ignored_uid, plan.ignored_gid), (Some(1337), None));
        let block = |address: [u8; 4], prefix| (Ipv4Addr::from(address), prefix);
        assert_eq!(plan.ignored_addresses, [block([169, 254, 170, 2], 32), block([10, 0, 0, 0], 8)]);
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let faults = read(&configuration(&[("ProxyEgressPort", "0"), ("EgressIgnoredIPs", "a")])).unwrap_err();
        let words: Vec<&str> = faults.iter().map(|fault| fault.words.as_str()).collect();
        assert_eq!(words[..2], ["App ports not found", "Ingress port not found"]);
        assert!(
            words.contains(&"ProxyEgressPort cannot be \"0\"") && words.contains(&"EgressIgnoredIPs cannot be \"a\"")
        );
        assert!(words.last().is_some_and(|last| last.starts_with("one of IgnoredUID and IgnoredGID")), "{words:?}");
    }
}
