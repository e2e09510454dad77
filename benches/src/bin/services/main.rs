//! `make bench-services`: what it costs to keep tasks running.
//!
//! How soon a killed task of a service of ten is replaced (from SIGKILL to the new task's startedAt), how long a hundred tasks
//! take from `service create` to the last one's startedAt, and how much CPU and memory berth's processes use while a hundred
//! tasks do nothing: such as never asked their endpoint for anything, and such as have asked it for everything that it has.
//! Times of tasks are those that berth itself records; nothing is asked for in between but at a slow pace. Settings, by
//! environment: N kills (50), TASKS (100), IDLE seconds (30), SETTLE seconds before these (45: then tasks have come to count
//! as healthy, and nothing is due any more), GAP in ms before each kill (200), QUIET: at most so many ms more until nothing
//! else on the machine is runnable (300), BERTH_BIN. The figures behind the table go to
//! target/bench/services.json.

mod inside;
mod processes;
mod world;

use std::thread;
use std::time::Duration;

use bench::measure::{Pace, ms, now, percentile};
use bench::{Failure, host, save, setting, top};
use processes::Purpose;
use serde_json::json;
use world::{ASKING, IDLE, World};

/// The service whose tasks are killed.
const TEN: usize = 10;
/// How long endpoints are looked at that have just answered, in seconds: they end after thirty silent ones.
const OPEN: usize = 15;

fn main() -> Result<(), Failure> {
    let (kills, tasks, idle) = (setting("N", 50)?.max(1), setting("TASKS", 100)?.max(1), setting("IDLE", 30)?.max(1));
    let settle = Duration::from_secs(setting("SETTLE", 45)? as u64);
    let pace = Pace::new(setting("GAP", 200)?, setting("QUIET", 300)?);
    let top = top()?;
    host::isolate()?;
    let scratch = host::Scratch::new()?;
    let world = World::new(&top, &scratch.path)?;
    let machine = host::machine();
    host::print(&machine);

    world.create("ten", IDLE, TEN)?;
    world.until_running("ten", TEN)?;
    let mut replaced = Vec::with_capacity(kills);
    for number in 0..kills {
        pace.pause();
        replaced.push(replacement(&world, number)?);
    }
    world.delete("ten")?;
    replaced.sort_by(f64::total_cmp);

    pace.pause();
    let begun = world::wall_ms();
    world.create("many", IDLE, tasks)?;
    let started = world.until_running("many", tasks)?;
    let up = started.iter().map(|task| task.started - begun).fold(0.0, f64::max) / 1000.0;
    thread::sleep(settle);
    let cost = processes::cost(&world.root, &started, idle)?;
    let memory = processes::memory(&world.root, &started, Purpose::Supervisor)?;
    world.delete("many")?;
    let asked = asked(&world, tasks, settle)?;

    println!("\n{:52} {:>9} {:>9} {:>9}", "", "p50", "p90", "p99");
    let figures = [50, 90, 99].map(|percent| percentile(&replaced, percent));
    println!(
        "{:52} {:6.0} ms {:6.0} ms {:6.0} ms",
        format!("a killed task of {TEN} is replaced ({kills} kills)"),
        figures[0],
        figures[1],
        figures[2]
    );
    println!("{:52} {up:6.2} s", format!("{tasks} tasks are RUNNING"));
    println!(
        "{:52} {:6.2} %  ({:.0} ms of one CPU in {idle} s, {} processes, {} of them new)",
        format!("CPU of berth while {tasks} tasks do nothing"),
        cost.percent,
        ms(cost.cpu_ns),
        cost.processes,
        cost.new
    );
    println!("{:52} {memory:6.0} KiB", "PSS of a task's holder and loop, nothing asked");
    println!("{:52} {:6.0} KiB", format!("the same after {} paths of its endpoint", asked.paths), asked.supervisor);
    println!("{:52} {:6.0} KiB", "beside it, as long as it lives, its endpoint", asked.endpoint);
    println!(
        "{:52} {:6.2} %  ({:.0} ms of one CPU in {OPEN} s, {} processes)",
        format!("CPU of berth while {tasks} such endpoints are silent"),
        asked.cost.percent,
        ms(asked.cost.cpu_ns),
        asked.cost.processes
    );
    pace.note().into_iter().for_each(|note| println!("note: {note}"));
    let machine: serde_json::Map<_, _> =
        machine.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let all = json!({
        "machine": machine,
        "replacementMs": replaced,
        "tasks": tasks,
        "upSeconds": up,
        "idle": { "seconds": idle, "cpuNs": cost.cpu_ns, "percent": cost.percent, "processes": cost.processes, "pssKib": memory },
        "asked": {
            "paths": asked.paths, "seconds": OPEN, "cpuNs": asked.cost.cpu_ns, "percent": asked.cost.percent,
            "processes": asked.cost.processes, "pssKib": asked.supervisor, "endpointPssKib": asked.endpoint,
        },
    });
    save(&top.join("target/bench"), "services", &all)
}

/// What tasks cost whose endpoints have answered.
struct Asked {
    /// How many paths each.
    paths: usize,
    cost: processes::Cost,
    /// KiB of holder and loop of a task.
    supervisor: f64,
    /// Those of its endpoint.
    endpoint: f64,
}

/// Tasks that ask for everything at once, and then for nothing.
fn asked(world: &World, count: usize, settle: Duration) -> Result<Asked, Failure> {
    world.create("asking", ASKING, count)?;
    let tasks = world.until_running("asking", count)?;
    thread::sleep(settle);
    let mut paths = 0;
    for task in &tasks {
        paths = inside::ask_all(world.pid(&task.id)?)?;
    }
    let cost = processes::cost(&world.root, &tasks, OPEN)?;
    let endpoint = processes::memory(&world.root, &tasks, Purpose::Endpoint)?;
    // They share pages with the others as long as they live.
    processes::until_gone(&world.root, &tasks, Purpose::Endpoint)?;
    let supervisor = processes::memory(&world.root, &tasks, Purpose::Supervisor)?;
    world.delete("asking")?;
    Ok(Asked { paths, cost, supervisor, endpoint })
}

/// Kills the oldest task of the ten; milliseconds until another one runs.
fn replacement(world: &World, number: usize) -> Result<f64, Failure> {
    let before = world.until_running("ten", TEN)?;
    let victim = before.iter().min_by(|one, two| one.started.total_cmp(&two.started)).ok_or("no task runs")?;
    let (pid, since) = (world.pid(&victim.id)?, now());
    let at = world::wall_ms();
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL)?;
    let after = world.until("ten", TEN, &|tasks| tasks.iter().all(|task| task.id != victim.id))?;
    let new = after.iter().find(|task| before.iter().all(|other| other.id != task.id));
    let new =
        new.ok_or_else(|| format!("kill {number}: nothing has taken the place of {} since {since}", victim.id))?;
    Ok(new.started - at)
}
