//! How much a log has held since it began, and where each of its files stands in it: beside the files, so that whoever reads
//! behind the writer knows exactly what it has missed when files are dropped before it was there. The writer keeps it, at
//! each rotation; only logs that somebody reads in such a way have one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::LogError;
use super::format::{Record, Tag};

/// A place in a log: all that comes before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Bytes of the files.
    pub bytes: u64,
    /// Lines that ended.
    pub lines: u64,
    /// Bytes that the container wrote.
    pub written: u64,
}

impl Place {
    /// The place behind a record of so many bytes.
    pub fn after(self, length: u64, record: Option<&Record>) -> Self {
        let lines = record.map_or(0, |record| u64::from(record.tag == Tag::Full));
        let written = record.map_or(0, |record| record.message.len() as u64) + lines;
        Self { bytes: self.bytes + length, lines: self.lines + lines, written: self.written + written }
    }
}

impl std::ops::Add for Place {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self { bytes: self.bytes + more.bytes, lines: self.lines + more.lines, written: self.written + more.written }
    }
}

/// Where the files of a log begin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    files: Vec<Begin>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Begin {
    inode: u64,
    at: Place,
}

impl Tally {
    /// That of the log whose current file is at `path`; an empty one where none was written.
    pub fn read(path: &Path) -> Result<Self, LogError> {
        let path = file(path);
        match fs::read(&path) {
            // Written whole: what cannot be read is not ours.
            Ok(text) => Ok(serde_json::from_slice(&text).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(LogError::Read { path, source }),
        }
    }

    /// Where the file with this inode begins; one that is not known begins the log.
    pub fn begin(&self, inode: u64) -> Place {
        self.files.iter().rev().find(|begin| begin.inode == inode).map_or(Place::default(), |begin| begin.at)
    }

    /// Notes the beginning of a new file; the last `keep` are remembered.
    pub(super) fn push(&mut self, inode: u64, at: Place, keep: usize) {
        self.files.retain(|begin| begin.inode != inode);
        self.files.push(Begin { inode, at });
        let surplus = self.files.len().saturating_sub(keep.max(1));
        self.files.drain(..surplus);
    }

    /// Writes it whole.
    pub(super) fn write(&self, path: &Path) -> Result<(), LogError> {
        let (path, new) = (file(path), with_end(path, ".tally.new"));
        let text = serde_json::to_vec(self).expect("a tally is plain data");
        fs::write(&new, text).map_err(|source| LogError::Create { path: new.clone(), source })?;
        fs::rename(&new, &path).map_err(|source| LogError::Rotate { from: new, to: path, source })
    }
}

fn file(log: &Path) -> PathBuf {
    with_end(log, ".tally")
}

/// A name beside the log's own.
pub(super) fn with_end(log: &Path, end: &str) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(end);
    name.into()
}
