//! What the caller's environment says about registries: where credentials are, where programs are, which proxies stand in
//! between. A snapshot, so that what follows from it can be tested.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::config::{ImageSettings, is_proxy};
use crate::image::Proxies;

/// The variables that count.
const NAMES: [&str; 11] = [
    "HOME",
    "PATH",
    "DOCKER_CONFIG",
    "REGISTRY_AUTH_FILE",
    "XDG_RUNTIME_DIR",
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
];
/// Root's home, for callers without one (services, for example).
const HOME: &str = "/root";
/// Where podman keeps root's credentials for callers without `XDG_RUNTIME_DIR` (containers-auth.json(5)).
const PODMAN: &str = "/run/containers/0/auth.json";

/// The caller's environment.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment {
    variables: HashMap<&'static str, OsString>,
}

/// A variable cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{name} is not an http:// or https:// address, or host:port")]
pub struct ProxyError {
    name: &'static str,
}

impl Environment {
    /// That of this process.
    pub(super) fn of_caller() -> Self {
        let variables = NAMES.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        Self { variables: variables.filter(|(_, value)| !value.is_empty()).collect() }
    }

    /// One that says just this.
    #[cfg(test)]
    pub(super) fn of<'a>(variables: impl IntoIterator<Item = (&'static str, &'a str)>) -> Self {
        Self { variables: variables.into_iter().map(|(name, value)| (name, value.into())).collect() }
    }

    fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(name).map(OsString::as_os_str)
    }

    /// Docker's configuration, which `login` writes.
    pub(super) fn docker_config(&self) -> PathBuf {
        let directory = self.get("DOCKER_CONFIG").map(PathBuf::from);
        let home = || Path::new(self.get("HOME").unwrap_or(HOME.as_ref())).join(".docker");
        directory.unwrap_or_else(home).join("config.json")
    }

    /// The files that may hold credentials, the first that knows a registry counts: what podman and skopeo were told to use,
    /// docker's, podman's own.
    pub(super) fn credential_files(&self) -> Vec<PathBuf> {
        let podman = self.get("XDG_RUNTIME_DIR").map(|directory| Path::new(directory).join("containers/auth.json"));
        let told = self.get("REGISTRY_AUTH_FILE").map(PathBuf::from);
        told.into_iter().chain([self.docker_config(), podman.unwrap_or_else(|| PODMAN.into())]).collect()
    }

    /// A program of the search path.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        use nix::unistd::{AccessFlags, access};
        let directories = std::env::split_paths(self.get("PATH")?).filter(|directory| directory.is_absolute());
        let mut files = directories.map(|directory| directory.join(name));
        files.find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
    }

    /// What is between this host and the registries: the configuration's word, else that of a variable in capitals, else in
    /// small letters, as Go's programs have it. A proxy without a scheme is spoken to in HTTP.
    pub(super) fn proxies(&self, settings: &ImageSettings) -> Result<Proxies, ProxyError> {
        let text = |upper: &'static str, lower: &'static str| {
            let found = [upper, lower].into_iter().find_map(|name| Some((name, self.get(name)?)));
            found.map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        };
        let proxy = |set: &Option<String>, upper, lower| match (set, text(upper, lower)) {
            (Some(set), _) => Ok(Some(with_scheme(set))),
            (None, None) => Ok(None),
            (None, Some((_, value))) if is_proxy(&value) => Ok(Some(with_scheme(&value))),
            (None, Some((name, _))) => Err(ProxyError { name }),
        };
        Ok(Proxies {
            http: proxy(&settings.http_proxy, "HTTP_PROXY", "http_proxy")?,
            https: proxy(&settings.https_proxy, "HTTPS_PROXY", "https_proxy")?,
            none: settings.no_proxy.clone().or_else(|| text("NO_PROXY", "no_proxy").map(|(_, value)| value)),
        })
    }
}

fn with_scheme(proxy: &str) -> String {
    if proxy.contains("://") { proxy.to_owned() } else { format!("http://{proxy}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_count_before_small_letters_and_the_configuration_before_both() {
        let environment = Environment::of([
            ("HTTPS_PROXY", "http://upper:1"),
            ("https_proxy", "http://lower:1"),
            ("http_proxy", "lower:2"),
            ("no_proxy", "localhost,.lan"),
        ]);
        let proxies = environment.proxies(&ImageSettings::default()).unwrap();
        assert_eq!(proxies.https.as_deref(), Some("http://upper:1"));
        assert_eq!(proxies.http.as_deref(), Some("http://lower:2"));
        assert_eq!(proxies.none.as_deref(), Some("localhost,.lan"));
        let settings = ImageSettings { https_proxy: Some("config:3".into()), ..ImageSettings::default() };
        assert_eq!(environment.proxies(&settings).unwrap().https.as_deref(), Some("http://config:3"));
    }

    #[test]
    fn a_proxy_that_is_not_spoken_to_is_refused_by_its_variable_and_without_its_password() {
        let environment = Environment::of([("https_proxy", "socks5://me:secret@proxy:1080")]);
        let error = environment.proxies(&ImageSettings::default()).unwrap_err().to_string();
        assert!(error.contains("https_proxy") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn credentials_are_where_docker_and_podman_keep_them() {
        let files = |variables: &[(&'static str, &str)]| Environment::of(variables.iter().copied()).credential_files();
        assert_eq!(files(&[]), [Path::new("/root/.docker/config.json"), Path::new(PODMAN)]);
        let told =
            [("REGISTRY_AUTH_FILE", "/a.json"), ("DOCKER_CONFIG", "/d"), ("HOME", "/h"), ("XDG_RUNTIME_DIR", "/x")];
        let found = files(&told);
        assert_eq!(found, [Path::new("/a.json"), Path::new("/d/config.json"), Path::new("/x/containers/auth.json")]);
    }
}
