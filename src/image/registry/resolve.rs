//! The addresses of names, for ureq: literal addresses and `localhost` by themselves, all else from the hosts file and
//! DNS. Both files are read when it is made, because the process locks itself in afterwards. Every address is checked
//! here, and the connection is made to what was checked, so that a name cannot change its mind in between.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
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
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|_| {
            let nobody = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
            TokioResolver::builder_with_config(nobody, TokioRuntimeProvider::default())
        });
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
