//! From lines to events of several lines, for showing. What follows the first line of an event belongs to it, stream by stream.
//! Pure; used by `read`.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use regex::bytes::Regex;

use super::event::MAX_EVENT;
use super::join::{Line, LineEnd};

/// How long an event waits for more lines while its container may still write.
const WAIT: SignedDuration = SignedDuration::from_secs(1);

/// Events that have begun.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pattern: Option<Regex>,
    open: [Option<Line>; 2],
    ready: VecDeque<Line>,
}

impl Lines {
    /// Without a pattern each line is an event.
    pub(super) fn new(pattern: Option<Regex>) -> Self {
        Self { pattern, ..Self::default() }
    }

    /// Takes a line.
    pub(super) fn add(&mut self, line: Line) {
        let Some(pattern) = &self.pattern else { return self.ready.push_back(line) };
        let slot = &mut self.open[line.stream as usize];
        match slot {
            Some(event) if !pattern.is_match(&line.message) && event.message.len() + line.message.len() < MAX_EVENT => {
                if event.end == LineEnd::Newline {
                    event.message.push(b'\n');
                }
                event.message.extend_from_slice(&line.message);
                event.end = line.end;
            }
            _ => self.ready.extend(slot.replace(line)),
        }
    }

    /// An event that is whole.
    pub(super) fn ready(&mut self) -> Option<Line> {
        self.ready.pop_front()
    }

    /// The oldest event that has begun: nothing more will come.
    pub(super) fn rest(&mut self) -> Option<Line> {
        let older = match (&self.open[0], &self.open[1]) {
            (Some(stdout), Some(stderr)) if stderr.at < stdout.at => 1,
            (None, _) => 1,
            (Some(_), _) => 0,
        };
        self.open[older].take()
    }

    /// The oldest event that has waited long enough.
    pub(super) fn ripe(&mut self, now: Timestamp) -> Option<Line> {
        let limit = super::format::Stamp::new(now - WAIT);
        let ripe = self.open.iter().any(|event| event.as_ref().is_some_and(|event| event.at <= limit));
        ripe.then(|| self.rest()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{Stamp, Stream};

    fn line(second: i64, message: &str) -> Line {
        let at = Stamp::new(Timestamp::from_second(second).unwrap());
        Line { at, stream: Stream::Stdout, message: message.as_bytes().to_vec(), end: LineEnd::Newline }
    }

    #[test]
    fn a_line_without_the_pattern_belongs_to_the_event_before_it() {
        let mut lines = Lines::new(Some(Regex::new("^E").unwrap()));
        for (second, message) in [(0, "before"), (1, "E1"), (2, " at x"), (3, "E2"), (4, " at y")] {
            lines.add(line(second, message));
        }
        assert_eq!(lines.ready().unwrap().message, b"before");
        assert_eq!(lines.ready().unwrap().message, b"E1\n at x");
        assert!(lines.ready().is_none());
        assert!(lines.ripe(Timestamp::from_millisecond(3500).unwrap()).is_none());
        assert_eq!(lines.ripe(Timestamp::from_second(4).unwrap()).unwrap().message, b"E2\n at y");
    }
}
