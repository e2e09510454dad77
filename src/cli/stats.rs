//! `berth stats`: what tasks use, once or again each second.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::args::{Format, Stats};
use super::error::Failure;
use super::output::{self, Output};
use super::size::{of_limit, percent};
use super::table::Table;
use crate::ops::{Engine, LastStatus, Pressure, Stall, StorageUsage, TaskRecord, Usage};

/// One line: a container, or a task as a whole.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    task: String,
    container: Option<String>,
    /// Of one CPU, over the time between two readings.
    cpu_percent: f64,
    memory_bytes: u64,
    memory_limit_bytes: Option<u64>,
    memory_peak_bytes: Option<u64>,
    pids: u64,
    oom_kills: u64,
    /// Of the task's ephemeral storage.
    storage_bytes: Option<u64>,
    storage_limit_bytes: Option<u64>,
    /// For what part of the last ten seconds some process waited for want of it; cgroup v2 only.
    pressure_percent: Option<PressureRow>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct PressureRow {
    cpu: f64,
    memory: f64,
    io: f64,
}

impl From<Pressure> for PressureRow {
    fn from(pressure: Pressure) -> Self {
        let percent = |stall: Stall| f64::from(stall.recent) / 100.0;
        Self { cpu: percent(pressure.cpu), memory: percent(pressure.memory), io: percent(pressure.io) }
    }
}

/// The time between two readings.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is read at one time: tasks in their order, each followed by its containers.
type Readings = Vec<(Of, Usage, Option<StorageUsage>)>;

/// A task's id, and the container's name where it is not the task as a whole.
type Of = (String, Option<String>);

pub(super) fn stats(engine: &mut Engine, args: &Stats, output: Output) -> Result<(), Failure> {
    let stream = !args.no_stream && output.format() == Format::Table && io::stdout().is_terminal();
    let mut before = (readings(engine, args)?, Instant::now());
    loop {
        std::thread::sleep(INTERVAL);
        let now = (readings(engine, args)?, Instant::now());
        let rows = rows(&before.0, &now.0, now.1.duration_since(before.1));
        if stream {
            output::write(HOME_AND_CLEAR)?;
        }
        output.print(&rows, |rows| table(rows))?;
        if !stream {
            return Ok(());
        }
        before = now;
    }
}

/// For a terminal: the cursor to the upper left corner, and everything away.
const HOME_AND_CLEAR: &str = "\x1b[H\x1b[2J";

fn readings(engine: &mut Engine, args: &Stats) -> Result<Readings, Failure> {
    let records: Vec<TaskRecord> = match args.tasks.is_empty() {
        true => engine.live_tasks()?,
        false => args.tasks.iter().map(|task| engine.find(task.as_str())).collect::<Result<_, _>>()?,
    };
    let mut readings = Readings::new();
    for record in records.iter().filter(|record| record.state.last_status < LastStatus::Deprovisioning) {
        let Some(usage) = engine.usage(record)? else { continue };
        readings.push(((record.plan.id.clone(), None), usage.usage, usage.storage));
        let containers = usage.containers.into_iter();
        readings.extend(
            containers.map(|container| ((record.plan.id.clone(), Some(container.name)), container.usage, None)),
        );
    }
    match readings.is_empty() && !args.tasks.is_empty() {
        true => Err(Failure::Failed("none of these tasks runs".into())),
        false => Ok(readings),
    }
}

/// What was there at both times: the use of CPU needs two readings.
fn rows(before: &Readings, now: &Readings, time: Duration) -> Vec<Row> {
    let before: HashMap<&Of, u64> = before.iter().map(|(of, usage, _)| (of, usage.cpu_ns)).collect();
    let row = |(of, usage, storage): &(Of, Usage, Option<StorageUsage>)| {
        let used = usage.cpu_ns.saturating_sub(*before.get(of)?);
        Some(Row {
            task: of.0.clone(),
            container: of.1.clone(),
            cpu_percent: used as f64 / time.as_nanos() as f64 * 100.0,
            memory_bytes: usage.memory_bytes,
            memory_limit_bytes: usage.memory_limit,
            memory_peak_bytes: usage.memory_peak,
            pids: usage.pids,
            oom_kills: usage.oom_kills,
            storage_bytes: storage.map(|storage| storage.used),
            storage_limit_bytes: storage.map(|storage| storage.size),
            pressure_percent: usage.pressure.map(PressureRow::from),
        })
    };
    now.iter().filter_map(row).collect()
}

fn table(rows: &[Row]) -> Table {
    let mut table =
        Table::new(["TASK", "CONTAINER", "CPU", "MEMORY / LIMIT", "STORAGE / LIMIT", "PIDS", "WAITS CPU MEM IO"]);
    for row in rows {
        let waits = row.pressure_percent.map(|one| format!("{:.0}% {:.0}% {:.0}%", one.cpu, one.memory, one.io));
        table.row([
            &format!("{:.12}", row.task),
            row.container.as_deref().unwrap_or("(task)"),
            &percent(row.cpu_percent / 100.0),
            &of_limit(row.memory_bytes, row.memory_limit_bytes),
            &row.storage_bytes.map(|used| of_limit(used, row.storage_limit_bytes)).unwrap_or_default(),
            &row.pids.to_string(),
            waits.as_deref().unwrap_or("-"),
        ]);
    }
    table
}
