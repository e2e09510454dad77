//! Samples: the time of a pull into an empty store, and the memory that it took.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use bench::Failure;
use bench::measure::{ms, now};
use nix::unistd::sync;
use serde_json::Value;

use crate::cases::Case;
use crate::memory::Watch;

/// Rounds before the first that counts.
const WARM_UP: usize = 1;

/// The samples of one case.
pub struct Results {
    pub name: String,
    /// Seconds, sorted.
    pub seconds: Vec<f64>,
    /// KiB of the largest process, sorted.
    pub peaks: Vec<f64>,
    /// The pulls that failed, and what the last of them said.
    pub failed: usize,
    pub reason: String,
}

/// What is pulled.
pub struct About {
    pub layers: usize,
    /// Bytes of all layers at the registry, and of the largest.
    pub compressed: u64,
    pub largest: u64,
    /// Files and directories that it comes to.
    pub entries: usize,
}

/// Looks at a layout.
pub fn about(layout: &Path) -> Result<About, Failure> {
    let read = |path: &Path| -> Result<Value, Failure> { Ok(serde_json::from_slice(&fs::read(path)?)?) };
    let index = read(&layout.join("index.json"))?;
    let digest = index["manifests"][0]["digest"].as_str().ok_or("the index has no image")?;
    let manifest = read(&layout.join("blobs").join(digest.replace(':', "/")))?;
    let layers = manifest["layers"].as_array().ok_or("the manifest has no layers")?;
    let sizes: Vec<u64> = layers.iter().filter_map(|layer| layer["size"].as_u64()).collect();
    let entries = fs::read_to_string(layout.with_extension("tree")).map_or(0, |tree| tree.lines().count());
    let largest = sizes.iter().copied().max().unwrap_or(0);
    Ok(About { layers: layers.len(), compressed: sizes.iter().sum(), largest, entries })
}

/// Every case once a round, each round beginning with the next case.
pub fn round_robin(cases: &[Case], samples: usize) -> Vec<Results> {
    let empty = |case: &Case| Results {
        name: case.name.clone(),
        seconds: Vec::new(),
        peaks: Vec::new(),
        failed: 0,
        reason: String::new(),
    };
    let mut results: Vec<Results> = cases.iter().map(empty).collect();
    for round in 0..samples + WARM_UP {
        for turn in 0..cases.len() {
            let index = (round + turn) % cases.len();
            let (case, result) = (&cases[index], &mut results[index]);
            match sample(case, round) {
                Ok((seconds, peak)) if round >= WARM_UP => {
                    result.seconds.push(seconds);
                    result.peaks.push(peak);
                }
                Ok(_) => (),
                Err(reason) => {
                    result.failed += 1;
                    result.reason = reason.to_string();
                }
            }
        }
    }
    for result in &mut results {
        result.seconds.sort_by(f64::total_cmp);
        result.peaks.sort_by(f64::total_cmp);
    }
    results
}

/// Seconds and KiB.
fn sample(case: &Case, number: usize) -> Result<(f64, f64), Failure> {
    let mut command: Command = (case.pull)(number)?;
    sync(); // nobody pays for what another one has written
    let start = now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let watch = Watch::over(&child);
    let output = child.wait_with_output()?;
    let end = now();
    let peak = watch.peak();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().lines().last().unwrap_or_default().to_owned();
        return Err(format!("{}: {said}", output.status).into());
    }
    Ok((ms(end - start) / 1e3, peak as f64))
}
