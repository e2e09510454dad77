//! One request and its whole answer: TLS with the host's authorities (and those of `AWS_CA_BUNDLE`), proxies as the
//! environment says, bounded time and size, nothing followed.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::{Request, Response};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, Proxy, ProxyProtocol};

use super::error::{AwsError, cause};
use super::resolve::Names;
use super::variables::Variables;

/// What every server is told about us.
const USER_AGENT: &str = concat!("berth/", env!("CARGO_PKG_VERSION"));
/// How long a name, or a connection with its TLS, may take. (AWS's SDKs give a connection about as much.)
const CONNECT: Duration = Duration::from_secs(5);
/// How long one attempt may take in all.
const TOTAL: Duration = Duration::from_secs(30);
/// The largest head of an answer, in bytes.
const HEADERS_MAX: usize = 32 << 10;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
enum SetupError {
    #[error("{0} is not an http:// or https:// address, or host:port")]
    Proxy(&'static str),
    #[error("AWS_CA_BUNDLE {0} is not a PEM file with certificates")]
    Bundle(String),
}

/// The answer of a server.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: Response<()>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// A header that is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers().get(name)?.to_str().ok()
    }
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum Failure {
    /// It did not come, or was cut.
    Send(ureq::Error),
    /// It is longer than it may be.
    TooLarge(u64),
}

/// The agents: with and without TLS, since each may have a proxy of its own.
#[derive(Debug, Clone)]
pub(super) struct Http {
    plain: Agent,
    tls: Agent,
}

impl Http {
    pub(super) fn new(variables: &Variables) -> Result<Self, AwsError> {
        let wrong = |error: SetupError| AwsError::Prepare(error.into());
        let authorities = authorities(variables).map_err(wrong)?;
        let agent = |names| -> Result<Agent, AwsError> {
            let proxy = proxy(variables, names).map_err(wrong)?;
            let config = Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .user_agent(USER_AGENT)
                .accept_encoding("identity")
                .tls_config(TlsConfig::builder().root_certs(authorities.clone()).build())
                .proxy(proxy)
                .max_response_header_size(HEADERS_MAX)
                .timeout_resolve(Some(CONNECT))
                .timeout_connect(Some(CONNECT))
                .timeout_global(Some(TOTAL))
                .build();
            let names = Names::new().map_err(|error| AwsError::Prepare(error.into()))?;
            Ok(Agent::with_parts(config, DefaultConnector::default(), names))
        };
        Ok(Self { plain: agent(["HTTP_PROXY", "http_proxy"])?, tls: agent(["HTTPS_PROXY", "https_proxy"])? })
    }

    /// Sends a request, and reads at most `limit` bytes of the answer.
    pub(super) fn send(&self, request: Request<Vec<u8>>, limit: u64) -> Result<Answer, Failure> {
        let agent = if request.uri().scheme_str() == Some("https") { &self.tls } else { &self.plain };
        // A body that is empty is sent with its length all the same, which S3 asks for of no GET.
        let answer = match request.method().as_str() {
            "GET" => agent.run(request.map(drop)),
            _ => agent.run(request),
        };
        let (head, body) = answer.map_err(Failure::Send)?.into_parts();
        let status = head.status.as_u16();
        let body = read(body, limit)?;
        Ok(Answer { status, head: Response::from_parts(head, ()), body })
    }
}

fn read(body: Body, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = body.into_reader().take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::Send(ureq::Error::from(error)))?;
    if bytes.len() as u64 > limit { Err(Failure::TooLarge(limit)) } else { Ok(bytes) }
}

impl Failure {
    /// The failure of an operation at an address.
    pub(super) fn of(self, operation: &str, url: &str) -> AwsError {
        let operation = operation.to_owned();
        match self {
            Self::Send(error) => {
                let (transient, source) = cause(error);
                AwsError::Send { operation, url: url.to_owned(), transient, source }
            }
            Self::TooLarge(limit) => AwsError::Answer { operation, reason: format!("it is larger than {limit} bytes") },
        }
    }
}

/// The authorities of this host, Mozilla's where it has none; or those of `AWS_CA_BUNDLE` alone, as the SDKs have it.
fn authorities(variables: &Variables) -> Result<RootCerts, SetupError> {
    let all: Vec<Certificate<'static>> = match variables.get("AWS_CA_BUNDLE") {
        Some(path) => bundle(path).ok_or_else(|| SetupError::Bundle(path.to_owned()))?,
        None => {
            let found = rustls_native_certs::load_native_certs().certs;
            found.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect()
        }
    };
    Ok(if all.is_empty() { RootCerts::WebPki } else { RootCerts::Specific(Arc::new(all)) })
}

fn bundle(path: &str) -> Option<Vec<Certificate<'static>>> {
    let pem = std::fs::read(path).ok()?;
    let items: Result<Vec<_>, _> = parse_pem(&pem).collect();
    let certificates = items.ok()?.into_iter().filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    Some(certificates.collect::<Vec<_>>()).filter(|all| !all.is_empty())
}

/// A proxy as Go's and curl's programs are told of it; SOCKS proxies are not spoken to.
fn proxy(variables: &Variables, names: [&'static str; 2]) -> Result<Option<Proxy>, SetupError> {
    let found = names.into_iter().find_map(|name| Some((name, variables.get(name)?)));
    let Some((name, value)) = found else { return Ok(None) };
    let wrong = || SetupError::Proxy(name);
    let parsed = Proxy::new(value).map_err(|_| wrong())?;
    let mut builder = match parsed.protocol() {
        ProxyProtocol::Http | ProxyProtocol::Https => Proxy::builder(parsed.protocol()),
        _ => return Err(wrong()),
    };
    builder = builder.host(parsed.host()).port(parsed.port());
    builder = parsed.username().into_iter().fold(builder, ureq::ProxyBuilder::username);
    builder = parsed.password().into_iter().fold(builder, ureq::ProxyBuilder::password);
    let exempt = variables.get("NO_PROXY").or_else(|| variables.get("no_proxy")).unwrap_or_default();
    // This host itself needs no proxy.
    let exempt = exempt.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    builder = exempt.chain(["localhost", "127.0.0.1"]).fold(builder, ureq::ProxyBuilder::no_proxy);
    builder.build().map(Some).map_err(|_| wrong())
}
