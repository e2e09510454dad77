//! Asking a registry whether it knows us, and nothing else: `/v2/` with our credentials (distribution-spec, "Determining
//! Support"). A registry that lets anybody in says yes to everybody. Called by `ops` before it keeps a password.

use std::time::Instant;

use super::error::{RegistryError, RequestError};
use super::http::{Ask, Common, Limit, Verb};
use super::limits::Timing;
use super::repository::found;
use super::resolve::Names;
use super::server::Server;
use super::tls::Authorities;
use crate::image::request::{Endpoint, Proxies};

/// The registry did not say yes.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct LoginError(Box<RegistryError>);

impl From<RegistryError> for LoginError {
    fn from(error: RegistryError) -> Self {
        Self(Box::new(error))
    }
}

/// Asks the first endpoint that answers. Reads what it needs of the host (resolv.conf, hosts, certificate authorities).
pub fn check_login(endpoints: &[Endpoint], proxies: &Proxies, local_hosts: &[String]) -> Result<(), LoginError> {
    let names = Names::new().map_err(RegistryError::Resolver)?;
    let (authorities, timing) = (Authorities::load(), Timing::default());
    let common = Common { authorities: &authorities, names: &names, proxies, timing: &timing };
    let servers = endpoints.iter().map(|endpoint| Server::of(endpoint, None, local_hosts, &common));
    let servers = servers.collect::<Result<Vec<_>, _>>()?;
    let mut failed = None;
    for (at, server) in servers.iter().enumerate() {
        match ask(server, &timing) {
            Ok(()) => return Ok(()),
            Err(error) => {
                let goes_on = servers.get(at + 1).is_some_and(|next| error.lets_ask(server, next));
                failed = Some(error);
                if !goes_on {
                    break;
                }
            }
        }
    }
    let failed = failed.map(RegistryError::Login);
    Err(failed.unwrap_or_else(|| RegistryError::NoEndpoint("a login".to_owned())).into())
}

fn ask(server: &Server, timing: &Timing) -> Result<(), RequestError> {
    let ask = Ask { verb: Verb::Get, headers: Vec::new(), limit: Limit::Until(Instant::now() + timing.document) };
    found(server.ask("", &ask)?, server.name()).map(|answer| answer.drain())
}
