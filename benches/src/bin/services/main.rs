//! `make bench-services`: what it costs to keep tasks running.
//!
//! Three figures: how soon a killed task of a service of ten is replaced (from SIGKILL to the new task's startedAt), how long a
//! hundred tasks take from `service create` to the last one's startedAt, and how much CPU all processes of berth use while a
//! hundred tasks do nothing. Times of tasks are those that berth itself records; nothing is asked for in between but at a slow
//! pace. Settings, by environment: N kills (50), TASKS (100), IDLE seconds (30), GAP in ms before each kill (200), QUIET: at
//! most so many ms more until nothing else on the machine is runnable (300), BERTH_BIN. The figures behind the table go to
//! target/bench/services.json.

mod processes;
mod world;

use bench::measure::{Pace, ms, now, percentile};
use bench::{Failure, host, save, setting, top};
use serde_json::json;
use world::World;

/// The service whose tasks are killed.
const TEN: usize = 10;

fn main() -> Result<(), Failure> {
    let (kills, tasks, idle) = (setting("N", 50)?.max(1), setting("TASKS", 100)?.max(1), setting("IDLE", 30)?.max(1));
    let pace = Pace::new(setting("GAP", 200)?, setting("QUIET", 300)?);
    let top = top()?;
    host::isolate()?;
    let scratch = host::Scratch::new()?;
    let world = World::new(&top, &scratch.path)?;
    let machine = host::machine();
    host::print(&machine);

    world.create("ten", TEN)?;
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
    world.create("many", tasks)?;
    let started = world.until_running("many", tasks)?;
    let up = started.iter().map(|task| task.started - begun).fold(0.0, f64::max) / 1000.0;
    let cost = processes::cost(&world.root, &started, idle)?;
    world.delete("many")?;

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
    pace.note().into_iter().for_each(|note| println!("note: {note}"));
    let machine: serde_json::Map<_, _> =
        machine.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let all = json!({
        "machine": machine,
        "replacementMs": replaced,
        "tasks": tasks,
        "upSeconds": up,
        "idle": { "seconds": idle, "cpuNs": cost.cpu_ns, "percent": cost.percent, "processes": cost.processes },
    });
    save(&top.join("target/bench"), "services", &all)
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
