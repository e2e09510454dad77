//! Tables for people, and the same figures as JSON.

use std::path::Path;

use serde_json::{Value, json};

use crate::berth::{Parts, Standing};
use crate::samples::Results;
use crate::throughput::Rate;
use bench::Failure;
use bench::measure::percentile;

/// The case that ratios are to.
const BASE: &str = "crun";

/// The launch table.
pub fn launches(results: &[Results], notes: &[String]) {
    println!("\nLaunch, cold, 0.25 CPU and 512 MiB, ms from the start of the command; x = p50 as a multiple of crun's");
    println!("{:32}{:>5} |{:^34} |{:^34}", "", "", "first instruction", "end of the command");
    println!("{0:32}{1:>5} |{2:>8}{3:>9}{4:>9}{5:>8} |{2:>8}{3:>9}{4:>9}{5:>8}", "case", "n", "min", "p50", "p99", "x");
    let base = results.iter().find(|result| result.name.starts_with(BASE));
    for result in results {
        let columns = |times: &[f64], base: Option<&[f64]>| {
            let ratio = base.map_or(f64::NAN, |base| percentile(times, 50) / percentile(base, 50));
            let (min, p50, p99) = (percentile(times, 0), percentile(times, 50), percentile(times, 99));
            format!("{min:8.2}{p50:9.2}{p99:9.2}{ratio:8.2}")
        };
        let first = columns(&result.first, base.map(|base| &base.first[..]));
        let end = columns(&result.end, base.map(|base| &base.end[..]));
        if result.end.is_empty() {
            println!("{:32}{:>5} | failed: {}", result.name, 0, result.reason);
        } else {
            println!("{:32}{:>5} |{first} |{end}", result.name, result.end.len());
            if result.failed > 0 {
                println!("{:32}      | {} more failed: {}", "", result.failed, result.reason);
            }
        }
    }
    for note in notes {
        println!("({note})");
    }
}

/// Whole runs per second.
pub fn rates(rates: &[Rate], callers: usize, seconds: usize) {
    if rates.is_empty() {
        return;
    }
    println!("\nWhole runs per second, {callers} callers, {seconds} s each\n{:32}{:>9}{:>8}", "case", "/s", "failed");
    for rate in rates {
        println!("{:32}{:>9.1}{:>8} {}", rate.name, rate.per_second, rate.failed, rate.reason);
    }
}

/// A further container, and a removal.
pub fn parts(parts: &Parts) {
    println!("\nParts of a task's life, ms\n{:48}{:>5}{:>9}{:>9}{:>9}", "", "n", "min", "p50", "p99");
    let rows = [
        ("first instruction of a task's one container", &parts.one),
        ("that of its ninth, which waits for the others", &parts.nine),
        ("rm --force of a running task", &parts.removal),
    ];
    for (name, times) in rows {
        let at = |percent| percentile(times, percent);
        println!("{name:48}{:>5}{:>9.2}{:>9.2}{:>9.2}", times.len(), at(0), at(50), at(99));
    }
    let further = (percentile(&parts.nine, 50) - percentile(&parts.one, 50)) / 8.0;
    println!("{:48}{:>5}{:>9}{further:>9.2}", "each further container, by those medians", "", "");
}

/// Memory, listing and starting by the number of tasks.
pub fn standing(standing: &Standing) {
    println!("\nStanding tasks of one idle container: processes of berth, their PSS; ms");
    println!(
        "{:>6}{:>11}{:>9}{:>9} |{:>9}{:>9} |{:>9}{:>9} |{:>9}{:>9}{:>8}",
        "tasks", "processes", "PSS MiB", "KiB each", "ps p50", "p99", "describe", "p99", "run -d", "p99", "/s"
    );
    for stand in &standing.stands {
        let each = |value: f64| if value.is_finite() { format!("{value:.2}") } else { "-".to_owned() };
        let kib = if stand.tasks == 0 { "-".to_owned() } else { format!("{:.0}", stand.kib_each()) };
        println!(
            "{:>6}{:>11}{:>9.1}{kib:>9} |{:>9}{:>9} |{:>9}{:>9} |{:>9}{:>9}{:>8}",
            stand.tasks,
            stand.processes,
            stand.pss_kib as f64 / 1024.0,
            each(stand.ps_ms(50)),
            each(stand.ps_ms(99)),
            each(stand.describe_ms(50)),
            each(stand.describe_ms(99)),
            each(stand.start_ms(50)),
            each(stand.start_ms(99)),
            each(stand.starts.len() as f64 / stand.seconds),
        );
    }
    if let (Some(ms), Some(stand)) = (standing.rebuilt_ms, standing.stands.last()) {
        println!("\nps of {} tasks after the store was lost: {ms:.1} ms", stand.tasks);
    }
    if let Some(failure) = &standing.failure {
        println!("(ended early: {failure})");
    }
}

/// Writes `launch.json`: every sample, not only the percentiles.
pub fn save(
    directory: &Path,
    machine: &[(&str, String)],
    results: &[Results],
    rates: &[Rate],
    parts: &Parts,
    standing: &Standing,
    notes: &[String],
) -> Result<(), Failure> {
    let machine: serde_json::Map<String, Value> =
        machine.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let launches: Vec<Value> = results
        .iter()
        .map(|case| json!({ "case": case.name, "firstMs": case.first, "endMs": case.end, "failed": case.failed }))
        .collect();
    let rates: Vec<Value> = rates
        .iter()
        .map(|rate| json!({ "case": rate.name, "perSecond": rate.per_second, "failed": rate.failed }))
        .collect();
    let stands: Vec<Value> = standing
        .stands
        .iter()
        .map(|stand| {
            json!({ "tasks": stand.tasks, "processes": stand.processes, "pssKib": stand.pss_kib, "psMs": stand.ps,
                    "describeMs": stand.describe, "runMs": stand.starts, "runSeconds": stand.seconds })
        })
        .collect();
    let whole = json!({
        "machine": machine,
        "launches": launches,
        "rates": rates,
        "parts": { "oneMs": parts.one, "nineMs": parts.nine, "removalMs": parts.removal },
        "standing": stands,
        "rebuiltMs": standing.rebuilt_ms,
        "notes": notes,
    });
    bench::save(directory, "launch", &whole)
}
