//! The process behind 169.254.170.2: it answers the containers of one task, and ends when they have been silent for a while.
//! The supervisor's loop holds the listening socket and starts this process when somebody calls; while it lives, the loop
//! does not look at the socket.
//!
//! What it reads was written by a container that may be hostile. So it stands in the task's own control group (its time and
//! memory are the task's), has next to no rights, keeps few connections for a short time, and can be killed at any moment:
//! the next call starts it again. Nothing that the supervisor does waits for it.

mod answer;
mod api;
mod connection;
mod role;
mod sample;

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::stat::Mode;

use self::answer::{Answered, Desk, Reply};
use self::connection::{Connection, Progress};
use super::protocol::{HOST_NETWORK_FD, PLAN_FD};
use crate::metadata::Pace;
use crate::net::FaultSockets;
use crate::plan::TaskPlan;
use crate::runtime::cgroup::Cgroups;
use crate::sys;
use crate::sys::capability::{self, Capabilities};
use crate::sys::time;

/// Connections at once; one more, and the oldest is given up.
const MOST: usize = 64;
/// Connections that are taken in one round, so that those which are there get on.
const BATCH: usize = 16;
/// After so many milliseconds without a connection the process ends.
const IDLE: u64 = 30_000;
/// What changes the network namespace, for tasks that may inject faults.
const FAULTS: &str = "CAP_NET_ADMIN";

/// Serves until nobody calls any more.
pub fn run() -> io::Result<()> {
    nix::sys::stat::umask(Mode::from_bits_truncate(0o077));
    let [listener, plan, host_network] = sys::spawn::inherited([0, PLAN_FD, HOST_NETWORK_FD]);
    let plan: TaskPlan = serde_json::from_slice(&sys::spawn::read_whole(&plan)?)?;
    let cgroups = Cgroups::of_host().map_err(io::Error::other)?;
    // Without its group it would be the host's time that a container wastes.
    cgroups.join_own(&plan.cgroup).map_err(io::Error::other)?;
    let faults = plan.agent.fault_injection.then(FaultSockets::open).transpose().map_err(io::Error::other)?;
    let links = sample::Links::open()?;
    if plan.agent.role.is_some() {
        sys::netns::enter(host_network.as_fd())?; // STS is the host's business, not the task's
    }
    drop(host_network);
    confine(if faults.is_some() { capability_of(FAULTS) } else { Capabilities::NONE })?;
    let desk = Desk::new(plan, cgroups, links, faults)?;
    Server { listener: listener.into(), connections: Vec::new(), pace: Pace::new(time::boot_ms()), desk }.serve()
}

fn capability_of(name: &str) -> Capabilities {
    Capabilities::named(name).expect("the name stands in the table")
}

/// Its files are root's own; it needs no more than that.
fn confine(kept: Capabilities) -> io::Result<()> {
    prctl::set_no_new_privs()?;
    capability::clear_ambient()?;
    Ok(capability::set(kept, kept)?)
}

struct Server {
    listener: TcpListener,
    connections: Vec<Connection>,
    pace: Pace,
    desk: Desk,
}

impl Server {
    fn serve(mut self) -> io::Result<()> {
        self.listener.set_nonblocking(true)?;
        let mut silent_since = time::boot_ms();
        loop {
            let now = time::boot_ms();
            if !self.connections.is_empty() {
                silent_since = now;
            }
            let end = silent_since + IDLE;
            if end <= now {
                return Ok(()); // who calls now waits in the socket's queue, and the loop looks at it again
            }
            let next = self.connections.iter().map(Connection::deadline).min().unwrap_or(end).min(end);
            let ready = self.wait(next.saturating_sub(now))?;
            self.round(&ready);
        }
    }

    /// Which of the descriptors are ready: the listener, the credentials' pipe, then the connections.
    fn wait(&self, milliseconds: u64) -> io::Result<Vec<bool>> {
        let mut fds = vec![
            PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.desk.told(), PollFlags::POLLIN),
        ];
        fds.extend(self.connections.iter().map(|one| PollFd::new(one.as_fd(), one.waits_for())));
        let patience = Duration::from_millis(milliseconds.saturating_add(1));
        match poll(&mut fds, PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(fds.iter().map(|fd| fd.revents().is_some_and(|events| !events.is_empty())).collect())
    }

    fn round(&mut self, ready: &[bool]) {
        let now = time::boot_ms();
        if ready.get(1) == Some(&true) && self.desk.hear() {
            for connection in self.connections.iter_mut().filter(|one| one.is_waiting()) {
                connection.reply(&self.desk.credentials(), now);
            }
        }
        let mut place = 2;
        let (desk, pace) = (&mut self.desk, &mut self.pace);
        self.connections.retain_mut(|connection| {
            let is_ready = ready.get(place) == Some(&true);
            place += 1;
            if connection.deadline() <= now {
                return connection.is_waiting() && {
                    connection.reply(&Reply::late(), now);
                    true
                };
            }
            !is_ready || serve_one(connection, desk, pace, now)
        });
        if ready.first() == Some(&true) {
            self.accept(now);
        }
    }

    fn accept(&mut self, now: u64) {
        for _ in 0..BATCH {
            let Ok((stream, _)) = self.listener.accept() else { return };
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            if self.connections.len() >= MOST {
                self.connections.remove(0);
            }
            self.connections.push(Connection::new(stream, now));
        }
    }
}

/// Gets on with one connection; whether there is more to do.
fn serve_one(connection: &mut Connection, desk: &mut Desk, pace: &mut Pace, now: u64) -> bool {
    match connection.run(now) {
        Progress::Unfinished => true,
        Progress::Over => false,
        Progress::Refused(reply) => {
            connection.reply(&reply, now);
            true
        }
        Progress::Asked(request) => {
            let answered = if pace.admits(now) { desk.answer(&request) } else { Answered::Now(Reply::too_many()) };
            match answered {
                Answered::Now(reply) => connection.reply(&reply, now),
                Answered::Later => connection.wait(now),
            }
            true
        }
    }
}

/// A pipe whose ends close on exec.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NONBLOCK)?)
}
