//! How long and how much a registry may take, in one place.

use std::time::Duration;

/// The largest manifest or index, in bytes (distribution-spec, "Pushing Manifests": what registries should take).
pub(super) const MANIFEST_MAX: u64 = 4 << 20;
/// The largest answer of a token server, in bytes.
pub(super) const TOKEN_MAX: u64 = 64 << 10;
/// The most that is read of an answer that is only an error or a redirect, in bytes.
pub(super) const ERROR_MAX: u64 = 8 << 10;
/// The most of a server's own words that is shown, in characters.
pub(super) const MESSAGE_MAX: usize = 256;
/// The largest head of an answer, in bytes.
pub(super) const HEADERS_MAX: usize = 32 << 10;
/// The most redirects of one request.
pub(super) const REDIRECTS_MAX: usize = 5;
/// How often something is tried again that made no progress.
pub(super) const RETRIES_MAX: u32 = 3;
/// How often one blob is resumed, whatever its progress.
pub(super) const RESUMPTIONS_MAX: u32 = 20;

/// How long things may take. Tests have their own.
#[derive(Debug, Clone)]
pub(super) struct Timing {
    /// A name's addresses.
    pub(super) resolve: Duration,
    /// A connection, TLS included.
    pub(super) connect: Duration,
    /// Nothing at all comes.
    pub(super) stall: Duration,
    /// A manifest, a configuration or a token, in all and however often it is tried, per endpoint.
    pub(super) document: Duration,
    /// What `rate` is looked at over: time spent waiting for the server, not time that we took.
    pub(super) window: Duration,
    /// The least bytes per second. What a window must bring is also what counts as progress of a blob.
    pub(super) rate: f64,
    /// The wait before the first retry; it doubles from one to the next.
    pub(super) wait: Duration,
    /// The longest wait that is our own choice.
    pub(super) wait_max: Duration,
    /// The longest wait that a server can ask for (`Retry-After`).
    pub(super) asked_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(10),
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            document: Duration::from_secs(30),
            window: Duration::from_secs(30),
            rate: 1024.0,
            wait: Duration::from_millis(500),
            wait_max: Duration::from_secs(10),
            asked_max: Duration::from_secs(30),
        }
    }
}

impl Timing {
    /// The bytes that a window must bring.
    pub(super) fn least(&self) -> u64 {
        (self.rate * self.window.as_secs_f64()) as u64
    }
}
