//! `make bench-launch`: what a launch costs with berth and with its neighbours, side by side in one run.
//!
//! The ratios are the claim, not the milliseconds: the cases take turns, each round starts with another one, and an
//! idle gap stands before every sample (a person or a scheduler that starts one task; back to back, one case would
//! find the kernel's locks warm from the case before it). Settings, by environment: N samples of each case (100), GAP
//! in ms (60), QUIET: at most so many ms more are waited until nothing else on the machine is runnable (300), IDLE
//! tasks for the second part (100), BERTH_BIN. Prints tables; the figures behind them go to target/bench/launch.json.

mod berth;
mod bundle;
mod neighbours;
mod report;
mod samples;

use std::process::Command;

use bench::measure::Pace;
use bench::{Failure, host, setting, top};

/// One way to run the same program: its name, and the command that runs it once.
struct Case {
    name: String,
    /// The command of a sample; containers that need a name of their own get one from the sample's number.
    command: Box<dyn Fn(usize) -> Command>,
}

fn main() -> Result<(), Failure> {
    let (samples, idle) = (setting("N", 100)?.max(1), setting("IDLE", 100)?);
    let pace = Pace::new(setting("GAP", 60)?, setting("QUIET", 300)?);
    let top = top()?;
    let layout = top.join("target/fixtures/probe");
    host::isolate()?;
    let scratch = host::Scratch::new()?;

    let berth = berth::Berth::new(&top, &scratch.path)?;
    let bundle = bundle::Bundle::new(&layout, &scratch.path)?;
    let (mut cases, mut notes) = (Vec::new(), Vec::new());
    let docker = neighbours::Docker::start(&bundle.layer, &scratch.path);
    let offers = [
        berth.case(&layout),
        neighbours::low_level("crun", &bundle),
        neighbours::low_level("runc", &bundle),
        neighbours::podman(&bundle.layer, &scratch.path),
        docker.as_ref().map(neighbours::Docker::case).map_err(|error| error.to_string().into()),
    ];
    for offer in offers {
        match offer {
            Ok(case) => cases.push(case),
            Err(reason) => notes.push(reason.to_string()),
        }
    }
    let machine = host::machine();
    host::print(&machine);
    let results = samples::round_robin(&cases, samples, &pace);
    notes.extend(pace.note());
    report::launches(&results, &notes);
    drop(docker);

    let standing = berth.standing(idle, &pace);
    report::standing(&standing);
    report::save(&top.join("target/bench"), &machine, &results, &standing, &notes)
}
