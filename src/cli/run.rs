//! `berth run`: in the foreground like any other program, or detached.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use nix::sys::signalfd::SignalFd;
use sd_notify::NotifyState;

use super::args::{Format, Run};
use super::error::Failure;
use super::interrupt::interrupts;
use super::logs::Screen;
use super::output::{Output, note};
use super::plain::plain;
use super::progress::Shown;
use super::tasks::{STOPPED_BY_USER, reason, table};
use super::volumes;
use crate::ops::{
    Engine, Followed, LastStatus, LogQuery, RunOptions, StopCode, TaskList, TaskOverride, TaskRecord, Until,
    ValidTaskDefinition, Waited,
};

/// What is run.
#[derive(Clone, Copy)]
pub(super) struct What<'a> {
    /// The definition.
    pub(super) definition: &'a ValidTaskDefinition,
    /// Its revision, if it is a registered one.
    pub(super) revision: Option<u32>,
}

pub(super) fn run(
    engine: &mut Engine,
    what: What<'_>,
    overrides: TaskOverride,
    args: &Run,
    format: Option<Format>,
    output: Output,
) -> Result<(), Failure> {
    let What { definition, revision } = what;
    let options = RunOptions {
        started_by: args.started_by.clone(),
        overrides,
        revision,
        volume_configurations: args.volume_configurations.as_ref().map_or(Ok(Vec::new()), volumes::read)?,
        ..RunOptions::default()
    };
    engine.storage_remarks(definition, &options).iter().for_each(|remark| note(remark));
    engine.role_remark(definition, &options).iter().for_each(|remark| note(remark));
    let mut shown = Shown::beside_results(format);
    let images = engine.provide(definition, &options, &mut |image, step| shown.show(&image.familiar(), &step))?;
    drop(shown);
    // From here on a signal is read, never missed: a task that is committed has somebody to stop it.
    let interrupts = interrupts()?;
    let record = engine.run(definition, images, &options)?;
    if let Some(failure) = failure(&record).filter(|_| !args.detach) {
        return Err(failure); // its images could not be had
    }
    if args.detach {
        return detached(engine, &record, &interrupts, output);
    }
    tell_of_start(engine, &record)?;
    let shown = show(engine, &record, args, format, &interrupts);
    if shown.is_err() {
        // The task is this command's: if nobody can see its output any more, it ends too, and nobody waits for that.
        engine.stop(&record.plan, STOPPED_BY_USER)?;
    }
    shown?;
    ended(&engine.task(&record.plan)?)
}

/// Tells the service manager, if this command is a unit of it, as soon as the task runs: this thread is busy with its output.
fn tell_of_start(engine: &Engine, record: &TaskRecord) -> Result<(), Failure> {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return Ok(());
    }
    let (mut engine, plan) = (engine.another()?, record.plan.clone());
    std::thread::spawn(move || {
        let waited = engine.wait(&plan, LastStatus::Running, None);
        let started = engine.task(&plan).is_ok_and(|record| record.state.times.started_at.is_some());
        if waited.is_ok() && started {
            let text = format!("Task {} is RUNNING", plan.id);
            let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&text)]);
        }
    });
    Ok(())
}

/// Shows the task's output to its end; the first interrupt stops the task.
fn show(
    engine: &mut Engine,
    record: &TaskRecord,
    args: &Run,
    format: Option<Format>,
    interrupts: &SignalFd,
) -> Result<(), Failure> {
    let places: Vec<usize> = (0..record.plan.containers.len()).collect();
    let mut logs = record.logs(&places, LogQuery::default(), Until::Done)?;
    let mut screen = Screen::new(record, &places, &args.look, format);
    let mut asked = false;
    loop {
        match engine.follow(&record.plan, &mut logs, interrupts.as_fd(), &mut |line| screen.show(line))? {
            Followed::Ended => return Ok(screen.end()?),
            Followed::Interrupted => {
                while let Ok(Some(_)) = interrupts.read_signal() {}
                if asked {
                    note("still stopping: SIGKILL follows when stopTimeout is over");
                }
                asked = true;
                engine.stop(&record.plan, STOPPED_BY_USER)?;
            }
        }
    }
}

/// Waits until the task runs, so that the next command finds it; a task that fails to start is a failure.
fn detached(engine: &mut Engine, record: &TaskRecord, interrupts: &SignalFd, output: Output) -> Result<(), Failure> {
    if engine.wait(&record.plan, LastStatus::Running, Some(interrupts.as_fd()))? == Waited::Interrupted {
        note(&format!("the task goes on in the background: berth stop {:.12}", record.plan.id));
    }
    let mut record = engine.task(&record.plan)?;
    let failed = failure(&record).is_some();
    if failed {
        engine.wait(&record.plan, LastStatus::Stopped, Some(interrupts.as_fd()))?;
        record = engine.task(&record.plan)?;
    }
    engine.settle()?;
    let records = [record];
    output.print(&TaskList::of(&records), |_| table(&records))?;
    failure(&records[0]).map_or(Ok(()), Err)
}

/// The task's end is the command's: its exit code, and on a terminal how it came.
fn ended(record: &TaskRecord) -> Result<(), Failure> {
    if let Some(failure) = failure(record) {
        return Err(failure);
    }
    for container in &record.state.containers {
        if let Some(reason) = &container.reason {
            note(&format!("{}: {}", container.name, plain(reason)));
        }
    }
    match record.exit_code() {
        Some(0) => Ok(()),
        Some(code) => {
            if io::stderr().is_terminal() {
                note(&plain(&reason(record)));
            }
            Err(Failure::Exit(u8::try_from(code).unwrap_or(u8::MAX)))
        }
        None => Err(Failure::Silent),
    }
}

/// Why the task did not start, if it did not.
fn failure(record: &TaskRecord) -> Option<Failure> {
    let stop = record.state.stop.as_ref().filter(|stop| stop.code == StopCode::TaskFailedToStart)?;
    Some(Failure::Failed(stop.reason.clone().into()))
}
