//! The CRI log format: one record a line, `2026-11-21T12:00:00.123456789Z stdout F message`. `F` ends a line of the
//! container's output, `P` is a part of one. Pure: bytes in, bytes out. The supervisor encodes, `read` decodes.
//!
//! The encoder has no memory: a piece without a newline becomes `P` at once, and the newline that follows later
//! becomes an empty `F`. So nothing is held back in the supervisor, and every byte is in the file as it was written.

use std::fmt;
use std::io::BufRead;

use jiff::Timestamp;

/// The longest message of one record in bytes, as in containerd: longer lines are split into `P` records.
pub const MAX_MESSAGE: usize = 16 * 1024;

/// The longest record: time, stream, tag, three spaces, message, newline.
pub(super) const MAX_RECORD: usize = Stamp::LEN + 1 + 6 + 1 + 1 + 1 + MAX_MESSAGE + 1;

/// Which of a container's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// `stdout` or `stderr`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Whether a record ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// `F`: the line ends here.
    Full,
    /// `P`: the next record of the same stream goes on with it.
    Partial,
}

/// A record's time, as its text: RFC 3339 in UTC with nine decimals, which sorts as time does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp([u8; Self::LEN]);

impl Stamp {
    const LEN: usize = "2026-11-21T12:00:00.123456789Z".len();

