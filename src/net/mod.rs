//! The network of a task: netlink and nftables, applied from a `NetworkPlan`.
//!
//! A task's link is a routed point-to-point veth pair. The task sees `eth0` with its subnet's prefix, but everything,
//! its own subnet too, goes through the gateway; the host routes one address to each host end and answers for the
//! gateway there. No bridge, no proxy ARP, no per-task rule: `rules` says what one table per root holds.
//!
//! [`up`] is called by a worker inside the task's fresh namespace, [`down`] by whoever cleans up.

mod apply;
mod error;
mod link;
mod netlink;
mod nfnetlink;
mod nft;
mod resolver;
mod routes;
mod rules;

pub use apply::{Others, down, up};
pub use error::{NetError, Verb};
pub use netlink::NetlinkError;
pub use resolver::{Resolver, ResolverError};
pub use routes::{HostRoute, host_routes};
