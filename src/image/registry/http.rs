//! One request and its answer's head: the right agent for it (proxy or not, whose certificates), its timeouts, nothing
//! followed and nothing decompressed. Called by `follow` alone.

use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::{Method, Request, Response};
use ureq::tls::TlsConfig;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, RustlsConnector, TcpConnector};
use ureq::{Agent, Body, Proxy, ProxyProtocol};

use super::address::Reach;
use super::error::{Class, RegistryError, RequestError, classify};
use super::limits::{HEADERS_MAX, Timing};
use super::pace::PaceConnector;
use super::proxy::NoProxy;
use super::resolve::{Addresses, Names};
use super::target::{Scheme, Target};
use super::tls::Authorities;
use crate::image::request::{Certificates, Proxies};

/// What every server is told about us.
const USER_AGENT: &str = concat!("berth/", env!("CARGO_PKG_VERSION"));

/// How long the answer, its body included, may take.
#[derive(Debug, Clone, Copy)]
pub(super) enum Limit {
    /// Until then.
    Until(Instant),
    /// As long as it keeps its pace.
    Streaming,
}

/// What is asked.
#[derive(Debug, Clone)]
pub(super) enum Verb {
    Get,
    Head,
    /// POST of a form.
    Form(String),
}

impl Verb {
    pub(super) fn method(&self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Head => Method::HEAD,
            Self::Form(_) => Method::POST,
        }
    }

    /// As Go writes it in its errors, and so ECS.
    fn name(&self) -> &'static str {
        match self {
            Self::Get => "Get",
            Self::Head => "Head",
            Self::Form(_) => "Post",
        }
    }
}

/// A request, wherever it goes.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) verb: Verb,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) limit: Limit,
}

/// The agents of one endpoint.
pub(super) struct Http {
    /// For the endpoint's own host.
    own: Routes,
    /// For whatever else it leads to.
    others: Routes,
    host: String,
    none: NoProxy,
    reach: Reach,
}

/// The ways to a server.
struct Routes {
    direct: Agent,
    http: Option<Agent>,
    https: Option<Agent>,
}

/// What the endpoints of a repository have in common.
pub(super) struct Common<'a> {
    pub(super) authorities: &'a Authorities,
    pub(super) names: &'a Names,
    pub(super) proxies: &'a Proxies,
    pub(super) timing: &'a Timing,
}

impl Http {
    pub(super) fn new(
        base: &Target,
        certificates: &Certificates,
        reach: Reach,
        common: &Common<'_>,
    ) -> Result<Self, RegistryError> {
        let wrong = |source| RegistryError::Certificates { endpoint: base.to_string(), source };
        let own = common.authorities.own(certificates).map_err(wrong)?;
        let others = common.authorities.others(certificates).map_err(wrong)?;
        Ok(Self {
            own: Routes::new(&own, &reach, common)?,
            others: Routes::new(&others, &reach, common)?,
            host: base.host().to_owned(),
            none: NoProxy::parse(common.proxies.none.as_deref().unwrap_or_default()),
            reach,
        })
    }

    /// What may be local on behalf of this endpoint.
    pub(super) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Sends a request and reads the head of the answer, whatever its status.
    pub(super) fn send(
        &self,
        target: &Target,
        ask: &Ask,
        authorization: Option<&str>,
    ) -> Result<Response<Body>, RequestError> {
        let failed = |(class, source): (Class, _)| RequestError::Do {
            method: ask.verb.name(),
            url: target.to_string(),
            class,
            source,
        };
        // Behind a proxy no name is resolved here; what is written as an address can be told all the same.
        self.reach.check_written(target).map_err(|error| failed((Class::Forbidden, error.into())))?;
        let agent = self.agent(target);
        let mut request = Request::builder().method(ask.verb.method()).uri(target.uri().clone());
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let left = match ask.limit {
            Limit::Streaming => None,
            Limit::Until(until) => Some(until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))),
        };
        let invalid = |error| failed(classify(ureq::Error::Http(error)));
        let answer = match (&ask.verb, left) {
            (Verb::Form(form), left) => {
                let request = request.header("content-type", "application/x-www-form-urlencoded");
                let request = request.body(form.clone()).map_err(invalid)?;
                agent.run(agent.configure_request(request).timeout_global(left).build())
            }
            (_, None) => agent.run(request.body(()).map_err(invalid)?),
            (_, left) => {
                let request = request.body(()).map_err(invalid)?;
                agent.run(agent.configure_request(request).timeout_global(left).build())
            }
        };
        answer.map_err(|error| failed(classify(error)))
    }

    fn agent(&self, target: &Target) -> &Agent {
        let routes = if target.host() == self.host { &self.own } else { &self.others };
        let proxied = match target.scheme() {
            Scheme::Http => routes.http.as_ref(),
            Scheme::Https => routes.https.as_ref(),
        };
        proxied.filter(|_| !self.none.matches(target)).unwrap_or(&routes.direct)
    }
}

impl Routes {
    fn new(tls: &TlsConfig, reach: &Reach, common: &Common<'_>) -> Result<Self, RegistryError> {
        let proxied = |url: &Option<String>, name| -> Result<Option<Agent>, RegistryError> {
            let Some(url) = url.as_deref().filter(|url| !url.is_empty()) else { return Ok(None) };
            let proxy = Proxy::new(url).map_err(|_| RegistryError::Proxy(name))?;
            match proxy.protocol() {
                // The proxy is the only name that is resolved then, and it is configured: it may be anywhere.
                ProxyProtocol::Http | ProxyProtocol::Https => Ok(Some(agent(tls, Some(proxy), None, common))),
                _ => Err(RegistryError::Proxy(name)),
            }
        };
        Ok(Self {
            direct: agent(tls, None, Some(reach.clone()), common),
            http: proxied(&common.proxies.http, "HTTP")?,
            https: proxied(&common.proxies.https, "HTTPS")?,
        })
    }
}

fn agent(tls: &TlsConfig, proxy: Option<Proxy>, reach: Option<Reach>, common: &Common<'_>) -> Agent {
    let timing = common.timing;
    let config: Config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(USER_AGENT)
        .accept_encoding("identity")
        .tls_config(tls.clone())
        .proxy(proxy)
        .max_response_header_size(HEADERS_MAX)
        .output_buffer_size(32 << 10)
        .timeout_resolve(Some(timing.resolve))
        .timeout_connect(Some(timing.connect))
        .timeout_send_request(Some(timing.stall))
        .timeout_recv_response(Some(timing.stall))
        .timeout_per_read(Some(timing.stall))
        .timeout_per_write(Some(timing.stall))
        .build();
    let connector =
        ().chain(ConnectProxyConnector::default())
            .chain(TcpConnector::default())
            .chain(PaceConnector::new(timing))
            .chain(RustlsConnector::default());
    Agent::with_parts(config, connector, Addresses { names: common.names.clone(), reach })
}
