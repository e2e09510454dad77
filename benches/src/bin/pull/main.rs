//! `make bench-pull`: what it costs to bring an image here, with berth and with its neighbours, side by side in one run.
//!
//! All of them pull the same image from one registry on loopback, by HTTP, into a new store on one file system; what the
//! case before has written is on the disk before a sample starts. The cases take turns, and each round starts with another
//! one. berth and podman unpack the layers; skopeo only copies the blobs. Settings, by environment: PULLS of each case (10),
//! IMAGE of rootfs-fixtures (large), BERTH_BIN. Prints tables; the figures behind them go to target/bench/pull.json.

mod cases;
mod here;
mod memory;
mod registry;
mod report;
mod samples;

use bench::{Failure, host, setting, top};

fn main() -> Result<(), Failure> {
    let pulls = setting("PULLS", 10)?.max(1);
    let image = std::env::var("IMAGE").unwrap_or_else(|_| "large".to_owned());
    let top = top()?;
    host::isolate_mounts()?;
    let scratch = host::Scratch::new()?;
    let registry = registry::Registry::start(&top, &scratch.path)?;
    let layout = top.join("target/fixtures").join(&image);
    let pushed = registry.push(&layout, &image)?;
    let berth = cases::berth_program(&top)?;
    let roots = scratch.path.join("berth");
    let (mut cases, mut notes) = (vec![cases::berth(&berth, &roots, &pushed)], Vec::new());
    for offer in [cases::podman(&pushed, &scratch.path), cases::skopeo(&pushed, &scratch.path)] {
        match offer {
            Ok(case) => cases.push(case),
            Err(reason) => notes.push(reason.to_string()),
        }
    }
    let machine = host::machine();
    host::print(&machine);
    let about = samples::about(&layout)?;
    let results = samples::round_robin(&cases, pulls);
    report::pulls(&results, &about, &notes);
    drop(registry);
    let here = here::measure(&roots.join("0"), &pushed)?;
    report::here(&here);
    report::save(&top.join("target/bench"), &machine, &about, &results, &here)
}