    /// The text of a time; times before 1970 count as 1970.
    pub fn new(at: Timestamp) -> Self {
        let text = format!("{:.9}", at.max(Timestamp::UNIX_EPOCH));
        Self(text.as_bytes().try_into().expect("the years 1970 to 9999 have four digits"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a stamp is made from ASCII only")
    }

    /// Takes the shape, not the calendar, for granted: we alone write these.
    fn parse(text: &[u8]) -> Option<Self> {
        let bytes: [u8; Self::LEN] = text.try_into().ok()?;
        let shape = b"0000-00-00T00:00:00.000000000Z";
        let fits = |(byte, shape): (&u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
        bytes.iter().zip(shape).all(fits).then_some(Self(bytes))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Appends to `out` the records of one chunk that was read from a container's output at one time.
pub fn encode(out: &mut Vec<u8>, stream: Stream, at: Timestamp, chunk: &[u8]) {
    let stamp = Stamp::new(at);
    let mut record = |tag: u8, message: &[u8]| {
        out.extend_from_slice(&stamp.0);
        out.push(b' ');
        out.extend_from_slice(stream.name().as_bytes());
        out.extend_from_slice(&[b' ', tag, b' ']);
        out.extend_from_slice(message);
        out.push(b'\n');
    };
    let mut rest = chunk;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(line_length(rest));
        rest = after;
        let (mut line, last) = match piece.strip_suffix(b"\n") {
            Some(line) => (line, b'F'),
            None => (piece, b'P'),
        };
        while line.len() > MAX_MESSAGE {
            let (part, more) = line.split_at(MAX_MESSAGE);
            record(b'P', part);
            line = more;
        }
        record(last, line);
    }
}

/// How many bytes there are up to and with the first newline, or in all.
pub(super) fn line_length(mut bytes: &[u8]) -> usize {
    // The quickest search for a byte that the standard library offers.
    bytes.skip_until(b'\n').expect("a slice can always be read")
}

/// One record, borrowed from the bytes of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// When the supervisor read it.
    pub at: Stamp,
    /// From which output.
    pub stream: Stream,
    /// Whether it ends a line.
    pub tag: Tag,
    /// The bytes as the container wrote them, without a newline.
    pub message: &'a [u8],
}

/// The line is not a record: torn by a crash, or not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a log record")]
pub struct Malformed;

impl<'a> Record<'a> {
    /// Decodes one record from a line that ends with its newline. A line without one is torn, and malformed.
    pub fn decode(line: &'a [u8]) -> Result<Self, Malformed> {
        let line = line.strip_suffix(b"\n").ok_or(Malformed)?;
        let (time, rest) = line.split_at_checked(Stamp::LEN).ok_or(Malformed)?;
        let (stream, rest) = match (rest.strip_prefix(b" stdout "), rest.strip_prefix(b" stderr ")) {
            (Some(rest), _) => (Stream::Stdout, rest),
            (_, Some(rest)) => (Stream::Stderr, rest),
            (None, None) => return Err(Malformed),
        };
        let (tag, message) = match (rest.strip_prefix(b"F "), rest.strip_prefix(b"P ")) {
            (Some(message), _) => (Tag::Full, message),
            (_, Some(message)) => (Tag::Partial, message),
            (None, None) => return Err(Malformed),
        };
        Ok(Self { at: Stamp::parse(time).ok_or(Malformed)?, stream, tag, message })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(nanosecond: i128) -> Timestamp {
        Timestamp::from_nanosecond(nanosecond).unwrap()
    }

    fn encoded(chunk: &[u8]) -> String {
        let mut out = Vec::new();
        encode(&mut out, Stream::Stdout, at(1_000_000_001), chunk);
        String::from_utf8(out).unwrap()
    }

    /// What a reader makes of it: the bytes of one stream, newlines where records are full.
    fn decoded(mut bytes: &[u8], stream: Stream) -> Vec<u8> {
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let (line, rest) = bytes.split_at(line_length(bytes));
            bytes = rest;
            let record = Record::decode(line).unwrap();
            assert!(line.len() <= MAX_RECORD);
            if record.stream == stream {
                out.extend_from_slice(record.message);
                out.extend(matches!(record.tag, Tag::Full).then_some(b'\n'));
            }
        }
        out
    }

    #[test]
    fn complete_lines_are_full_and_the_rest_is_partial() {
        assert_eq!(
            encoded(b"one\ntwo"),
            "1970-01-01T00:00:01.000000001Z stdout F one\n1970-01-01T00:00:01.000000001Z stdout P two\n"
        );
        assert_eq!(encoded(b"\n"), "1970-01-01T00:00:01.000000001Z stdout F \n");
        assert_eq!(encoded(b""), "");
    }

    #[test]
    fn a_line_longer_than_a_record_is_split() {
        let text = encoded(&[b'x'; MAX_MESSAGE + 1]);
        assert_eq!(text.lines().count(), 2);
        assert_eq!(encoded(&[&[b'x'; MAX_MESSAGE][..], b"\n"].concat()).lines().count(), 1);
    }

    #[test]
    fn a_torn_record_is_malformed_wherever_it_is_torn() {
        let whole = encoded(b"some message\n").into_bytes();
        assert!(Record::decode(&whole).is_ok());
        for length in 0..whole.len() {
            assert_eq!(Record::decode(&whole[..length]), Err(Malformed));
        }
    }

    #[test]
    fn a_time_before_1970_does_not_break_the_format() {
        assert_eq!(Stamp::new(Timestamp::MIN).as_str(), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(Stamp::new(Timestamp::MAX).as_str().len(), Stamp::LEN);
    }

    #[test]
    fn stamps_sort_as_times_do() {
        assert!(Stamp::new(at(999_999_999)) < Stamp::new(at(1_000_000_000)));
    }

    /// A chunk of one stream: short and full of newlines, or longer than a record and nearly without.
    fn chunk() -> impl Strategy<Value = (bool, Vec<u8>)> {
        let byte = prop_oneof![3 => any::<u8>(), 1 => Just(b'\n')];
        let long = (0..3 * MAX_MESSAGE, 0..40_000_usize).prop_map(|(length, newline)| {
            let mut bytes = vec![b'x'; length];
            bytes.get_mut(newline).into_iter().for_each(|byte| *byte = b'\n');
            bytes
        });
        (any::<bool>(), prop_oneof![3 => prop::collection::vec(byte, 0..40), 1 => long])
    }

    proptest! {
        #[test]
        fn every_byte_comes_back_in_order_whatever_the_chunks(chunks in prop::collection::vec(chunk(), 0..12)) {
            let (mut file, mut written) = (Vec::new(), [Vec::new(), Vec::new()]);
            for (index, (error, bytes)) in chunks.iter().enumerate() {
                let stream = if *error { Stream::Stderr } else { Stream::Stdout };
                encode(&mut file, stream, at(index as i128), bytes);
                written[usize::from(*error)].extend_from_slice(bytes);
            }
            prop_assert_eq!(&decoded(&file, Stream::Stdout), &written[0]);
            prop_assert_eq!(&decoded(&file, Stream::Stderr), &written[1]);
        }

        #[test]
        fn decoding_any_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Record::decode(&bytes);
        }
    }
}
