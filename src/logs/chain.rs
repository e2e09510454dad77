//! The files of one log: `web.log`, `web.log.1` (older), `web.log.2` ..., and how a reader that holds one of them open
//! finds the next newer one while the writer renames them. Used by `file` and `read`.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::LogError;

/// The names of one log's files. Number 0 is the current file; greater numbers are older.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    path: PathBuf,
}

/// What comes after a file.
#[derive(Debug)]
pub(super) enum Next {
    /// It is the current file.
    None,
    /// A newer one; the file before it will never be written again.
    File(File),
}

impl Chain {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The current file's path.
    pub(super) fn current(&self) -> &Path {
        &self.path
    }

    /// The directory that holds them all.
    pub(super) fn directory(&self) -> &Path {
        self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// The path of a file by its number.
    pub(super) fn numbered(&self, number: u32) -> PathBuf {
        if number == 0 { self.path.clone() } else { self.with_suffix(&format!(".{number}")) }
    }

    /// Where the writer prepares the file that will become the current one.
    pub(super) fn next(&self) -> PathBuf {
        self.with_suffix(".new")
    }

    fn with_suffix(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        name.into()
    }

    /// The numbers of the files that there are, oldest first.
    pub(super) fn present(&self) -> Result<Vec<u32>, LogError> {
        let error = |source| LogError::Read { path: self.directory().to_owned(), source };
        let mut numbers = Vec::new();
        for entry in self.directory().read_dir().map_err(error)? {
            numbers.extend(self.number(&entry.map_err(error)?.file_name()));
        }
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        Ok(numbers)
    }

    fn number(&self, name: &std::ffi::OsStr) -> Option<u32> {
        let suffix = name.as_encoded_bytes().strip_prefix(self.path.file_name()?.as_encoded_bytes())?;
        match suffix {
            b"" => Some(0),
            _ => std::str::from_utf8(suffix.strip_prefix(b".")?).ok()?.parse().ok().filter(|number| *number > 0),
        }
    }

    /// All files, oldest first, opened as one consistent row: again, where the writer renamed them meanwhile.
    pub(super) fn open_all(&self) -> Result<Vec<File>, LogError> {
        loop {
            let numbers = self.present()?;
            let mut files = Vec::with_capacity(numbers.len());
            for number in &numbers {
                files.extend(self.open(*number)?);
            }
            let mut stands = files.len() == numbers.len() && self.present()? == numbers;
            for (number, file) in numbers.iter().zip(&files) {
                stands = stands && self.is_at(*number, file)?;
            }
            if stands {
                return Ok(files);
            }
        }
    }

    /// What comes after `file`, which was read to its end. Where it was dropped meanwhile, the oldest is next.
    pub(super) fn after(&self, file: &File) -> Result<Next, LogError> {
        loop {
            let present = self.present()?;
            let mut place = None;
            for number in &present {
                if self.is_at(*number, file)? {
                    place = Some(*number);
                }
            }
            // A directory read during a rename may miss the file that is renamed.
            if place.is_none() && self.metadata(file)?.nlink() > 0 {
                continue;
            }
            let newer = present.iter().copied().find(|number| place.is_none_or(|place| *number < place));
            let Some(number) = newer else { return Ok(Next::None) };
            if let Some(next) = self.open(number)?
                && self.follows(number, &next, place, file)?
            {
                return Ok(Next::File(next));
            }
        }
    }

    /// Whether `next`, opened as `number`, comes right after `file`, which stood at `place`. The writer renames the
    /// older file first: if that is still in its place and no number between the two is taken, it does.
    fn follows(&self, number: u32, next: &File, place: Option<u32>, file: &File) -> Result<bool, LogError> {
        let Some(place) = place else {
            return Ok(self.present()?.first() == Some(&number) && self.is_at(number, next)?);
        };
        for between in number + 1..place {
            if self.open(between)?.is_some() {
                return Ok(false);
            }
        }
        self.is_at(place, file)
    }

    fn is_at(&self, number: u32, file: &File) -> Result<bool, LogError> {
        let path = self.numbered(number);
        let there = found(path.symlink_metadata()).map_err(|source| LogError::Read { path, source })?;
        let file = self.metadata(file)?;
        Ok(there.is_some_and(|there| (there.dev(), there.ino()) == (file.dev(), file.ino())))
    }

    fn metadata(&self, file: &File) -> Result<Metadata, LogError> {
        file.metadata().map_err(|source| LogError::Read { path: self.path.clone(), source })
    }

    fn open(&self, number: u32) -> Result<Option<File>, LogError> {
        let path = self.numbered(number);
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(&path);
        found(file).map_err(|source| LogError::Read { path, source })
    }
}

fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
