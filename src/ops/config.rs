//! The configuration of a root: `/etc/berth/config.toml`, or `config.toml` in the directory given by `--root`. An absent file
//! means the defaults; an unknown key is refused.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use self::aws::AwsSettings;
pub use self::exec::{ExecConfig, ExecUser};
pub(super) use self::image::is_proxy;
pub use self::image::{ImageSettings, PullBehavior};
pub use self::log::LogConfig;
pub use self::prices::Prices;
pub use self::roles::{RoleConfig, RoleSecret};
pub use self::storage::{EfsConfig, StorageConfig, StorageLimit, VolumesConfig};
pub use self::values::{EnvironmentFileSettings, SecretSettings, Source};
use super::TimeScale;
use crate::plan::Cidr;
use crate::plan::grants::Grants;

mod aws;
#[cfg(test)]
mod documented;
mod exec;
mod image;
mod log;
mod prices;
mod roles;
mod storage;
mod values;

/// All settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The region in ARNs, host names and `AWS_REGION`.
    pub region: String,
    /// The account in ARNs, twelve digits.
    pub account: String,
    /// How many processes and threads a container may have.
    pub pids_limit: u32,
    /// The VPC's block; by default the first of a list that conflicts with nothing on the host.
    pub vpc: Option<VpcConfig>,
    /// Tasks that are not in the VPC.
    pub network: NetworkConfig,
    /// The name servers of tasks; by default the host's, without those on its loopback interface.
    pub dns: Vec<Ipv4Addr>,
    /// What is kept of containers' output.
    pub log: LogConfig,
    /// Where images come from, and when they are asked for.
    pub image: ImageSettings,
    /// Where AWS is, for what is asked of it.
    pub aws: AwsSettings,
    /// Where secrets and parameters come from.
    pub secrets: SecretSettings,
    /// Where the credentials of tasks' roles come from, by the roles' ARNs or names.
    pub roles: BTreeMap<String, RoleConfig>,
    /// What `berth usage` reckons with.
    pub prices: Option<Prices>,
    /// Where environment files come from.
    pub environment_files: EnvironmentFileSettings,
    /// How tasks are held to their storage.
    pub storage: StorageConfig,
    /// What of the host tasks may mount.
    pub volumes: VolumesConfig,
    /// Directories that stand for EFS file systems, by their ids.
    pub efs: BTreeMap<String, EfsConfig>,
    /// What definitions for container instances may have of the host.
    pub instance: Grants,
    /// What tasks may have of this host.
    pub capacity: Capacity,
    /// The pace of ECS's clocks for services that are created here.
    pub time_scale: TimeScale,
    /// Sessions of ECS Exec.
    pub exec: ExecConfig,
}

/// `[vpc]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct VpcConfig {
    /// All addresses, `172.31.0.0/16`.
    pub cidr: Cidr,
    /// `[[vpc.subnets]]`; by default two /20 in two zones.
    #[serde(default)]
    pub subnets: Vec<SubnetConfig>,
}

/// `[network]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct NetworkConfig {
    /// The addresses of containers in bridge mode; by default the first of a list that conflicts with nothing on the host.
    pub bridge_cidr: Option<Cidr>,
}

/// `[[vpc.subnets]]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SubnetConfig {
    /// `subnet-` and 8 or 17 hexadecimal digits.
    pub id: String,
    /// The availability zone.
    pub zone: String,
    /// Its addresses, within the VPC's.
    pub cidr: Cidr,
}

/// `[capacity]`: what tasks may have of this host; its own figures where nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Capacity {
    /// CPU units: 1024 are one CPU.
    pub cpu: Option<u64>,
    /// MiB of memory.
    pub memory_mib: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            pids_limit: 4096,
            vpc: None,
            network: NetworkConfig::default(),
            dns: Vec::new(),
            log: LogConfig::default(),
            capacity: Capacity::default(),
            time_scale: TimeScale::default(),
            image: ImageSettings::default(),
            aws: AwsSettings::default(),
            secrets: SecretSettings::default(),
            roles: BTreeMap::new(),
            prices: None,
            environment_files: EnvironmentFileSettings::default(),
            storage: StorageConfig::default(),
            volumes: VolumesConfig::default(),
            efs: BTreeMap::new(),
            instance: Grants::default(),
            exec: ExecConfig::default(),
        }
    }
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("read the configuration {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("the configuration {path} is wrong")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, column and reason.
        source: toml::de::Error,
    },
    /// It contradicts itself.
    #[error("the configuration {path} is wrong: {reason}")]
    Value {
        /// The file.
        path: PathBuf,
        /// What and why.
        reason: String,
    },
}

