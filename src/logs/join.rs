//! From records to lines: the parts of a line put together again, one open line per stream. Pure; used by `read`.

use super::format::{Record, Stamp, Stream, Tag};

/// A line longer than this many bytes is handed out in pieces.
pub const MAX_LINE: usize = 256 * 1024;

/// What a line ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    /// A newline.
    Newline,
    /// Nothing: the rest of the line follows, or the output ended without a newline.
    Open,
}

/// A line of a container's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When its first part was read.
    pub at: Stamp,
    /// From which output.
    pub stream: Stream,
    /// The bytes, without a newline.
    pub message: Vec<u8>,
    /// What follows the bytes.
    pub end: LineEnd,
}

/// The lines that have begun and not ended yet.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    stdout: Option<Line>,
    stderr: Option<Line>,
}

impl Joiner {
    /// Adds a record, and takes its line out when it has ended or is too long to be held.
    pub(super) fn add(&mut self, record: Record<'_>) -> Option<Line> {
        let slot = match record.stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let (at, stream) = (record.at, record.stream);
        let line = slot.get_or_insert(Line { at, stream, message: Vec::new(), end: LineEnd::Open });
        line.message.extend_from_slice(record.message);
        match record.tag {
            Tag::Full => line.end = LineEnd::Newline,
            Tag::Partial if line.message.len() < MAX_LINE => return None,
            Tag::Partial => {}
        }
        slot.take()
    }

    /// Takes out a line that will not end any more, the older one first.
    pub(super) fn rest(&mut self) -> Option<Line> {
        let older = match (&self.stdout, &self.stderr) {
            (Some(stdout), Some(stderr)) if stderr.at < stdout.at => &mut self.stderr,
            (None, _) => &mut self.stderr,
            (Some(_), _) => &mut self.stdout,
        };
        older.take()
    }
}
