//! `berth ecs`: one action of the ECS API, and `berth actions`, the table of them all.

use std::io::IsTerminal;

use serde::Serialize;

use super::args::{Actions, Ecs, kebab};
use super::error::Failure;
use super::output::{self, Output, note};
use super::plain::plain;
use super::table::Table;
use crate::ops::Engine;
use crate::ops::actions::{self, Action, Caller};

/// What the endpoint takes at most, too.
const LONGEST: u64 = 1 << 20;
/// The AWS CLI's exit code where a service answers with an exception.
const EXCEPTION: u8 = 254;

pub(super) fn ecs(engine: impl FnOnce() -> Result<Engine, Failure>, args: &Ecs, output: Output) -> Result<(), Failure> {
    let wrong = |error| Failure::Usage(format!("read {}: {error}", args.request.name()));
    let request = args.request.read(LONGEST).map_err(wrong)?;
    let action = action(&args.operation).ok_or_else(|| Failure::Usage(format!("no operation {}", args.operation)))?;
    let caller = Caller { region: args.region.clone(), ..Caller::root() };
    match actions::call(&mut engine()?, &caller, action.name, request.as_bytes()) {
        Ok(answer) => print(&answer, output),
        Err(error) => {
            let (code, message) = (error.code, &error.message);
            let name = action.name;
            let text = format!("An error occurred ({code}) when calling the {name} operation: {message}");
            note(&format!("\n{}", plain(&text)));
            Err(Failure::Exit(EXCEPTION))
        }
    }
}

/// The action that a name means, in either form.
pub(super) fn action(name: &str) -> Option<&'static Action> {
    actions::actions().find(|action| action.name == name || kebab(action.name) == name)
}

/// Pretty for people, on one line for programs, unless they asked for more.
fn print(answer: &[u8], output: Output) -> Result<(), Failure> {
    let value: serde_json::Value = serde_json::from_slice(answer)?;
    match std::io::stdout().is_terminal() || output.asked_for_json() {
        true => Ok(output.print_json(&value)?),
        false => Ok(output::line(&value.to_string())?),
    }
}

/// A row for programs.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    operation: String,
    state: &'static str,
    access: &'static str,
    remark: &'static str,
}

pub(super) fn actions(args: &Actions, output: Output) -> Result<(), Failure> {
    let asked = |name: &str| {
        let name = name.to_ascii_lowercase();
        args.names.is_empty()
            || args.names.iter().any(|part| name.contains(&part.to_ascii_lowercase().replace('-', "")))
    };
    let rows: Vec<Row> = actions::actions().filter(|action| asked(action.name)).map(row).collect();
    if rows.is_empty() {
        let names = args.names.join(" or ");
        return Err(Failure::Failed(
            format!("no action has {names} in its name: `berth actions` lists them all").into(),
        ));
    }
    output.print(&rows, |rows| {
        let mut table = Table::new(["ACTION", "STATE", "ACCESS", "REMARK"]);
        rows.iter().for_each(|row| table.row([row.name, row.state, row.access, row.remark]));
        table
    })?;
    if output.format() == super::args::Format::Table && args.names.is_empty() {
        output::line(&counts(&rows))?;
    }
    Ok(())
}

fn row(action: &Action) -> Row {
    Row {
        name: action.name,
        operation: kebab(action.name),
        state: action.state.word(),
        access: action.kind.word(),
        remark: action.remark,
    }
}

fn counts(rows: &[Row]) -> String {
    let count = |state: &str| rows.iter().filter(|row| row.state == state).count();
    format!(
        "\n{} actions: {} done, {} partly, {} refused",
        rows.len(),
        count("done"),
        count("partly"),
        count("refused")
    )
}
