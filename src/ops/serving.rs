//! What `berth serve` is asked for. The command line reads it, the endpoint does it; neither knows the other.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

/// Who may call over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// Whoever signs with a known key.
    Signatures,
    /// Everybody who can reach the address.
    Nobody,
}

/// Where requests are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestLog {
    /// A line of JSON for each on standard output.
    Lines,
    /// Nowhere.
    Off,
}

/// The files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those that vouch for it, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// Where the endpoint listens beside what systemd hands over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place<T> {
    /// Where it does by default; nowhere, if systemd has handed over sockets.
    Default,
    /// Nowhere.
    Off,
    /// There.
    At(T),
}

/// The endpoint's options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeOptions {
    /// The root.
    pub root: Option<PathBuf>,
    /// TCP addresses.
    pub listen: Place<Vec<SocketAddr>>,
    /// The Unix socket.
    pub socket: Place<PathBuf>,
    /// TLS on all TCP addresses.
    pub tls: Option<TlsFiles>,
    /// Who may call over TCP.
    pub authentication: Authentication,
    /// Requests per second and key.
    pub rate: Option<NonZeroU32>,
    /// The request log.
    pub log: RequestLog,
}
