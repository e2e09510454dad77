//! `splunk`: the HTTP event collector (HEC): one POST a batch, its body one JSON object an event.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::destination::{SendError, hostname, text};
use super::gelf::seconds;
use super::names::Names;
use crate::logging::{Gzip, Splunk as Settings, SplunkFormat};
use crate::logs::Event;
use crate::plan::LogSource;

const CONNECT: Duration = Duration::from_secs(5);
const TOTAL: Duration = Duration::from_secs(30);
/// The most of an answer that is read, and shown.
const ANSWER: u64 = 4096;
/// The most addresses of a name that are tried.
const ADDRESSES: usize = 8;

/// A collector.
pub(super) struct Splunk {
    agent: Agent,
    settings: Settings,
    source: LogSource,
    host: String,
}

#[derive(Debug)]
struct Addresses(Names);

impl Resolver for Addresses {
    fn resolve(&self, uri: &Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let found = self.0.lookup(uri.host().unwrap_or_default(), *timeout.after)?;
        let mut addresses = self.empty();
        found.iter().take(ADDRESSES).for_each(|address| addresses.push(SocketAddr::new(*address, port)));
        Ok(addresses)
    }
}

impl Splunk {
    pub(super) fn new(settings: Settings, source: LogSource) -> Result<Self, String> {
        let names = Names::new().map_err(|error| error.to_string())?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("berth/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls(&settings)?)
            .proxy(None)
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(TOTAL))
            .build();
        let agent = Agent::with_parts(config, DefaultConnector::default(), Addresses(names));
        Ok(Self { agent, settings, source, host: hostname() })
    }

    fn url(&self) -> String {
        format!("{}/services/collector/event/1.0", self.settings.url)
    }

    /// Asks the collector whether it is there, unless that is not wanted; the words are those of Docker's driver.
    pub(super) fn verify(&self) -> Result<(), String> {
        if !self.settings.verifies {
            return Ok(());
        }
        let url = self.url();
        let mut answer = self.agent.options(&url).call().map_err(|error| format!("Options \"{url}\": {error}"))?;
        let status = answer.status();
        if status.as_u16() == 200 {
            return Ok(());
        }
        let said = answer.body_mut().with_config().limit(ANSWER).read_to_string().unwrap_or_default();
        Err(format!("splunk: failed to verify connection - {status} - {said}"))
    }

    pub(super) fn send(&mut self, batch: &[Event]) -> Result<(), SendError> {
        let mut body: Vec<u8> = Vec::new();
        batch.iter().for_each(|event| body.extend(self.event(event).to_string().into_bytes()));
        let url = self.url();
        let mut request = self.agent.post(&url).header("authorization", format!("Splunk {}", self.settings.token));
        let level = match self.settings.gzip {
            Gzip::Off => None,
            Gzip::Default => Some(Compression::default()),
            Gzip::Level(level) => Some(Compression::new(level)),
        };
        if let Some(level) = level {
            let mut encoder = GzEncoder::new(Vec::new(), level);
            encoder.write_all(&body)?;
            body = encoder.finish()?;
            request = request.header("content-encoding", "gzip");
        }
        let failed = |error: ureq::Error| SendError::Failed(format!("{url}: {error}"));
        let mut answer = request.header("content-type", "application/json").send(&body[..]).map_err(failed)?;
        let status = answer.status().as_u16();
        let said = answer.body_mut().with_config().limit(ANSWER).read_to_string().unwrap_or_default();
        match status {
            200..=299 => Ok(()),
            // What it does not understand it will not understand later.
            400 | 413 => Err(SendError::Refused { events: batch.len(), source: format!("{status}: {said}") }),
            _ => Err(SendError::Failed(format!("{url}: {status}: {said}"))),
        }
    }

    fn event(&self, event: &Event) -> Value {
        let (text, source) = (text(event), &self.source);
        let line = match self.settings.format {
            SplunkFormat::Raw => {
                let extra: String = source.extra.iter().map(|(name, value)| format!("{name}={value} ")).collect();
                json!(format!("{} {extra}{text}", source.tag))
            }
            SplunkFormat::Inline | SplunkFormat::Json => {
                let json = (self.settings.format == SplunkFormat::Json).then(|| serde_json::from_str(&text).ok());
                let mut inner = json!({
                    "line": json.flatten().unwrap_or_else(|| Value::from(text.as_ref())),
                    "source": event.stream.name(),
                    "tag": source.tag,
                });
                if !source.extra.is_empty() {
                    inner["attrs"] = json!(source.extra);
                }
                inner
            }
        };
        let mut whole = json!({ "event": line, "time": format!("{:.6}", seconds(event)), "host": self.host });
        let more = [
            ("source", &self.settings.source),
            ("sourcetype", &self.settings.source_type),
            ("index", &self.settings.index),
        ];
        for (name, value) in more {
            if let Some(value) = value {
                whole[name] = value.clone().into();
            }
        }
        whole
    }
}

fn tls(settings: &Settings) -> Result<TlsConfig, String> {
    if settings.trusts_anybody {
        return Ok(TlsConfig::builder().disable_verification(true).build());
    }
    let all: Vec<Certificate<'static>> = match &settings.authority {
        None => {
            let found = rustls_native_certs::load_native_certs().certs;
            found.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect()
        }
        Some(path) => {
            let pem = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
            let certificates = parse_pem(&pem).filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                Ok(_) | Err(_) => None,
            });
            Some(certificates.collect::<Vec<_>>())
                .filter(|all| !all.is_empty())
                .ok_or_else(|| format!("{path} has no certificate"))?
        }
    };
    let roots = if all.is_empty() { RootCerts::WebPki } else { RootCerts::Specific(Arc::new(all)) };
    Ok(TlsConfig::builder().root_certs(roots).build())
}
