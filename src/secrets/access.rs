//! The access keys of the endpoint: who may sign requests, and for what. One encrypted file beside the secrets, under the
//! same key file, read whole and replaced whole; the endpoint reads it again only when it has been replaced.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::error::SecretError;
use super::key::{Key, read_private, replace};
use super::seal::{ACCESS_KEYS, OpenError, open, seal};
use super::store::{StorePaths, lock};

/// The largest file, in bytes: tens of thousands of keys.
const STORE_MAX: u64 = 16 << 20;
/// What the ids of lasting and of passing keys begin with, as AWS's do.
const LASTING: &str = "AKIA";
const PASSING: &str = "ASIA";

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Describe and list.
    ReadOnly,
    /// Everything.
    Full,
}

/// An access key. Its secret and its token are not printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// `AKIA` and 16 letters and digits; `ASIA` and as many for one that expires.
    pub id: String,
    /// What it is for, in the owner's words.
    pub name: String,
    /// What requests are signed with.
    pub secret: String,
    /// What every request must carry besides, for a key that expires.
    pub token: Option<String>,
    /// What it may do.
    pub access: Access,
    /// The clusters that it may name; none means all.
    pub clusters: Vec<String>,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// Milliseconds since 1970.
    pub expires_at: Option<i64>,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a new key is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccessKey {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub access: Access,
    /// The clusters that it may name; none means all.
    pub clusters: Vec<String>,
    /// Milliseconds since 1970.
    pub expires_at: Option<i64>,
}

/// All keys by their ids.
type Keys = BTreeMap<String, Arc<AccessKey>>;

/// Which file was read: another one has another number or time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    inode: u64,
    changed: (i64, i64),
    size: u64,
}

/// The keys of a root. Several threads may ask at once.
#[derive(Debug)]
pub struct AccessKeyStore {
    paths: StorePaths,
    read: Mutex<Option<(Version, Arc<Keys>)>>,
}

impl AccessKeyStore {
    /// The store at these paths; nothing is opened or made yet.
    pub fn new(paths: StorePaths) -> Self {
        Self { paths, read: Mutex::new(None) }
    }

    /// The key of that id.
    pub fn get(&self, id: &str) -> Result<Option<Arc<AccessKey>>, SecretError> {
        Ok(self.keys()?.get(id).cloned())
    }

    /// All keys, by id.
    pub fn list(&self) -> Result<Vec<Arc<AccessKey>>, SecretError> {
        Ok(self.keys()?.values().cloned().collect())
    }

    /// Makes a key. This is the only time that its secret is told.
    pub fn create(&self, new: NewAccessKey, now: i64) -> Result<AccessKey, SecretError> {
        let head = if new.expires_at.is_some() { PASSING } else { LASTING };
        let token = new.expires_at.map(|_| random(120, BASE64)).transpose()?;
        let key = AccessKey {
            id: format!("{head}{}", random(16, BASE32)?),
            name: new.name,
            secret: random(40, BASE64)?,
            token,
            access: new.access,
            clusters: new.clusters,
            created_at: now,
            expires_at: new.expires_at,
        };
        // Keys that nobody can use any more go when the file is written anyway; a day later, so that their owners are told.
        let is_kept = |old: &AccessKey| old.expires_at.is_none_or(|at| at + 24 * 3_600_000 > now);
        self.change(|keys| {
            keys.retain(|_, old| is_kept(old));
            keys.insert(key.id.clone(), Arc::new(key.clone()));
        })?;
        Ok(key)
    }

    /// Forgets a key; whether there was one.
    pub fn remove(&self, id: &str) -> Result<bool, SecretError> {
        if self.version()?.is_none() {
            return Ok(false);
        }
        self.change(|keys| keys.remove(id).is_some())
    }

    fn version(&self) -> Result<Option<Version>, SecretError> {
        match fs::symlink_metadata(&self.paths.file) {
            Ok(file) => {
                Ok(Some(Version { inode: file.ino(), changed: (file.ctime(), file.ctime_nsec()), size: file.len() }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SecretError::File { verb: "look at", path: self.paths.file.clone(), source }),
        }
    }

    /// The keys of the file as it is now, parsed once for each version of it.
    fn keys(&self) -> Result<Arc<Keys>, SecretError> {
        let Some(version) = self.version()? else { return Ok(Arc::default()) };
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, keys)) = read.as_ref().filter(|(known, _)| *known == version) {
            return Ok(Arc::clone(keys));
        }
        let keys = Arc::new(self.load()?);
        *read = Some((version, Arc::clone(&keys)));
        Ok(keys)
    }

