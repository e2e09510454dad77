//! What a plan takes from this host: its name servers, and how many files a container may have open.

use nix::sys::resource::{Resource, getrlimit};

use super::Engine;
use crate::plan::make::OPEN_FILES;
use crate::sys::capability::{Capabilities, permitted};

impl Engine {
    /// The containers' /etc/resolv.conf: the configured servers, else the host's, without those that only the host can reach.
    pub(super) fn resolv_conf(&self) -> String {
        let host = crate::net::Resolver::of_host().unwrap_or_default();
        let servers = if self.config.dns.is_empty() { &host.servers } else { &self.config.dns };
        let mut text = String::new();
        if !host.search.is_empty() {
            text.push_str(&format!("search {}\n", host.search.join(" ")));
        }
        for server in servers {
            text.push_str(&format!("nameserver {server}\n"));
        }
        text
    }
}

/// Fargate's limit, unless this root may not go above a lower one of the host's (no CAP_SYS_RESOURCE, as in containers).
pub(super) fn open_files() -> i64 {
    let needed = Capabilities::named("CAP_SYS_RESOURCE").expect("the name stands in the table");
    let may_raise = permitted().is_ok_and(|permitted| permitted & needed == needed);
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((_, hard)) if !may_raise => i64::try_from(hard).unwrap_or(OPEN_FILES).min(OPEN_FILES),
        _ => OPEN_FILES,
    }
}
