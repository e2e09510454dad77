//! Reading one container's log back: over its rotated files in order, as lines, with bounded memory whatever the lines'
//! length. `follow` merges several of these and waits for more.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::chain::Chain;
use super::error::LogError;
use super::format::{Record, Stamp, Stream, Tag};
use super::join::{Joiner, Line, LineEnd};
use super::lines::Lines;
use super::tape::{Tape, Until};

/// Which lines are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query {
    /// Of one stream only.
    pub stream: Option<Stream>,
    /// Begun at this time or later.
    pub since: Option<Timestamp>,
    /// At most so many of those that there are when the log is opened.
    pub tail: Option<u64>,
}

/// Reads one container's log.
#[derive(Debug)]
pub struct Reader {
    tape: Tape,
    stream: Option<Stream>,
    since: Option<Stamp>,
    joiner: Joiner,
    lines: Lines,
    /// How many lines are passed over still.
    skip: u64,
    damaged: u64,
}

impl Reader {
    /// Opens the log whose current file is at `path`. A log that does not exist yet is empty.
    pub fn open(path: impl Into<PathBuf>, query: Query, until: Until) -> Result<Self, LogError> {
        let chain = Chain::new(path.into());
        let mut files = match chain.open_all() {
            Err(LogError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
            files => files?,
        };
        if let Some(since) = query.since {
            let older = files.iter().rev().skip(1).rev().take_while(|file| ended_before(file, since)).count();
            files.drain(..older);
        }
        let skip = match query.tail {
            Some(lines) => cut_to_tail(&chain, &mut files, query.stream, lines)?,
            None => 0,
        };
        let tape = Tape::new(chain, files, until)?;
        let since = query.since.map(Stamp::new);
        Ok(Self {
            tape,
            stream: query.stream,
            since,
            joiner: Joiner::default(),
            lines: Lines::default(),
            skip,
            damaged: 0,
        })
    }

    /// Puts the lines of an event together, where a pattern says what begins one.
    pub fn with_pattern(mut self, pattern: Option<regex::bytes::Regex>) -> Self {
        self.lines = Lines::new(pattern);
        self
    }

    /// The next line, or the lines of the next event; nothing when there is none now. After `close`, and with
    /// `Until::Now`, nothing means the end.
    pub fn next_line(&mut self) -> Result<Option<Line>, LogError> {
        loop {
            if let Some(line) = self.lines.ready() {
                return Ok(Some(line));
            }
            match self.single()? {
                Some(line) => self.lines.add(line),
                None if self.tape.is_closed() => return Ok(self.lines.rest()),
                None => return Ok(self.lines.ripe(Timestamp::now())),
            }
        }
    }

    /// The next line; nothing when there is none now. After `close`, and with `Until::Now`, nothing means the end.
    fn single(&mut self) -> Result<Option<Line>, LogError> {
        while let Some(bytes) = self.tape.next_record()? {
            let Ok(record) = Record::decode(bytes) else {
                self.damaged += 1;
                continue;
            };
            if self.stream.is_some_and(|stream| stream != record.stream) {
                continue;
            }
            if let Some(line) = self.joiner.add(record) {
                // A piece of a long line is no line yet.
                let whole = u64::from(line.end == LineEnd::Newline);
                if self.wants(&line, whole) {
                    return Ok(Some(line));
                }
            }
        }
        while self.tape.is_closed() {
            let Some(line) = self.joiner.rest() else { break };
            if self.wants(&line, 1) {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// Tells the reader that the writer is done: `next_line` hands out the rest, and then nothing.
    pub fn close(&mut self) {
        self.tape.close();
    }

    /// How many records could not be read, because a crash tore them or something else wrote to the file.
    pub fn damaged(&self) -> u64 {
        self.damaged + self.tape.damaged()
    }

    /// The directory that changes when the log does.
    pub(super) fn directory(&self) -> &Path {
        self.tape.chain().directory()
    }

    fn wants(&mut self, line: &Line, lines: u64) -> bool {
        let skipped = self.skip > 0;
        self.skip = self.skip.saturating_sub(lines);
        !skipped && self.since.is_none_or(|since| line.at >= since)
    }
}

/// Whether all that a file holds is older. The kernel's file times lag a tick behind the clock, hence the second.
fn ended_before(file: &File, since: Timestamp) -> bool {
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified + Duration::from_secs(1) < SystemTime::from(since))
}

/// Drops the files that the last `lines` lines do not reach into, newest counted first, and says how many lines of
/// the others come before those.
fn cut_to_tail(chain: &Chain, files: &mut Vec<File>, stream: Option<Stream>, lines: u64) -> Result<u64, LogError> {
    let mut count = Count::default();
    let mut first = files.len();
    // Two more, because the first line of either stream may have its head in an older file.
    while first > 0 && count.lines() < lines.saturating_add(2) {
        first -= 1;
        count = count.with_older(&Count::of(chain, &files[first], stream)?);
    }
    files.drain(..first);
    Ok(count.lines().saturating_sub(lines))
}

/// The lines of a stretch of log.
#[derive(Debug, Default)]
struct Count {
    full: u64,
    /// The tag of the last record of each stream.
    last: [Option<Tag>; 2],
}

impl Count {
    fn of(chain: &Chain, file: &File, stream: Option<Stream>) -> Result<Self, LogError> {
        let file = file.try_clone().map_err(|source| LogError::Read { path: chain.current().to_owned(), source })?;
        let mut tape = Tape::new(chain.clone(), vec![file], Until::Now)?;
        let mut count = Self::default();
        while let Some(bytes) = tape.next_record()? {
            let Ok(record) = Record::decode(bytes) else { continue };
            if stream.is_none_or(|stream| stream == record.stream) {
                count.full += u64::from(record.tag == Tag::Full);
                count.last[record.stream as usize] = Some(record.tag);
            }
        }
        Ok(count)
    }

    fn with_older(self, older: &Self) -> Self {
        let last = [self.last[0].or(older.last[0]), self.last[1].or(older.last[1])];
        Self { full: self.full + older.full, last }
    }

    /// Full lines, and those that have begun.
    fn lines(&self) -> u64 {
        let open = self.last.iter().filter(|last| **last == Some(Tag::Partial)).count();
        self.full + open as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{LogFile, MAX_LINE, encode};

    struct Log {
        directory: tempfile::TempDir,
        file: LogFile,
        seconds: i64,
    }

    impl Log {
        /// A log whose files take about two short records each.
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let file = LogFile::open(directory.path().join("web.log"), 100, 100).unwrap();
            Self { directory, file, seconds: 0 }
        }

        fn write(&mut self, stream: Stream, chunk: &[u8]) {
            let mut batch = Vec::new();
            encode(&mut batch, stream, Timestamp::from_second(self.seconds).unwrap(), chunk);
            self.seconds += 1;
            if self.file.is_full_for(batch.len()) {
                self.file.rotate().unwrap();
            }
            self.file.append(&batch).unwrap();
        }

        fn reader(&self, query: Query, until: Until) -> Reader {
            Reader::open(self.directory.path().join("web.log"), query, until).unwrap()
        }

        fn read(&self, query: Query) -> Vec<String> {
            rest(&mut self.reader(query, Until::Now))
        }
    }

    fn rest(reader: &mut Reader) -> Vec<String> {
        std::iter::from_fn(|| reader.next_line().unwrap())
            .map(|line| String::from_utf8(line.message).unwrap())
            .collect()
    }

    fn ten_lines() -> Log {
        let mut log = Log::new();
        for number in 0..10 {
            let stream = if number % 2 == 0 { Stream::Stdout } else { Stream::Stderr };
            log.write(stream, format!("{number}\n").as_bytes());
        }
        log
    }

    #[test]
    fn rotated_files_are_read_oldest_first() {
        let log = ten_lines();
        assert!(log.directory.path().join("web.log.4").exists());
        assert_eq!(log.read(Query::default()).concat(), "0123456789");
    }

    #[test]
    fn a_log_that_is_not_there_yet_is_empty() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("no/web.log");
        let mut reader = Reader::open(path, Query::default(), Until::Now).unwrap();
        assert_eq!(rest(&mut reader), [""; 0]);
    }

    #[test]
    fn a_tail_counts_the_lines_that_are_wanted() {
        let log = ten_lines();
        let tail = |tail, stream| log.read(Query { tail: Some(tail), stream, ..Query::default() }).concat();
        assert_eq!(tail(3, None), "789");
        assert_eq!(tail(3, Some(Stream::Stdout)), "468");
        assert_eq!((tail(0, None), tail(100, None)), (String::new(), "0123456789".to_owned()));
    }

    #[test]
    fn since_is_inclusive_and_goes_with_a_tail() {
        let log = ten_lines();
        let since = Some(Timestamp::from_second(4).unwrap());
        assert_eq!(log.read(Query { since, ..Query::default() }).concat(), "456789");
        assert_eq!(log.read(Query { since, tail: Some(2), ..Query::default() }).concat(), "89");
        assert_eq!(log.read(Query { since, tail: Some(8), ..Query::default() }).concat(), "456789");
        let future = Some(Timestamp::now() + Duration::from_secs(60));
        assert_eq!(log.read(Query { since: future, ..Query::default() }).concat(), "");
    }

    #[test]
    fn parts_are_joined_per_stream_and_across_files() {
        let mut log = Log::new();
        log.write(Stream::Stdout, b"out ");
        log.write(Stream::Stderr, b"error ");
        log.write(Stream::Stdout, b"goes on");
        log.write(Stream::Stderr, b"goes on\n");
        log.write(Stream::Stdout, b"\nopen");
        assert_eq!(log.read(Query::default()), ["error goes on", "out goes on", "open"]);
        assert_eq!(log.read(Query { tail: Some(1), ..Query::default() }), ["open"]);
        let stdout = Query { stream: Some(Stream::Stdout), tail: Some(2), ..Query::default() };
        assert_eq!(log.read(stdout), ["out goes on", "open"]);
    }

    #[test]
    fn a_line_of_any_length_takes_bounded_memory() {
        let mut log = Log::new();
        let chunk = [b'x'; 60_000];
        for _ in 0..50 {
            log.write(Stream::Stdout, &chunk);
        }
        log.write(Stream::Stdout, b"\n");
        let mut reader = log.reader(Query::default(), Until::Now);
        let (mut bytes, mut ends) = (0, Vec::new());
        while let Some(line) = reader.next_line().unwrap() {
            assert!(line.message.len() < MAX_LINE + 20_000);
            bytes += line.message.len();
            ends.push(line.end);
        }
        assert_eq!(bytes, 50 * chunk.len());
        assert_eq!(ends.pop(), Some(LineEnd::Newline));
        assert!(ends.iter().all(|end| *end == LineEnd::Open) && !ends.is_empty());
        log.write(Stream::Stdout, b"last\n");
        assert_eq!(log.read(Query { tail: Some(1), ..Query::default() }), ["last"]);
    }

    #[test]
    fn damage_is_counted_and_passed_over() {
        let mut log = ten_lines();
        let path = log.directory.path().join("web.log.1");
        std::fs::write(&path, [&[b'?'; 200_000][..], b"\ntorn"].concat()).unwrap();
        log.write(Stream::Stdout, b"end\n");
        let mut reader = log.reader(Query::default(), Until::Now);
        assert_eq!(rest(&mut reader).concat(), "01234589end");
        assert!(reader.damaged() >= 2);
    }

    #[test]
    fn a_reader_that_waits_goes_on_across_rotation_and_hands_out_the_rest_when_closed() {
        let mut log = Log::new();
        let mut reader = log.reader(Query::default(), Until::Done);
        assert_eq!(rest(&mut reader), [""; 0]);
        let mut seen = Vec::new();
        for number in 0..20 {
            log.write(Stream::Stdout, format!("{number}\n").as_bytes());
            if number % 7 == 0 {
                seen.extend(rest(&mut reader));
            }
        }
        log.write(Stream::Stdout, b"no newline");
        seen.extend(rest(&mut reader));
        assert_eq!(seen, (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
        reader.close();
        assert_eq!(rest(&mut reader), ["no newline"]);
    }

    #[test]
    fn a_snapshot_ends_where_the_log_ended_when_it_was_opened() {
        let mut log = ten_lines();
        let mut reader = log.reader(Query::default(), Until::Now);
        log.write(Stream::Stdout, b"later\n");
        assert_eq!(rest(&mut reader).concat(), "0123456789");
    }

    #[test]
    fn a_reader_whose_file_was_dropped_goes_on_with_the_oldest() {
        let directory = tempfile::tempdir().unwrap();
        let file = LogFile::open(directory.path().join("web.log"), 100, 2).unwrap();
        let mut log = Log { directory, file, seconds: 0 };
        log.write(Stream::Stdout, b"0\n");
        let mut reader = log.reader(Query::default(), Until::Done);
        assert_eq!(rest(&mut reader).concat(), "0");
        for number in 1..10 {
            log.write(Stream::Stdout, format!("{number}\n").as_bytes());
        }
        assert_eq!(rest(&mut reader).concat(), "16789");
    }
}
