//! What begins a new event where events have several lines: a regular expression, or a date and time in the letters of
//! strftime(3), which becomes one.

use serde::{Deserialize, Serialize};

/// The most memory that a compiled pattern may take, in bytes.
const COMPILED: usize = 1 << 20;

/// The first line of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Multiline {
    pattern: String,
}

impl Multiline {
    /// By a regular expression.
    pub fn of_pattern(pattern: &str) -> Result<Self, String> {
        compile(pattern).map(|_| Self { pattern: pattern.to_owned() })
    }

    /// By a date and time.
    pub fn of_datetime(format: &str) -> Result<Self, String> {
        Self::of_pattern(&datetime(format)?)
    }

    /// The compiled pattern, for bytes that need not be UTF-8.
    pub fn regex(&self) -> regex::bytes::Regex {
        compile(&self.pattern).expect("it was compiled when it was read")
    }
}

/// Compiles a pattern, within bounds.
pub(super) fn compile(pattern: &str) -> Result<regex::bytes::Regex, String> {
    let built = regex::bytes::RegexBuilder::new(pattern).size_limit(COMPILED).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the regular expression is too large".to_owned(),
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default().trim();
            format!("it is not a regular expression: {}", last.trim_start_matches("error: "))
        }
    })
}

/// The pattern of a date and time.
fn datetime(format: &str) -> Result<String, String> {
    let mut pattern = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            pattern.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
            continue;
        }
        let letter = characters.next().ok_or("it ends with a single %")?;
        pattern.push_str(directive(letter).ok_or_else(|| format!("%{letter} is not supported"))?);
    }
    if pattern.is_empty() { Err("it is empty".to_owned()) } else { Ok(pattern) }
}

fn directive(letter: char) -> Option<&'static str> {
    Some(match letter {
        'a' => "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)",
        'A' => "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)",
        'b' | 'h' => "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)",
        'B' => "(?:January|February|March|April|May|June|July|August|September|October|November|December)",
        'c' => r"\w{3} \w{3} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}",
        'd' => r"(?:0[1-9]|[12]\d|3[01])",
        'e' => r"(?: [1-9]|[12]\d|3[01])",
        'f' => r"\d{1,9}",
        'F' => r"\d{4}-\d{2}-\d{2}",
        'H' => r"(?:[01]\d|2[0-3])",
        'I' => r"(?:0\d|1[0-2])",
        'j' => r"\d{3}",
        'L' => r"\d{3}",
        'm' => r"(?:0[1-9]|1[0-2])",
        'M' => r"[0-5]\d",
        'n' => r"\n",
        'p' => "(?:AM|PM|am|pm)",
        's' => r"\d{1,12}",
        'S' => r"(?:[0-5]\d|60)",
        'T' => r"\d{2}:\d{2}:\d{2}",
        'U' | 'W' => r"[0-5]\d",
        'w' => "[0-6]",
        'x' | 'D' => r"\d{2}/\d{2}/\d{2}",
        'X' => r"\d{2}:\d{2}:\d{2}",
        'y' => r"\d{2}",
        'Y' => r"\d{4}",
        'z' => r"[+-]\d{2}:?\d{2}",
        'Z' => "[A-Z]{1,5}",
        '%' => "%",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_and_time_is_found_where_it_stands() {
        let begins =
            |format: &str, line: &str| Multiline::of_datetime(format).unwrap().regex().is_match(line.as_bytes());
        assert!(begins("[%b %d, %Y %H:%M:%S]", "[May 01, 2017 19:00:01] A message was logged"));
        assert!(!begins("[%b %d, %Y %H:%M:%S]", "Another line, [May 1st]"));
        assert!(begins("%Y-%m-%dT%H:%M:%S.%L%z", "2026-11-21T12:00:00.123+0000 INFO"));
        assert!(!begins("%Y-%m-%d", "2026-13-41"));
        assert!(begins("100%%", "at 100% now"));
    }

    #[test]
    fn what_cannot_be_compiled_is_told() {
        assert!(Multiline::of_datetime("%Q").unwrap_err().contains("%Q"));
        assert!(Multiline::of_datetime("%").is_err() && Multiline::of_datetime("").is_err());
        assert!(Multiline::of_pattern("(unclosed").unwrap_err().contains("unclosed group"));
        assert!(Multiline::of_pattern(&r"\w{1000}".repeat(50)).unwrap_err().contains("too large"));
    }
}
