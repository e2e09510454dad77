//! The state that outlives processes: JSON records under string keys, each with the revision that last changed it.
//!
//! Shaped like etcd (get, list by prefix, one transaction with preconditions), kept in one SQLite file in WAL mode that
//! any number of processes open for as long as they need it. Called by `ops` and by supervisors.
//!
//! A commit survives the death of every process. What somebody is told of survives a power cut too: [`Store::commit_durably`].
//! Any other commit reaches the disk with the next of those, or with SQLite's next checkpoint (`synchronous=NORMAL`): a power cut
//! may take the last ones, never the file's consistency; what they describe, running tasks, is gone with the power as well.

mod error;
pub mod records;
mod txn;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use serde::de::DeserializeOwned;

pub use error::StoreError;
use error::{failed, is_damage};
use records::{OVER, STATUS};
pub use txn::Txn;
use txn::{apply, holds};

/// The layout of the file and of its records; another one is refused, not guessed at.
const FORMAT: i32 = 3;
/// How long a writer waits for another one.
const PATIENCE: Duration = Duration::from_secs(10);

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<T> {
    /// Its key.
    pub key: String,
    /// The revision of the store that last changed it.
    pub revision: i64,
    /// Its value.
    pub value: T,
}

/// How a commit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Commit {
    /// All writes were made.
    Done,
    /// A precondition did not hold: the world moved, make the plan anew.
    Conflict,
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    path: PathBuf,
    /// Device and inode of the file.
    file: Option<(u64, u64)>,
    /// SQLite's log of what was committed.
    log: PathBuf,
}

