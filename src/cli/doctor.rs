//! `berth doctor`: a line for each check, and below it what mends it.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use super::args::Format;
use super::error::Failure;
use super::output::Output;
use super::plain::{Colour, Tone, plain};
use crate::ops::doctor::{Check, State, examine};

pub(super) fn doctor(root: Option<&Path>, output: Output) -> Result<(), Failure> {
    let root = root.map(std::path::absolute).transpose()?;
    let checks = examine(root.as_deref());
    match output.format() {
        Format::Json => output.print_json(&checks)?,
        Format::Table => io::stdout().write_all(render(&checks, Colour::of(&io::stdout())).as_bytes())?,
    }
    if can_run(&checks) { Ok(()) } else { Err(Failure::Silent) }
}

/// The checks as text for people.
fn render(checks: &[Check], colour: Colour) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for check in checks {
        let (tone, word) = tone(check.state);
        let (name, found) = (check.name, plain(&check.found));
        writeln!(out, "{} {name:width$}  {found}", colour.paint(tone, format_args!("{word:4}")))
            .expect("a string takes all");
        if let Some(remedy) = &check.remedy {
            let label = if check.state == State::Ok { "optional:" } else { "to do:" };
            let label = colour.paint(Tone::Faint, label);
            writeln!(out, "{:indent$}{label} {}", "", plain(remedy), indent = width + 7).expect("a string takes all");
        }
    }
    out.push_str(verdict(checks));
    out
}

/// Whether tasks can run: what the exit code says.
fn can_run(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.state != State::Fail)
}

fn verdict(checks: &[Check]) -> &'static str {
    match checks.iter().map(|check| check.state).max() {
        Some(State::Fail) => "\nTasks cannot run here yet: see the lines marked fail.\n",
        Some(State::Warn) => "\nTasks can run here; see the lines marked warn.\n",
        Some(State::Ok) | None => "\nTasks can run here.\n",
    }
}

fn tone(state: State) -> (Tone, &'static str) {
    match state {
        State::Ok => (Tone::Good, "ok"),
        State::Warn => (Tone::Warning, "warn"),
        State::Fail => (Tone::Error, "fail"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &'static str, state: State, remedy: Option<&str>) -> Check {
        Check { name, state, found: "found".to_owned(), remedy: remedy.map(str::to_owned) }
    }

    #[test]
    fn what_mends_a_check_stands_below_it() {
        let checks = [check("root", State::Fail, Some("sudo")), check("kernel", State::Ok, None)];
        assert_eq!(
            render(&checks, Colour::Off),
            "fail root    found\n             to do: sudo\nok   kernel  found\n\n\
             Tasks cannot run here yet: see the lines marked fail.\n"
        );
    }

    #[test]
    fn a_warning_stops_no_task() {
        assert!(can_run(&[check("swap", State::Warn, None), check("a", State::Ok, None)]));
        assert!(!can_run(&[check("swap", State::Warn, None), check("a", State::Fail, None)]));
    }
}
