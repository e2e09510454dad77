//! The process that sends a task's logs on, as the loop sees it: started when there is something to send, told when a
//! container has ended, listened to, started again if it dies. What it cannot send in time stays in the local files.

use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use super::event_loop::Loop;
use super::holder::Base;
use crate::lifecycle::ContainerPhase;
use crate::sys;
use crate::sys::spawn::OnParentDeath;
use crate::sys::time;
use crate::worker::protocol::{Request, SHIP_COMMAND, ShipOrder, Shipped};

/// How long one that died is left alone, in milliseconds.
const PAUSE: u64 = 1000;
/// How long a router waits for the last records of the others before it is asked to stop, in milliseconds.
const ROUTER_WAIT: u64 = 5000;
/// A report is short; what is longer is not one.
const LONGEST_REPORT: usize = 4096;

/// The process.
#[derive(Debug)]
struct Shipper {
    pid: Pid,
    orders: fs::File,
    reports: OwnedFd,
    text: Vec<u8>,
}

/// What the loop knows of sending.
#[derive(Debug, Default)]
pub(super) struct Sending {
    shipper: Option<Shipper>,
    /// Not before this time is it started again, in milliseconds since boot.
    start_at: u64,
    /// Signals for a router that wait for records: place, signal, when at the latest.
    deferred: Vec<(usize, i32, u64)>,
    clean_up: CleanUp,
}

/// Whether the task's removal waits for its logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum CleanUp {
    #[default]
    NotYet,
    /// Until this time, in milliseconds since boot.
    Waits(u64),
    Free,
}

impl Sending {
    /// The descriptor to wait on.
    pub(super) fn source(&self) -> Option<BorrowedFd<'_>> {
        self.shipper.as_ref().map(|shipper| shipper.reports.as_fd())
    }
}

impl Shipper {
    fn spawn(base: &Base) -> io::Result<Self> {
        let null = nix::fcntl::open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
        let (their_orders, orders) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        let (reports, their_reports) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        let fds = [&their_orders, &their_reports, &null, &base.plan_fd, &base.host_network].map(AsFd::as_fd);
        let args = ["berth", SHIP_COMMAND, &base.plan.id];
        let pid = sys::spawn::spawn(base.program.as_fd(), &args, &fds, OnParentDeath::Die)?;
        for fd in [&reports, &orders] {
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        Ok(Self { pid, orders: orders.into(), reports, text: Vec::new() })
    }

    fn flush(&mut self, container: usize) {
        let mut line = serde_json::to_vec(&ShipOrder::Flush(container)).expect("an order is plain data");
        line.push(b'\n');
        // One that does not read is killed with the task at the latest.
        let _ = self.orders.write_all(&line);
    }

    /// The reports that there are; nothing more is to come after an error.
    fn listen(&mut self) -> Result<Vec<Shipped>, Gone> {
        let mut buffer = [0; 4096];
        let mut all = Vec::new();
        loop {
            match nix::unistd::read(&self.reports, &mut buffer) {
                Ok(0) => return Err(Gone),
                Ok(read) => self.text.extend_from_slice(&buffer[..read]),
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return Ok(all),
                Err(_) => return Err(Gone),
            }
            while let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                all.extend(serde_json::from_slice::<Shipped>(&line));
            }
            if self.text.len() > LONGEST_REPORT {
                return Err(Gone);
            }
        }
    }
}

impl Drop for Shipper {
    fn drop(&mut self) {
        let _ = kill(self.pid, Signal::SIGKILL); // its state is on disk; a zombie is reaped with the others
    }
}

struct Gone;

