//! Which addresses a registry may lead us to: all but those that mean this host, its neighbours on the link, or nobody
//! (CVE-2020-15157 and its kin: a redirect to the metadata service of the cloud, or to a service on loopback). Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::target::Target;

/// An address that a name or a redirect led to, and where nothing is asked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host} is {what} ({address}), where nothing but a registry configured there may be asked")]
pub(super) struct Forbidden {
    pub(super) host: String,
    pub(super) address: IpAddr,
    what: &'static str,
}

/// A host of the configuration that may be local, at one port or at every one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Local {
    host: String,
    port: Option<u16>,
}

/// What may be reached on behalf of one endpoint.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    local: Vec<Local>,
}

impl Reach {
    /// The endpoint itself may be local if it is written as an address or as `localhost`, and so may these hosts.
    pub(super) fn new(endpoint: &Target, local_hosts: &[String]) -> Self {
        let mut local: Vec<_> = local_hosts.iter().map(|host| Local::parse(host)).collect();
        if endpoint.address().is_some() || is_localhost(endpoint.host()) {
            local.push(Local { host: endpoint.host().into(), port: Some(endpoint.port()) });
        }
        Self { local }
    }

    /// Whether `host` may be asked at `port` at this address.
    pub(super) fn check(&self, host: &str, port: u16, address: IpAddr) -> Result<(), Forbidden> {
        match forbidden(address) {
            Some(what) if !self.is_configured(host, port) => Err(Forbidden { host: host.into(), address, what }),
            _ => Ok(()),
        }
    }

    /// What can be told before anything is resolved, for requests that go through a proxy.
    pub(super) fn check_written(&self, target: &Target) -> Result<(), Forbidden> {
        match target.address() {
            Some(address) => self.check(target.host(), target.port(), address),
            None if is_localhost(target.host()) => self.check(target.host(), target.port(), Ipv4Addr::LOCALHOST.into()),
            None => Ok(()),
        }
    }

    /// Whether the configuration says that this host may be local.
    pub(super) fn is_configured(&self, host: &str, port: u16) -> bool {
        self.local.iter().any(|local| local.host == host && local.port.is_none_or(|wanted| wanted == port))
    }
}

impl Local {
    fn parse(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None if text.parse::<IpAddr>().is_ok() => (text.as_str(), None),
            None => text.split_once(':').map_or((text.as_str(), None), |(host, port)| (host, Some(port))),
        };
        // A port that is none must not become every port.
        Self { host: host.into(), port: port.map(|port| port.parse().unwrap_or(0)) }
    }
}

/// `localhost` and what is below it (RFC 6761 section 6.3).
pub(super) fn is_localhost(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

/// Why an address is not asked, if it is not.
fn forbidden(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => forbidden_v4(address),
        IpAddr::V6(address) => forbidden_v6(address),
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [127, ..] => Some("a loopback address"),
        [169, 254, ..] => Some("a link-local address"),
        [0, ..] => Some("an unspecified address"), // the kernel connects 0.0.0.0 to this host
        [224..=239, ..] | [255, 255, 255, 255] => Some("a multicast address"),
        _ => None,
    }
}

fn forbidden_v6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    let [.., a, b, c, d] = address.octets();
    let embedded = || forbidden_v4(Ipv4Addr::new(a, b, c, d));
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("an unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("a loopback address"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        // EC2's link-local services in IPv6: instance metadata, time, pod identity.
        [0xfd00, 0x0ec2, ..] => Some("an address of the cloud's metadata service"),
        // IPv4 in IPv6: mapped (RFC 4291 section 2.5.5.2), compatible (2.5.5.1), NAT64 (RFC 6052 section 2.1).
        [0, 0, 0, 0, 0, 0xffff | 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => embedded(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(endpoint: &str, local: &[&str]) -> Reach {
        let local: Vec<_> = local.iter().map(|host| (*host).to_owned()).collect();
        Reach::new(&Target::parse(endpoint).unwrap(), &local)
    }

    #[test]
    fn this_host_and_the_link_are_not_asked_and_private_networks_are() {
        let reach = reach("https://registry.example", &[]);
        let check = |address: &str| reach.check("registry.example", 443, address.parse().unwrap()).is_ok();
        for bad in [
            "127.0.0.1",
            "127.8.9.1",
            "169.254.169.254",
            "169.254.170.2",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "fd00:ec2::254",
        ] {
            assert!(!check(bad), "{bad}");
        }
        for good in ["93.184.216.34", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "2001:db8::1", "fd12::1"] {
            assert!(check(good), "{good}");
        }
    }

    #[test]
    fn an_endpoint_written_as_a_local_address_is_asked_at_its_port_alone() {
        let reach = reach("http://127.0.0.1:5000", &[]);
        let local = Ipv4Addr::LOCALHOST.into();
        assert!(reach.check("127.0.0.1", 5000, local).is_ok());
        assert!(reach.check("127.0.0.1", 5001, local).is_err());
        assert!(reach.check("registry.example", 5000, local).is_err());
        assert!(reach.check("127.0.0.2", 5000, Ipv4Addr::new(127, 0, 0, 2).into()).is_err());
    }

    #[test]
    fn an_endpoint_with_a_name_may_not_resolve_to_this_host_unless_it_is_configured() {
        let local = Ipv4Addr::LOCALHOST.into();
        assert!(reach("https://registry.lan", &[]).check("registry.lan", 443, local).is_err());
        assert!(reach("https://registry.lan", &["Registry.lan"]).check("registry.lan", 443, local).is_ok());
        assert!(reach("https://registry.lan", &["registry.lan:443"]).check("registry.lan", 443, local).is_ok());
        assert!(reach("https://registry.lan", &["registry.lan:444"]).check("registry.lan", 443, local).is_err());
        assert!(reach("https://registry.lan", &["registry.lan:x"]).check("registry.lan", 443, local).is_err());
        assert!(reach("https://x.example", &["[::1]:5000"]).check("::1", 5000, Ipv6Addr::LOCALHOST.into()).is_ok());
        assert!(reach("https://x.example", &["::1"]).check("::1", 5000, Ipv6Addr::LOCALHOST.into()).is_ok());
    }

    #[test]
    fn a_written_address_is_checked_without_resolving() {
        let reach = reach("https://registry.example", &[]);
        let check = |url: &str| reach.check_written(&Target::parse(url).unwrap());
        assert!(check("http://169.254.169.254/latest").is_err());
        assert!(check("http://localhost:1/").is_err());
        assert!(check("http://[::ffff:127.0.0.1]/").is_err());
        assert!(check("http://cdn.example/").is_ok());
    }
}