    fn load(&self) -> Result<Keys, SecretError> {
        let Some(bytes) = read_private(&self.paths.file, STORE_MAX)? else { return Ok(Keys::new()) };
        let StorePaths { file: store, key: path, .. } = &self.paths;
        let key = Key::read(path)?.ok_or_else(|| SecretError::NoKey { key: path.clone(), store: store.clone() })?;
        let format = || SecretError::Format { store: store.clone() };
        let content = open(&key, ACCESS_KEYS, &bytes).map_err(|error| match error {
            OpenError::Format => format(),
            OpenError::Sealed => SecretError::Sealed { store: store.clone(), key: path.clone() },
        })?;
        let keys: Vec<AccessKey> = serde_json::from_slice(&content).map_err(|_| format())?;
        Ok(keys.into_iter().map(|key| (key.id.clone(), Arc::new(key))).collect())
    }

    /// Changes the keys, alone: writers of secrets and of keys share a lock, because they may make the same key file.
    fn change<T>(&self, change: impl FnOnce(&mut Keys) -> T) -> Result<T, SecretError> {
        let _lock = lock(&self.paths.lock)?;
        let mut keys = self.load()?;
        let result = change(&mut keys);
        let keys: Vec<&AccessKey> = keys.values().map(AsRef::as_ref).collect();
        let text = serde_json::to_vec(&keys).expect("texts and numbers under string keys");
        let key = Key::read(&self.paths.key)?.map_or_else(|| Key::make(&self.paths.key), Ok)?;
        let sealed = seal(&key, ACCESS_KEYS, &text).ok_or(SecretError::Random)?;
        if sealed.len() as u64 > STORE_MAX {
            let source = io::Error::other(format!("it would be larger than {STORE_MAX} bytes"));
            return Err(SecretError::File { verb: "write", path: self.paths.file.clone(), source });
        }
        replace(&self.paths.file, &sealed)?;
        Ok(result)
    }
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// So many random characters. The alphabets' lengths divide 256: each character is as likely as any other.
fn random(count: usize, alphabet: &[u8]) -> Result<String, SecretError> {
    let mut bytes = vec![0; count];
    SystemRandom::new().fill(&mut bytes).map_err(|_| SecretError::Random)?;
    Ok(bytes.into_iter().map(|byte| char::from(alphabet[usize::from(byte) % alphabet.len()])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(directory: &std::path::Path) -> AccessKeyStore {
        let path = |name: &str| directory.join(name);
        AccessKeyStore::new(StorePaths { file: path("keys.enc"), key: path("key"), lock: path("lock") })
    }

    fn new(expires_at: Option<i64>) -> NewAccessKey {
        NewAccessKey { name: "ci".into(), access: Access::ReadOnly, clusters: vec!["web".into()], expires_at }
    }

    #[test]
    fn a_key_is_found_by_its_id_until_it_is_removed_and_its_secret_is_in_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let (writer, reader) = (store(directory.path()), store(directory.path()));
        assert_eq!(reader.get("AKIAX").unwrap(), None);
        let made = writer.create(new(None), 7).unwrap();
        assert!(made.id.starts_with("AKIA") && made.id.len() == 20 && made.secret.len() == 40, "{made:?}");
        assert_eq!(made.token, None);
        assert_eq!(reader.get(&made.id).unwrap().as_deref(), Some(&made));
        let second = writer.create(new(None), 8).unwrap();
        assert_eq!(reader.list().unwrap().len(), 2, "what was read before is not taken for what is there");
        for file in fs::read_dir(directory.path()).unwrap() {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(40).any(|part| part == made.secret.as_bytes()));
        }
        assert!(!format!("{made:?}").contains(&made.secret));
        assert!(writer.remove(&made.id).unwrap() && !writer.remove(&made.id).unwrap());
        assert_eq!(reader.get(&made.id).unwrap(), None);
        assert_eq!(reader.get(&second.id).unwrap().as_deref(), Some(&second));
    }

    #[test]
    fn a_passing_key_has_a_token_and_goes_a_day_after_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let keys = store(directory.path());
        let passing = keys.create(new(Some(1000)), 0).unwrap();
        assert!(passing.id.starts_with("ASIA") && passing.token.as_ref().is_some_and(|token| token.len() == 120));
        keys.create(new(None), 24 * 3_600_000).unwrap();
        assert!(keys.get(&passing.id).unwrap().is_some());
        keys.create(new(None), 24 * 3_600_000 + 1000).unwrap();
        assert!(keys.get(&passing.id).unwrap().is_none());
    }

    #[test]
    fn a_file_that_others_can_read_or_that_was_changed_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let keys = store(directory.path());
        keys.create(new(None), 0).unwrap();
        let file = directory.path().join("keys.enc");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(keys.get("x"), Err(SecretError::Open { .. })));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let mut bytes = fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&file, bytes).unwrap();
        assert!(matches!(keys.get("x"), Err(SecretError::Sealed { .. })));
    }
}
