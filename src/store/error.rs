//! Why the store could not answer, and which of SQLite's errors say that its file is damaged.

use std::path::{Path, PathBuf};

use super::FORMAT;

/// Why the store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory or the file cannot be opened.
    #[error("open the store {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// SQLite's answer.
        source: rusqlite::Error,
    },
    /// What is in the file is not what was written.
    #[error(
        "the store {path} is damaged: move it away, and {path}-wal and {path}-shm with it; the next command makes a new one, \
         in which every task is that runs"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// SQLite's answer.
        source: rusqlite::Error,
    },
    /// The directory cannot be made.
    #[error("make the directory {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The disk does not take what was written.
    #[error("bring {path} to the disk")]
    Sync {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file was written by another berth.
    #[error(
        "the store {path} has format {found}, this berth knows format {FORMAT}: use the berth that wrote it, or move it away"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i32,
    },
    /// A read or a write failed.
    #[error("{verb} in the store")]
    Access {
        /// What was tried.
        verb: &'static str,
        /// SQLite's answer: among others a full disk.
        source: rusqlite::Error,
    },
    /// A record is not what its key says.
    #[error("the record {key} in the store cannot be read: the store is damaged, or another berth has written it")]
    Record {
        /// Its key.
        key: String,
        /// The parser's answer.
        source: serde_json::Error,
    },
}

/// An error of SQLite in a file that is open.
pub(super) fn failed(path: &Path, verb: &'static str, source: rusqlite::Error) -> StoreError {
    match is_damage(&source) {
        true => StoreError::Damaged { path: path.to_owned(), source },
        false => StoreError::Access { verb, source },
    }
}

/// Whether an error says that the file is not as it was written. What we ask is always the same: that SQLite does not
/// understand it, or finds another type of value, is the file's fault.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, TypeMismatch, Unknown};
    match error {
        rusqlite::Error::SqliteFailure(_, _) | rusqlite::Error::SqlInputError { .. } => {
            matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase | TypeMismatch | Unknown))
        }
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::Utf8Error(..)
        | rusqlite::Error::QueryReturnedNoRows => true,
        _ => false,
    }
}
