//! Reading a log behind its writer, record by record, from a mark that outlives the reader. Unlike `tape` it knows how far it
//! is, and how much it missed when files were dropped before it came to them. Used by whoever sends logs on.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::chain::{Chain, Next};
use super::error::LogError;
use super::format::{MAX_RECORD, Record, line_length};
use super::tally::{Place, Tally};

/// One read from the disk.
const BLOCK: usize = 64 * 1024;
const _: () = assert!(BLOCK > 2 * MAX_RECORD, "a whole record must fit in a block");

/// Where a reader is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The file.
    pub inode: u64,
    /// Where in it.
    pub offset: u64,
    /// Where in the log.
    pub place: Place,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// A record, and the marks before and behind it.
    Record(Record<'a>, Mark, Mark),
    /// What lies between the two marks is gone, or is no record.
    Missed(Mark, Mark),
}

/// A reader.
#[derive(Debug)]
pub struct Tail {
    chain: Chain,
    file: Option<File>,
    /// Behind what was handed out.
    mark: Mark,
    block: Box<[u8]>,
    /// The unread part of the block, which lies at `mark.offset` of the file.
    start: usize,
    filled: usize,
}

impl Tail {
    /// Reads the log whose current file is at `path` from a mark on. The log may not be there yet.
    pub fn open(path: impl Into<PathBuf>, mark: Mark) -> Self {
        let block = vec![0; BLOCK].into_boxed_slice();
        Self { chain: Chain::new(path.into()), file: None, mark, block, start: 0, filled: 0 }
    }

    /// The log's current file.
    pub fn path(&self) -> &Path {
        self.chain.current()
    }

    /// Behind what was handed out.
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// What the log has held up to now, in bytes of its files.
    pub fn end(&self) -> Result<u64, LogError> {
        let path = self.chain.current();
        match path.symlink_metadata() {
            Ok(metadata) => Ok(Tally::read(path)?.begin(metadata.ino()).bytes + metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(source) => Err(LogError::Read { path: path.to_owned(), source }),
        }
    }

    /// The next step; nothing when there is none now.
    pub fn next_step(&mut self) -> Result<Option<Step<'_>>, LogError> {
        if self.file.is_none()
            && let Some((from, to)) = self.begin()?
        {
            return Ok(Some(Step::Missed(from, to)));
        }
        if self.file.is_none() {
            return Ok(None);
        }
        loop {
            let unread = &self.block[self.start..self.filled];
            let length = line_length(unread);
            if unread[..length].last() == Some(&b'\n') || length == BLOCK {
                return Ok(Some(self.hand_out(length)));
            }
            if self.fill()? > 0 {
                continue;
            }
            match self.turn()? {
                Turned::No => return Ok(None),
                Turned::Yes => {}
                Turned::Missed(from, to) => return Ok(Some(Step::Missed(from, to))),
            }
        }
    }

    fn hand_out(&mut self, length: usize) -> Step<'_> {
        let bytes = &self.block[self.start..self.start + length];
        self.start += length;
        let before = self.mark;
        let record = Record::decode(bytes).ok();
        self.mark.offset += length as u64;
        self.mark.place = self.mark.place.after(length as u64, record.as_ref());
        match record {
            Some(record) => Step::Record(record, before, self.mark),
            None => Step::Missed(before, self.mark),
        }
    }

    /// Finds the file of the mark, or the oldest one.
    fn begin(&mut self) -> Result<Option<(Mark, Mark)>, LogError> {
        let files = match self.chain.open_all() {
            Err(LogError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            files => files?,
        };
        let tally = Tally::read(self.chain.current())?;
        let mut oldest = None;
        for file in files {
            let inode = self.inode(&file)?;
            let begin = tally.begin(inode);
            // A number may be another file's by now.
            if inode == self.mark.inode && begin.bytes + self.mark.offset == self.mark.place.bytes {
                self.file = Some(file);
                return Ok(None);
            }
            oldest = oldest.or(Some((file, inode, begin)));
        }
        let Some((file, inode, begin)) = oldest else { return Ok(None) };
        self.file = Some(file);
        Ok(self.enter(inode, begin))
    }

    /// Goes on at the beginning of a file; what was missed on the way there.
    fn enter(&mut self, inode: u64, begin: Place) -> Option<(Mark, Mark)> {
        let before = self.mark;
        (self.start, self.filled) = (0, 0);
        // A log that begins anew, without its tally, is counted on.
        let place = begin.max(before.place);
        self.mark = Mark { inode, offset: 0, place };
        (place.bytes > before.place.bytes).then_some((before, self.mark))
    }

    /// Reads more of the file behind what is unread.
    fn fill(&mut self) -> Result<usize, LogError> {
        self.block.copy_within(self.start..self.filled, 0);
        (self.start, self.filled) = (0, self.filled - self.start);
        let Some(file) = &self.file else { return Ok(0) };
        let at = self.mark.offset + self.filled as u64;
        let read = loop {
            match file.read_at(&mut self.block[self.filled..], at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(LogError::Read { path: self.path().to_owned(), source }),
                Ok(read) => break read,
            }
        };
        self.filled += read;
        Ok(read)
    }

    /// At the end of a file: goes to the next one, if there is one.
    fn turn(&mut self) -> Result<Turned, LogError> {
        let Some(file) = &self.file else { return Ok(Turned::No) };
        let next = match self.chain.after(file)? {
            Next::None => {
                // A torn record is read again: the writer takes it back and writes it once more.
                self.filled = self.start;
                return Ok(Turned::No);
            }
            Next::File(next) => next,
        };
        // What was written between our last read and the rotation is read first.
        if self.fill()? > 0 {
            return Ok(Turned::Yes);
        }
        let inode = self.inode(&next)?;
        let begin = Tally::read(self.chain.current())?.begin(inode);
        self.file = Some(next);
        Ok(match self.enter(inode, begin) {
            Some((from, to)) => Turned::Missed(from, to),
            None => Turned::Yes,
        })
    }

    fn inode(&self, file: &File) -> Result<u64, LogError> {
        let metadata = file.metadata();
        Ok(metadata.map_err(|source| LogError::Read { path: self.path().to_owned(), source })?.ino())
    }
}

