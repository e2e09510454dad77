//! The door: from a request as it came in to a call that may be performed, or a refusal. Nothing is performed here, and
//! nobody is waited for, so that a fuzzer can knock a million times.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};

use super::pace::Pace;
use super::refusal::Refusal;
use super::sigv4::{self, Scope};
use crate::ops::actions::{Access, Caller};
use crate::ops::{AccessKey, AccessKeyStore, Authentication, KeyAccess};

/// What ECS's actions are called by in the header `X-Amz-Target`.
const TARGET: &str = "AmazonEC2ContainerServiceV20141113.";
/// And Systems Manager's.
const SSM_TARGET: &str = "AmazonSSM.";
/// The longest name of an action that is believed to be one.
const LONGEST_ACTION: usize = 64;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Root of this host, on the Unix socket: the kernel says so.
    Root,
    /// Another user of this host, on the Unix socket.
    Local,
    /// Somebody behind TCP.
    Network(IpAddr),
}

impl Peer {
    /// Whether figures of tasks may be shown without a signature.
    pub(super) fn is_of_this_host(self) -> bool {
        match self {
            Self::Root | Self::Local => true,
            Self::Network(address) => address.to_canonical().is_loopback(),
        }
    }
}

/// Which of AWS's services is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// JSON.
    Ecs,
    /// JSON: what is said of sessions of ECS Exec.
    Ssm,
    /// Forms and XML.
    Sts,
    /// Forms and XML.
    Ec2,
}

/// A call that may be performed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The service.
    pub service: Service,
    /// The action's name; for services with forms it stands in the body.
    pub action: String,
    /// Who calls.
    pub caller: Caller,
    /// The key that they have signed with; empty where none was asked for.
    pub key: String,
}

/// A refusal, and what is known of the request nevertheless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// In whose form it is answered.
    pub service: Service,
    /// The action that was named.
    pub action: String,
    /// The key that was named, which nobody has verified.
    pub key: String,
    /// The refusal.
    pub refusal: Refusal,
}

/// The door of a root.
#[derive(Debug)]
pub struct Front {
    keys: AccessKeyStore,
    authentication: Authentication,
    pace: Option<Pace>,
}

impl Front {
    /// A door that asks for signatures with these keys, or for nothing.
    pub fn new(keys: AccessKeyStore, authentication: Authentication, rate: Option<std::num::NonZeroU32>) -> Self {
        Self { keys, authentication, pace: rate.map(Pace::new) }
    }

    /// Decides on a request, whose body is complete.
    pub fn admit(&self, parts: &Parts, body: &[u8], peer: Peer, now: SystemTime) -> Result<Call, Box<Refused>> {
        let claimed = sigv4::claimed(&parts.headers);
        let service = service(&parts.headers, claimed.as_ref(), body);
        let action = action(&parts.headers, service, body);
        let refused = |refusal: Refusal| {
            let key = claimed.as_ref().map(|scope| scope.key.chars().take(32).collect()).unwrap_or_default();
            Box::new(Refused { service, action: action.clone(), key, refusal })
        };
        check_form(parts).map_err(refused)?;
        let (caller, key) = self.caller(parts, body, peer, now).map_err(refused)?;
        if self.pace.as_ref().is_some_and(|pace| !pace.allows(&key, Instant::now())) {
            return Err(refused(Refusal::throttled()));
        }
        if action.is_empty() {
            return Err(refused(Refusal::new("UnknownOperationException", "")));
        }
        Ok(Call { service, action, caller, key })
    }

    /// Who calls, and with which key.
    fn caller(&self, parts: &Parts, body: &[u8], peer: Peer, now: SystemTime) -> Result<(Caller, String), Refusal> {
        let trusted = match (peer, self.authentication) {
            (Peer::Root, _) => true,
            (Peer::Network(_), Authentication::Nobody) => {
                check_origin(parts)?;
                true
            }
            (Peer::Local | Peer::Network(_), _) => false,
        };
        if trusted {
            let region = sigv4::claimed(&parts.headers).map(|scope| scope.region);
            return Ok((Caller { region, ..Caller::root() }, String::new()));
        }
        let find = |id: &str| self.keys.get(id).map_err(|error| Refusal::server(error.to_string()));
        let (scope, key) = sigv4::verify(parts, body, now, find)?;
        Ok((caller(scope, &key), key.id.clone()))
    }
}