impl Store {
    /// Opens the store, making the file and its directory (0700) when absent.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let fail = |source| match is_damage(&source) {
            true => StoreError::Damaged { path: path.to_owned(), source },
            false => StoreError::Open { path: path.to_owned(), source },
        };
        let db = match Connection::open_with_flags(path, flags()) {
            Ok(db) => db,
            Err(_) => {
                make_parent(path)?;
                Connection::open_with_flags(path, flags() | rusqlite::OpenFlags::SQLITE_OPEN_CREATE).map_err(fail)?
            }
        };
        db.busy_timeout(PATIENCE).map_err(fail)?;
        // Processes come and go all the time: the last one to close must not move the whole log into the file each time.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(fail)?;
        let found: i32 = db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(fail)?;
        match found {
            FORMAT => {}
            0 => {
                patiently(|| create(&db)).map_err(fail)?;
                path.parent().map_or(Ok(()), sync)?;
            }
            _ => return Err(StoreError::Format { path: path.to_owned(), found }),
        }
        // SQLite keeps it, whichever berth writes: a store without it is of an earlier one, and of the same format.
        let index = format!("CREATE INDEX IF NOT EXISTS task ON record ({OVER}, key) WHERE {STATUS}");
        db.execute_batch(&index).map_err(fail)?;
        db.pragma_update(None, "synchronous", "NORMAL").map_err(fail)?;
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        Ok(Self { db, path: path.to_owned(), file: identity(path), log: log.into() })
    }

    /// Whether the file that is open is still the one that its path names.
    pub fn is_the_one_at_its_path(&self) -> bool {
        self.file == identity(&self.path)
    }

    /// Does several reads as one: of one moment, and with the file's locks taken once.
    pub fn reading<T, E: From<StoreError>>(&self, act: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let fail = |source| failed(&self.path, "begin to read", source);
        let _until_its_end = self.db.unchecked_transaction().map_err(fail)?;
        act()
    }

    /// One record.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<Entry<T>>, StoreError> {
        let fail = |source| failed(&self.path, "read a record", source);
        let query = "SELECT key, revision, value FROM record WHERE key = ?1";
        let mut statement = self.db.prepare_cached(query).map_err(fail)?;
        let row = statement.query_row([key], raw).optional().map_err(fail)?;
        row.map(Entry::parse).transpose()
    }

    /// The revision that last changed a record, if there is one of this key.
    pub fn revision_of(&self, key: &str) -> Result<Option<i64>, StoreError> {
        let fail = |source| failed(&self.path, "read a revision", source);
        let mut statement = self.db.prepare_cached("SELECT revision FROM record WHERE key = ?1").map_err(fail)?;
        statement.query_row([key], |row| row.get(0)).optional().map_err(fail)
    }

    /// All records whose keys begin with `prefix`, in the order of their keys.
    pub fn list<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<Entry<T>>, StoreError> {
        self.list_text(prefix)?.into_iter().map(Entry::parse).collect()
    }

    /// The same records as their JSON text, for a prefix with records of several kinds.
    pub fn list_text(&self, prefix: &str) -> Result<Vec<Entry<String>>, StoreError> {
        let fail = |source| failed(&self.path, "list records", source);
        let end = format!("{prefix}\u{10ffff}");
        let query = "SELECT key, revision, value FROM record WHERE key >= ?1 AND key < ?2 ORDER BY key";
        let mut statement = self.db.prepare_cached(query).map_err(fail)?;
        let rows = statement.query_map([prefix, &end], raw).map_err(fail)?;
        rows.map(|row| row.map_err(fail)).collect()
    }

    /// The last record below a prefix that is wanted: no more are read than it takes to find it.
    pub fn last<T: DeserializeOwned>(
        &self,
        prefix: &str,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<Option<Entry<T>>, StoreError> {
        let fail = |source| StoreError::Access { verb: "list records", source };
        let end = format!("{prefix}\u{10ffff}");
        let query = "SELECT key, revision, value FROM record WHERE key >= ?1 AND key < ?2 ORDER BY key DESC";
        let mut statement = self.db.prepare_cached(query).map_err(fail)?;
        for row in statement.query_map([prefix, &end], raw).map_err(fail)? {
            let entry = row.map_err(fail)?.parse()?;
            if wanted(&entry.value) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// The revision of the store: it grows with every commit, whoever makes it.
    pub fn revision(&self) -> Result<i64, StoreError> {
        let fail = |source| failed(&self.path, "read the revision", source);
        let mut statement = self.db.prepare_cached("SELECT revision FROM clock").map_err(fail)?;
        statement.query_row([], |row| row.get(0)).map_err(fail)
    }

    /// The records below a prefix whose keys end so; the values of others are not read.
    pub fn list_ending<T: DeserializeOwned>(&self, prefix: &str, ending: &str) -> Result<Vec<Entry<T>>, StoreError> {
        let fail = |source| failed(&self.path, "list records", source);
        let end = format!("{prefix}\u{10ffff}");
        let query =
            "SELECT key, revision, value FROM record WHERE key >= ?1 AND key < ?2 AND substr(key, -length(?3)) = ?3
             ORDER BY key";
        let mut statement = self.db.prepare_cached(query).map_err(fail)?;
        let rows = statement.query_map([prefix, &end, ending], raw).map_err(fail)?;
        rows.map(|row| row.map_err(fail)?.parse()).collect()
    }

    /// The keys below a prefix and the revisions that last changed them; no value is read.
    pub fn revisions(&self, prefix: &str) -> Result<Vec<(String, i64)>, StoreError> {
        let fail = |source| failed(&self.path, "list revisions", source);
        let end = format!("{prefix}\u{10ffff}");
        let query = "SELECT key, revision FROM record WHERE key >= ?1 AND key < ?2 ORDER BY key";
        let mut statement = self.db.prepare_cached(query).map_err(fail)?;
        let rows = statement.query_map([prefix, &end], |row| Ok((row.get(0)?, row.get(1)?))).map_err(fail)?;
        rows.map(|row| row.map_err(fail)).collect()
    }

    /// What the keys of every task begin with.
    pub fn tasks(&self) -> Result<Vec<String>, StoreError> {
        self.task_keys(&format!("SELECT key FROM record INDEXED BY task WHERE {STATUS}"))
    }

    /// The same of those that are not over; what is on record besides is not read.
    pub fn live_tasks(&self) -> Result<Vec<String>, StoreError> {
        self.task_keys(&format!("SELECT key FROM record INDEXED BY task WHERE {STATUS} AND ({OVER}) = 0"))
    }

    fn task_keys(&self, query: &str) -> Result<Vec<String>, StoreError> {
        let fail = |source| failed(&self.path, "list tasks", source);
        let mut statement = self.db.prepare_cached(query).map_err(fail)?;
        let keys = statement.query_map([], |row| row.get::<_, String>(0)).map_err(fail)?;
        keys.map(|key| key.map(|key| key.trim_end_matches("status").to_owned()).map_err(fail)).collect()
    }

    /// Makes all writes of a transaction, if its preconditions hold.
    pub fn commit(&mut self, txn: &Txn) -> Result<Commit, StoreError> {
        let path = self.path.clone();
        let fail = |source| failed(&path, "commit a transaction", source);
        let db = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        for precondition in &txn.preconditions {
            if !holds(&db, precondition).map_err(fail)? {
                return Ok(Commit::Conflict);
            }
        }
        refused("store: before a commit").map_err(fail)?;
        let revision: i64 = db
            .query_row("UPDATE clock SET revision = revision + 1 RETURNING revision", [], |row| row.get(0))
            .map_err(fail)?;
        for write in &txn.writes {
            apply(&db, write, revision).map_err(fail)?;
        }
        refused("store: written, not committed").map_err(fail)?;
        db.commit().map_err(fail)?;
        crate::sys::failpoint::pass("store: committed");
        Ok(Commit::Done)
    }

    /// The same, of what somebody is told: it is on the disk when this returns. Nobody else waits meanwhile.
    pub fn commit_durably(&mut self, txn: &Txn) -> Result<Commit, StoreError> {
        let done = self.commit(txn)?;
        if done == Commit::Done {
            self.settle()?;
        }
        Ok(done)
    }

    /// Brings to the disk whatever has been committed so far, by anybody: frames that SQLite has written to its log but not
    /// synchronised. Those that a checkpoint has taken out of it were synchronised by that.
    pub fn settle(&self) -> Result<(), StoreError> {
        sync(&self.log)
    }
}

/// fdatasync(2) of a file or a directory; one that is not there has nothing to bring.
fn sync(path: &Path) -> Result<(), StoreError> {
    match std::fs::File::open(path).and_then(|file| file.sync_data()) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::Sync { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

fn flags() -> rusqlite::OpenFlags {
    rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// What SQLite says of an error of the system.
fn refused(point: &str) -> rusqlite::Result<()> {
    crate::sys::failpoint::reach(point).map_err(|error| {
        let full = error.raw_os_error() == Some(nix::errno::Errno::ENOSPC as i32);
        let code = if full { rusqlite::ffi::SQLITE_FULL } else { rusqlite::ffi::SQLITE_IOERR };
        rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None)
    })
}

fn make_parent(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::DirBuilderExt;
    let Some(parent) = path.parent() else { return Ok(()) };
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent);
    made.map_err(|source| StoreError::Directory { path: parent.to_owned(), source })
}

/// Tries again for as long as somebody else has the file: for the change to WAL, SQLite does not wait by itself
/// (sqlite3_busy_handler is not called where that might be a deadlock).
fn patiently(mut act: impl FnMut() -> rusqlite::Result<()>) -> rusqlite::Result<()> {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        match act() {
            Err(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
                    && std::time::Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(2));
            }
            result => return result,
        }
    }
}

/// Two processes may create the file at once: the second one finds everything there. Keys are an index beside the records, not
/// one tree with them: on the way down that would read the whole of a large record to compare its key. Earlier versions made it
/// so, and both are read and written alike.
fn create(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "journal_mode", "WAL")?;
    let new = records::NEW;
    db.execute_batch(&format!(
        "BEGIN IMMEDIATE;
         CREATE TABLE IF NOT EXISTS record (key TEXT PRIMARY KEY NOT NULL, revision INTEGER NOT NULL, value TEXT NOT NULL);
         CREATE TABLE IF NOT EXISTS clock (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL);
         INSERT OR IGNORE INTO clock VALUES (1, 0);
         INSERT OR IGNORE INTO record VALUES ('{new}', 0, 'true');
         PRAGMA user_version = {FORMAT};
         COMMIT;"
    ))
}

fn raw(row: &rusqlite::Row<'_>) -> rusqlite::Result<Entry<String>> {
    Ok(Entry { key: row.get(0)?, revision: row.get(1)?, value: row.get(2)? })
}

impl Entry<String> {
    /// The value behind the text.
    pub fn parse<T: DeserializeOwned>(self) -> Result<Entry<T>, StoreError> {
        match serde_json::from_str(&self.value) {
            Ok(value) => Ok(Entry { key: self.key, revision: self.revision, value }),
            Err(source) => Err(StoreError::Record { key: self.key, source }),
        }
    }
}

#[cfg(test)]
mod tests;