enum Turned {
    No,
    Yes,
    Missed(Mark, Mark),
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::logs::{LogFile, Stream, encode};

    fn write(file: &mut LogFile, text: &str) {
        let mut batch = Vec::new();
        encode(&mut batch, Stream::Stdout, Timestamp::UNIX_EPOCH, text.as_bytes());
        if file.is_full_for(batch.len()) {
            file.rotate().unwrap();
        }
        file.append(&batch).unwrap();
    }

    /// What was read, and how many lines were missed.
    fn read(tail: &mut Tail) -> (Vec<String>, u64) {
        let (mut lines, mut missed) = (Vec::new(), 0);
        while let Some(step) = tail.next_step().unwrap() {
            match step {
                Step::Record(record, ..) => lines.push(String::from_utf8(record.message.to_vec()).unwrap()),
                Step::Missed(from, to) => missed += to.place.lines - from.place.lines,
            }
        }
        (lines, missed)
    }

    fn log(files: u32) -> (tempfile::TempDir, PathBuf, LogFile) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("web.log");
        let mut file = LogFile::open(&path, 200, files).unwrap();
        file.count().unwrap();
        (directory, path, file)
    }

    #[test]
    fn a_reader_goes_on_from_its_mark_across_rotation() {
        let (_directory, path, mut file) = log(100);
        let mut tail = Tail::open(&path, Mark::default());
        assert_eq!(read(&mut tail).0.len(), 0);
        (0..10).for_each(|number| write(&mut file, &format!("{number}\n")));
        assert_eq!(read(&mut tail), ((0..10).map(|number| number.to_string()).collect(), 0));
        let mark = tail.mark();
        assert_eq!((mark.place, tail.end().unwrap()), (file.end(), file.end().bytes));
        (10..20).for_each(|number| write(&mut file, &format!("{number}\n")));
        let mut again = Tail::open(&path, mark);
        assert_eq!(read(&mut again), ((10..20).map(|number| number.to_string()).collect(), 0));
        assert_eq!(again.mark().place, Place { lines: 20, written: 10 * 2 + 10 * 3, ..file.end() });
    }

    #[test]
    fn what_was_dropped_before_it_was_read_is_counted_exactly() {
        let (_directory, path, mut file) = log(2);
        let mut tail = Tail::open(&path, Mark::default());
        let (mut read_lines, mut missed_lines) = (0, 0);
        for number in 0..500 {
            write(&mut file, &format!("line {number}\n"));
            if number % 83 == 0 {
                let (lines, missed) = read(&mut tail);
                read_lines += lines.len() as u64;
                missed_lines += missed;
                tail = Tail::open(&path, tail.mark());
            }
        }
        let (lines, missed) = read(&mut tail);
        assert_eq!(read_lines + missed_lines + lines.len() as u64 + missed, 500);
        assert!(missed_lines > 100 && tail.mark().place == file.end());
    }

    #[test]
    fn a_writer_that_comes_back_counts_on() {
        let (_directory, path, mut file) = log(3);
        (0..20).for_each(|number| write(&mut file, &format!("{number}\n")));
        let end = file.end();
        let mut file = LogFile::open(&path, 200, 3).unwrap();
        file.count().unwrap();
        assert_eq!(file.end(), end);
        file.truncate_to(0).unwrap();
        assert!(file.end().lines < end.lines && file.end().lines > 0);
    }

    #[test]
    fn a_batch_that_is_taken_back_and_written_again_is_read_once() {
        let (_directory, path, mut file) = log(3);
        write(&mut file, "one\n");
        let length = file.len();
        write(&mut file, "two\n");
        let mut tail = Tail::open(&path, Mark::default());
        assert_eq!(read(&mut tail).0, ["one", "two"]);
        file.truncate_to(length).unwrap();
        assert_eq!(read(&mut tail).0, [""; 0]);
        write(&mut file, "two\n");
        write(&mut file, "three\n");
        assert_eq!(read(&mut tail).0, ["three"]);
    }
}
