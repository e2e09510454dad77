//! Faults that an operator asks for: the same that a task may inject into itself.

use std::fs::File;
use std::os::fd::AsFd;

use serde_json::Value;

use super::{Engine, OpsError, TaskRecord};
use crate::metadata::{FaultAction, FaultError, FaultKind, parse_fault};
use crate::net::{FaultSockets, ImpairError, NetError, Sought};
use crate::sys::netns;

/// A fault cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TaskFaultError {
    /// It is not one.
    #[error(transparent)]
    Request(#[from] FaultError),
    /// The task has no network of its own, or none that all its containers share.
    #[error("{0} mode is not supported: only tasks in awsvpc mode have a network of their own")]
    Mode(String),
    /// No container runs.
    #[error("no container of task {0} runs")]
    NotRunning(String),
    /// Its network cannot be entered.
    #[error("enter the network of the task")]
    Enter(#[source] std::io::Error),
    /// The kernel refused.
    #[error(transparent)]
    Net(#[from] NetError),
    /// It cannot be made.
    #[error(transparent)]
    Impair(#[from] ImpairError),
}

impl Engine {
    /// Begins, ends or tells of a fault in a task's network; `body` is what a container would send.
    pub fn inject(
        &self,
        record: &TaskRecord,
        kind: FaultKind,
        action: FaultAction,
        body: &Value,
    ) -> Result<Sought, OpsError> {
        let fault = parse_fault(kind, action, body.to_string().as_bytes()).map_err(TaskFaultError::from)?;
        if record.plan.network.eni().is_none() {
            let mode = serde_json::to_value(record.plan.network.mode()).unwrap_or_default();
            return Err(TaskFaultError::Mode(mode.as_str().unwrap_or_default().to_owned()).into());
        }
        let mut sockets = within(record, FaultSockets::open)??;
        Ok(sockets.act(&fault, action).map_err(TaskFaultError::from)?)
    }
}

/// Does something in the network namespace of a task. A thread goes there, and ends there.
fn within<T: Send>(
    record: &TaskRecord,
    act: impl FnOnce() -> Result<T, NetError> + Send,
) -> Result<Result<T, TaskFaultError>, TaskFaultError> {
    let running = (0..record.plan.containers.len()).find_map(|place| {
        let init = super::exec::init(record, place).ok()?;
        let namespace = File::open(format!("/proc/{}/ns/net", init.pid)).ok()?;
        // What was opened by number was its own if it is alive even now.
        super::exec::is_alive(&init).then_some(namespace)
    });
    let namespace = running.ok_or_else(|| TaskFaultError::NotRunning(record.plan.id.clone()))?;
    let there = || {
        netns::enter(namespace.as_fd()).map_err(TaskFaultError::Enter)?;
        act().map_err(TaskFaultError::from)
    };
    Ok(std::thread::scope(|scope| scope.spawn(there).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))))
}
