//! What the host's resolv.conf says that a task can use: name servers that it can reach, and search domains.
//!
//! Only reading: the task's own file is written elsewhere. The format is resolv.conf(5)'s.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

/// Where the host's configuration is looked for: the second is systemd-resolved's list of the real servers, which
/// stands behind its own 127.0.0.53 in the first.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
/// More servers than this are ignored by resolvers (`MAXNS` in resolv.h).
const MAX_SERVERS: usize = 3;
/// Dropped on its way out of a task (`rules`).
const HOST_METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// A file with the host's name servers cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("read {}", .path.display())]
pub struct ResolverError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Name servers and search domains for a task.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolver {
    /// Servers that a task can reach, at most three: IPv4, because a task has no IPv6 way out, and not the host's
    /// loopback. Empty when the host knows none.
    pub servers: Vec<Ipv4Addr>,
    /// Search domains.
    pub search: Vec<String>,
}

impl Resolver {
    /// Reads the host's configuration; a file that is not there says nothing.
    pub fn of_host() -> Result<Self, ResolverError> {
        Self::read(&FILES.map(Path::new))
    }

    /// The first file that names a usable server; else the first that is there.
    fn read(files: &[&Path]) -> Result<Self, ResolverError> {
        let mut first = None;
        for path in files {
            let text = match fs::read(path) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(ResolverError { path: path.to_path_buf(), source }),
            };
            let found = Self::parse(&text);
            if !found.servers.is_empty() {
                return Ok(found);
            }
            first.get_or_insert(found);
        }
        Ok(first.unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let mut resolver = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace().take_while(|word| !word.starts_with(['#', ';']));
            match words.next() {
                Some("nameserver") => resolver.servers.extend(words.next().and_then(usable)),
                Some("search") => resolver.search = words.map(str::to_owned).collect(), // the last one counts
                Some("domain") => resolver.search = words.take(1).map(str::to_owned).collect(),
                _ => {}
            }
        }
        resolver.servers.truncate(MAX_SERVERS);
        resolver
    }
}

/// A server that a task can reach.
fn usable(text: &str) -> Option<Ipv4Addr> {
    match text.parse().ok()? {
        IpAddr::V4(address) => {
            let elsewhere = !address.is_loopback() && !address.is_unspecified() && address != HOST_METADATA;
            elsewhere.then_some(address)
        }
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_a_task_cannot_reach_are_left_out() {
        let text = "# comment\nnameserver 127.0.0.53\nnameserver ::1\nnameserver 0.0.0.0\nnameserver 10.0.0.2 # lan\n\
                    nameserver fe80::1%eth0\nnameserver 169.254.169.254\n";
        assert_eq!(Resolver::parse(text).servers, [Ipv4Addr::new(10, 0, 0, 2)]);
    }

    #[test]
    fn the_last_search_list_counts() {
        assert_eq!(
            Resolver::parse("domain a.example\nsearch b.example c.example\n").search,
            ["b.example", "c.example"]
        );
        assert_eq!(Resolver::parse("search b.example c.example\ndomain a.example\n").search, ["a.example"]);
    }

    #[test]
    fn behind_a_loopback_server_stands_the_list_of_the_real_ones() {
        let directory = tempfile::tempdir().unwrap();
        let (stub, real) = (directory.path().join("stub"), directory.path().join("real"));
        fs::write(&stub, "nameserver 127.0.0.53\nsearch a.example\n").unwrap();
        let stub_only = Resolver::read(&[&stub, &real]).unwrap();
        assert_eq!(stub_only, Resolver { servers: vec![], search: vec!["a.example".into()] });
        fs::write(&real, "nameserver 10.0.0.2\nsearch b.example\n").unwrap();
        let both = Resolver::read(&[&stub, &real]).unwrap();
        assert_eq!(both, Resolver { servers: vec![Ipv4Addr::new(10, 0, 0, 2)], search: vec!["b.example".into()] });
    }

    #[test]
    fn a_host_without_resolv_conf_has_no_servers() {
        assert_eq!(Resolver::read(&[Path::new("/nonexistent/resolv.conf")]).unwrap(), Resolver::default());
    }
}
