//! Log lines as text for people, or as JSON lines for programs. Pure: a line in, bytes out; whether the output is a
//! terminal and which of the two outputs it goes to is the caller's business.
//!
//! A container must not be able to speak to the terminal of whoever reads its log, or to forge another's lines, so what
//! it wrote is escaped: control characters (but the tab), those that reorder or break a line of text, and bytes that
//! are not UTF-8.

use super::format::Stream;
use super::join::{Line, LineEnd};

/// The colours of the prefixes, in turn: cyan, yellow, green, magenta, blue, red.
const COLOURS: [&str; 6] = ["36", "33", "32", "35", "34", "31"];

/// What is done with the container's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bytes {
    /// Control characters and what is not UTF-8 become visible.
    Escaped,
    /// They go out as they are.
    Raw,
}

/// What stands before a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// Nothing.
    None,
    /// The container's name: `web | `.
    Plain,
    /// The same, in a colour for each container.
    Coloured,
}

/// Whether lines carry their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// They do.
    Shown,
    /// They do not.
    Hidden,
}

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// The container's bytes.
    pub bytes: Bytes,
    /// The container's name.
    pub prefix: Prefix,
    /// The line's time.
    pub times: Times,
}

/// Shows the lines of some containers, whose number is their place in the list of names.
#[derive(Debug)]
pub struct Show {
    names: Vec<String>,
    prefixes: Vec<String>,
    style: Style,
    /// What a name is, in JSON.
    named: &'static str,
    /// Whose line was shown last, where it has no newline yet.
    open: Option<(usize, Stream)>,
}

impl Show {
    /// The containers' names in the order of their numbers.
    pub fn new(names: Vec<String>, style: Style) -> Self {
        let width = names.iter().map(String::len).max().unwrap_or(0);
        let prefix = |(number, name): (usize, &String)| match style.prefix {
            Prefix::None => String::new(),
            Prefix::Plain => format!("{name:width$} | "),
            Prefix::Coloured => format!("\x1b[{}m{name:width$} |\x1b[0m ", COLOURS[number % COLOURS.len()]),
        };
        let prefixes = names.iter().enumerate().map(prefix).collect();
        Self { names, prefixes, style, named: "container", open: None }
    }

    /// The names are those of streams of a group.
    pub fn of_streams(self) -> Self {
        Self { named: "logStreamName", ..self }
    }

    /// Appends a line as text. Without prefix and time it is what the container wrote, byte by byte where raw.
    pub fn text(&mut self, out: &mut Vec<u8>, number: usize, line: &Line) {
        let goes_on = self.open == Some((number, line.stream));
        if !goes_on {
            self.end_line(out);
            self.head(out, number, line);
        }
        match (self.style.bytes, line.end) {
            // Several lines of one event: no record has a newline of its own in it.
            (Bytes::Escaped, _) if line.message.contains(&b'\n') => self.lines(out, number, line),
            (Bytes::Raw, _) => out.extend_from_slice(&line.message),
            // The carriage return of a line that ends in CR LF does no harm.
            (Bytes::Escaped, LineEnd::Newline) => {
                escape(out, line.message.strip_suffix(b"\r").unwrap_or(&line.message))
            }
            (Bytes::Escaped, LineEnd::Open) => escape(out, &line.message),
        }
        match line.end {
            LineEnd::Newline => {
                out.push(b'\n');
                self.open = None;
            }
            LineEnd::Open => self.open = Some((number, line.stream)),
        }
    }

    fn lines(&self, out: &mut Vec<u8>, number: usize, line: &Line) {
        for (place, text) in line.message.split(|byte| *byte == b'\n').enumerate() {
            if place > 0 {
                out.push(b'\n');
                self.head(out, number, line);
            }
            escape(out, text.strip_suffix(b"\r").unwrap_or(text));
        }
    }

    /// Ends the last line, where it has an end of its own to keep apart from what follows.
    pub fn end_line(&mut self, out: &mut Vec<u8>) {
        let decorated = self.style.prefix != Prefix::None || self.style.times == Times::Shown;
        if self.open.take().is_some() && decorated {
            out.push(b'\n');
        }
    }

    fn head(&self, out: &mut Vec<u8>, number: usize, line: &Line) {
        out.extend(self.prefixes.get(number).map_or("", String::as_str).as_bytes());
        if self.style.times == Times::Shown {
            out.extend_from_slice(line.at.as_str().as_bytes());
            out.push(b' ');
        }
    }

