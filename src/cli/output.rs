//! Where results go: to a person as a table, to a program as JSON. Messages go to standard error, results here.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::args::Format;
use super::table::Table;
use super::terminal;

/// How results of this run are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    format: Format,
    asked: Option<Format>,
    width: Option<u16>,
}

impl Output {
    /// As asked for; else by who reads it.
    pub fn new(format: Option<Format>) -> Self {
        let (is_terminal, asked) = (io::stdout().is_terminal(), format);
        let format = format.unwrap_or(if is_terminal { Format::Table } else { Format::Json });
        let width = terminal::window_size().filter(|_| is_terminal).map(|size| size.columns);
        Self { format, asked, width }
    }

    /// Prints a result.
    pub fn print<T: Serialize>(&self, value: &T, table: impl FnOnce(&T) -> Table) -> io::Result<()> {
        match self.format {
            Format::Table => self.write(&table(value).render(self.width)),
            Format::Json => self.print_json(value),
        }
    }

    /// Prints a result that has no other form than JSON.
    pub fn print_json<T: Serialize>(&self, value: &T) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(value)?;
        text.push('\n');
        self.write(&text)
    }

    /// Whether JSON was asked for, and not only chosen because nobody looks.
    pub fn asked_for_json(&self) -> bool {
        self.asked == Some(Format::Json)
    }

    /// The form that was asked for or chosen.
    pub fn format(&self) -> Format {
        self.format
    }

    fn write(&self, text: &str) -> io::Result<()> {
        write(text)
    }
}

/// Prints text as it is.
pub fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Prints one line: an id, a name.
pub fn line(text: &str) -> io::Result<()> {
    write(&format!("{text}\n"))
}

/// Tells a person something, on standard error. Nobody can be told that nobody listens there.
pub fn note(text: &str) {
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}
