//! The secret store on disk: one encrypted file, read whole and written whole. Readers need no lock, since the file is
//! replaced and never changed; writers take turns.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::content::{Content, Found, Kind, Name, New, Selector, Summary};
use super::error::SecretError;
use super::key::{Key, read_private, replace};
use super::seal::{OpenError, SECRETS, open, seal};

/// The largest store, in bytes: a thousand of the largest secrets.
const STORE_MAX: u64 = 64 << 20;

/// Where the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorePaths {
    /// The encrypted file.
    pub file: PathBuf,
    /// The key.
    pub key: PathBuf,
    /// What writers lock.
    pub lock: PathBuf,
}

/// The store.
#[derive(Debug, Clone)]
pub struct SecretStore {
    paths: StorePaths,
}

/// The values of one moment.
pub struct Snapshot(Content);

impl Snapshot {
    /// A value.
    pub fn get(&self, kind: Kind, name: &str, wanted: &Selector) -> Found<'_> {
        self.0.get(kind, name, wanted)
    }
}

impl SecretStore {
    /// The store at these paths; nothing is opened or made yet.
    pub fn new(paths: StorePaths) -> Self {
        Self { paths }
    }

    /// Puts a new version of a parameter or a secret, and gives its number or id (`id`, if it is a secret's). Without
    /// stages it becomes the current one.
    pub fn put(
        &self,
        kind: Kind,
        name: &Name,
        value: &str,
        stages: &[String],
        id: String,
        now: i64,
    ) -> Result<String, SecretError> {
        check(kind, name, value)?;
        if let Some(stage) = stages.iter().find(|stage| !is_stage(stage)) {
            return Err(SecretError::Stage(stage.clone()));
        }
        self.change(|content| content.put(kind, name, New { value, id, stages, now }))
    }

    /// Forgets a parameter or a secret with all its versions; whether there was one.
    pub fn remove(&self, kind: Kind, name: &Name) -> Result<bool, SecretError> {
        if !self.paths.file.exists() {
            return Ok(false); // no key is made for nothing
        }
        self.change(|content| content.remove(kind, name))
    }

    /// All that may be told.
    pub fn list(&self) -> Result<Vec<Summary>, SecretError> {
        Ok(self.content()?.list())
    }

    /// All values as they are now.
    pub fn snapshot(&self) -> Result<Snapshot, SecretError> {
        Ok(Snapshot(self.content()?))
    }

    /// What the file holds; nothing if there is none.
    fn content(&self) -> Result<Content, SecretError> {
        match read_private(&self.paths.file, STORE_MAX)? {
            None => Ok(Content::default()),
            Some(bytes) => self.opened(&bytes),
        }
    }

    fn opened(&self, bytes: &[u8]) -> Result<Content, SecretError> {
        let StorePaths { file: store, key: path, .. } = &self.paths;
        let no_key = || SecretError::NoKey { key: path.clone(), store: store.clone() };
        let key = Key::read(path)?.ok_or_else(no_key)?;
        let format = || SecretError::Format { store: store.clone() };
        let content = open(&key, SECRETS, bytes).map_err(|error| match error {
            OpenError::Format => format(),
            OpenError::Sealed => SecretError::Sealed { store: store.clone(), key: path.clone() },
        })?;
        // A parser's message may quote what it read.
        serde_json::from_slice(&content).map_err(|_| format())
    }

    /// Changes the content, alone.
    fn change<T>(&self, change: impl FnOnce(&mut Content) -> T) -> Result<T, SecretError> {
        let _lock = self.lock()?;
        let before = read_private(&self.paths.file, STORE_MAX)?;
        let (mut content, key) = match before {
            Some(bytes) => (self.opened(&bytes)?, Key::read(&self.paths.key)?),
            None => (Content::default(), Key::read(&self.paths.key)?),
        };
        let result = change(&mut content);
        let text = serde_json::to_vec(&content).expect("texts and numbers under string keys");
        let key = key.map_or_else(|| Key::make(&self.paths.key), Ok)?;
        let sealed = seal(&key, SECRETS, &text).ok_or(SecretError::Random)?;
        if sealed.len() as u64 > STORE_MAX {
            let source = std::io::Error::other(format!("it would be larger than {STORE_MAX} bytes"));
            return Err(SecretError::File { verb: "write", path: self.paths.file.clone(), source });
        }
        replace(&self.paths.file, &sealed)?;
        Ok(result)
    }

    fn lock(&self) -> Result<Flock<File>, SecretError> {
        lock(&self.paths.lock)
    }
}

/// Waits for a lock that only writers take.
pub(super) fn lock(path: &Path) -> Result<Flock<File>, SecretError> {
    let failed = |source| SecretError::File { verb: "lock", path: path.to_owned(), source };
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map_err(failed)?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| failed(errno.into()))
}

/// What a container can be given: text without NUL, of bounded length.
fn check(kind: Kind, name: &Name, value: &str) -> Result<(), SecretError> {
    let most = kind.largest();
    let reason = match value {
        "" => "is empty".to_owned(),
        _ if value.contains('\0') => "has a NUL byte in it, which no variable can hold".to_owned(),
        _ if value.len() > most => format!("has {} bytes, and at most {most} are kept", value.len()),
        _ => return Ok(()),
    };
    Err(SecretError::Value { kind, name: name.clone(), reason })
}

/// A name that can stand in an ARN between colons.
fn is_stage(text: &str) -> bool {
    (1..=256).contains(&text.chars().count()) && !text.chars().any(|c| c.is_whitespace() || c.is_control() || c == ':')
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
