//! The access keys of the endpoint: made, listed and removed by people, looked up by the endpoint for every request.

use super::{Engine, OpsError};
use crate::plan::Layout;
use crate::secrets::{AccessKey, AccessKeyStore, NewAccessKey, StorePaths};
use crate::sys::time;

impl Engine {
    /// Makes a key; the answer is the only one with its secret.
    pub fn create_access_key(&self, new: NewAccessKey) -> Result<AccessKey, OpsError> {
        Ok(self.access_keys().create(new, time::wall_ns() / 1_000_000)?)
    }

    /// Forgets a key; whether there was one.
    pub fn remove_access_key(&self, id: &str) -> Result<bool, OpsError> {
        Ok(self.access_keys().remove(id)?)
    }

    /// The keys of this root, for as many threads as ask.
    pub fn access_keys(&self) -> AccessKeyStore {
        store(&self.layout, self.config.secrets.key_file.as_deref())
    }
}

/// The keys of a root; they are sealed under the key of its secrets.
fn store(layout: &Layout, key: Option<&std::path::Path>) -> AccessKeyStore {
    AccessKeyStore::new(StorePaths {
        file: layout.access_keys(),
        key: key.map_or_else(|| layout.secret_key(), ToOwned::to_owned),
        lock: layout.secret_lock(),
    })
}