impl Config {
    /// Reads and checks the file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
        };
        let config: Self =
            toml::from_str(&text).map_err(|source| ConfigError::Parse { path: path.to_owned(), source })?;
        match config.contradiction() {
            Some(reason) => Err(ConfigError::Value { path: path.to_owned(), reason }),
            None => Ok(config),
        }
    }

    fn contradiction(&self) -> Option<String> {
        if self.account.len() != 12 || !self.account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(format!("account {:?} is not twelve digits", self.account));
        }
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.region.is_empty() || !self.region.bytes().all(plain) {
            return Some(format!("region {:?} is not a region's name", self.region));
        }
        if self.pids_limit < 4 {
            return Some("pids-limit must be 4 at least: a container cannot start with fewer".to_owned());
        }
        let parts = [
            self.log.contradiction(),
            self.image.contradiction(),
            self.aws.contradiction(),
            self.secrets.contradiction(),
            self.environment_files.contradiction(),
            storage::contradiction(&self.volumes, &self.efs),
            self.prices.as_ref().and_then(Prices::contradiction),
            self.roles.iter().find_map(|(name, role)| role.contradiction(name)),
        ];
        if let Some(reason) = parts.into_iter().flatten().next() {
            return Some(reason);
        }
        if let Some(block) = self.network.bridge_cidr {
            if !(8..=28).contains(&block.prefix) {
                return Some(format!("network.bridge-cidr {block} must be /8 to /28"));
            }
            if self.vpc.as_ref().is_some_and(|vpc| vpc.cidr.overlaps(&block)) {
                return Some(format!("network.bridge-cidr {block} overlaps vpc.cidr"));
            }
        }
        let vpc = self.vpc.as_ref()?;
        let subnets = &vpc.subnets;
        if !(16..=28).contains(&vpc.cidr.prefix) || (subnets.is_empty() && vpc.cidr.prefix > 19) {
            return Some(format!("vpc.cidr {} must be /16 to /28, without subnets of its own /16 to /19", vpc.cidr));
        }
        let outside = |subnet: &&SubnetConfig| {
            !vpc.cidr.contains(subnet.cidr.network()) || !(vpc.cidr.prefix..=28).contains(&subnet.cidr.prefix)
        };
        if let Some(subnet) = subnets.iter().find(outside) {
            return Some(format!("the subnet {} does not lie in {} or is smaller than /28", subnet.cidr, vpc.cidr));
        }
        let clash = |(place, one): (usize, &SubnetConfig)| {
            subnets[place + 1..].iter().find(|two| two.cidr.overlaps(&one.cidr)).map(|two| (one.cidr, two.cidr))
        };
        let (one, two) = subnets.iter().enumerate().find_map(clash)?;
        Some(format!("the subnets {one} and {two} overlap"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        Config::read(&path)
    }

    #[test]
    fn an_absent_file_means_the_defaults() {
        assert_eq!(Config::read(Path::new("/nonexistent/config.toml")).unwrap(), Config::default());
    }

    #[test]
    fn subnets_are_read() {
        let config = read(
            "region = 'eu-west-1'\n[vpc]\ncidr = '10.9.0.0/16'\n[[vpc.subnets]]\nid = 'subnet-1'\nzone = 'z'\ncidr = '10.9.1.0/24'\n",
        );
        assert_eq!(config.unwrap().vpc.unwrap().subnets[0].cidr.prefix, 24);
    }

    #[test]
    fn what_contradicts_itself_is_refused_by_name() {
        let cases = [
            ("account = '12'", "twelve digits"),
            ("regoin = 'x'", "wrong"),
            ("region = 'us east'", "region"),
            ("[vpc]\ncidr = '10.0.0.0/24'", "vpc.cidr"),
            (
                "[vpc]\ncidr = '10.0.0.0/16'\n[[vpc.subnets]]\nid = 's'\nzone = 'z'\ncidr = '10.1.0.0/24'",
                "does not lie",
            ),
        ];
        for (text, word) in cases {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
