//! From a container's FIFOs to its log file, exactly once, whenever the loop may die.
//!
//! A batch goes FIFO -> stage (a pipe that the holder keeps open) by splice, which moves it in the kernel; is copied from there
//! by tee; is encoded and appended to the file; and only then is the stage drained. One word of memory that the
//! holder keeps as well says how far the file is good and whether the batch in the stage is in it:
//!
//! ```text
//! word = length of the file << 3 | stream << 2 | stored << 1 | 1; 0 as long as no loop of this holder has written it
//! stored 0: the file is good up to this length; what the stage holds is not in it yet
//! stored 1: the file is good up to this length; what the stage holds is in it already
//! ```
//!
//! The next loop cuts the file to that length and drains or stores the stage: no byte is lost, none comes twice.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::{OFlag, SpliceFFlags, splice, tee};

use super::holder::LogPipes;
use super::retry::Retry;
use crate::logging::Delivery;
use crate::logs::{LogFile, Stream, encode};
use crate::plan::{ContainerPaths, LogPlan};
use crate::sys::failpoint::{pass, reach};

/// The most that one batch carries: a pipe's default capacity.
const BATCH: usize = 64 << 10;
/// So many batches of a stream are stored before the loop sees to its other duties.
const TURN: usize = 16;

/// Whether a FIFO has more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Batch {
    Moved,
    Nothing,
}

/// One container's log.
#[derive(Debug)]
pub(super) struct Pump<'a> {
    pipes: &'a LogPipes,
    word: &'a AtomicU64,
    scratch: (OwnedFd, OwnedFd),
    /// None where nothing is kept.
    file: Option<LogFile>,
    /// A file that cannot be written (a full disk) is left alone for a while.
    retry: Retry,
    /// How much of the log may wait to be sent on before the container waits, in bytes of the files.
    window: Option<u64>,
    /// How much of the log has been sent on, or will never be.
    sent: u64,
    /// Whether the log has grown since somebody asked.
    has_grown: bool,
}

impl<'a> Pump<'a> {
    /// Opens the file and finishes what an earlier loop had begun. A word that nobody has written yet (a new holder's) says
    /// nothing: then the whole file is good.
    pub(super) fn open(
        pipes: &'a LogPipes,
        word: &'a AtomicU64,
        paths: &ContainerPaths,
        plan: &LogPlan,
    ) -> io::Result<Self> {
        let mut file = None;
        if plan.is_kept() {
            let mut kept = LogFile::open(&paths.log, plan.max_bytes, plan.max_files).map_err(io::Error::other)?;
            if plan.delivery.is_some() {
                kept.count().map_err(io::Error::other)?;
            }
            file = Some(kept);
        }
        let window = (plan.delivery == Some(Delivery::Blocking)).then_some(plan.max_bytes);
        let scratch = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let mut pump = Self { pipes, word, scratch, file, retry: Retry::default(), window, sent: 0, has_grown: false };
        if word.load(Ordering::Acquire) == UNWRITTEN {
            pump.publish(Stream::Stdout, Stored::No);
        }
        pump.finish_earlier_batch()?;
        Ok(pump)
    }

