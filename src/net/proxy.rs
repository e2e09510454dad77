//! The way to a task's proxy: rules in the task's own namespace, which end with it. Called by a worker inside.

use super::apply::open;
use super::error::NetError;
use super::netlink::Family;
use super::nft::{self, Old};
use super::rules;
use crate::validate::proxy::Proxy;

/// Redirects connections in the calling thread's network namespace.
pub fn redirect(plan: &Proxy) -> Result<(), NetError> {
    nft::ensure(&mut open(Family::Netfilter)?, &rules::proxy(plan), Old::Replaced)
}
