//! Tables for people, and the same figures as JSON.

use std::path::Path;

use serde_json::{Value, json};

use crate::berth::Standing;
use crate::samples::Results;
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

/// Memory and listing.
pub fn standing(standing: &Standing) {
    println!("\nStanding tasks of one idle container: processes of berth and their PSS");
    println!("{:>6}{:>11}{:>10}{:>14}", "tasks", "processes", "PSS KiB", "KiB per task");
    for memory in &standing.memory {
        let each = memory.pss_kib as f64 / memory.tasks as f64;
        println!("{:>6}{:>11}{:>10}{each:>14.0}", memory.tasks, memory.processes, memory.pss_kib);
    }
    println!("\nberth ps, ms\n{:>6}{:>5}{:>9}{:>9}{:>9}", "tasks", "n", "min", "p50", "p99");
    for (tasks, times) in &standing.listings {
        let at = |percent| percentile(times, percent);
        println!("{tasks:>6}{:>5}{:>9.2}{:>9.2}{:>9.2}", times.len(), at(0), at(50), at(99));
    }
    if let (Some(seconds), Some(memory)) = (standing.started, standing.memory.last()) {
        println!("\n{} tasks were started one after another in {seconds:.1} s", memory.tasks);
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
    standing: &Standing,
    notes: &[String],
) -> Result<(), Failure> {
    let machine: serde_json::Map<String, Value> =
        machine.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let launches: Vec<Value> = results
        .iter()
        .map(|case| json!({ "case": case.name, "firstMs": case.first, "endMs": case.end, "failed": case.failed }))
        .collect();
    let memory: Vec<Value> = standing
        .memory
        .iter()
        .map(|memory| json!({ "tasks": memory.tasks, "processes": memory.processes, "pssKib": memory.pss_kib }))
        .collect();
    let listings: Vec<Value> =
        standing.listings.iter().map(|(tasks, times)| json!({ "tasks": tasks, "psMs": times })).collect();
    let whole = json!({
        "machine": machine,
        "launches": launches,
        "memory": memory,
        "listings": listings,
        "startedSeconds": standing.started,
        "notes": notes,
    });
    bench::save(directory, "launch", &whole)
}
