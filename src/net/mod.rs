//! The network of a task: netlink and nftables, applied from a plan.
//!
//! A task's link is a routed point-to-point veth pair. The task sees `eth0` with its subnet's prefix, but everything,
//! its own subnet too, goes through the gateway; the host routes one address to each host end and answers for the
//! gateway there. No bridge, no proxy ARP, no per-task rule: `rules` says what one table per root holds. A container in
//! bridge mode has the same kind of link in another block of addresses, and ports of the host that lead to it.
//!
//! [`up`] is called by a worker inside a fresh namespace of a task or a container, [`forward`] after it, [`down`] by
//! whoever cleans up.

mod agent;
mod apply;
mod error;
mod expressions;
mod fault;
mod link;
mod netlink;
mod nfnetlink;
mod nft;
mod ports;
mod proxy;
mod resolver;
mod routes;
mod rules;

pub use agent::lead_to_agent;
pub use apply::{Others, down, loopback, up};
pub use error::{NetError, Verb};
pub use fault::{FaultSockets, ImpairError, Sought};
pub use netlink::NetlinkError;
pub use ports::{forward, is_free};
pub use proxy::redirect;
pub use resolver::{Resolver, ResolverError};
pub use routes::{HostRoute, host_routes};
