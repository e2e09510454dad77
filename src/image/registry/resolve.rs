//! The addresses of names, for ureq: literal addresses and `localhost` by themselves, all else from the hosts file and
//! DNS. Both files are read when it is made, because the process locks itself in afterwards. Every address is checked
//! here, and the connection is made to what was checked, so that a name cannot change its mind in between.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use tokio::runtime::{Builder, Runtime};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::address::{Reach, is_localhost};
use super::target::Target;

/// The most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// Why a name has no addresses.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    #[error("lookup {0}: no such host")]
    NoSuchHost(String),
    #[error("lookup {0}: i/o timeout")]
    Timeout(String),
    #[error("lookup {host}")]
    Failed {
        host: String,
        #[source]
        source: NetError,
    },
}

/// The resolver of the whole fetch; a clone is the same one.
#[derive(Clone)]
pub(super) struct Names(Arc<Inner>);

struct Inner {
    runtime: Runtime,
    resolver: TokioResolver,
}

impl Names {
    /// Reads resolv.conf and the hosts file. Without a resolv.conf the hosts file is all that there is.
    pub(super) fn new() -> io::Result<Self> {
        let builder = TokioResolver::builder_tokio();
        Self::of(builder.unwrap_or_else(|_| {
            let nobody = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
            TokioResolver::builder_with_config(nobody, TokioRuntimeProvider::default())
        }))
    }

    fn of(mut builder: ResolverBuilder<TokioRuntimeProvider>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        // A host without an IPv6 route would begin with addresses that it cannot reach.
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        let resolver = builder.build().map_err(io::Error::other)?;
        drop(entered);
        Ok(Self(Arc::new(Inner { runtime, resolver })))
    }

    fn lookup(&self, target: &Target, limit: Duration) -> Result<Vec<IpAddr>, LookupError> {
        let host = target.host();
        if let Some(address) = target.address() {
            return Ok(vec![address]);
        }
        if is_localhost(host) {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let asked = async { tokio::time::timeout(limit, self.0.resolver.lookup_ip(host)).await };
        match self.0.runtime.block_on(asked) {
            Ok(Ok(found)) => Ok(found.iter().collect()),
            Ok(Err(error)) if error.is_no_records_found() => Err(LookupError::NoSuchHost(host.into())),
            Ok(Err(source)) => Err(LookupError::Failed { host: host.into(), source }),
            Err(_) => Err(LookupError::Timeout(host.into())),
        }
    }
}

/// Resolves for one agent: what a registry leads to is checked, a configured proxy is not.
pub(super) struct Addresses {
    pub(super) names: Names,
    pub(super) reach: Option<Reach>,
}

impl std::fmt::Debug for Addresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Addresses").finish_non_exhaustive()
    }
}

impl Resolver for Addresses {
    fn resolve(&self, uri: &Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let other = |error: Box<dyn std::error::Error + Send + Sync>| ureq::Error::Other(error);
        // The address of a proxy may have a user name in it, which is no part of where it is.
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let place = authority.rsplit('@').next().unwrap_or_default();
        let place = format!("{}://{place}", uri.scheme_str().unwrap_or_default());
        let target = Target::parse(&place).map_err(|error| other(error.into()))?;
        let found = self.names.lookup(&target, *timeout.after).map_err(|error| other(error.into()))?;
        let mut refused = None;
        let mut addresses = self.empty();
        for address in found {
            let checked = match &self.reach {
                Some(reach) => reach.check(target.host(), target.port(), address),
                None => Ok(()),
            };
            match checked {
                Ok(()) if addresses.len() < ADDRESSES_MAX => addresses.push(SocketAddr::new(address, target.port())),
                Ok(()) => {}
                Err(error) => refused = Some(error),
            }
        }
        match (addresses.is_empty(), refused) {
            (false, _) => Ok(addresses),
            (true, Some(error)) => Err(other(error.into())),
            (true, None) => Err(other(LookupError::NoSuchHost(target.host().into()).into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use hickory_resolver::config::{ConnectionConfig, NameServerConfig};

    use super::*;

    /// A name server on loopback: `public` and `local` have an address, `silent` gets no answer, nothing else is.
    /// It ends with the process.
    fn names() -> Names {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                if let Some(answer) = answer(&query[..length]) {
                    socket.send_to(&answer, from).unwrap();
                }
            }
        });
        let mut server = NameServerConfig::udp(Ipv4Addr::LOCALHOST.into());
        server.connections = vec![ConnectionConfig::udp()];
        server.connections[0].port = port;
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        Names::of(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())).unwrap()
    }

    /// RFC 1035 section 4.1: header, question as it came, and a record that points back at the question's name.
    fn answer(query: &[u8]) -> Option<Vec<u8>> {
        let end = 12 + query[12..].iter().position(|byte| *byte == 0)? + 5;
        let label = query[13..13 + usize::from(query[12])].to_ascii_lowercase();
        let (code, address) = match label.as_slice() {
            b"silent" => return None,
            b"public" => (0x80, Some([192, 0, 2, 1])),
            b"local" => (0x80, Some([127, 0, 0, 1])),
            _ => (0x83, None),
        };
        let address = address.filter(|_| query[end - 3] == 1);
        let mut answer = [&query[..2], &[0x81, code, 0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]].concat();
        answer.extend_from_slice(&query[12..end]);
        if let Some(address) = address {
            answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend_from_slice(&address);
        }
        Some(answer)
    }

    fn resolve(names: &Names, host: &str, limit: Duration) -> Result<Vec<SocketAddr>, String> {
        let uri: Uri = format!("https://{host}/").parse().unwrap();
        let reach = Reach::new(&Target::parse("https://registry.example").unwrap(), &[]);
        let addresses = Addresses { names: names.clone(), reach: Some(reach) };
        let timeout = NextTimeout { after: limit.into(), ..NextTimeout::default() };
        let found = addresses.resolve(&uri, &Config::default(), timeout).map_err(|error| error.to_string())?;
        Ok(found.iter().copied().collect())
    }

    #[test]
    fn a_name_is_checked_after_dns_said_where_it_is() {
        let names = names();
        let limit = Duration::from_secs(5);
        assert_eq!(resolve(&names, "public.test.", limit), Ok(vec!["192.0.2.1:443".parse().unwrap()]));
        assert!(resolve(&names, "local.test.:8443", limit).unwrap_err().contains("a loopback address (127.0.0.1)"));
        assert!(resolve(&names, "missing.test.", limit).unwrap_err().contains("no such host"));
        assert!(resolve(&names, "silent.test.", Duration::from_millis(50)).unwrap_err().contains("i/o timeout"));
    }

    #[test]
    fn threads_resolve_at_once() {
        let names = names();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| resolve(&names, "public.test.", Duration::from_secs(5)).unwrap());
            }
        });
    }
}