fn caller(scope: Scope, key: &Arc<AccessKey>) -> Caller {
    let access = match key.access {
        KeyAccess::ReadOnly => Access::ReadOnly,
        KeyAccess::Full => Access::Full,
    };
    let clusters = Some(&key.clusters).filter(|all| !all.is_empty()).cloned();
    Caller { name: key.name.clone(), region: Some(scope.region), access, clusters, streams: None }
}

/// The service that is called: that of the signature's scope, else what the request looks like.
fn service(headers: &HeaderMap, claimed: Option<&Scope>, body: &[u8]) -> Service {
    match claimed.map(|scope| scope.service.as_str()) {
        Some("sts") => Service::Sts,
        Some("ec2") => Service::Ec2,
        Some("ssm") => Service::Ssm,
        Some(_) => Service::Ecs,
        None if target(headers).starts_with(SSM_TARGET) => Service::Ssm,
        None if headers.contains_key("x-amz-target") => Service::Ecs,
        None => match form_action(body).as_str() {
            "" => Service::Ecs,
            "GetCallerIdentity" => Service::Sts,
            _ => Service::Ec2,
        },
    }
}

/// The action that is called; empty if none is.
fn action(headers: &HeaderMap, service: Service, body: &[u8]) -> String {
    let named = match service {
        Service::Ecs => target(headers).strip_prefix(TARGET).unwrap_or_default().to_owned(),
        Service::Ssm => target(headers).strip_prefix(SSM_TARGET).unwrap_or_default().to_owned(),
        Service::Sts | Service::Ec2 => form_action(body),
    };
    let is_word = (1..=LONGEST_ACTION).contains(&named.len()) && named.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_word { named } else { String::new() }
}

fn target(headers: &HeaderMap) -> &str {
    headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn form_action(body: &[u8]) -> String {
    if !body.is_ascii() || matches!(body.first(), None | Some(b'{')) {
        return String::new();
    }
    let found = form_urlencoded::parse(body).find(|(name, _)| name == "Action");
    found.map(|(_, action)| action.into_owned()).unwrap_or_default()
}

/// What every request has in common, whoever it is for.
fn check_form(parts: &Parts) -> Result<(), Refusal> {
    if parts.uri.query().is_some_and(|query| query.to_ascii_lowercase().contains("x-amz-signature")) {
        // A link with a signature in it is passed on, logged, kept in histories: the API has no use for that.
        return Err(Refusal::new("MissingAuthenticationTokenException", "Presigned requests are not supported."));
    }
    if parts.uri.path() != "/" || parts.uri.query().is_some() {
        return Err(Refusal::with_status(404, "UnknownOperationException", ""));
    }
    if parts.method != Method::POST {
        return Err(Refusal::with_status(405, "UnknownOperationException", ""));
    }
    Ok(())
}

/// Where nobody signs, a web page in a browser of this host must not be able to call: not directly, and not under a name
/// of its own that it has let point here.
fn check_origin(parts: &Parts) -> Result<(), Refusal> {
    let denied = |why: &str| Err(Refusal::with_status(403, "AccessDeniedException", why));
    if parts.headers.contains_key("origin") {
        return denied("Requests of web pages are refused where no signature is asked for.");
    }
    let host = parts.headers.get("host").and_then(|host| host.to_str().ok());
    let host = host.or_else(|| parts.uri.authority().map(|authority| authority.as_str())).unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let is_loopback = name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if is_loopback || name.eq_ignore_ascii_case("localhost") {
        return Ok(());
    }
    denied("Where no signature is asked for, the host must be localhost or a loopback address.")
}
