//! What goes wrong with a registry, in the words that containerd and ECS have for it, and what follows from it: whether
//! it is tried again, and whether another endpoint may have what this one has not.

use std::error::Error;

use ureq::Timeout;

use super::address::Forbidden;
use super::challenge::ChallengeError;
use super::pace::TooSlow;
use super::resolve::LookupError;
use super::server::Server;
use super::target::{Scheme, TargetError};
use super::tls::PemError;
use crate::image::digest::Digest;
use crate::image::request::FailureKind;

/// Why an image could not be had from its registry.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// An endpoint that is no address.
    #[error("registry endpoint")]
    Endpoint(#[from] TargetError),
    /// Nobody to ask.
    #[error("no registry endpoint for {0}")]
    NoEndpoint(String),
    /// Configured authorities that cannot be read.
    #[error("certificate authorities for {endpoint}")]
    Certificates {
        endpoint: String,
        #[source]
        source: PemError,
    },
    /// A proxy that is none, or of a kind that we do not speak (SOCKS). Not shown: it may have a password in it.
    #[error("the {0} proxy is not an http: or https: address")]
    Proxy(&'static str),
    /// No resolver.
    #[error("set up the resolver")]
    Resolver(#[source] std::io::Error),
    /// The manifest.
    #[error("failed to resolve ref {reference}")]
    Resolve {
        reference: String,
        retries: u32,
        #[source]
        source: Box<RequestError>,
    },
    /// The registry itself, of which nothing is wanted but a yes.
    #[error(transparent)]
    Login(RequestError),
    /// A blob, or a manifest that an index names.
    #[error("failed to copy {digest}")]
    Copy {
        digest: Digest,
        retries: u32,
        #[source]
        source: Box<RequestError>,
    },
}

impl RegistryError {
    /// What somebody could do about it.
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::Resolve { source, .. } | Self::Copy { source, .. } if source.is_lie() => FailureKind::Content,
            Self::Copy { retries, .. } => FailureKind::Copy { retries: *retries },
            Self::Resolve { retries, .. } => FailureKind::Resolve { retries: *retries },
            Self::Endpoint(_)
            | Self::Login(_)
            | Self::NoEndpoint(_)
            | Self::Certificates { .. }
            | Self::Proxy(_)
            | Self::Resolver(_) => FailureKind::Resolve { retries: 0 },
        }
    }
}

/// Why a request, with all that it led to, gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("failed to do request: {method} \"{url}\"")]
    Do {
        method: &'static str,
        url: String,
        class: Class,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("failed to read {url}")]
    Read {
        url: String,
        class: Class,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("unexpected status from {method} request to {url}: {status}{message}")]
    Status {
        method: &'static str,
        url: String,
        /// With its reason: `401 Unauthorized`.
        status: ureq::http::StatusCode,
        /// What the server says about it, behind `: `; or nothing.
        message: String,
        /// Seconds that it asks to wait.
        after: Option<u64>,
    },
    #[error("{0}: not found")]
    NotFound(String),
    #[error("failed to authorize: failed to fetch {kind} token")]
    Token {
        kind: &'static str,
        #[source]
        source: Box<RequestError>,
    },
    #[error("failed to authorize: the token server's answer is not valid")]
    TokenAnswer(#[source] Option<serde_json::Error>),
    #[error("failed to authorize")]
    Challenge(#[from] ChallengeError),
    #[error("failed to authorize: the token server {0} may not be asked by {1}")]
    Realm(String, String),
    #[error("authorization failed: no basic auth credentials")]
    NoCredentials,
    #[error("{url}: redirect")]
    Redirect {
        url: String,
        #[source]
        source: RedirectError,
    },
    #[error("{what} is {actual} instead of {expected}")]
    Digest { what: String, expected: Digest, actual: Digest },
    #[error("{what} does not have {expected} bytes but {actual}")]
    Size { what: String, expected: u64, actual: String },
    #[error("{what} is larger than {limit} bytes")]
    TooLarge { what: String, limit: u64 },
    #[error("{url}: content encoding {encoding:?} was not asked for")]
    Encoding { url: String, encoding: String },
    #[error("{url}: bytes from {from} to {size} were asked for, the answer is {range:?}")]
    Range { url: String, from: u64, size: u64, range: String },
    #[error("{url}: {value:?} is not a digest")]
    DigestHeader { url: String, value: String },
    #[error("{0} is a Docker schema 1 image, which is no longer supported: build it anew and push it again")]
    Schema1(String),
}

/// Why a redirect is not followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RedirectError {
    #[error("no location")]
    Nowhere,
    #[error("its location")]
    Location(#[from] TargetError),
    #[error("from https to {0}, which is not encrypted")]
    Unencrypted(String),
    #[error("more than {0}")]
    TooMany(usize),
    #[error("a request with credentials in its body is not redirected")]
    Secret,
}

/// What kind of failure a request without an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// No connection; there may be one later.
    Unreached,
    /// No connection, and there will be none: no such host, not the right certificate.
    Unreachable,
    /// The connection was cut, or too slow.
    Cut,
    /// Time is up, or it is not HTTP what comes.
    Hopeless,
    /// It led to where nothing is asked.
    Forbidden,
}

