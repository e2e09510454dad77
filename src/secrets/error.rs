//! What can be wrong with the secret store.

use std::io;
use std::path::PathBuf;

use super::content::{Kind, Name};

/// Why the store did not do what was asked. No error holds a value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// A file cannot be read or written.
    #[error("{verb} {path}")]
    File {
        /// What was tried.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Others can get at a file.
    #[error("{path}: others can read or change it: it must be root's, with mode 0600")]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// The key is gone.
    #[error(
        "there is no key {key} for the secrets in {store}: put it back, or remove {store} and put the secrets anew"
    )]
    NoKey {
        /// Where it should be.
        key: PathBuf,
        /// The encrypted file.
        store: PathBuf,
    },
    /// The key is none.
    #[error("{path} is not a key of this store")]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be decrypted.
    #[error("{store} cannot be decrypted with the key {key}: it was written with another one, or was damaged")]
    Sealed {
        /// The encrypted file.
        store: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// The file was written by a newer berth, or is something else.
    #[error("{store} is not a secret store that this berth knows")]
    Format {
        /// The file.
        store: PathBuf,
    },
    /// A value cannot be kept.
    #[error("the value of the {kind} {name} {reason}")]
    Value {
        /// Which of the two it is.
        kind: Kind,
        /// Its name.
        name: Name,
        /// What is wrong with it.
        reason: String,
    },
    /// A stage cannot have this name.
    #[error("{0:?} is not the name of a stage: 1 to 256 characters, none of them white space or a colon")]
    Stage(String),
    /// The system has no random numbers.
    #[error("draw a random number")]
    Random,
}
