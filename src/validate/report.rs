//! Collects problems: from a place in the JSON it finds the line and column, and it leaves out what only follows from an
//! earlier problem. Called by `parse` and by the rules.

use std::borrow::Cow;
use std::fmt;

use super::json::Node;
use super::problem::{Problem, Severity};
use crate::ecs::error::Exception;

/// More problems than anybody reads; the bound also keeps hostile input cheap.
const MAX_PROBLEMS: usize = 100;

/// Which of two readers a definition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// The command line: takes what people have, with a warning where ECS would refuse.
    Lenient,
    /// The ECS endpoint: refuses what ECS refuses.
    Strict,
}

/// A place in the JSON.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Member(Cow<'static, str>),
    Element(usize),
}

impl Path {
    /// The document as a whole.
    pub(super) fn root() -> Self {
        Self::default()
    }

    /// A member of the object at this place.
    pub(super) fn member(&self, name: impl Into<Cow<'static, str>>) -> Self {
        self.then(Step::Member(name.into()))
    }

    /// An element of the list at this place.
    pub(super) fn element(&self, index: usize) -> Self {
        self.then(Step::Element(index))
    }

    /// A container.
    pub(super) fn container(index: usize) -> Self {
        Self::root().member("containerDefinitions").element(index)
    }

    fn then(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// This place, if it is within `from`, as a place within `to`.
    fn moved(&self, from: &Self, to: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(&from.0[..])?;
        Some(Self([&to.0, rest].concat()))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Member(name) if index == 0 => write!(f, "{name}")?,
                Step::Member(name) => write!(f, ".{name}")?,
                Step::Element(element) => write!(f, "[{element}]")?,
            }
        }
        Ok(())
    }
}

/// The text that a definition was read from.
#[derive(Debug, Clone)]
pub(super) struct Source {
    text: String,
    /// Where the lines begin, in bytes.
    lines: Vec<usize>,
    /// The definition itself, without what it may be wrapped in.
    pub root: Option<Node>,
}

impl Source {
    /// A text; its document is filled in when it has been read.
    pub(super) fn new(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text: text.to_owned(), lines: std::iter::once(0).chain(ends).collect(), root: None }
    }

    /// Line and column of a byte, from 1; the column in characters.
    fn position(&self, at: usize) -> (u32, u32) {
        let line = self.lines.partition_point(|start| *start <= at).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..at).unwrap_or_default();
        let column = before.strip_prefix('\u{feff}').unwrap_or(before).chars().count() + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }

    /// How many characters of its line a word of JSON has that begins at a byte: a string to its end quote, a number, a
    /// literal, or one sign. At least 1.
    fn width(&self, at: usize) -> u32 {
        let line = self.text.get(at..).unwrap_or_default().split('\n').next().unwrap_or_default();
        let mut escaped = false;
        let ends_string = |c: char| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        };
        let width = match line.strip_prefix('"') {
            Some(rest) => rest.chars().position(ends_string).map_or(usize::MAX, |length| length + 2),
            None => line.chars().take_while(|c| c.is_ascii_alphanumeric() || "+-.".contains(*c)).count(),
        };
        u32::try_from(width.min(line.trim_end().chars().count()).max(1)).unwrap_or(u32::MAX)
    }

    /// Where the value at a place begins; for one that is missing, the nearest thing around it.
    fn find(&self, path: &Path) -> usize {
        let mut at = 0;
        let mut node = self.root.as_ref();
        let mut steps = path.0.iter();
        while let Some(here) = node {
            at = here.at;
            node = match steps.next() {
                Some(Step::Member(name)) => here.member(name),
                Some(Step::Element(index)) => here.element(*index),
                None => None,
            };
        }
        at
    }
}

/// What is said of a problem: the sentence, and perhaps the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    message: String,
    help: Option<String>,
}

impl Words {
    /// A sentence, ECS's own where it has one.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    /// With what may have been meant, or would be taken.
    pub(super) fn help(self, help: impl Into<Option<String>>) -> Self {
        Self { help: help.into(), ..self }
    }
}

impl<T: Into<String>> From<T> for Words {
    fn from(message: T) -> Self {
        Self::new(message)
    }
}

/// The problems of one definition.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub strictness: Strictness,
    pub source: Source,
    /// The exception of what breaks a rule.
    pub exception: Exception,
    /// Places that rules speak of, and where their values come from; what is further inside comes first.
    pub moves: Vec<(Path, Path)>,
    problems: Vec<Problem>,
    /// Places whose value was wrong in form: rules find nothing there, and need not say so again.
    unread: Vec<Path>,
}

impl Report {
    pub(super) fn new(text: &str, strictness: Strictness) -> Self {
        let exception = Exception::ClientException;
        Self {
            strictness,
            source: Source::new(text),
            exception,
            moves: Vec::new(),
            problems: Vec::new(),
            unread: Vec::new(),
        }
    }