    /// Appends a line as one JSON object: `timestamp`, `container`, `stream`, `message`, and `partial` where the line
    /// has no newline. What is not UTF-8 becomes U+FFFD.
    pub fn json(&self, out: &mut Vec<u8>, number: usize, line: &Line) {
        let mut object = serde_json::json!({
            "timestamp": line.at.as_str(),
            self.named: self.names.get(number),
            "stream": line.stream.name(),
            "message": String::from_utf8_lossy(&line.message),
        });
        if line.end == LineEnd::Open {
            object["partial"] = true.into();
        }
        for character in object.to_string().chars() {
            match character {
                // JSON allows these in a string as they are; a terminal obeys them.
                '\x7f'..='\u{9f}' => out.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes()),
                _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        out.push(b'\n');
    }
}

/// Appends bytes with everything made visible that a terminal would obey or could not show.
pub fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    // Most lines are plain text to their end; what follows the first other byte is looked at more closely.
    let is_plain = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
    let (plain, rest) = bytes.split_at(bytes.iter().position(|byte| !is_plain(byte)).unwrap_or(bytes.len()));
    out.extend_from_slice(plain);
    for chunk in rest.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some((place, character)) = rest.char_indices().find(|(_, character)| is_hidden(*character)) {
            let (before, after) = rest.split_at(place);
            out.extend_from_slice(before.as_bytes());
            match character {
                '\0'..='\u{9f}' => hexadecimal(out, character.encode_utf8(&mut [0; 4]).as_bytes()),
                _ => out.extend_from_slice(character.escape_unicode().to_string().as_bytes()),
            }
            rest = &after[character.len_utf8()..];
        }
        out.extend_from_slice(rest.as_bytes());
        hexadecimal(out, chunk.invalid());
    }
}

/// Control characters but the tab, bidirectional controls (UAX #9, 2), and the two separators that break a line.
fn is_hidden(character: char) -> bool {
    match character {
        '\t' | ' '..='~' => false,
        '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        _ => character.is_control(),
    }
}

fn hexadecimal(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::logs::Stamp;

    const PLAIN: Style = Style { bytes: Bytes::Escaped, prefix: Prefix::None, times: Times::Hidden };

    fn line(message: &[u8], end: LineEnd) -> Line {
        Line { at: Stamp::new(Timestamp::UNIX_EPOCH), stream: Stream::Stdout, message: message.to_vec(), end }
    }

    fn shown(style: Style, lines: &[(usize, Line)]) -> String {
        let mut show = Show::new(vec!["web".to_owned(), "proxy".to_owned()], style);
        let mut out = Vec::new();
        for (number, line) in lines {
            show.text(&mut out, *number, line);
        }
        show.end_line(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn escaped(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        escape(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_a_terminal_obeys_is_made_visible() {
        assert_eq!(escaped(b"a\tb \x1b[2J\x07\x7f\0"), "a\tb \\x1b[2J\\x07\\x7f\\x00");
        assert_eq!(escaped("\u{9b}31m".as_bytes()), "\\xc2\\x9b31m");
        assert_eq!(escaped(b"\x9b31m \xff"), "\\x9b31m \\xff");
        assert_eq!(escaped("gr\u{fc}n \u{202e}".as_bytes()), "gr\u{fc}n \\u{202e}");
    }

    #[test]
    fn a_carriage_return_is_harmless_only_at_the_end() {
        let lines = [(0, line(b"one\r", LineEnd::Newline)), (0, line(b"\rtwo", LineEnd::Newline))];
        assert_eq!(shown(PLAIN, &lines), "one\n\\x0dtwo\n");
    }

    #[test]
    fn prefixes_are_as_wide_as_the_longest_name() {
        let style = Style { prefix: Prefix::Plain, ..PLAIN };
        let lines = [(0, line(b"hello", LineEnd::Newline)), (1, line(b"you", LineEnd::Newline))];
        assert_eq!(shown(style, &lines), "web   | hello\nproxy | you\n");
        let style = Style { prefix: Prefix::Coloured, times: Times::Shown, ..PLAIN };
        assert_eq!(shown(style, &lines[..1]), "\x1b[36mweb   |\x1b[0m 1970-01-01T00:00:00.000000000Z hello\n");
    }

    #[test]
    fn pieces_of_a_line_share_one_prefix() {
        let style = Style { prefix: Prefix::Plain, ..PLAIN };
        let lines = [(0, line(b"one ", LineEnd::Open)), (0, line(b"line", LineEnd::Newline))];
        assert_eq!(shown(style, &lines), "web   | one line\n");
        let lines = [(0, line(b"one ", LineEnd::Open)), (1, line(b"other", LineEnd::Open))];
        assert_eq!(shown(style, &lines), "web   | one \nproxy | other\n");
    }

    #[test]
    fn without_decoration_no_byte_is_added() {
        let style = Style { bytes: Bytes::Raw, ..PLAIN };
        assert_eq!(shown(style, &[(0, line(b"\x1b[1mno newline", LineEnd::Open))]), "\x1b[1mno newline");
    }

    #[test]
    fn json_lines_are_json_and_safe_to_look_at() {
        let show = Show::new(vec!["web".to_owned()], PLAIN);
        let mut out = Vec::new();
        show.json(&mut out, 0, &line("\u{9b}\x1b \"".as_bytes(), LineEnd::Open));
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("\\u009b\\u001b"), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!({
            "timestamp": "1970-01-01T00:00:00.000000000Z", "container": "web", "stream": "stdout",
            "message": "\u{9b}\x1b \"", "partial": true,
        });
        assert_eq!(value, expected);
    }

    proptest! {
        #[test]
        fn no_control_byte_gets_through(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let text = escaped(&bytes);
            prop_assert!(text.chars().all(|character| character == '\t' || !character.is_control()));
        }
    }
}
