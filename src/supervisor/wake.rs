//! Waking the process that holds the counts of services: a datagram if it listens, else it is started. Called by whoever has
//! changed something that a count depends on: an operation on a service, and the loop of a service's task.
//!
//! Nothing is lost between two schedulers: a new one first looks at everything, and one that ends takes its socket away
//! before it looks for the last time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::control::{nobody_listens, short};
use super::event_loop::Loop;
use crate::ecs::HealthStatus;
use crate::lifecycle::{LastStatus, TaskState};
use crate::plan::{SchedulerPlan, ServiceLink};
use crate::sys;
use crate::sys::spawn::OnParentDeath;

/// The name that starts the program as the scheduler.
pub const COMMAND: &str = "schedule";

/// What of a task its service has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    status: LastStatus,
    stops: bool,
    health: Option<HealthStatus>,
}

impl Told {
    pub(super) fn of(task: &TaskState) -> Self {
        Self { status: task.last_status, stops: task.stop.is_some(), health: task.checked_health() }
    }
}

/// Has the scheduler look at a service. `host_network` is the host's network namespace, for callers that are in another one.
pub fn wake(link: &ServiceLink, host_network: Option<BorrowedFd>) -> io::Result<()> {
    match send(link) {
        Err(error) if nobody_listens(&error) => start(&link.scheduler, host_network),
        // It has so much to look at that it will look at this too.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        sent => sent,
    }
}

/// Tells the scheduler, if there is one; whether it listens.
pub fn is_scheduled(scheduler: &SchedulerPlan) -> bool {
    send(&ServiceLink { key: String::new(), scheduler: scheduler.clone() }).is_ok()
}

fn send(link: &ServiceLink) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    short(&link.scheduler.control, |short| socket.connect(short))?;
    socket.send(link.key.as_bytes()).map(drop)
}

/// Starts a scheduler. One that finds another one at work ends at once.
pub fn start(scheduler: &SchedulerPlan, host_network: Option<BorrowedFd>) -> io::Result<()> {
    let program = sys::seal::own_program()?;
    let open = |path: &str, flags: OFlag| nix::fcntl::open(path, flags | OFlag::O_CLOEXEC, Mode::empty());
    let null = open("/dev/null", OFlag::O_RDWR)?;
    let own_network = open("/proc/self/ns/net", OFlag::O_RDONLY)?;
    let network = host_network.unwrap_or_else(|| own_network.as_fd());
    let root = scheduler.root.as_ref().map(|root| root.to_string_lossy().into_owned()).unwrap_or_default();
    let fds = [null.as_fd(), null.as_fd(), null.as_fd(), network];
    sys::spawn::spawn(program.as_fd(), &["berth", COMMAND, &root], &fds, OnParentDeath::Live)?;
    Ok(())
}

impl Loop<'_> {
    /// Tells the task's service what its record says now, if that is new to it.
    pub(super) fn tell_service(&mut self) {
        let now = Told::of(&self.task);
        if let Some(link) = self.base.plan.service.as_ref().filter(|_| self.service_knows != Some(now)) {
            self.service_knows = Some(now);
            // Without a scheduler now, the next one looks at everything.
            let _ = wake(link, Some(self.base.host_network.as_fd()));
        }
    }
}
