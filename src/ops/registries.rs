//! Where an image is asked for, and as whom: an image's name, the configuration and the caller's environment become the
//! endpoints of a [`PullRequest`]. Nothing is asked here but credential helpers.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::config::ImageSettings;
use super::credentials::{CredentialError, Keyring};
use super::environment::{Environment, ProxyError};
use crate::image::{Certificates, Credentials, Endpoint, ImageReference, PullRequest};

/// Docker's registry, as image names have it.
const DOCKER: &str = "docker.io";
/// The host that answers for it (docker/cli, `registry.DefaultV2Registry`).
const DOCKER_HOST: &str = "registry-1.docker.io";
/// Where docker and podman look for registries' authorities, in `HOST[:PORT]/*.crt`.
const CERTIFICATES: [&str; 2] = ["/etc/docker/certs.d", "/etc/containers/certs.d"];
/// The most that is read of a certificate file, in bytes.
const CERTIFICATE_MAX: u64 = 1 << 20;

/// An image cannot even be asked for.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The credentials of a registry.
    #[error("the credentials for {registry}")]
    Credentials {
        /// The registry.
        registry: String,
        /// What is wrong with them.
        source: CredentialError,
    },
    /// A file of certificates.
    #[error("read the certificates {path}")]
    Certificates {
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A proxy.
    #[error("the proxy")]
    Proxy(#[from] ProxyError),
}

/// Everything that says where images come from.
#[derive(Debug)]
pub(super) struct Registries<'a> {
    settings: &'a ImageSettings,
    environment: &'a Environment,
    keyring: Keyring,
    certificates: Vec<PathBuf>,
}

impl<'a> Registries<'a> {
    /// Those of a configuration and an environment.
    pub(super) fn new(settings: &'a ImageSettings, environment: &'a Environment) -> Result<Self, RegistryError> {
        let keyring = Keyring::open(environment)
            .map_err(|source| RegistryError::Credentials { registry: "all registries".to_owned(), source })?;
        Ok(Self { settings, environment, keyring, certificates: CERTIFICATES.map(PathBuf::from).into() })
    }

    /// The request for an image. `own` are the credentials that the task definition names for it; they go to the image's
    /// registry and to none of its mirrors.
    pub(super) fn request(
        &self,
        reference: &ImageReference,
        own: Option<Credentials>,
    ) -> Result<PullRequest, RegistryError> {
        let registry = reference.registry();
        let mut endpoints = Vec::new();
        for mirror in self.settings.mirrors.get(registry).into_iter().flatten() {
            endpoints.push(self.mirror(mirror, reference.path())?);
        }
        let credentials = match own {
            Some(own) => Some(own),
            None => self.credentials(registry, reference.path(), endpoints.is_empty())?,
        };
        endpoints.extend(self.endpoints(registry, credentials)?);
        Ok(PullRequest {
            reference: reference.clone(),
            known: None,
            endpoints,
            proxies: self.environment.proxies(self.settings)?,
            local_hosts: self.local_hosts(registry),
            parallel: self.settings.parallel,
        })
    }

    /// What may be on this very host: what is configured so, and a registry that is written so.
    pub(super) fn local_hosts(&self, registry: &str) -> Vec<String> {
        let own = is_local(registry).then(|| registry.to_owned());
        self.settings.local_hosts.iter().cloned().chain(own).collect()
    }

    /// A registry's own endpoints: one that may be insecure is asked in TLS first and then without, as Docker does.
    pub(super) fn endpoints(
        &self,
        registry: &str,
        credentials: Option<Credentials>,
    ) -> Result<Vec<Endpoint>, RegistryError> {
        let host = if registry == DOCKER { DOCKER_HOST } else { registry };
        let certificates = self.certificates(host)?;
        let secure = Endpoint { url: format!("https://{host}"), credentials, certificates };
        let plain = self.is_insecure(host).then(|| Endpoint { url: format!("http://{host}"), ..secure.clone() });
        Ok(std::iter::once(secure).chain(plain).collect())
    }

    /// Who we are at a registry. Amazon's helper is asked for what nobody else knows, and only where no mirror stands in for
    /// Amazon's registry: it would ask Amazon.
    pub(super) fn credentials(
        &self,
        registry: &str,
        repository: &str,
        no_mirrors: bool,
    ) -> Result<Option<Credentials>, RegistryError> {
        let found = match self.keyring.find(registry, repository) {
            Ok(None) if no_mirrors => self.keyring.ecr(registry),
            found => found,
        };
        found.map_err(|source| RegistryError::Credentials { registry: registry.to_owned(), source })
    }

    fn mirror(&self, url: &str, repository: &str) -> Result<Endpoint, RegistryError> {
        let url = url.trim_end_matches('/');
        let host = url.split_once("://").map_or(url, |(_, host)| host);
        let credentials = self.credentials(host, repository, true)?;
        Ok(Endpoint { url: url.to_owned(), credentials, certificates: self.certificates(host)? })
    }

    fn is_insecure(&self, host: &str) -> bool {
        is_local(host) || self.settings.insecure_registries.iter().any(|insecure| insecure == host)
    }

    fn certificates(&self, host: &str) -> Result<Certificates, RegistryError> {
        if self.is_insecure(host) {
            return Ok(Certificates::Anybody);
        }
        let mut also = Vec::new();
        for directory in &self.certificates {
            authorities(&directory.join(host), &mut also)?;
        }
        Ok(if also.is_empty() { Certificates::System } else { Certificates::Also(also) })
    }
}

