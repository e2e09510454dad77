//! `[secrets]` and `[environment-files]` of the configuration: where the values of task definitions come from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// Who is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// This host alone.
    #[default]
    Local,
    /// AWS, or what `[aws]` says that stands in for it.
    Aws,
}

/// `[secrets]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SecretSettings {
    /// Whether parameters and secrets are those of `berth secret`, or AWS's.
    pub source: Source,
    /// The key of the local store, if it is not to lie beside it.
    pub key_file: Option<PathBuf>,
}

/// `[environment-files]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct EnvironmentFileSettings {
    /// Whether buckets without a directory are asked for at S3.
    pub source: Source,
    /// Directories of this host that stand for buckets: an object's key is the path below.
    pub buckets: BTreeMap<String, PathBuf>,
}

impl SecretSettings {
    /// What is wrong with it, beginning with the key.
    pub(super) fn contradiction(&self) -> Option<String> {
        let relative = self.key_file.as_ref().filter(|path| !path.is_absolute());
        relative.map(|path| format!("secrets.key-file {} is not an absolute path", path.display()))
    }
}

impl EnvironmentFileSettings {
    /// What is wrong with it, beginning with the key.
    pub(super) fn contradiction(&self) -> Option<String> {
        let relative = self.buckets.iter().find(|(_, path)| !path.is_absolute());
        relative.map(|(bucket, path)| {
            format!("environment-files.buckets.{bucket:?}: {} is not an absolute path", path.display())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, ConfigError};
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        Config::read(&path)
    }

    #[test]
    fn without_a_word_nobody_is_asked_but_this_host() {
        let config = read("").unwrap();
        assert_eq!((config.secrets.source, config.environment_files.source), (Source::Local, Source::Local));
    }

    #[test]
    fn every_key_is_read() {
        let config = read(
            "[secrets]\nsource = 'aws'\nkey-file = '/run/key'\n\
             [environment-files]\nsource = 'aws'\nbuckets = { my-bucket = '/srv/env' }\n",
        );
        let config = config.unwrap();
        assert_eq!(config.secrets, SecretSettings { source: Source::Aws, key_file: Some("/run/key".into()) });
        assert_eq!(config.environment_files.buckets["my-bucket"], PathBuf::from("/srv/env"));
    }

    #[test]
    fn what_is_wrong_is_refused_by_its_key() {
        let cases = [
            ("[secrets]\nkey-file = 'key'", "secrets.key-file"),
            ("[secrets]\nsource = 'vault'", "wrong"),
            ("[environment-files.buckets]\nb = 'env'", "environment-files.buckets.\"b\""),
            ("[aws]\nendpoint = 'x'", "aws.endpoint"),
        ];
        for (text, key) in cases {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(key), "{text}: {error}");
        }
    }
}
