//! The local secret store on behalf of people: `secret put`, `ls` and `rm`. Where values go to is `values`.

use rand::RngExt;

use super::{Engine, OpsError};
use crate::plan::Layout;
use crate::secrets::{Kind, Name, SecretStore, StorePaths, Summary};
use crate::sys::time;

use super::config::SecretSettings;

/// A version that was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutSecret {
    /// What a task definition writes as `valueFrom`.
    pub value_from: String,
    /// The version's id, or the number of a parameter's.
    pub version: String,
}

impl Engine {
    /// Puts a new version of a parameter or a secret.
    pub fn put_secret(&self, kind: Kind, name: &Name, value: &str, stages: &[String]) -> Result<PutSecret, OpsError> {
        let id = uuid::Builder::from_random_bytes(rand::rng().random()).into_uuid().to_string();
        let version = self.secret_store().put(kind, name, value, stages, id, time::wall_ns() / 1_000_000)?;
        Ok(PutSecret { value_from: self.value_from(kind, name), version })
    }

    /// All parameters and secrets, without their values.
    pub fn list_secrets(&self) -> Result<Vec<Summary>, OpsError> {
        Ok(self.secret_store().list()?)
    }

    /// Forgets a parameter or a secret with all its versions; whether there was one.
    pub fn remove_secret(&self, kind: Kind, name: &Name) -> Result<bool, OpsError> {
        Ok(self.secret_store().remove(kind, name)?)
    }

    /// What a task definition writes as `valueFrom`.
    pub fn value_from(&self, kind: Kind, name: &Name) -> String {
        let Self { config, .. } = self;
        match kind {
            Kind::Parameter => name.to_string(),
            Kind::Secret => format!("arn:aws:secretsmanager:{}:{}:secret:{name}", config.region, config.account),
        }
    }

    fn secret_store(&self) -> SecretStore {
        store(&self.layout, &self.config.secrets)
    }
}

/// The store of a root.
pub(super) fn store(layout: &Layout, settings: &SecretSettings) -> SecretStore {
    SecretStore::new(StorePaths {
        file: layout.secret_store(),
        key: settings.key_file.clone().unwrap_or_else(|| layout.secret_key()),
        lock: layout.secret_lock(),
    })
}