/// A timeout of any phase.
#[derive(Debug, thiserror::Error)]
#[error("i/o timeout")]
struct IoTimeout;

/// The class of a failure of ureq, and the cause in it that is worth showing.
pub(super) fn classify(error: ureq::Error) -> (Class, Box<dyn Error + Send + Sync>) {
    match error {
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => (Class::Unreachable, error.into()),
        ureq::Error::Io(error) => (Class::Unreached, error.into()),
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => (Class::Unreached, IoTimeout.into()),
        ureq::Error::Timeout(Timeout::Global) => (Class::Hopeless, IoTimeout.into()),
        ureq::Error::Timeout(_) => (Class::Cut, IoTimeout.into()),
        ureq::Error::Other(error) => (class_of(error.as_ref()), error),
        ureq::Error::ConnectProxyFailed(_) | ureq::Error::ConnectionFailed => (Class::Unreached, error.into()),
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) | ureq::Error::TlsRequired => (Class::Unreachable, error.into()),
        _ => (Class::Hopeless, error.into()),
    }
}

/// The class of an error that our own resolver or pace gave to ureq.
fn class_of(error: &(dyn Error + Send + Sync + 'static)) -> Class {
    match error.downcast_ref() {
        Some(LookupError::NoSuchHost(_)) => Class::Unreachable,
        Some(LookupError::Timeout(_) | LookupError::Failed { .. }) => Class::Unreached,
        None if error.is::<TooSlow>() => Class::Cut,
        None if error.is::<Forbidden>() => Class::Forbidden,
        None => Class::Hopeless,
    }
}

impl RequestError {
    /// Whether the same request may have an answer later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Do { class, .. } | Self::Read { class, .. } => matches!(class, Class::Unreached | Class::Cut),
            Self::Status { status, .. } => matches!(status.as_u16(), 408 | 429 | 500..),
            Self::Token { source, .. } => source.is_transient(),
            _ => false,
        }
    }

    /// Whether the server tried to pass something off as what it is not, or led us astray. Nobody else is asked then:
    /// what is wrong must be seen.
    pub(super) fn is_lie(&self) -> bool {
        match self {
            Self::Do { class, .. } | Self::Read { class, .. } => *class == Class::Forbidden,
            Self::Token { source, .. } => source.is_lie(),
            Self::Realm(..)
            | Self::Redirect { .. }
            | Self::Digest { .. }
            | Self::Size { .. }
            | Self::TooLarge { .. }
            | Self::Encoding { .. }
            | Self::Range { .. }
            | Self::DigestHeader { .. }
            | Self::Schema1(_) => true,
            Self::Status { .. }
            | Self::NotFound(_)
            | Self::TokenAnswer(_)
            | Self::Challenge(_)
            | Self::NoCredentials => false,
        }
    }

    /// Whether `next` may be asked for what `server` did not give. The unencrypted twin of an endpoint is asked only if
    /// the endpoint does not speak TLS at all, never because it said no.
    pub(super) fn lets_ask(&self, server: &Server, next: &Server) -> bool {
        let (one, two) = (server.base(), next.base());
        let twin = one.host() == two.host() && (one.scheme(), two.scheme()) == (Scheme::Https, Scheme::Http);
        let unreached =
            matches!(self, Self::Do { class: Class::Unreached | Class::Unreachable, .. } if self.is_of(server));
        !self.is_lie() && (!twin || unreached)
    }

    /// Whether the request that failed was to the server itself, not to where it led.
    fn is_of(&self, server: &Server) -> bool {
        let base = format!("{}/", server.base().to_string().trim_end_matches('/'));
        matches!(self, Self::Do { url, .. } if url.starts_with(&base))
    }

    /// The seconds that the server asks to wait.
    pub(super) fn after(&self) -> Option<u64> {
        match self {
            Self::Status { after, .. } => *after,
            Self::Token { source, .. } => source.after(),
            _ => None,
        }
    }
}
