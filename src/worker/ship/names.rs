//! The addresses of receivers' names, by a resolver of our own: a static program has no other.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::runtime::{Builder, Runtime};

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

    /// The addresses of a name, or of an address.
    pub(super) fn lookup(&self, host: &str, limit: Duration) -> io::Result<Vec<IpAddr>> {
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
            Ok(Err(error)) => Err(io::Error::other(format!("lookup {host}: {error}"))),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("lookup {host}: i/o timeout"))),
        }
    }
}
