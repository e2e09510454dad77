//! What became of a log that is sent on: how far it is, how much was sent and how much was not. A file beside the log, written
//! whole by the one process that sends it, read by it when it begins again, and by whoever asks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::LogError;
use super::tail::Mark;
use super::tally::with_end;

/// Lines and bytes of a container's output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Lines.
    pub lines: u64,
    /// Bytes as the container wrote them.
    pub bytes: u64,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, more: Self) {
        self.lines += more.lines;
        self.bytes += more.bytes;
    }
}

/// The state of one log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// From here on nothing is sent for certain.
    pub from: Mark,
    /// Up to where each stream's records are sent, in bytes of the log: the two may be apart.
    pub done: [u64; 2],
    /// What was sent. After a crash some of it may have been sent twice; it is counted once.
    pub sent: Count,
    /// What was not: there was more than the buffer holds, or the receiver refused it.
    pub dropped: Count,
    /// Why the last attempt failed; none when it did not.
    pub error: Option<String>,
}

impl Sent {
    /// The state of the log whose current file is at `path`; nothing where none was written.
    pub fn read(path: &Path) -> Result<Option<Self>, LogError> {
        let path = file(path);
        match fs::read(&path) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LogError::Read { path, source }),
        }
    }

    /// Writes it whole.
    pub fn write(&self, path: &Path) -> Result<(), LogError> {
        let (path, new) = (file(path), with_end(path, ".sent.new"));
        let text = serde_json::to_vec(self).expect("a state is plain data");
        fs::write(&new, text).map_err(|source| LogError::Create { path: new.clone(), source })?;
        fs::rename(&new, &path).map_err(|source| LogError::Rotate { from: new, to: path, source })
    }
}

fn file(log: &Path) -> PathBuf {
    with_end(log, ".sent")
}
