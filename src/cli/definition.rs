//! Task definitions from files: read, checked, and their mistakes shown where they stand.

use std::io;

use serde::Serialize;

use super::args::{Format, Lint};
use super::error::Failure;
use super::input::{Input, Json};
use super::output::{self, Output, note};
use super::plain::Colour;
use super::problems::{self, Finding, render};
use crate::ops::{
    Problem, Severity, Strictness, TaskOverride, ValidTaskDefinition, overridden, parse, parse_overrides, validate,
};

/// ECS takes 64 KiB; what people have may be indented and wrapped.
const LONGEST: u64 = 1 << 20;

/// The definition in a file. Warnings go to standard error; mistakes are a wrong usage.
pub(super) fn read(file: &Input) -> Result<ValidTaskDefinition, Failure> {
    let text = text(file)?;
    match validate(parse(&text, Strictness::Lenient)) {
        Ok((definition, warnings)) => {
            show(&file.to_string(), &text, &warnings);
            Ok(definition)
        }
        Err(problems) => {
            show(&file.to_string(), &text, &problems);
            Err(Failure::Usage(format!("{file} cannot be run")))
        }
    }
}

/// What a run replaces in its definition. Mistakes are a wrong usage, as those of the definition.
pub(super) fn read_overrides(json: &Json, definition: &ValidTaskDefinition) -> Result<TaskOverride, Failure> {
    let name = match json {
        Json::Text(_) => "--overrides".to_owned(),
        Json::File(file) => file.to_string(),
    };
    let text = json.read(LONGEST).map_err(|error| Failure::Usage(format!("read {name}: {error}")))?;
    match overridden(definition, parse_overrides(&text, Strictness::Lenient)) {
        Ok((overridden, warnings)) => {
            show(&name, &text, &warnings);
            Ok(overridden.overrides)
        }
        Err(problems) => {
            show(&name, &text, &problems);
            Err(Failure::Usage(format!("{name} does not fit the task definition {}", definition.family())))
        }
    }
}

/// What `lint` says of one file.
#[derive(Debug, Serialize)]
struct Report {
    file: String,
    valid: bool,
    problems: Vec<Problem>,
}

/// `berth lint`: what it finds is its result, not its failure, so that a file that cannot be read can be told from one
/// with mistakes.
pub(super) fn lint(args: &Lint, output: Output) -> Result<(), Failure> {
    let mut reports = Vec::new();
    let mut all_read = true;
    for file in &args.files {
        let text = match text(file) {
            Ok(text) => text,
            Err(failure) => {
                failure.report();
                all_read = false;
                continue;
            }
        };
        let (valid, problems) = match validate(parse(&text, Strictness::Lenient)) {
            Ok((_, warnings)) => (true, warnings),
            Err(problems) => (false, problems),
        };
        if output.format() == Format::Table {
            let verdict = if valid { "can be run" } else { "cannot be run" };
            let found = rendered(&file.to_string(), &text, &problems, Colour::of(&io::stdout()));
            output::write(&format!("{found}{file}: {verdict}\n"))?;
        }
        reports.push(Report { file: file.to_string(), valid, problems });
    }
    if output.format() == Format::Json {
        output.print_json(&reports)?;
    }
    match reports.iter().all(|report| report.valid) {
        _ if !all_read => Err(Failure::Exit(2)),
        false => Err(Failure::Silent),
        true => Ok(()),
    }
}

/// A file that cannot be read is a wrong argument.
fn text(file: &Input) -> Result<String, Failure> {
    file.read(LONGEST).map_err(|error| Failure::Usage(format!("read {file}: {error}")))
}

fn show(file: &str, text: &str, problems: &[Problem]) {
    if !problems.is_empty() {
        note(rendered(file, text, problems, Colour::of(&io::stderr())).trim_end());
    }
}

fn rendered(file: &str, text: &str, problems: &[Problem], colour: Colour) -> String {
    let findings: Vec<Finding<'_>> = problems.iter().map(finding).collect();
    render(file, text, &findings, colour)
}

fn finding(problem: &Problem) -> Finding<'_> {
    Finding {
        severity: match problem.severity {
            Severity::Error => problems::Severity::Error,
            Severity::Warning => problems::Severity::Warning,
        },
        path: &problem.path,
        line: problem.line,
        column: problem.column,
        width: problem.width,
        message: &problem.message,
        help: problem.help.as_deref(),
    }
}
