//! `berth usage`: what tasks have used, as Fargate would bill it.

use super::args::{By, Usage};
use super::error::Failure;
use super::output::Output;
use super::size::bytes;
use super::table::Table;
use crate::ops::{Engine, UsageBy, UsageSum};

pub(super) fn usage(engine: &mut Engine, args: &Usage, output: Output) -> Result<(), Failure> {
    let by = match args.by {
        By::Task => UsageBy::Task,
        By::Service => UsageBy::Service,
        By::Day => UsageBy::Day,
    };
    let since = args.since.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok());
    let sums = engine.usage_sums(by, since.map(|since| since.timestamp().as_millisecond()))?;
    Ok(output.print(&sums, |sums| table(args.by, sums))?)
}

fn table(by: By, sums: &[UsageSum]) -> Table {
    let of = match by {
        By::Task => "TASK",
        By::Service => "GROUP",
        By::Day => "DAY",
    };
    let mut table = Table::new([of, "TASKS", "VCPU-SECONDS", "GB-SECONDS", "COST", "CPU", "PEAK", "SIZE", "FITS"]);
    for sum in sums {
        let name = if by == By::Task { sum.of.chars().take(12).collect() } else { sum.of.clone() };
        table.row([
            &name,
            &sum.tasks.to_string(),
            &format!("{:.0}", sum.vcpu_seconds),
            &format!("{:.0}", sum.gb_seconds),
            &sum.cost.map_or_else(|| "-".to_owned(), |cost| format!("{cost:.4}")),
            &cpu(sum),
            &sum.memory_peak.map_or_else(|| "-".to_owned(), bytes),
            &size(sum.size),
            &size(sum.fits),
        ]);
    }
    table
}

/// CPUs while it ran; a mark where its limit held it back.
fn cpu(sum: &UsageSum) -> String {
    let mark =
        if sum.cpu_held_back > 0.0 { format!(" ({:.0} % held)", sum.cpu_held_back * 100.0) } else { String::new() };
    format!("{:.2}{mark}", sum.cpu_busy)
}

fn size(size: Option<(u32, u32)>) -> String {
    size.map_or_else(|| "-".to_owned(), |(cpu, memory)| format!("{cpu} / {memory}"))
}
