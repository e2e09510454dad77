//! `berth ps`, `describe`, `stop`, `rm`: tasks as a list, one by one, and their end.

use std::os::fd::AsFd;

use super::age::ago;
use super::args::{Ps, Rm, Stop, Tasks};
use super::error::Failure;
use super::interrupt::interrupts;
use super::output::{self, Output, note};
use super::table::Table;
use crate::ops::{Engine, LastStatus, NetworkMode, NetworkPlan, Shown, StopCode, TaskList, TaskRecord, Waited};

/// What a task is told that is stopped without a reason.
pub(super) const STOPPED_BY_USER: &str = "Task stopped by user";

pub(super) fn ps(engine: &mut Engine, args: &Ps, output: Output) -> Result<(), Failure> {
    let records = if args.all { engine.list()? } else { engine.list_live()? };
    if args.quiet {
        let ids = records.iter().map(|record| format!("{}\n", record.plan.id));
        return Ok(output::write(&ids.collect::<String>())?);
    }
    Ok(output.print(&TaskList::of(&records), |_| table(&records))?)
}

/// The list for people.
pub(super) fn table<C: Shown>(records: &[TaskRecord<C>]) -> Table {
    let now = jiff::Timestamp::now().as_millisecond();
    let mut table = Table::new(["TASK", "DEFINITION", "STATUS", "ADDRESS", "CONTAINERS", "CREATED", "REASON"]);
    for record in records {
        let plan = &record.plan;
        let status = status(record);
        let names: Vec<&str> = plan.containers.iter().map(|container| container.shown().name).collect();
        // The address of a stopped task is another one's, or soon will be.
        let address = match record.state.last_status {
            LastStatus::Stopped => "-".to_owned(),
            _ => addresses(&plan.network),
        };
        table.row([
            &format!("{:.12}", plan.id),
            &format!("{}:{}", plan.family, plan.revision),
            &status,
            &address,
            &names.join(", "),
            &ago(plan.created_at, now),
            &reason(record),
        ]);
    }
    table
}

/// Where a task is reached: its address, or those of its containers; the host's is everybody's.
fn addresses(network: &NetworkPlan) -> String {
    let all: Vec<String> = network.addresses().iter().map(ToString::to_string).collect();
    match (network.mode(), all.is_empty()) {
        (NetworkMode::Host, _) => "host".to_owned(),
        (_, true) => "-".to_owned(),
        (_, false) => all.join(", "),
    }
}

/// `RUNNING`, and how it is while it runs, if any of its containers is checked: `RUNNING, UNHEALTHY`.
fn status<C>(record: &TaskRecord<C>) -> String {
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let status = word(serde_json::to_value(record.state.last_status).unwrap_or_default());
    let checked = record.state.containers.iter().any(|container| container.health.rule.is_some());
    match checked && record.state.last_status == LastStatus::Running {
        true => format!("{status}, {}", word(serde_json::to_value(record.state.health()).unwrap_or_default())),
        false => status,
    }
}

/// Why a task ended, in few words: `web exited (7)`, `web exited (137), OutOfMemoryError: ...`, or ECS's stoppedReason.
pub(super) fn reason<C>(record: &TaskRecord<C>) -> String {
    let Some(stop) = &record.state.stop else { return String::new() };
    let ended = |place: usize| {
        let container = &record.state.containers[place];
        let code = record.container_exit_code(place).map_or_else(|| "unknown".to_owned(), |code| code.to_string());
        let why = container.reason.as_ref().map(|reason| format!(", {reason}")).unwrap_or_default();
        format!("{} exited ({code}){why}", container.name)
    };
    match (stop.code, stop.container) {
        (StopCode::EssentialContainerExited, Some(place)) => ended(place),
        (
            StopCode::EssentialContainerExited
            | StopCode::TaskFailedToStart
            | StopCode::UserInitiated
            | StopCode::ServiceSchedulerInitiated
            | StopCode::SpotInterruption,
            _,
        ) => stop.reason.clone(),
    }
}

pub(super) fn describe(engine: &mut Engine, args: &Tasks, output: Output) -> Result<(), Failure> {
    let names: Vec<&str> = args.tasks.iter().map(|task| task.as_str()).collect();
    let list = engine.describe(&names)?;
    output.print_json(&list)?;
    match list.failures.len() {
        0 => Ok(()),
        1 => Err(Failure::Failed("one task is missing: `berth ps --all` lists those that are known".into())),
        missing => Err(Failure::Failed(
            format!("{missing} tasks are missing: `berth ps --all` lists those that are known").into(),
        )),
    }
}

pub(super) fn stop(engine: &mut Engine, args: &Stop) -> Result<(), Failure> {
    let reason = args.reason.as_deref().unwrap_or(STOPPED_BY_USER);
    let mut records = args.tasks.iter().map(|task| engine.find(task.as_str())).collect::<Result<Vec<_>, _>>()?;
    if args.started_by.is_some() {
        records = engine.live_tasks()?;
        records.retain(|one| one.plan.started_by == args.started_by);
    }
    let interrupts = interrupts()?;
    // All are asked first, so that they stop side by side.
    for record in records.iter().filter(|record| record.state.last_status != LastStatus::Stopped) {
        engine.stop(&record.plan, reason)?;
    }
    for record in &records {
        if engine.wait(&record.plan, LastStatus::Stopped, Some(interrupts.as_fd()))? == Waited::Interrupted {
            note("not waiting any longer: the tasks go on stopping");
            return Err(Failure::Exit(130));
        }
        output::line(&record.plan.id)?;
    }
    Ok(())
}

pub(super) fn rm(engine: &mut Engine, args: &Rm) -> Result<(), Failure> {
    let records = match args.stopped {
        true => engine.tasks()?.into_iter().filter(|record| record.state.last_status == LastStatus::Stopped).collect(),
        false => args.tasks.iter().map(|task| engine.find(task.as_str())).collect::<Result<Vec<_>, _>>()?,
    };
    for record in records {
        if args.force && record.state.last_status != LastStatus::Stopped {
            engine.kill(&record.plan)?;
            engine.wait(&record.plan, LastStatus::Stopped, None)?;
        }
        engine.remove(&engine.task(&record.plan)?)?;
        output::line(&record.plan.id)?;
    }
    Ok(())
}
