//! `login` and `logout`: a name and a password are tried at the registry before they are kept.

use std::fmt;
use std::str::FromStr;

use super::credentials::{Kept, erase, keep};
use super::environment::Environment;
use super::registries::{Registries, RegistryError};
use super::{Engine, OpsError};
use crate::image::{Credentials, ImageReference, ReferenceError, check_login};

/// A registry as people name it: its host, perhaps with a port, as it stands in images' names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry(String);

/// Why a text is no registry.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not a registry: write docker.io, ghcr.io, registry.lan:5000")]
pub struct RegistryNameError {
    text: String,
}

impl FromStr for Registry {
    type Err = RegistryNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Docker's own registry is known by an address, and others are pasted as one.
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let host = host.map_or(text, |rest| rest.split('/').next().unwrap_or(rest)).trim_end_matches('/');
        let host = if host == "registry-1.docker.io" { "docker.io" } else { host };
        let image: Result<ImageReference, ReferenceError> = format!("{host}/x").parse();
        let registry = image.ok().map(|image| image.registry().to_owned());
        let registry = registry.filter(|registry| registry == host || host == "index.docker.io");
        registry.map(Self).ok_or_else(|| RegistryNameError { text: text.to_owned() })
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Engine {
    /// Tries a name and a password at a registry, and keeps them where docker would.
    pub fn login(&self, registry: &Registry, username: &str, password: &str) -> Result<Kept, OpsError> {
        let environment = Environment::of_caller();
        let registries = Registries::new(&self.config.image, &environment)?;
        let credentials = Credentials::Basic { username: username.to_owned(), password: password.to_owned() };
        let endpoints = registries.endpoints(&registry.0, Some(credentials))?;
        let proxies = environment.proxies(&self.config.image).map_err(RegistryError::from)?;
        let refused = |source| OpsError::Login { registry: registry.0.clone(), source };
        check_login(&endpoints, &proxies, &registries.local_hosts(&registry.0)).map_err(refused)?;
        Ok(keep(&environment, &registry.0, username, password)?)
    }

    /// Forgets a registry; whether docker's configuration knew it.
    pub fn logout(&self, registry: &Registry) -> Result<bool, OpsError> {
        Ok(erase(&Environment::of_caller(), &registry.0)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_named_by_its_host() {
        let cases = [
            ("docker.io", "docker.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("registry-1.docker.io", "docker.io"),
            ("ghcr.io", "ghcr.io"),
            ("http://localhost:5000/", "localhost:5000"),
            ("localhost:5000", "localhost:5000"),
        ];
        for (text, registry) in cases {
            assert_eq!(text.parse::<Registry>().unwrap().to_string(), registry, "{text}");
        }
        for text in ["", "nginx", "ghcr.io/me", "a b", "https://", "me@ghcr.io"] {
            assert!(text.parse::<Registry>().is_err(), "{text}");
        }
    }
}
