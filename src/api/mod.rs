//! The ECS endpoint: `berth serve`. AWS's clients, unmodified, call `ops` through it; so do the neighbours of ECS that scripts
//! look things up in. Tasks never depend on it: it starts them as the command line does, and may be killed at any time.
//!
//! ```text
//! connection (server) -> door (front: signature, pace) -> thread with an engine (pool) -> ops -> answer
//! ```
//!
//! `listen` finds the sockets, `metrics` counts, `request_log` tells of each request, `keep` looks after what nobody else does.

mod answer;
mod connection;
mod front;
mod keep;
mod listen;
mod metrics;
mod pace;
mod pool;
mod refusal;
mod request;
mod request_log;
mod server;
mod session;
mod sigv4;
mod tls;

pub use answer::{Answer, perform};
pub use front::{Call, Front, Peer, Refused, Service};
pub use refusal::Refusal;
pub use server::{ServeError, serve};