    /// The definition cannot be run.
    pub(super) fn error(&mut self, path: &Path, words: impl Into<Words>) {
        self.add(Severity::Error, path, self.exception, words.into());
    }

    /// It can, but not quite as asked for.
    pub(super) fn warning(&mut self, path: &Path, words: impl Into<Words>) {
        self.add(Severity::Warning, path, self.exception, words.into());
    }

    /// ECS refuses this, and the command line need not.
    pub(super) fn refused_by_ecs(&mut self, path: &Path, words: impl Into<Words>) {
        self.add(self.leniently(), path, self.exception, words.into());
    }

    /// A value has another form than ECS's, and it is understood all the same.
    pub(super) fn coerced(&mut self, path: &Path, words: impl Into<Words>) {
        self.add(self.leniently(), path, Exception::SerializationException, words.into());
    }

    /// A value cannot be read; nothing more is said of its place.
    pub(super) fn unreadable(&mut self, path: &Path, exception: Exception, words: impl Into<Words>) {
        if !self.drops(Severity::Error) {
            self.add(Severity::Error, path, exception, words.into());
            self.unread.push(path.clone());
        }
    }

    /// A problem with a spot of the text that is no value: a member's name, a comma.
    pub(super) fn at(&mut self, at: usize, severity: Severity, path: &Path, words: impl Into<Words>) {
        self.push(severity, path, at, Exception::SerializationException, words.into());
    }

    /// How bad it is on the command line that ECS refuses something.
    pub(super) fn leniently(&self) -> Severity {
        match self.strictness {
            Strictness::Lenient => Severity::Warning,
            Strictness::Strict => Severity::Error,
        }
    }

    /// All problems in the order of the text.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = self.problems.clone();
        problems.sort_by_key(|problem| (problem.line, problem.column, problem.severity));
        problems
    }

    /// Whether anything stands in the way of running.
    pub(super) fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Whether one more problem would not be kept. The first error always is: it decides whether the definition runs.
    pub(super) fn drops(&self, severity: Severity) -> bool {
        self.problems.len() >= MAX_PROBLEMS && (severity == Severity::Warning || self.has_errors())
    }

    fn add(&mut self, severity: Severity, path: &Path, exception: Exception, words: Words) {
        let path = self.moves.iter().find_map(|(from, to)| path.moved(from, to)).unwrap_or_else(|| path.clone());
        if !self.drops(severity) && !self.unread.iter().any(|unread| path.is_within(unread)) {
            self.push(severity, &path, self.source.find(&path), exception, words);
        }
    }

    fn push(&mut self, severity: Severity, path: &Path, at: usize, exception: Exception, words: Words) {
        if !self.drops(severity) {
            let (line, column) = self.source.position(at);
            let width = self.source.width(at);
            let Words { message, help } = words;
            self.problems.push(Problem {
                severity,
                path: path.to_string(),
                line,
                column,
                width,
                exception,
                message,
                help,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::json;

    fn report(text: &str) -> Report {
        let mut report = Report::new(text, Strictness::Lenient);
        report.source.root = json::read(text).0;
        report
    }

    #[test]
    fn a_place_is_found_by_line_and_by_column_in_characters() {
        let mut report = report("{\n  \"ä\": {\"a\": [1, 2]}}");
        report.error(&Path::root().member("ä").member("a").element(1), "x");
        let problems = report.problems();
        let problem = &problems[0];
        assert_eq!((problem.path.as_str(), problem.line, problem.column), ("ä.a[1]", 2, 18));
    }

    #[test]
    fn a_word_of_json_is_as_wide_as_it_is_written() {
        let text = "{\"a\\\"b\": -12.5e3, \"ä\": true, \"open";
        let source = Source::new(text);
        let width = |word: &str| source.width(text.find(word).expect("it is there"));
        assert_eq!([width("{"), width("\"a"), width("-12"), width("true"), width("\"ä")], [1, 6, 7, 4, 3]);
        assert_eq!([width("\"open"), source.width(text.len()), source.width(9999)], [5, 1, 1]);
    }

    #[test]
    fn a_missing_member_is_shown_at_what_misses_it() {
        let mut report = report("{\"a\":\n  {}}");
        report.error(&Path::root().member("a").member("b").element(3), "x");
        assert_eq!((report.problems()[0].line, report.problems()[0].column), (2, 3));
    }

    #[test]
    fn what_follows_from_an_unreadable_value_is_left_out() {
        let mut report = report("{}");
        let a = Path::root().member("a");
        report.unreadable(&a, Exception::SerializationException, "x");
        report.error(&a, "y");
        report.error(&a.member("b"), "z");
        report.error(&Path::root().member("b"), "seen");
        assert_eq!(report.problems().len(), 2);
    }

    #[test]
    fn problems_are_bounded_and_an_error_is_always_among_them() {
        let mut report = report("{}");
        (0..1000).for_each(|_| report.warning(&Path::root(), "x"));
        report.error(&Path::root(), "y");
        assert!(report.has_errors() && report.problems().len() == MAX_PROBLEMS + 1);
    }
}
