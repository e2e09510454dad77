//! What is wrong with a definition: a sentence, its place in the JSON and in the text, and the ECS exception that goes
//! with it. Made by `parse` and `validate`; shown by the CLI, answered by the endpoint.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ecs::error::Exception;

/// Whether a definition can be run in spite of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but something is not as it was asked for, or would be refused by ECS.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Whether the definition can be run all the same.
    pub severity: Severity,
    /// The place in the JSON, `containerDefinitions[0].cpu`; empty for the document as a whole.
    pub path: String,
    /// The line in the text, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// How many characters it is about, at least 1, all on that line.
    pub width: u32,
    /// The exception that ECS would answer.
    pub exception: Exception,
    /// The sentence; ECS's own where ECS has one.
    pub message: String,
    /// What may have been meant, or would be taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Problem {
    /// The first error, as a sentence of one line.
    pub fn first(problems: &[Self]) -> impl fmt::Display + '_ {
        let error = problems.iter().find(|problem| problem.severity == Severity::Error);
        error.map_or_else(String::new, |Self { path, message, .. }| match path.as_str() {
            "" => Plain(message).to_string(),
            path => format!("{}: {}", Plain(path), Plain(message)),
        })
    }

    /// As compilers write it in one line, `FILE:LINE:COLUMN: error: PATH: message: help`. Control characters are escaped.
    pub fn display<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        Shown { problem: self, file }
    }
}

struct Shown<'a> {
    problem: &'a Problem,
    file: &'a str,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { severity, path, line, column, message, help, .. } = self.problem;
        write!(f, "{}:{line}:{column}: {severity}: ", Plain(self.file))?;
        if !path.is_empty() {
            write!(f, "{}: ", Plain(path))?;
        }
        write!(f, "{}", Plain(message))?;
        help.iter().try_for_each(|help| write!(f, ": {}", Plain(help)))
    }
}

/// Text without power over a terminal.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c.is_control() {
            true => write!(f, "{}", c.escape_default()),
            false => write!(f, "{c}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(path: &str) -> Problem {
        Problem {
            severity: Severity::Error,
            path: path.to_owned(),
            line: 3,
            column: 7,
            width: 1,
            exception: Exception::ClientException,
            message: "no\u{1b}[31m".to_owned(),
            help: None,
        }
    }

    #[test]
    fn a_problem_is_shown_as_compilers_do_and_without_control_characters() {
        assert_eq!(problem("a[0].b").display("x.json").to_string(), "x.json:3:7: error: a[0].b: no\\u{1b}[31m");
        assert_eq!(problem("").display("x.json").to_string(), "x.json:3:7: error: no\\u{1b}[31m");
    }

    #[test]
    fn a_problem_is_json_for_programs() {
        let value = serde_json::to_value(problem("a")).unwrap();
        assert_eq!(value["severity"], "error");
        assert_eq!(value["exception"], "ClientException");
    }
}
