//! `berth why`: one paragraph, and below it what the containers said that it is due to.

use super::args::{Format, Why};
use super::error::Failure;
use super::output::{self, Output};
use super::plain::plain;
use crate::ops::{self, Engine};

pub(super) fn why(engine: &mut Engine, args: &Why, output: Output) -> Result<(), Failure> {
    let record = engine.find(args.task.as_str())?;
    let why = engine.why(&record)?;
    match output.format() {
        Format::Json => output.print_json(&why)?,
        Format::Table => output::write(&text(&why))?,
    }
    Ok(())
}

fn text(why: &ops::Why) -> String {
    let mut text = format!("{}\n", plain(&why.summary));
    for container in why.containers.iter().filter(|container| container.culprit) {
        let failure = container.health.as_ref().and_then(|health| health.last_failure.as_ref());
        let checked: Vec<String> =
            failure.map(|failure| failure.output.lines().map(str::to_owned).collect()).unwrap_or_default();
        section(&mut text, &format!("The last lines of {}:", container.name), &container.last_lines);
        section(&mut text, &format!("What the last failed health check of {} wrote:", container.name), &checked);
    }
    text
}

/// Lines of a container, which may hold anything.
fn section(text: &mut String, heading: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    text.push_str(&format!("\n{heading}\n"));
    for line in lines {
        text.push_str(&format!("    {}\n", plain(line.trim_end_matches('\r'))));
    }
}
