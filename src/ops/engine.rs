//! The engine: one root's layout, configuration and store, opened once per process.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::OpsError;
use super::config::Config;
use crate::ecs::arn::Owner;
use crate::image::ImageStore;
use crate::plan::Layout;
use crate::store::Store;

/// One root.
#[derive(Debug)]
pub struct Engine {
    pub(super) layout: Layout,
    pub(super) config: Config,
    pub(super) config_file: PathBuf,
    pub(super) store: Store,
}

/// The cluster of a task where none is named.
pub(super) const DEFAULT_CLUSTER: &str = "default";

impl Engine {
    /// Opens the system's root, or the private one below a directory.
    pub fn open(root: Option<&Path>) -> Result<Self, OpsError> {
        let (layout, config_file) = match root {
            None => (Layout::system(), PathBuf::from("/etc/berth/config.toml")),
            Some(root) => {
                let file = |source| OpsError::File { verb: "make the directory", path: root.to_owned(), source };
                std::fs::DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(file)?;
                let root = std::fs::canonicalize(root).map_err(file)?; // one root, one name: it stands in hashes
                (Layout::below(&root), root.join("config.toml"))
            }
        };
        let config = Config::read(&config_file)?;
        let store = Store::open(&layout.store())?;
        Ok(Self { layout, config, config_file, store })
    }

    /// The account and region of its ARNs.
    pub fn owner(&self) -> Owner {
        Owner { region: self.config.region.clone(), account: self.config.account.clone() }
    }

    /// Its image store.
    pub fn images(&self) -> Result<ImageStore, OpsError> {
        Ok(ImageStore::open(&self.layout.images())?)
    }

    /// Its directories.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }
}
