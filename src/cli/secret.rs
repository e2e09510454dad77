//! `berth secret`: values in, names and versions out. A value is never an argument, and never printed.

use std::io;

use serde::Serialize;

use super::age::ago;
use super::args::{PutSecret, RemoveSecrets, Secret, SecretKind, SecretTarget};
use super::error::Failure;
use super::input::Input;
use super::output::{self, Output, note};
use super::prompt::{Echo, ask};
use super::table::Table;
use super::terminal;
use crate::ops::{self, Engine, SecretName, SecretSummary};

/// The largest value is smaller; the store says by how much.
const VALUE_MAX: u64 = 1 << 20;

/// A version that was put, as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Put {
    value_from: String,
    version: String,
}

/// A parameter or a secret, as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    value_from: String,
    #[serde(flatten)]
    summary: SecretSummary,
}

pub(super) fn secret(engine: &Engine, command: Secret, output: Output) -> Result<(), Failure> {
    match command {
        Secret::Put(args) => put(engine, &args, output),
        Secret::Ls { quiet } => list(engine, quiet, output),
        Secret::Rm(args) => remove(engine, &args),
    }
}

fn put(engine: &Engine, args: &PutSecret, output: Output) -> Result<(), Failure> {
    let (kind, name) = target(&args.name, args.kind)?;
    let text = match args.input() {
        Some(file) => file.read(VALUE_MAX).map_err(|error| Failure::Usage(format!("read {file}: {error}")))?,
        None if terminal::is_interactive() => ask("Value: ", Echo::Hidden)?,
        None => Input::Stdin.read(VALUE_MAX).map_err(|error| unread(&error))?,
    };
    let value = text.strip_suffix('\n').unwrap_or(&text);
    let value = value.strip_suffix('\r').unwrap_or(value);
    let put = engine.put_secret(kind, &name, value, &args.stages)?;
    let put = Put { value_from: put.value_from, version: put.version };
    match output.format() {
        super::args::Format::Table => Ok(output::line(&put.value_from)?),
        super::args::Format::Json => Ok(output.print_json(&put)?),
    }
}

/// The reader's message does not show what was read.
fn unread(error: &io::Error) -> Failure {
    Failure::Usage(format!("read standard input: {error}"))
}

fn list(engine: &Engine, quiet: bool, output: Output) -> Result<(), Failure> {
    let row = |summary: SecretSummary| Row { value_from: engine.value_from(summary.kind, &summary.name), summary };
    let rows: Vec<Row> = engine.list_secrets()?.into_iter().map(row).collect();
    if quiet {
        return Ok(rows.iter().try_for_each(|row| output::line(&row.value_from))?);
    }
    Ok(output.print(&rows, |rows| table(rows))?)
}

fn remove(engine: &Engine, args: &RemoveSecrets) -> Result<(), Failure> {
    let targets = args.names.iter().map(|name| target(name, args.kind)).collect::<Result<Vec<_>, _>>()?;
    let mut all_known = true;
    for (kind, name) in targets {
        match engine.remove_secret(kind, &name)? {
            true => output::line(&engine.value_from(kind, &name))?,
            false => {
                note(&format!("there is no {kind} {name}"));
                all_known = false;
            }
        }
    }
    if all_known { Ok(()) } else { Err(Failure::Silent) }
}

/// What is meant, and under which name it is kept.
fn target(target: &SecretTarget, option: Option<SecretKind>) -> Result<(ops::SecretKind, SecretName), Failure> {
    let kind = match target.kind(option) {
        SecretKind::Parameter => ops::SecretKind::Parameter,
        SecretKind::Secret => ops::SecretKind::Secret,
    };
    let name = target.name.parse::<SecretName>();
    Ok((kind, name.map_err(|error| Failure::Usage(error.to_string()))?))
}

fn table(rows: &[Row]) -> Table {
    let now = jiff::Timestamp::now().as_millisecond();
    let mut table = Table::new(["NAME", "KIND", "VERSION", "STAGES", "VERSIONS", "CHANGED"]);
    for Row { summary, .. } in rows {
        let Some(last) = summary.versions.first() else { continue };
        let (kind, count) = (summary.kind.to_string(), summary.versions.len().to_string());
        let (stages, changed) = (last.stages.join(", "), ago(last.created_at, now));
        table.row([summary.name.as_str(), &kind, &last.id, &stages, &count, &changed]);
    }
    table
}
