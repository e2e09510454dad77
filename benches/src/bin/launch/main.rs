//! `make bench-launch`: what a launch costs with berth and with its neighbours, side by side in one run.
//!
//! The ratios are the claim, not the milliseconds: the cases take turns, each round starts with another one, and an
//! idle gap stands before every sample (a person or a scheduler that starts one task; back to back, one case would
//! find the kernel's locks warm from the case before it). Then the same commands by several callers, each as fast as it can;
//! what a further container of a task and its removal cost; and what many standing tasks cost. Settings, by environment:
//! N samples of each case (100), GAP in ms (60), QUIET: at most so many ms more are waited until nothing else on the
//! machine is runnable (300), CALLERS (4) and for how many SECONDS (30, 0 for not at all), TASKS: how many stand, ascending
//! (1,100,300,1000), FAVORDYNMODS=1 to have moves between control groups wait for nothing (0), BERTH_BIN. Prints tables;
//! the figures behind them go to target/bench/launch.json, and plots of them to launch.svg and tasks.svg beside it.

mod berth;
mod bundle;
mod neighbours;
mod plot;
mod report;
mod samples;
mod throughput;

use std::process::Command;

use bench::measure::Pace;
use bench::{Failure, host, setting, top};

/// One way to run the same program: its name, and the command that runs it once.
struct Case {
    name: String,
    /// The command of a sample; containers that need a name of their own get one from the sample's number.
    command: Box<dyn Fn(usize) -> Command + Sync>,
}

fn main() -> Result<(), Failure> {
    let (samples, callers, seconds) = (setting("N", 100)?.max(1), setting("CALLERS", 4)?, setting("SECONDS", 30)?);
    let tasks = std::env::var("TASKS").unwrap_or_else(|_| "1,100,300,1000".to_owned());
    let tasks: Vec<usize> = tasks.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| "TASKS: 1,100")?;
    let pace = Pace::new(setting("GAP", 60)?, setting("QUIET", 300)?);
    let top = top()?;
    let layout = top.join("target/fixtures/probe");
    host::isolate()?;
    let scratch = host::Scratch::new()?;
    host::favor_moves(&scratch)?;

    let berth = berth::Berth::new(&top, &scratch.path)?;
    let bundle = bundle::Bundle::new(&layout, &scratch.path)?;
    let (mut cases, mut notes) = (Vec::new(), Vec::new());
    let docker = neighbours::docker(&bundle.layer, &scratch.path);
    let containerd = neighbours::containerd(&layout, &scratch.path);
    let offers = [
        berth.case(&layout),
        neighbours::low_level("crun", &bundle),
        neighbours::low_level("runc", &bundle),
        neighbours::podman(&bundle.layer, &scratch.path),
        containerd.as_ref().map(neighbours::containerd_case).map_err(|error| error.to_string().into()),
        docker.as_ref().map(neighbours::docker_case).map_err(|error| error.to_string().into()),
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
    let rates = throughput::rates(&cases, callers, seconds);
    report::rates(&rates, callers, seconds);
    drop((docker, containerd));

    let parts = berth.parts(samples, &pace)?;
    report::parts(&parts);
    let standing = berth.standing(&tasks, &pace);
    report::standing(&standing);
    let directory = top.join("target/bench");
    report::save(&directory, &machine, &results, &rates, &parts, &standing, &notes)?;
    plot::launches(&directory.join("launch.svg"), &results)?;
    plot::tasks(&directory.join("tasks.svg"), &standing)
}
