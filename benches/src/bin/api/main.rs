//! `make bench-api`: what the endpoint costs.
//!
//! RunTask at the endpoint, signed, beside the same call of `ops` in process (taking turns, on one root); DescribeTasks of a
//! hundred tasks and ListTasks with a thousand in the store; read requests per second on several connections; and the same
//! reads while 64 connections stall; for the reads of one client the server has one CPU. Settings, by environment: N launches of each kind (40), TASKS in the store (1000), READS
//! of each kind (1000), CLIENTS (4), GAP in ms before each launch (100), QUIET (300), BERTH_BIN. Every sample goes to
//! target/bench/api.json.

mod client;
mod world;

use std::process::ExitCode;

use bench::measure::{Pace, ms, now, percentile};
use bench::{Failure, host, save, setting, top};
use client::Client;
use serde_json::{Value, json};
use world::World;

fn main() -> ExitCode {
    // The call in process starts supervisors, which are this very program.
    if let Some(code) = berth::schedule::hidden_command().or_else(berth::ops::hidden_command) {
        return code;
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let (launches, tasks) = (setting("N", 40)?.max(1), setting("TASKS", 1000)?.max(100));
    let (reads, clients) = (setting("READS", 1000)?.max(1), setting("CLIENTS", 4)?.max(1));
    let pace = Pace::new(setting("GAP", 100)?, setting("QUIET", 300)?);
    let top = top()?;
    host::isolate()?;
    host::run(std::process::Command::new("ip").args(["link", "set", "lo", "up"]))?;
    let scratch = host::Scratch::new()?;
    let mut world = World::new(&top, &scratch.path)?;
    let machine = host::machine();
    host::print(&machine);
    let mut all = vec![];

    let (mut at_endpoint, mut in_process) = (vec![], vec![]);
    for _ in 0..launches {
        pace.pause();
        at_endpoint.push(timed(|| world.run_at_endpoint())?);
        pace.pause();
        in_process.push(timed(|| world.run_in_process())?);
    }
    world.stop_all()?;
    all.push(("RunTask at the endpoint", at_endpoint));
    all.push(("RunTask, the same call in process", in_process));

    let described = world.fill(tasks)?;
    let mut client = world.client()?;
    world.keep_on(&[0])?;
    let describe = json!({ "tasks": described });
    all.push(("DescribeTasks of 100 tasks", each(reads, || client.call("DescribeTasks", &describe).map(drop))?));
    let stopped = json!({ "desiredStatus": "STOPPED" });
    let name = "ListTasks, STOPPED, a page of 100";
    all.push((name, each(reads, || client.call("ListTasks", &stopped).map(drop))?));
    all.push(("ListTasks, RUNNING", each(reads, || client.call("ListTasks", &json!({})).map(drop))?));
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    world.keep_on(&(0..cpus).collect::<Vec<_>>())?;
    let rate = throughput(&world, clients, reads)?;
    world.keep_on(&[0])?;
    let stalled = world.stall(64)?;
    all.push((
        "ListTasks, RUNNING, beside 64 that stall",
        each(reads, || client.call("ListTasks", &json!({})).map(drop))?,
    ));
    drop(stalled);
    world.stop_all()?;

    println!("\n{:48} {:>7} {:>9} {:>9} {:>9}", format!("{tasks} tasks in the store; ms"), "n", "min", "p50", "p99");
    let mut figures = serde_json::Map::new();
    for (name, mut samples) in all {
        samples.sort_by(f64::total_cmp);
        let [p50, p99] = [50, 99].map(|percent| percentile(&samples, percent));
        println!(
            "{name:48} {:7} {:9.2} {p50:9.2} {p99:9.2}",
            samples.len(),
            samples.first().copied().unwrap_or(f64::NAN)
        );
        figures.insert(name.to_owned(), json!(samples));
    }
    println!("{:48} {rate:7.0} per second", format!("DescribeClusters, {clients} connections"));
    pace.note().into_iter().for_each(|note| println!("note: {note}"));
    let machine: serde_json::Map<_, _> =
        machine.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    save(
        &top.join("target/bench"),
        "api",
        &json!({ "machine": machine, "ms": Value::Object(figures), "readsPerSecond": rate }),
    )
}

fn timed(act: impl FnOnce() -> Result<(), Failure>) -> Result<f64, Failure> {
    let since = now();
    act()?;
    Ok(ms(now() - since))
}

fn each(count: usize, mut act: impl FnMut() -> Result<(), Failure>) -> Result<Vec<f64>, Failure> {
    (0..count).map(|_| timed(&mut act)).collect()
}

/// Read requests per second: each client on a connection of its own, as fast as answers come.
fn throughput(world: &World, clients: usize, reads: usize) -> Result<f64, Failure> {
    let mut all: Vec<Client> = (0..clients).map(|_| world.client()).collect::<Result<_, _>>()?;
    let since = now();
    let done: Vec<Result<(), String>> = std::thread::scope(|scope| {
        let calls = all.iter_mut().map(|client| {
            scope.spawn(move || {
                let call = |_| client.call("DescribeClusters", &json!({})).map(drop).map_err(|error| error.to_string());
                (0..reads).try_for_each(call)
            })
        });
        let calls: Vec<_> = calls.collect();
        calls.into_iter().map(|call| call.join().unwrap_or_else(|_| Err("a client panicked".to_owned()))).collect()
    });
    done.into_iter().collect::<Result<(), String>>()?;
    Ok((clients * reads) as f64 / (ms(now() - since) / 1000.0))
}
