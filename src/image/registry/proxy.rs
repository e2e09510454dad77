//! Which requests go through a proxy, as Go and curl read `NO_PROXY` (golang.org/x/net/http/httpproxy). Pure.

use std::net::IpAddr;

use super::address::is_localhost;
use super::target::Target;

/// One entry of `NO_PROXY`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Direct {
    Everything,
    Network {
        address: IpAddr,
        bits: u8,
    },
    Address {
        address: IpAddr,
        port: Option<u16>,
    },
    /// The name, if `itself`, and what is below it.
    Name {
        name: String,
        itself: Itself,
        port: Option<u16>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Itself {
    Included,
    OnlyBelow,
}

/// The hosts that are asked without a proxy.
#[derive(Debug, Clone, Default)]
pub(super) struct NoProxy(Vec<Direct>);

impl NoProxy {
    /// Reads a list with commas. What is none of the forms is a name that matches nothing.
    pub(super) fn parse(list: &str) -> Self {
        Self(list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(Direct::parse).collect())
    }

    /// Whether a host is asked without a proxy. This host itself always is.
    pub(super) fn matches(&self, target: &Target) -> bool {
        let address = target.address();
        is_localhost(target.host())
            || address.is_some_and(|address| address.is_loopback())
            || self.0.iter().any(|entry| entry.matches(target, address))
    }
}

impl Direct {
    fn parse(entry: &str) -> Self {
        let entry = entry.to_ascii_lowercase();
        if entry == "*" {
            return Self::Everything;
        }
        if let Some((address, bits)) = entry.split_once('/')
            && let (Ok(address), Ok(bits)) = (address.parse(), bits.parse())
        {
            return Self::Network { address, bits };
        }
        if let Ok(address) = entry.trim_matches(['[', ']']).parse() {
            return Self::Address { address, port: None };
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()),
            None => (entry.as_str(), None),
        };
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Self::Address { address, port };
        }
        let (name, itself) = match host.strip_prefix("*.").or_else(|| host.strip_prefix('.')) {
            Some(name) => (name, Itself::OnlyBelow),
            None => (host, Itself::Included),
        };
        Self::Name { name: name.into(), itself, port }
    }

    fn matches(&self, target: &Target, host: Option<IpAddr>) -> bool {
        let at = |port: &Option<u16>| port.is_none_or(|port| port == target.port());
        match self {
            Self::Everything => true,
            Self::Network { address, bits } => host.is_some_and(|host| within(host, *address, *bits)),
            Self::Address { address, port } => host == Some(*address) && at(port),
            Self::Name { name, itself, port } => {
                let own = target.host() == name && *itself == Itself::Included;
                let below = target.host().strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
                (own || below) && at(port)
            }
        }
    }
}

fn within(host: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (host, network) {
        (IpAddr::V4(host), IpAddr::V4(network)) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or(0);
            host.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V6(host), IpAddr::V6(network)) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or(0);
            host.to_bits() & mask == network.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_exempt_by_name_suffix_network_and_port() {
        let list =
            NoProxy::parse("registry.lan, .corp.example,*.svc.example,10.0.0.0/8,192.168.1.7:5000,h:81,fd00::/8");
        let direct = |url: &str| list.matches(&Target::parse(url).unwrap());
        for url in [
            "https://registry.lan",
            "https://a.registry.lan",
            "https://x.corp.example",
            "https://y.svc.example",
            "http://10.9.8.7",
            "http://192.168.1.7:5000",
            "http://h:81",
            "http://[fd12::1]",
            "http://localhost:5000",
            "http://127.0.0.1:5000",
            "http://[::1]",
        ] {
            assert!(direct(url), "{url}");
        }
        for url in [
            "https://aregistry.lan",
            "https://corp.example",
            "http://11.0.0.1",
            "http://192.168.1.7",
            "http://h",
            "https://docker.io",
        ] {
            assert!(!direct(url), "{url}");
        }
        assert!(NoProxy::parse("*").matches(&Target::parse("https://docker.io").unwrap()));
        assert!(!NoProxy::parse("").matches(&Target::parse("https://docker.io").unwrap()));
    }
}
