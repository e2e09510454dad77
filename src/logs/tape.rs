//! The records of one log as one row of bytes, over its rotated files in order. It knows where a record ends, not what
//! it says. Used by `read`.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::chain::{Chain, Next};
use super::error::LogError;
use super::format::{MAX_RECORD, line_length};

/// One read from the disk.
const BLOCK: usize = 64 * 1024;
const _: () = assert!(BLOCK > 2 * MAX_RECORD, "a whole record must fit in a block");

/// How far to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// To what is the end at the time of opening.
    Now,
    /// For ever, or until the reader is told that the writer is done.
    Done,
}

/// Reads records one by one.
#[derive(Debug)]
pub(super) struct Tape {
    chain: Chain,
    until: Until,
    /// The files to read, oldest first; the first one is being read.
    files: VecDeque<File>,
    /// Where in the first file the next read begins.
    offset: u64,
    /// Where the last file ends for us.
    end: u64,
    block: Box<[u8]>,
    /// The unread part of the block.
    start: usize,
    filled: usize,
    damaged: u64,
}

impl Tape {
    /// Begins with the first of `files`, which are a part of the chain, oldest first.
    pub(super) fn new(chain: Chain, files: Vec<File>, until: Until) -> Result<Self, LogError> {
        let end = match (until, files.last()) {
            (Until::Now, Some(last)) => length(&chain, last)?,
            (Until::Now, None) => 0,
            (Until::Done, _) => u64::MAX,
        };
        let block = vec![0; BLOCK].into_boxed_slice();
        Ok(Self { chain, until, files: files.into(), offset: 0, end, block, start: 0, filled: 0, damaged: 0 })
    }

    /// The files' names.
    pub(super) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// How many torn or foreign stretches were passed over.
    pub(super) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Whether no record will come after `next_record` gave none.
    pub(super) fn is_closed(&self) -> bool {
        self.until == Until::Now
    }

    /// The writer is done: what is in the files now is all.
    pub(super) fn close(&mut self) {
        self.until = Until::Now;
    }

    /// The bytes of the next record with its newline, or nothing when there is none now.
    pub(super) fn next_record(&mut self) -> Result<Option<&[u8]>, LogError> {
        loop {
            let unread = &self.block[self.start..self.filled];
            let length = line_length(unread);
            if unread[..length].last() == Some(&b'\n') {
                let start = self.start;
                self.start += length;
                return Ok(Some(&self.block[start..self.start]));
            }
            if length == BLOCK {
                // Longer than any record: given up in blocks, each of which counts as damage when it is decoded.
                self.start = self.filled;
                return Ok(Some(&self.block[..]));
            }
            if self.fill()? == 0 && !self.turn()? {
                return Ok(None);
            }
        }
    }

    /// Reads more of the first file behind what is unread.
    fn fill(&mut self) -> Result<usize, LogError> {
        self.block.copy_within(self.start..self.filled, 0);
        (self.start, self.filled) = (0, self.filled - self.start);
        let Some(file) = self.files.front() else { return Ok(0) };
        let limit = if self.files.len() == 1 { self.end.saturating_sub(self.offset) } else { u64::MAX };
        let room = &mut self.block[self.filled..];
        let room = room.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
        let read = loop {
            match file.read_at(&mut self.block[self.filled..][..room], self.offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(LogError::Read { path: self.chain.current().to_owned(), source }),
                Ok(read) => break read,
            }
        };
        self.filled += read;
        self.offset += read as u64;
        Ok(read)
    }

    /// At the end of the first file: goes to the next one, and says whether there may be more to read.
    fn turn(&mut self) -> Result<bool, LogError> {
        if self.files.len() > 1 {
            self.files.pop_front();
            self.begin_file();
            return Ok(true);
        }
        if self.end != u64::MAX {
            return Ok(false);
        }
        let Some(file) = self.files.front() else {
            self.files = self.chain.open_all()?.into();
            return Ok(!self.files.is_empty());
        };
        let length = length(&self.chain, file)?;
        if length < self.offset {
            // The writer took back a batch that it could not write whole.
            (self.offset, self.start, self.filled) = (length, 0, 0);
        }
        match self.chain.after(file)? {
            Next::None => Ok(false),
            // What was written between our last read and the rotation is read first.
            Next::File(next) => {
                self.files.push_back(next);
                Ok(true)
            }
        }
    }

    fn begin_file(&mut self) {
        // A torn record at the end of a file that is never written again.
        self.damaged += u64::from(self.start < self.filled);
        (self.offset, self.start, self.filled) = (0, 0, 0);
    }
}

fn length(chain: &Chain, file: &File) -> Result<u64, LogError> {
    let metadata = file.metadata().map_err(|source| LogError::Read { path: chain.current().to_owned(), source })?;
    Ok(metadata.size())
}
