//! The environment variables that AWS's SDKs heed: a snapshot, so that what follows from it can be tested, and can be
//! handed to another process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Root's home, for callers without one (services, for example).
const HOME: &str = "/root";

/// The variables of a caller.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

/// Some of them are secrets.
impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Variables {
    /// Those of this process: `AWS_...`, the proxies, HOME. An empty one counts as none.
    pub fn of_process() -> Self {
        let counts = |name: &str| {
            let plain = matches!(name, "HOME" | "HTTP_PROXY" | "HTTPS_PROXY" | "NO_PROXY");
            plain || matches!(name, "http_proxy" | "https_proxy" | "no_proxy") || name.starts_with("AWS_")
        };
        let all = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let text = all.filter(|(name, _)| counts(name));
        Self(text.filter_map(|(name, value)| Some((name, value.into_string().ok()?))).collect())
    }

    /// Those of them that hold no secret and that a process needs to find its own credentials: where the shared files are,
    /// which profile, which endpoint.
    pub fn without_secrets(&self) -> BTreeMap<String, String> {
        const NAMES: [&str; 9] = [
            "HOME",
            "AWS_PROFILE",
            "AWS_CONFIG_FILE",
            "AWS_SHARED_CREDENTIALS_FILE",
            "AWS_CA_BUNDLE",
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS",
            "AWS_ENDPOINT_URL_STS",
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        ];
        let all = NAMES.into_iter().filter_map(|name| Some((name.to_owned(), self.get(name)?.to_owned())));
        all.collect()
    }

    /// Those that another process has handed on.
    pub fn of_pairs(pairs: BTreeMap<String, String>) -> Self {
        Self(pairs)
    }

    /// One that says just this.
    #[cfg(test)]
    pub(super) fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// A variable that is set, and not to nothing.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The shared configuration file, and that of credentials (AWS SDKs reference guide, "Location of the shared files").
    pub(super) fn shared_files(&self) -> [PathBuf; 2] {
        let home = || Path::new(self.get("HOME").unwrap_or(HOME)).join(".aws");
        let file = |variable, name| self.get(variable).map_or_else(|| home().join(name), PathBuf::from);
        [file("AWS_CONFIG_FILE", "config"), file("AWS_SHARED_CREDENTIALS_FILE", "credentials")]
    }
}
