//! What an image says about the process that runs in it: the part of its configuration that berth uses, read from the
//! OCI (and Docker) configuration document. Nothing here decides anything; `ops` gives it to the plan.

use std::collections::BTreeMap;

use oci_spec::image::ImageConfiguration;
use serde::{Deserialize, Serialize};

use super::digest::{Digest, DigestError};

/// An image's defaults for a container. What the image does not set is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// The program, and the arguments that always come first.
    pub entrypoint: Vec<String>,
    /// Arguments, or the whole command where there is no entry point.
    pub cmd: Vec<String>,
    /// Environment variables, in the image's order. An entry without `=` has an empty value.
    pub env: Vec<(String, String)>,
    /// The working directory.
    pub working_dir: Option<String>,
    /// `user`, `uid`, `user:group`, `uid:gid` and mixtures.
    pub user: Option<String>,
    /// A signal's name (`SIGQUIT`) or number.
    pub stop_signal: Option<String>,
    /// `80/tcp` ..., sorted.
    pub exposed_ports: Vec<String>,
    /// Labels. Shown, and never a reason for anything.
    pub labels: BTreeMap<String, String>,
    /// Paths that the image declares as volumes, sorted.
    pub volumes: Vec<String>,
}

/// An operating system and a processor, in Go's words: `linux/amd64`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`
    pub os: String,
    /// `amd64`, `arm64` ...
    pub architecture: String,
}

impl Platform {
    /// What this program was built for, which is what it can run.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self { os: "linux".into(), architecture: architecture.into() }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not the JSON of an image's configuration.
    #[error("the image's configuration is not valid")]
    Json(#[source] serde_json::Error),
    /// A layer's digest in it.
    #[error("the image's configuration has a layer that is not named by a digest")]
    DiffId(#[source] DigestError),
    /// A NUL byte, which no argument, variable or path can hold.
    #[error("the image's configuration has a NUL byte in {0}")]
    Nul(&'static str),
}

/// A configuration document, read.
#[derive(Debug)]
pub(crate) struct Configuration {
    pub(crate) config: ImageConfig,
    pub(crate) platform: Platform,
    /// When it was built, as the image says it.
    pub(crate) created: Option<jiff::Timestamp>,
    /// The digests of the uncompressed layers, lowest first.
    pub(crate) diff_ids: Vec<Digest>,
}

impl Configuration {
    pub(crate) fn parse(document: &[u8]) -> Result<Self, ConfigError> {
        let read: ImageConfiguration = serde_json::from_slice(document).map_err(ConfigError::Json)?;
        let platform = Platform { os: read.os().to_string(), architecture: read.architecture().to_string() };
        let diff_ids = read.rootfs().diff_ids().iter().map(|id| id.parse()).collect::<Result<_, _>>();
        let config = read.config().as_ref().map(defaults).unwrap_or_default();
        check(&config)?;
        Ok(Self {
            config,
            platform,
            created: read.created().as_ref().and_then(|time| time.parse().ok()),
            diff_ids: diff_ids.map_err(ConfigError::DiffId)?,
        })
    }
}

fn defaults(read: &oci_spec::image::Config) -> ImageConfig {
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let sorted = |of: &Option<Vec<String>>| {
        let mut sorted = list(of);
        sorted.sort();
        sorted
    };
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let variable = |text: String| match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (text, String::new()),
    };
    ImageConfig {
        entrypoint: list(read.entrypoint()),
        cmd: list(read.cmd()),
        env: list(read.env()).into_iter().map(variable).collect(),
        working_dir: text(read.working_dir()),
        user: text(read.user()),
        stop_signal: text(read.stop_signal()),
        exposed_ports: sorted(read.exposed_ports()),
        labels: read.labels().clone().unwrap_or_default().into_iter().collect(),
        volumes: sorted(read.volumes()),
    }
}

fn check(config: &ImageConfig) -> Result<(), ConfigError> {
    let nul = |text: &str| text.contains('\0');
    let parts = [
        ("the entry point", config.entrypoint.iter().any(|text| nul(text))),
        ("the command", config.cmd.iter().any(|text| nul(text))),
        ("the environment", config.env.iter().any(|(name, value)| nul(name) || nul(value))),
        ("the working directory", config.working_dir.as_deref().is_some_and(nul)),
        ("the user", config.user.as_deref().is_some_and(nul)),
        ("the volumes", config.volumes.iter().any(|text| nul(text))),
    ];
    parts.iter().find(|(_, found)| *found).map_or(Ok(()), |(part, _)| Err(ConfigError::Nul(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_docker_configuration_with_nulls_is_read() {
        let document = br#"{"architecture":"amd64","os":"linux","created":"2024-05-06T07:08:09.123456789Z",
            "config":{"Entrypoint":null,"Cmd":["nginx","-g","daemon off;"],"Env":["PATH=/bin","EMPTY"],"User":"",
              "WorkingDir":"/srv","ExposedPorts":{"80/tcp":{},"443/tcp":{}},"Volumes":null,"Labels":{"a":"b"},
              "StopSignal":"SIGQUIT","OnBuild":null,"Healthcheck":{"Test":["NONE"]}},
            "rootfs":{"type":"layers","diff_ids":[]},"history":[],"docker_version":"20"}"#;
        let read = Configuration::parse(document).unwrap();
        assert_eq!(read.config.cmd, ["nginx", "-g", "daemon off;"]);
        assert_eq!(read.config.env, [("PATH".into(), "/bin".into()), ("EMPTY".into(), String::new())]);
        assert_eq!(read.config.exposed_ports, ["443/tcp", "80/tcp"]);
        assert_eq!((read.config.user, read.config.entrypoint), (None, vec![]));
        assert_eq!(read.platform.to_string(), "linux/amd64");
        assert!(read.created.is_some());
    }

    #[test]
    fn a_nul_byte_is_refused() {
        let document = br#"{"architecture":"amd64","os":"linux","config":{"Cmd":["a\u0000b"]},
            "rootfs":{"type":"layers","diff_ids":[]}}"#;
        assert!(matches!(Configuration::parse(document), Err(ConfigError::Nul("the command"))));
    }
}
