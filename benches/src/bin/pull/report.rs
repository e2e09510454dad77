//! Tables for people, and the same figures as JSON.

use std::path::Path;

use bench::Failure;
use bench::measure::percentile;
use serde_json::{Value, json};

use crate::here::Here;
use crate::samples::{About, Results};

/// The case that ratios are to.
const BASE: &str = "podman";

/// The table of pulls.
pub fn pulls(results: &[Results], about: &About, notes: &[String]) {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "\nPull into an empty store: {} layers of {:.1} MiB (the largest {:.1}), {} files and directories; s\n\
         x = p50 as a multiple of podman's; peak = the largest process",
        about.layers,
        mib(about.compressed),
        mib(about.largest),
        about.entries
    );
    println!("{:24}{:>4} |{:>8}{:>8}{:>8}{:>7} |{:>10}", "case", "n", "min", "p50", "p99", "x", "peak MiB");
    let base = results.iter().find(|result| result.name.starts_with(BASE));
    for result in results {
        if result.seconds.is_empty() {
            println!("{:24}{:>4} | failed: {}", result.name, 0, result.reason);
            continue;
        }
        let at = |percent| percentile(&result.seconds, percent);
        let ratio = base.map_or(f64::NAN, |base| at(50) / percentile(&base.seconds, 50));
        let peak = percentile(&result.peaks, 100) / 1024.0;
        let n = result.seconds.len();
        println!("{:24}{n:>4} |{:>8.2}{:>8.2}{:>8.2}{ratio:>7.2} |{peak:>10.1}", result.name, at(0), at(50), at(99));
        if result.failed > 0 {
            println!("{:24}     | {} more failed: {}", "", result.failed, result.reason);
        }
    }
    for note in notes {
        println!("({note})");
    }
}

/// What a task pays for its image when that is here.
pub fn here(here: &Here) {
    let at = |percent| percentile(&here.times, percent);
    println!("\nAn image that is here, before its task is planned, in process; ms");
    println!("{:>6}{:>9}{:>9}{:>9}", "n", "min", "p50", "p99");
    println!("{:>6}{:>9.3}{:>9.3}{:>9.3}", here.times.len(), at(0), at(50), at(99));
}

/// Writes `pull.json`: every sample, not only the percentiles.
pub fn save(
    directory: &Path,
    machine: &[(&str, String)],
    about: &About,
    results: &[Results],
    here: &Here,
) -> Result<(), Failure> {
    let machine: serde_json::Map<String, Value> =
        machine.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let pulls: Vec<Value> = results
        .iter()
        .map(|case| json!({ "case": case.name, "s": case.seconds, "peakKib": case.peaks, "failed": case.failed }))
        .collect();
    let image = json!({
        "layers": about.layers,
        "compressedBytes": about.compressed,
        "largestBytes": about.largest,
        "entries": about.entries,
    });
    let whole = json!({ "machine": machine, "image": image, "pulls": pulls, "hereMs": here.times });
    bench::save(directory, "pull", &whole)
}
