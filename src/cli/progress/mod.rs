//! How far images are: bars for a terminal, lines for a file, JSON for a program. What is shown comes from `ops`.

mod bars;
mod lines;

use std::io::{self, IsTerminal};

use serde::Serialize;

use self::bars::Bars;
use self::lines::Lines;
use super::args::Format;
use super::output::{self, note};
use crate::ops::{Digest, Progress};

/// Who is told.
#[derive(Debug)]
pub(super) enum Shown {
    /// A person at a terminal, on standard error.
    Bars(Box<Bars>),
    /// Whoever reads standard error, in lines.
    Lines(Lines),
    /// A program that reads standard error, in JSON.
    Errors,
    /// A program that reads standard output, in JSON.
    Events,
    /// Nobody.
    Nobody,
}

/// An event of one image, as programs get it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event<'a, T> {
    /// The image's name, or where it comes from.
    pub(super) image: &'a str,
    /// What happened.
    #[serde(flatten)]
    pub(super) event: &'a T,
}

impl Shown {
    /// For people, or in JSON where that was asked for: on standard error, beside the results.
    pub(super) fn beside_results(format: Option<Format>) -> Self {
        match format {
            Some(Format::Json) => Self::Errors,
            Some(Format::Table) | None if io::stderr().is_terminal() => Self::Bars(Box::default()),
            Some(Format::Table) | None => Self::Lines(Lines::default()),
        }
    }

    /// The same, but where JSON was asked for the events are the results.
    pub(super) fn as_results(format: Option<Format>) -> Self {
        match Self::beside_results(format) {
            Self::Errors => Self::Events,
            other => other,
        }
    }

    /// Shows one event of an image, or of what it comes from. Nobody can be told that nobody looks.
    pub(super) fn show(&mut self, image: &str, progress: &Progress) {
        let event = || serde_json::to_string(&Event { image, event: progress }).unwrap_or_default();
        match self {
            Self::Bars(bars) => bars.show(image, progress),
            Self::Lines(lines) => lines.show(image, progress, &mut |line| note(line)),
            Self::Errors => note(&event()),
            Self::Events => drop(output::line(&event())),
            Self::Nobody => {}
        }
    }
}

/// The first digits of a digest.
fn short(digest: &Digest) -> String {
    let text = digest.to_string();
    format!("{:.12}", text.strip_prefix("sha256:").unwrap_or(&text))
}