/// Whether a host is written as one of this very host: `localhost`, or a literal loopback address.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Reads the `*.crt` of a directory, in the order of their names.
fn authorities(directory: &Path, into: &mut Vec<String>) -> Result<(), RegistryError> {
    let error = |path: &Path| {
        let path = path.to_owned();
        move |source| RegistryError::Certificates { path, source }
    };
    let entries = match fs::read_dir(directory) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        entries => entries.map_err(error(directory))?,
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "crt"));
    files.sort();
    for path in files {
        let mut text = String::new();
        let read = fs::File::open(&path).and_then(|file| file.take(CERTIFICATE_MAX + 1).read_to_string(&mut text));
        if read.map_err(error(&path))? as u64 > CERTIFICATE_MAX {
            return Err(error(&path)(io::Error::other("larger than 1 MiB")));
        }
        into.push(text);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

    /// A home whose `config.json` knows some registries.
    fn home() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let auths = r#"{"auths": {"mirror.lan": {"auth": "bWlycm9yOnA="}, "docker.io": {"auth": "aHViOnA="},
            "registry.lan:5000": {"auth": "bGFuOnA="}}}"#;
        fs::write(home.path().join("config.json"), auths).unwrap();
        home
    }

    fn request(image: &str, settings: &str, own: Option<Credentials>) -> PullRequest {
        let home = home();
        let environment =
            Environment::of([("DOCKER_CONFIG", home.path().to_str().unwrap()), ("XDG_RUNTIME_DIR", "/x")]);
        let settings: ImageSettings = toml::from_str(settings).unwrap();
        let registries = Registries::new(&settings, &environment).unwrap();
        registries.request(&image.parse().unwrap(), own).unwrap()
    }

    /// Address, user and certificates of each endpoint.
    fn endpoints(request: &PullRequest) -> Vec<String> {
        let user = |endpoint: &Endpoint| match &endpoint.credentials {
            Some(Credentials::Basic { username, .. }) => username.clone(),
            Some(Credentials::Identity(_) | Credentials::Bearer(_)) | None => "nobody".to_owned(),
        };
        request.endpoints.iter().map(|one| format!("{} {} {:?}", one.url, user(one), one.certificates)).collect()
    }

    #[test]
    fn docker_hub_has_a_host_of_its_own() {
        let request = request("nginx", "", None);
        assert_eq!(endpoints(&request), ["https://registry-1.docker.io hub System"]);
        assert_eq!((request.parallel, request.local_hosts.len()), (3, 0));
    }

    #[test]
    fn mirrors_come_first_with_their_own_credentials() {
        let mirrors = "[mirrors]\n'docker.io' = ['https://mirror.lan/', 'http://other.lan:5000']";
        let own = Credentials::Basic { username: "own".into(), password: "p".into() };
        let request = request("nginx", mirrors, Some(own));
        let expected = [
            "https://mirror.lan mirror System",
            "http://other.lan:5000 nobody System",
            "https://registry-1.docker.io own System",
        ];
        assert_eq!(endpoints(&request), expected);
    }

    #[test]
    fn loopback_and_insecure_registries_are_asked_in_tls_and_then_without() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.8.8.8", "[::1]:5000"] {
            let request = request(&format!("{host}/web"), "", None);
            let expected = ["https", "http"].map(|scheme| format!("{scheme}://{host} nobody Anybody"));
            assert_eq!(endpoints(&request), expected);
            assert_eq!(request.local_hosts, [host]);
        }
        let settings = "insecure-registries = ['registry.lan:5000']\nlocal-hosts = ['registry.lan']";
        let request = request("registry.lan:5000/web", settings, None);
        let expected = ["https", "http"].map(|scheme| format!("{scheme}://registry.lan:5000 lan Anybody"));
        assert_eq!(endpoints(&request), expected);
        assert_eq!(request.local_hosts, ["registry.lan"]);
    }

    #[test]
    fn a_name_that_only_looks_like_this_host_gets_no_favours() {
        for host in ["localhost.evil.lan", "127.0.0.1.nip.io", "10.0.0.1:5000", "registry.lan:5001"] {
            let request = request(&format!("{host}/web"), "insecure-registries = ['registry.lan:5000']", None);
            assert_eq!(endpoints(&request), [format!("https://{host} nobody System")]);
            assert!(request.local_hosts.is_empty());
        }
    }

    #[test]
    fn amazons_registry_can_be_a_local_one() {
        let request =
            request(&format!("{ECR}/web:1"), &format!("[mirrors]\n'{ECR}' = ['http://127.0.0.1:5000']"), None);
        assert_eq!(request.endpoints[0].url, "http://127.0.0.1:5000");
        assert_eq!(request.endpoints[1].url, format!("https://{ECR}"));
    }

    #[test]
    fn a_registrys_own_authorities_are_read() {
        let (home, certificates) = (home(), tempfile::tempdir().unwrap());
        let directory = certificates.path().join("registry.lan:5000");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("b.crt"), "two").unwrap();
        fs::write(directory.join("a.crt"), "one").unwrap();
        fs::write(directory.join("client.key"), "no").unwrap();
        let environment = Environment::of([("DOCKER_CONFIG", home.path().to_str().unwrap())]);
        let settings = ImageSettings::default();
        let mut registries = Registries::new(&settings, &environment).unwrap();
        registries.certificates = vec!["/nonexistent".into(), certificates.path().into()];
        let also = Certificates::Also(vec!["one".into(), "two".into()]);
        assert_eq!(registries.endpoints("registry.lan:5000", None).unwrap()[0].certificates, also);
        assert_eq!(registries.endpoints("registry.lan", None).unwrap()[0].certificates, Certificates::System);
    }
}
