//! Whether the receivers of logs are there, asked before containers start, as the drivers of Docker and Fargate ask: on Fargate
//! before the first one, else before each for the first time. Asked in threads of their own, which stand in the host's network
//! and have given up every right, and which have ended before libcontainer is called.

use std::os::fd::{AsFd, BorrowedFd};
use std::thread;

use super::{Worker, ship};
use crate::ecs::LaunchType;
use crate::plan::TaskPlan;

impl Worker<'_> {
    /// Asks for all containers of a Fargate task while something else is done; ECS's reason if a receiver is not there.
    pub(super) fn with_receivers<T>(&self, other: impl FnOnce() -> T) -> (T, Option<String>) {
        if self.plan.launch_type != LaunchType::Fargate {
            return (other(), None);
        }
        let wanted: Vec<usize> = (0..self.plan.containers.len()).filter(|place| self.asks(*place)).collect();
        let (done, failed) = ask(self.plan, &wanted, self.host_network.as_fd(), other);
        (done, failed.map(|why| format!("ResourceInitializationError: failed to validate logger args: {why}")))
    }

    /// Asks for the container at a place, which begins for the first time.
    pub(super) fn receiver(&self, place: usize) -> Option<String> {
        if self.plan.launch_type == LaunchType::Fargate || !self.asks(place) {
            return None;
        }
        let ((), failed) = ask(self.plan, &[place], self.host_network.as_fd(), || ());
        failed.map(|why| format!("CannotStartContainerError: failed to initialize logging driver: {why}"))
    }

    /// A router is not asked: it starts with the task.
    fn asks(&self, place: usize) -> bool {
        let log = &self.plan.containers[place].log;
        log.delivery.is_some() && log.source.router.is_none()
    }
}

/// The first container's failure is the task's.
fn ask<T>(plan: &TaskPlan, places: &[usize], host: BorrowedFd<'_>, other: impl FnOnce() -> T) -> (T, Option<String>) {
    thread::scope(|scope| {
        let asked: Vec<_> = places
            .iter()
            .map(|place| thread::Builder::new().spawn_scoped(scope, move || ship::verify(plan, *place, host)))
            .collect();
        let done = other();
        let failed = asked.into_iter().find_map(|thread| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|_| Err("the log driver panicked".to_owned())).err(),
            Err(error) => Some(format!("start a thread: {error}")),
        });
        (done, failed)
    })
}
