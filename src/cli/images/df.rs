//! `berth image df`: what images take of the disk.

use super::super::args::Format;
use super::super::error::Failure;
use super::super::output::{Output, write};
use super::super::size::bytes;
use super::super::table::Table;
use crate::ops::{DiskUsage, Engine};

pub(super) fn df(engine: &mut Engine, output: Output) -> Result<(), Failure> {
    let usage = engine.disk_usage()?;
    output.print(&usage, table)?;
    match output.format() {
        Format::Table => Ok(write(&sums(&usage))?),
        Format::Json => Ok(()),
    }
}

fn table(usage: &DiskUsage) -> Table {
    let mut table = Table::new(["SIZE", "SHARED", "UNIQUE", "IN USE", "IMAGE"]);
    for image in &usage.images {
        let (all, in_use) = (bytes(image.shared + image.unique), if image.in_use { "yes" } else { "no" });
        table.row([&all, &bytes(image.shared), &bytes(image.unique), in_use, &image.names.join(", ")]);
    }
    table
}

/// The lines below the table.
fn sums(usage: &DiskUsage) -> String {
    let mut text = format!(
        "\n{} layers, {} on the disk, {} reclaimable\n",
        usage.layers,
        bytes(usage.size),
        bytes(usage.reclaimable + usage.unfinished)
    );
    if usage.unfinished > 0 {
        text.push_str(&format!("{} more of pulls that were cut off\n", bytes(usage.unfinished)));
    }
    text
}
