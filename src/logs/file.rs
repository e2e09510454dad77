//! The log file of one container, for its writer: append, cut, rotate. The supervisor decides when; nobody else writes.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use super::chain::Chain;
use super::error::LogError;
use super::format::{Record, line_length};
use super::tally::{Place, Tally};

/// An open log file. A batch is in it whole or not at all, as long as this process lives; after a crash the next
/// writer cuts the file to the length that it knows to be whole (`truncate_to`).
#[derive(Debug)]
pub struct LogFile {
    chain: Chain,
    file: File,
    /// How long the file is when it holds whole batches only.
    length: u64,
    /// Whether bytes of a failed batch may lie behind `length`.
    torn: bool,
    max_bytes: u64,
    max_files: u32,
    counted: Option<Counted>,
}

/// How much the log has held, for those who read behind the writer.
#[derive(Debug)]
struct Counted {
    tally: Tally,
    /// Where this file begins, and what it holds.
    begin: Place,
    held: Place,
}

impl LogFile {
    /// Opens the file, or makes it (0600) and its directory (0700). `max_files` counts the current file too.
    pub fn open(path: impl Into<PathBuf>, max_bytes: u64, max_files: u32) -> Result<Self, LogError> {
        let chain = Chain::new(path.into());
        let path = chain.current();
        let create = |path: &std::path::Path, source| LogError::Create { path: path.to_owned(), source };
        if let Some(directory) = path.parent() {
            let make = DirBuilder::new().recursive(true).mode(0o700).create(directory);
            make.map_err(|source| create(directory, source))?;
        }
        let file = options().open(path).map_err(|source| create(path, source))?;
        let length = file.metadata().map_err(|source| LogError::Read { path: path.to_owned(), source })?.len();
        Ok(Self { chain, file, length, torn: false, max_bytes, max_files, counted: None })
    }

    /// Begins to count what the log holds, from what is there already.
    pub fn count(&mut self) -> Result<(), LogError> {
        let tally = Tally::read(self.chain.current())?;
        let inode = inode(&self.file, &self.chain)?;
        let begin = tally.begin(inode);
        self.counted = Some(Counted { tally, begin, held: self.measure()? });
        Ok(())
    }

    /// All that the log has held since it began; nothing where it is not counted.
    pub fn end(&self) -> Place {
        self.counted.as_ref().map_or(Place::default(), |counted| counted.begin + counted.held)
    }

    fn measure(&self) -> Result<Place, LogError> {
        let path = self.chain.current();
        let error = |source| LogError::Read { path: path.to_owned(), source };
        let mut reader = BufReader::new(File::open(path).map_err(error)?.take(self.length));
        let (mut held, mut line) = (Place::default(), Vec::new());
        while reader.read_until(b'\n', &mut line).map_err(error)? > 0 {
            held = held.after(line.len() as u64, Record::decode(&line).ok().as_ref());
            line.clear();
        }
        Ok(held)
    }

    /// The length in bytes.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether nothing has been written since the file was made.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether a batch of this many bytes would make the file longer than it may be. A batch longer than a whole
    /// file may be is written to a file of its own.
    pub fn is_full_for(&self, batch: usize) -> bool {
        !self.is_empty() && self.length.saturating_add(batch as u64) > self.max_bytes
    }

    /// Appends a batch of whole records, in one write. On an error nothing of it stays in the file, and the same
    /// batch can be offered again.
    pub fn append(&mut self, batch: &[u8]) -> Result<(), LogError> {
        if self.torn {
            self.cut(self.length)?;
            self.torn = false;
        }
        if let Err(source) = self.file.write_all(batch) {
            // Where the cut fails too, the next append does it first.
            self.torn = self.cut(self.length).is_err();
            return Err(LogError::Write { path: self.chain.current().to_owned(), source });
        }
        self.length += batch.len() as u64;
        if let Some(counted) = &mut self.counted {
            let mut rest = batch;
            while !rest.is_empty() {
                let (line, after) = rest.split_at(line_length(rest));
                counted.held = counted.held.after(line.len() as u64, Record::decode(line).ok().as_ref());
                rest = after;
            }
        }
        Ok(())
    }

    /// Cuts the file to a length that is known to end with a whole batch. A shorter file stays as it is.
    pub fn truncate_to(&mut self, length: u64) -> Result<(), LogError> {
        self.length = self.cut(length)?;
        self.torn = false;
        let held = if self.counted.is_some() { self.measure()? } else { Place::default() };
        if let Some(counted) = &mut self.counted {
            counted.held = held;
        }
        Ok(())
    }

    /// Makes the file at most `length` bytes long, and says how long it is.
    fn cut(&self, length: u64) -> Result<u64, LogError> {
        let error = |source| LogError::Truncate { path: self.chain.current().to_owned(), source };
        let present = self.file.metadata().map_err(error)?.len();
        if present > length {
            self.file.set_len(length).map_err(error)?;
        }
        Ok(present.min(length))
    }