    /// The descriptors to wait on, none while the file cannot be written.
    pub(super) fn sources(&self) -> Vec<BorrowedFd<'a>> {
        match self.retry.at() {
            None if !self.is_ahead() => vec![self.pipes.stdout.as_fd(), self.pipes.stderr.as_fd()],
            None | Some(_) => Vec::new(),
        }
    }

    /// When to try again after a failure, in milliseconds since boot.
    pub(super) fn retry_at(&self) -> Option<u64> {
        self.retry.at()
    }

    /// Stores a good part of what the container has written so far. A file that cannot be written stops the flow, and with it
    /// at last the container; nothing is dropped.
    pub(super) fn run(&mut self, boot_ms: u64) {
        if !self.retry.rests(boot_ms) && !self.is_ahead() {
            self.store_at_most(TURN, boot_ms);
        }
    }

    /// Notes how much of the log has been sent on.
    pub(super) fn note_sent(&mut self, through: u64) {
        self.sent = through;
    }

    /// Whether the log has grown since this was last asked.
    pub(super) fn take_growth(&mut self) -> bool {
        std::mem::take(&mut self.has_grown)
    }

    /// Whether everything that the log holds has been sent on.
    pub(super) fn is_sent(&self) -> bool {
        self.sent >= self.end()
    }

    /// Whether more is stored than whoever sends it on can be given: the container waits.
    fn is_ahead(&self) -> bool {
        self.window.is_some_and(|window| self.end().saturating_sub(self.sent) >= window)
    }

    fn end(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.end().bytes)
    }

    /// Stores all that a container which has ended had written.
    pub(super) fn run_to_the_end(&mut self, boot_ms: u64) {
        self.store_at_most(usize::MAX, boot_ms);
    }

    /// How much has been written and is not stored yet.
    pub(super) fn waiting_bytes(&self) -> u64 {
        let pipes = [&self.pipes.stdout, &self.pipes.stderr, &self.pipes.stage.0];
        pipes.into_iter().map(|pipe| crate::sys::pipe::waiting(pipe).unwrap_or_default()).sum()
    }

    fn store_at_most(&mut self, batches: usize, boot_ms: u64) {
        match self.drain(batches) {
            Ok(()) => self.retry.succeeded(),
            Err(_) => self.retry.failed(boot_ms), // a full disk, mostly: the bytes wait in the pipes
        }
    }

    fn drain(&mut self, batches: usize) -> io::Result<()> {
        self.finish_earlier_batch()?;
        for stream in [Stream::Stdout, Stream::Stderr] {
            let mut left = batches;
            while left > 0 && self.batch(stream)? == Batch::Moved {
                left -= 1;
            }
        }
        Ok(())
    }

    /// One batch of one stream. The stage is empty before and after.
    fn batch(&mut self, stream: Stream) -> io::Result<Batch> {
        let fifo = match stream {
            Stream::Stdout => &self.pipes.stdout,
            Stream::Stderr => &self.pipes.stderr,
        };
        self.publish(stream, Stored::No);
        match splice(fifo, None, &self.pipes.stage.1, None, BATCH, SpliceFFlags::SPLICE_F_NONBLOCK) {
            Ok(0) | Err(Errno::EAGAIN) => Ok(Batch::Nothing),
            Ok(_) => {
                self.store(stream)?;
                Ok(Batch::Moved)
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Brings the stage's content into the file, then empties the stage.
    fn store(&mut self, stream: Stream) -> io::Result<()> {
        let chunk = self.copy_of_stage()?;
        if !chunk.is_empty()
            && let Some(file) = &mut self.file
        {
            let mut records = Vec::with_capacity(chunk.len() + chunk.len() / 4 + 128);
            encode(&mut records, stream, jiff::Timestamp::now(), &chunk);
            if file.is_full_for(records.len()) {
                file.rotate().map_err(io::Error::other)?;
                self.word.store(pack(file.len(), stream, Stored::No), Ordering::Release);
            }
            reach("log: before it is written")?;
            file.append(&records).map_err(io::Error::other)?;
            self.has_grown = true;
            pass("log: written");
        }
        self.publish(stream, Stored::Yes);
        self.empty_stage();
        self.publish(stream, Stored::No);
        Ok(())
    }

    /// What the stage holds, without taking it out.
    fn copy_of_stage(&self) -> io::Result<Vec<u8>> {
        let mut chunk = vec![0; BATCH];
        let mut filled = 0;
        match tee(&self.pipes.stage.0, &self.scratch.1, BATCH, SpliceFFlags::SPLICE_F_NONBLOCK) {
            Ok(copied) => {
                while filled < copied {
                    filled += nix::unistd::read(&self.scratch.0, &mut chunk[filled..copied])?;
                }
            }
            Err(Errno::EAGAIN) => {}
            Err(errno) => return Err(errno.into()),
        }
        chunk.truncate(filled);
        Ok(chunk)
    }

    fn empty_stage(&self) {
        let mut waste = [0; 4096];
        while nix::unistd::read(&self.pipes.stage.0, &mut waste).is_ok_and(|read| read > 0) {}
    }

    fn publish(&self, stream: Stream, stored: Stored) {
        let length = self.file.as_ref().map_or(0, LogFile::len);
        self.word.store(pack(length, stream, stored), Ordering::Release);
    }

    fn finish_earlier_batch(&mut self) -> io::Result<()> {
        let (length, stream, stored) = unpack(self.word.load(Ordering::Acquire));
        // Shorter than the word says: it was rotated in the moment before the end.
        if let Some(file) = &mut self.file {
            file.truncate_to(length.min(file.len())).map_err(io::Error::other)?;
        }
        match stored {
            Stored::Yes => {
                self.empty_stage();
                self.publish(stream, Stored::No);
                Ok(())
            }
            Stored::No => self.store(stream),
        }
    }
}

/// The word before the first loop has written it.
const UNWRITTEN: u64 = 0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    No,
    Yes,
}

fn pack(length: u64, stream: Stream, stored: Stored) -> u64 {
    length << 3 | u64::from(stream == Stream::Stderr) << 2 | u64::from(stored == Stored::Yes) << 1 | 1
}

fn unpack(word: u64) -> (u64, Stream, Stored) {
    let stream = if word & 4 == 0 { Stream::Stdout } else { Stream::Stderr };
    (word >> 3, stream, if word & 2 == 0 { Stored::No } else { Stored::Yes })
}