impl Loop<'_> {
    /// What the shipper says.
    pub(super) fn hear_shipper(&mut self) {
        let Some(shipper) = &mut self.sending.shipper else { return };
        match shipper.listen() {
            Ok(reports) => {
                for report in reports {
                    if let Some(pump) = self.pumps.get_mut(report.container) {
                        pump.note_sent(report.through);
                    }
                }
            }
            Err(Gone) => {
                self.sending.shipper = None;
                self.sending.start_at = time::boot_ms() + PAUSE;
            }
        }
    }

    /// A container has ended, and all that it wrote is stored.
    pub(super) fn flush_log(&mut self, container: usize) {
        if let Some(shipper) = &mut self.sending.shipper {
            shipper.flush(container);
        }
    }

    /// Whether the task's removal has to wait for its logs.
    pub(super) fn holds_clean_up(&mut self) -> bool {
        if self.sending.clean_up == CleanUp::NotYet {
            let drain = self.base.plan.containers.iter().map(|container| container.log.drain).max().unwrap_or(0);
            self.sending.clean_up = CleanUp::Waits(time::boot_ms() + drain);
        }
        match self.sending.clean_up {
            CleanUp::NotYet | CleanUp::Waits(_) if !self.all_sent() => true,
            CleanUp::NotYet | CleanUp::Waits(_) | CleanUp::Free => {
                self.sending.clean_up = CleanUp::Free;
                false
            }
        }
    }

    /// Whether a signal for a container waits: a router is asked to stop when it has the last records of the others.
    pub(super) fn defers(&mut self, container: usize, signal: i32) -> bool {
        if signal == Signal::SIGKILL as i32 {
            self.sending.deferred.retain(|(other, ..)| *other != container);
            return false;
        }
        if self.clients_sent(container) {
            return false;
        }
        self.sending.deferred.push((container, signal, time::boot_ms() + ROUTER_WAIT));
        true
    }

    /// What follows every round.
    pub(super) fn keep_sending(&mut self, now: u64) {
        self.start_shipper(now);
        let due: Vec<_> = self.sending.deferred.clone();
        for (container, signal, at) in due {
            if at <= now || self.clients_sent(container) {
                self.sending.deferred.retain(|(other, ..)| *other != container);
                self.signal_now(container, signal);
            }
        }
        if let CleanUp::Waits(until) = self.sending.clean_up
            && (until <= now || self.all_sent())
        {
            self.sending.clean_up = CleanUp::Free;
            self.sending.shipper = None;
            self.endpoint.close();
            self.ask(Request::CleanUp);
        }
    }

    fn start_shipper(&mut self, now: u64) {
        let wanted = self.base.plan.containers.iter().any(|container| container.log.delivery.is_some())
            && self.task.containers.iter().any(|container| container.started_at.is_some())
            && self.sending.clean_up != CleanUp::Free;
        if !wanted || self.sending.shipper.is_some() || self.sending.start_at > now {
            return;
        }
        match Shipper::spawn(self.base) {
            Ok(mut shipper) => {
                let ended = |place: &usize| self.task.containers[*place].phase == ContainerPhase::Stopped;
                (0..self.pumps.len()).filter(ended).for_each(|place| shipper.flush(place));
                self.sending.shipper = Some(shipper);
            }
            Err(_) => self.sending.start_at = now + PAUSE,
        }
    }

    /// When something of this is due, in milliseconds since boot.
    pub(super) fn sending_deadline(&self) -> Option<u64> {
        let restart = (self.sending.shipper.is_none() && self.sending.start_at > 0).then_some(self.sending.start_at);
        let restart = restart.filter(|_| self.sending.clean_up != CleanUp::Free);
        let clean_up = match self.sending.clean_up {
            CleanUp::Waits(until) => Some(until),
            CleanUp::NotYet | CleanUp::Free => None,
        };
        let signals = self.sending.deferred.iter().map(|(_, _, at)| *at).min();
        [restart, clean_up, signals].into_iter().flatten().min()
    }

    /// Whether all logs are sent, as far as there is somebody to send them to.
    fn all_sent(&self) -> bool {
        (0..self.pumps.len()).all(|place| self.is_sent(place))
    }

    /// Whether the logs that go through a router are sent.
    fn clients_sent(&self, router: usize) -> bool {
        let containers = &self.base.plan.containers;
        let name = &containers[router].name;
        let clients = (0..containers.len()).filter(|place| containers[*place].log.source.router.as_ref() == Some(name));
        clients.into_iter().all(|place| self.is_sent(place))
    }

    fn is_sent(&self, place: usize) -> bool {
        let log = &self.base.plan.containers[place].log;
        let router = log.source.router.as_ref();
        let router = router.and_then(|name| self.task.containers.iter().find(|other| other.name == *name));
        let nobody_hears = router.is_some_and(|router| router.phase == ContainerPhase::Stopped);
        log.delivery.is_none() || nobody_hears || self.pumps[place].is_sent()
    }
}
