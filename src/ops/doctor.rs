//! Whether this host can run tasks: facts about it, each as a check with what was found and what mends it. It changes
//! nothing on the host: what has to be tried out is tried in namespaces of its own. The command line prints it.

mod cgroups;
mod firewall;
mod host;
mod kernel;
mod network;
mod storage;

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use serde::Serialize;

use super::config::Config;
use crate::plan::Layout;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// All is well.
    Ok,
    /// Tasks run, but something is worse than it could be, or could not be seen.
    Warn,
    /// Tasks cannot run.
    Fail,
}

/// One fact about the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at, in a word or two.
    pub name: &'static str,
    /// How it came out.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What mends it: a command, mostly. With `Ok` it is something that can be had besides.
    pub remedy: Option<String>,
}

impl Check {
    fn new(name: &'static str, state: State, found: impl Into<String>) -> Self {
        Self { name, state, found: found.into(), remedy: None }
    }

    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, State::Ok, found)
    }

    fn warn(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, State::Warn, found)
    }

    fn fail(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, State::Fail, found)
    }

    fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

/// Whether the caller may try things out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Root,
    Other,
}

/// Looks at everything that tasks of a root need: of the system's root, or of the private one below a directory.
pub fn examine(root: Option<&Path>) -> Vec<Check> {
    let layout = root.map_or_else(Layout::system, Layout::below);
    let config = root.map_or_else(|| PathBuf::from("/etc/berth/config.toml"), |root| root.join("config.toml"));
    // Whether it can be read is a check of its own; the others then go by the defaults.
    let settings = Config::read(&config).unwrap_or_default();
    let caller = if nix::unistd::geteuid().is_root() { Caller::Root } else { Caller::Other };
    let mut checks = kernel::checks(caller);
    checks.extend(cgroups::checks());
    checks.extend(storage::checks(&layout, settings.storage.limit, caller));
    checks.extend(network::checks(&layout, &config, &settings, caller));
    checks.extend(firewall::checks(caller));
    checks.extend(host::checks(&layout, &config, caller));
    checks
}

/// The answer where something can only be tried out by root.
fn not_seen(name: &'static str) -> Check {
    Check::warn(name, "not checked: this needs root").remedy("sudo berth doctor")
}

/// Does something on a thread of its own, whose namespaces can be changed without harm to the rest of the process.
fn aside<T: Send>(act: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, act)?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the check itself failed")))
    })
}

/// An error and its causes on one line.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error: &&dyn Error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_that_is_not_well_says_what_mends_it() {
        let directory = tempfile::tempdir().unwrap();
        let checks = examine(Some(directory.path()));
        assert!(checks.len() > 10);
        for check in &checks {
            assert!(!check.found.is_empty() && (check.state == State::Ok || check.remedy.is_some()), "{check:?}");
        }
    }

    #[test]
    fn nothing_is_left_where_it_looked() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("not/there/yet");
        examine(Some(&root));
        assert_eq!(directory.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_check_is_json_for_programs() {
        let value = serde_json::to_value(Check::warn("swap", "x").remedy("y")).unwrap();
        assert_eq!(value, serde_json::json!({"name": "swap", "state": "warn", "found": "x", "remedy": "y"}));
    }
}
