//! `berth image prune`: what nobody needs goes, and a person is asked first.

use std::io::{self, IsTerminal};

use serde::Serialize;

use super::super::args::Prune;
use super::super::error::Failure;
use super::super::output::{Output, note};
use super::super::prompt;
use super::super::size::bytes;
use super::super::table::Table;
use super::super::terminal;
use crate::ops::{self, Engine};

/// What was removed, as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Pruned {
    /// The names.
    images: Vec<String>,
    /// Bytes of disk that are free again.
    reclaimed: u64,
}

pub(super) fn prune(engine: &mut Engine, args: &Prune, output: Output) -> Result<(), Failure> {
    let (which, question) = match args.all {
        true => (ops::Prune::Unused, "Remove all images that no task uses?"),
        false => (ops::Prune::Untagged, "Remove the images that have no tag any more and that no task uses?"),
    };
    let is_asked = !args.force && terminal::is_interactive() && io::stderr().is_terminal();
    if is_asked && !prompt::agreed(question)? {
        return Err(Failure::Silent);
    }
    let pruned = engine.prune_images(which)?;
    let pruned =
        Pruned { images: pruned.images.iter().map(ops::ImageReference::familiar).collect(), reclaimed: pruned.bytes };
    output.print(&pruned, table)?;
    if io::stdout().is_terminal() {
        note(&format!("{} are free again", bytes(pruned.reclaimed)));
    }
    Ok(())
}

fn table(pruned: &Pruned) -> Table {
    let mut table = Table::new(["REMOVED"]);
    for image in &pruned.images {
        table.row([image]);
    }
    table
}
