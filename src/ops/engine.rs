//! The engine: one root's layout, configuration and store, opened once per process.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::OpsError;
use super::config::{Config, ExecConfig};
use super::execute_command::SessionOpener;
use super::index::Index;
use super::known::Known;
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
    config_seen: Option<Seen>,
    pub(super) store: Store,
    pub(super) index: Arc<Mutex<Index>>,
    pub(super) known: Arc<Mutex<Known>>,
    pub(super) sessions: Option<SessionOpener>,
}

/// What tells a file from what it was: its inode, its size, and when it was written.
type Seen = (u64, u64, i64, i64);

fn seen(file: &Path) -> Option<Seen> {
    let found = std::fs::metadata(file).ok()?;
    Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
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
        let config_seen = seen(&config_file);
        let config = Config::read(&config_file)?;
        let store = Store::open(&layout.store())?;
        let (index, known) = (Arc::default(), Arc::default());
        let mut engine = Self { layout, config, config_file, config_seen, store, index, known, sessions: None };
        engine.rebuild()?;
        Ok(engine)
    }

    /// The same root once more, for another thread. What is known of its tasks is known to both.
    pub fn another(&self) -> Result<Self, OpsError> {
        let (layout, config, config_file) = (self.layout.clone(), self.config.clone(), self.config_file.clone());
        let store = Store::open(&layout.store())?;
        Ok(Self {
            layout,
            config,
            config_file,
            config_seen: self.config_seen,
            store,
            index: Arc::clone(&self.index),
            known: Arc::clone(&self.known),
            sessions: self.sessions.clone(),
        })
    }

    /// From now on, ExecuteCommand opens sessions there; with those that are made of this one too.
    pub fn open_sessions_with(&mut self, opener: SessionOpener) {
        self.sessions = Some(opener);
    }

    /// Reads the configuration again if its file is another one now: for those that live long. One that is wrong is not taken;
    /// whoever gives the next command is told.
    pub fn refresh(&mut self) {
        self.reopen();
        let now = seen(&self.config_file);
        if now == self.config_seen {
            return;
        }
        self.config_seen = now;
        if let Ok(config) = Config::read(&self.config_file) {
            self.config = config;
        }
    }

    /// Opens the store that is there now, if it is another file than the one that is open: what was written to that would be
    /// lost. Where it cannot be opened, whoever asks is told by the next command.
    pub(super) fn reopen(&mut self) {
        if self.store.is_the_one_at_its_path() {
            return;
        }
        if let Ok(store) = Store::open(&self.layout.store()) {
            self.store = store;
            (self.index, self.known) = (Arc::default(), Arc::default());
            let _ = self.rebuild();
        }
    }

    /// The account and region of its ARNs.
    pub fn owner(&self) -> Owner {
        Owner { region: self.config.region.clone(), account: self.config.account.clone() }
    }

    /// Does something in the name of another region: all that is kept is kept by region.
    pub(super) fn in_region<T>(&mut self, region: &str, act: impl FnOnce(&mut Self) -> T) -> T {
        let own = std::mem::replace(&mut self.config.region, region.to_owned());
        let done = act(self);
        self.config.region = own;
        done
    }

    /// The same in the region in which a record is kept: `KIND/ACCOUNT/REGION/...`.
    pub(super) fn in_region_of<T>(&mut self, key: &str, act: impl FnOnce(&mut Self) -> T) -> T {
        match key.split('/').nth(2) {
            Some(region) => self.in_region(region, act),
            None => act(self),
        }
    }

    /// Its image store.
    pub fn images(&self) -> Result<ImageStore, OpsError> {
        Ok(ImageStore::open(&self.layout.images())?)
    }

    /// Brings to the disk what has been written of tasks, before somebody is told of them.
    pub fn settle(&self) -> Result<(), OpsError> {
        Ok(self.store.settle()?)
    }

    /// How sessions of ECS Exec are held.
    pub fn exec_config(&self) -> &ExecConfig {
        &self.config.exec
    }

    /// Its directories.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }
}