    /// Starts a new file: `log` becomes `log.1`, `log.1` becomes `log.2` ..., the oldest is dropped. To be called
    /// between batches. On an error this file goes on as it is, and rotation can be tried again.
    pub fn rotate(&mut self) -> Result<(), LogError> {
        // The new file is made first, so that a full disk is found before any name has changed.
        let (path, next) = (self.chain.current().to_owned(), self.chain.next());
        let file = match std::fs::remove_file(&next) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(source),
            _ => options().create_new(true).open(&next),
        };
        let file = file.map_err(|source| LogError::Create { path: next.clone(), source })?;
        let begin = self.end();
        if let Some(counted) = &mut self.counted {
            // Before the file can be found by its name. The names that are there, the new one, and one to spare.
            counted.tally.push(inode(&file, &self.chain)?, begin, self.max_files as usize + 2);
            counted.tally.write(self.chain.current())?;
        }
        let rename = |from: PathBuf, to: PathBuf| {
            std::fs::rename(&from, &to).map_err(|source| LogError::Rotate { from, to, source })
        };
        let present = self.chain.present()?;
        let last = self.max_files.saturating_sub(1);
        // A rotation that was cut short left a free number: up to there the files move, the older ones stay.
        let free = (0..last).find(|number| !present.contains(number)).unwrap_or(last);
        // From the oldest on: its new name is free, or that of the file to drop.
        for number in (0..free).rev() {
            rename(self.chain.numbered(number), self.chain.numbered(number + 1))?;
        }
        rename(next, path)?;
        self.file = file;
        (self.length, self.torn) = (0, false);
        if let Some(counted) = &mut self.counted {
            (counted.begin, counted.held) = (begin, Place::default());
        }
        Ok(())
    }
}

fn inode(file: &File, chain: &Chain) -> Result<u64, LogError> {
    let metadata = file.metadata();
    Ok(metadata.map_err(|source| LogError::Read { path: chain.current().to_owned(), source })?.ino())
}

fn options() -> OpenOptions {
    let mut options = File::options();
    options.append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    fn contents(log: &Path) -> Vec<String> {
        let chain = Chain::new(log.to_owned());
        let numbers = chain.present().unwrap();
        numbers.iter().map(|number| std::fs::read_to_string(chain.numbered(*number)).unwrap()).collect()
    }

    #[test]
    fn the_file_and_its_directory_are_roots_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("logs/web.log");
        LogFile::open(&path, 100, 3).unwrap();
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
    }

    #[test]
    fn a_reopened_file_goes_on_where_it_ended() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("web.log");
        LogFile::open(&path, 100, 3).unwrap().append(b"one\n").unwrap();
        let mut log = LogFile::open(&path, 100, 3).unwrap();
        assert_eq!(log.len(), 4);
        log.append(b"two\n").unwrap();
        assert_eq!(contents(&path), ["one\ntwo\n"]);
    }

    #[test]
    fn a_half_written_batch_can_be_cut_off() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("web.log");
        std::fs::write(&path, "whole\nha").unwrap();
        let mut log = LogFile::open(&path, 100, 3).unwrap();
        log.truncate_to(6).unwrap();
        log.append(b"next\n").unwrap();
        log.truncate_to(1000).unwrap();
        assert_eq!((contents(&path), log.len()), (vec!["whole\nnext\n".to_owned()], 11));
    }

    #[test]
    fn rotation_keeps_so_many_files_and_drops_the_oldest() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("web.log");
        let mut log = LogFile::open(&path, 6, 3).unwrap();
        for batch in ["1111\n", "2222\n", "3333\n", "4444\n"] {
            if log.is_full_for(batch.len()) {
                log.rotate().unwrap();
            }
            log.append(batch.as_bytes()).unwrap();
        }
        assert_eq!(contents(&path), ["2222\n", "3333\n", "4444\n"]);
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn a_single_file_starts_anew_when_it_is_rotated() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("web.log");
        let mut log = LogFile::open(&path, 6, 1).unwrap();
        log.append(b"one\n").unwrap();
        log.rotate().unwrap();
        log.append(b"two\n").unwrap();
        assert_eq!(contents(&path), ["two\n"]);
    }

    #[test]
    fn a_rotation_that_a_crash_cut_short_is_made_good_by_the_next() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("web.log");
        // The oldest was renamed, then the process died: number 2 is free, and a prepared file was left.
        for (name, text) in [("web.log.3", "a\n"), ("web.log.1", "b\n"), ("web.log", "c\n"), ("web.log.new", "x")] {
            std::fs::write(root.path().join(name), text).unwrap();
        }
        let mut log = LogFile::open(&path, 6, 4).unwrap();
        log.rotate().unwrap();
        assert_eq!(contents(&path), ["a\n", "b\n", "c\n", ""]);
    }

    #[test]
    fn what_a_full_disk_refuses_leaves_no_trace_and_can_be_offered_again() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("web.log");
        let mut log = LogFile::open(&path, 100, 3).unwrap();
        log.append(b"one\n").unwrap();
        let disk = std::mem::replace(&mut log.file, options().open("/dev/full").unwrap());
        let error = log.append(b"two\n").unwrap_err();
        assert!(matches!(&error, LogError::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull));
        log.file = disk;
        log.append(b"two\n").unwrap();
        assert_eq!((contents(&path), log.len()), (vec!["one\ntwo\n".to_owned()], 8));
    }
}
