//! From records to events: the parts of a line put together, and the lines of an event where a pattern says what begins one.
//! Each event knows where in the log it came from. Pure; used by whoever sends logs on.

use regex::bytes::Regex;

use super::format::{Record, Stamp, Stream, Tag};
use super::sent::Count;
use super::tail::Mark;

/// An event longer than this many bytes is handed out in pieces.
pub const MAX_EVENT: usize = 256 * 1024;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When its first part was read.
    pub at: Stamp,
    /// From which output.
    pub stream: Stream,
    /// The bytes, without the last newline.
    pub message: Vec<u8>,
    /// Whether more of the same line follows.
    pub partial: bool,
    /// The lines that ended in it, and the bytes that the container wrote.
    pub count: Count,
    /// Before its first record.
    pub start: Mark,
    /// Behind its last record.
    pub end: Mark,
}

/// What has begun and not ended yet, for each stream.
#[derive(Debug, Default)]
pub struct Gather {
    pattern: Option<Regex>,
    /// A line.
    open: [Option<Event>; 2],
    /// The lines of an event that may have more.
    lines: [Option<Event>; 2],
}

impl Gather {
    /// With the pattern of the first line of an event, where an event may have several.
    pub fn new(pattern: Option<Regex>) -> Self {
        Self { pattern, ..Self::default() }
    }

    /// Adds a record; what has ended with it goes to `out`.
    pub fn add(&mut self, record: Record<'_>, start: Mark, end: Mark, out: &mut Vec<Event>) {
        let full = record.tag == Tag::Full;
        let slot = &mut self.open[record.stream as usize];
        let event = slot.get_or_insert(Event {
            at: record.at,
            stream: record.stream,
            message: Vec::new(),
            partial: true,
            count: Count::default(),
            start,
            end,
        });
        event.message.extend_from_slice(record.message);
        event.count.lines += u64::from(full);
        event.count.bytes += record.message.len() as u64 + u64::from(full);
        event.end = end;
        event.partial = !full;
        if !full && event.message.len() < MAX_EVENT {
            return;
        }
        if let Some(event) = slot.take() {
            self.line(event, out);
        }
    }

    fn line(&mut self, line: Event, out: &mut Vec<Event>) {
        let slot = &mut self.lines[line.stream as usize];
        let Some(pattern) = &self.pattern else { return out.push(line) };
        match slot {
            Some(event) if !pattern.is_match(&line.message) && event.message.len() + line.message.len() < MAX_EVENT => {
                if !event.partial {
                    event.message.push(b'\n');
                }
                event.message.extend_from_slice(&line.message);
                event.partial = line.partial;
                event.count += line.count;
                event.end = line.end;
            }
            _ => out.extend(slot.replace(line)),
        }
    }

    /// Takes out the events that are whole lines and wait for more.
    pub fn lines(&mut self, out: &mut Vec<Event>) {
        let from = out.len();
        out.extend(self.lines.iter_mut().filter_map(Option::take));
        out[from..].sort_by_key(|event| event.start.place);
    }

    /// Takes out everything, older first: nothing more will come for now.
    pub fn rest(&mut self, out: &mut Vec<Event>) {
        for slot in 0..self.open.len() {
            if let Some(line) = self.open[slot].take() {
                self.line(line, out);
            }
        }
        self.lines(out);
    }

    /// Whether lines wait for more.
    pub fn has_lines(&self) -> bool {
        self.lines.iter().any(Option::is_some)
    }

    /// Where the oldest of what it holds begins.
    pub fn start(&self) -> Option<Mark> {
        let held = self.open.iter().chain(&self.lines).flatten();
        held.map(|event| event.start).min_by_key(|mark| mark.place)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::logs::Place;

    fn mark(bytes: u64) -> Mark {
        Mark { place: Place { bytes, ..Place::default() }, ..Mark::default() }
    }

    fn gather(pattern: Option<&str>, records: &[(Stream, Tag, &str)]) -> (Gather, Vec<Event>) {
        let mut gather = Gather::new(pattern.map(|pattern| Regex::new(pattern).unwrap()));
        let mut out = Vec::new();
        for (number, (stream, tag, message)) in records.iter().enumerate() {
            let at = Stamp::new(Timestamp::UNIX_EPOCH);
            let record = Record { at, stream: *stream, tag: *tag, message: message.as_bytes() };
            gather.add(record, mark(number as u64), mark(number as u64 + 1), &mut out);
        }
        (gather, out)
    }

    fn texts(events: &[Event]) -> Vec<String> {
        events.iter().map(|event| String::from_utf8(event.message.clone()).unwrap()).collect()
    }

    #[test]
    fn parts_become_a_line_of_their_stream() {
        use Stream::{Stderr, Stdout};
        let records = [(Stdout, Tag::Partial, "a"), (Stderr, Tag::Full, "e"), (Stdout, Tag::Full, "b")];
        let (mut gather, events) = gather(None, &records);
        assert_eq!(texts(&events), ["e", "ab"]);
        assert_eq!((events[1].start, events[1].end), (mark(0), mark(3)));
        assert_eq!(events[1].count, Count { lines: 1, bytes: 3 });
        assert!(gather.start().is_none());
        gather.rest(&mut Vec::new());
    }

    #[test]
    fn a_pattern_begins_an_event_and_what_waits_can_be_taken_out() {
        let lines = ["[1] one", "  more", "", "[2] two", "  and"].map(|line| (Stream::Stdout, Tag::Full, line));
        let (mut gather, mut events) = gather(Some(r"^\["), &lines);
        assert_eq!(texts(&events), ["[1] one\n  more\n"]);
        assert_eq!((gather.start(), events[0].count.lines), (Some(mark(3)), 3));
        gather.rest(&mut events);
        assert_eq!(texts(&events[1..]), ["[2] two\n  and"]);
    }

    #[test]
    fn a_line_without_an_end_is_handed_out_in_pieces() {
        let part = "x".repeat(16 * 1024);
        let records = vec![(Stream::Stdout, Tag::Partial, part.as_str()); 20];
        let (mut gather, mut events) = gather(None, &records);
        assert_eq!((events.len(), events[0].partial, events[0].message.len()), (1, true, MAX_EVENT));
        gather.rest(&mut events);
        assert_eq!(events.iter().map(|event| event.count.bytes).sum::<u64>(), 20 * 16 * 1024);
    }
}
