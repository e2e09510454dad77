//! The addresses of names, for ureq, by a resolver of our own: a static program has no other.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::runtime::{Builder, Runtime};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

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

/// The names that resolv.conf and the hosts file know.
pub(super) struct Names {
    runtime: Mutex<Runtime>,
    resolver: TokioResolver,
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Names")
    }
}

impl Names {
    /// Reads both. Without a resolv.conf the hosts file is all that there is.
    pub(super) fn new() -> io::Result<Self> {
        let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|_| {
            let nobody = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
            TokioResolver::builder_with_config(nobody, TokioRuntimeProvider::default())
        });
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        // A host without an IPv6 route would begin with addresses that it cannot reach.
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        let resolver = builder.build().map_err(io::Error::other)?;
        drop(entered);
        Ok(Self { runtime: Mutex::new(runtime), resolver })
    }

    fn lookup(&self, host: &str, limit: Duration) -> Result<Vec<IpAddr>, LookupError> {
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Ok(vec![address]);
        }
        if host == "localhost" || host.ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let asked = async { tokio::time::timeout(limit, self.resolver.lookup_ip(host)).await };
        // A lookup that panicked has left nothing half done.
        let runtime = self.runtime.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match runtime.block_on(asked) {
            Ok(Ok(found)) => Ok(found.iter().collect()),
            Ok(Err(error)) if error.is_no_records_found() => Err(LookupError::NoSuchHost(host.into())),
            Ok(Err(source)) => Err(LookupError::Failed { host: host.into(), source }),
            Err(_) => Err(LookupError::Timeout(host.into())),
        }
    }
}

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let other = |error: LookupError| ureq::Error::Other(error.into());
        let (host, tls) = (uri.host().unwrap_or_default(), uri.scheme_str() == Some("https"));
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let found = self.lookup(host, *timeout.after).map_err(other)?;
        let mut addresses = self.empty();
        found.iter().take(ADDRESSES_MAX).for_each(|address| addresses.push(SocketAddr::new(*address, port)));
        if addresses.is_empty() { Err(other(LookupError::NoSuchHost(host.into()))) } else { Ok(addresses) }
    }
}
