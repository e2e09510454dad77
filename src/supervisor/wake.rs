//! Waking the process that holds the counts of services: a datagram if it listens, else it is started. Called by whoever has
//! changed something that a count depends on: an operation on a service, and the loop of a service's task.
//!
//! Nothing is lost between two schedulers: a new one first looks at everything, and one that ends takes its socket away
//! before it looks for the last time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::control::{nobody_listens, short};
use super::event_loop::Loop;
use crate::ecs::HealthStatus;
use crate::lifecycle::{LastStatus, TaskState};
use crate::plan::{SchedulerPlan, ServiceLink};
use crate::store::Store;
use crate::store::records::SERVICES;
use crate::sys;
use crate::sys::spawn::OnParentDeath;
use crate::sys::time;

/// The name that starts the program as the scheduler.
pub const COMMAND: &str = "schedule";

/// How long a scheduler that has gone away may take to come back by itself, in milliseconds.
const SOON: u64 = 1000;

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

    /// Somebody who watched this task has gone away: that may have been the scheduler. If it died together with its holder, the
    /// tasks that it watched are those who notice: soon, and not all at the same moment.
    pub(super) fn look_for_scheduler(&mut self) {
        if self.base.plan.service.is_some() {
            let at = time::boot_ms() + SOON + u64::from(std::process::id()) % SOON;
            self.look_at = Some(self.look_at.map_or(at, |other| other.min(at)));
        }
    }

    /// Starts a scheduler if there is none and one is needed. Without it now, somebody else notices later.
    pub(super) fn keep_scheduler(&self) {
        let plan = &self.base.plan;
        let scheduler = plan.scheduler();
        if !sys::lock::is_held(&scheduler.lock).unwrap_or(true) && is_wanted(&plan.store) {
            let _ = start(&scheduler, Some(self.base.host_network.as_fd()));
        }
    }
}

/// Whether there is a service that is not over. The word is looked for as it is written; what is started finds out for itself.
fn is_wanted(store: &Path) -> bool {
    let services = Store::open(store).and_then(|store| store.list_text(SERVICES)).unwrap_or_default();
    services.iter().any(|service| service.value.contains(r#""status":"ACTIVE""#) || service.value.contains("DRAINING"))
}
