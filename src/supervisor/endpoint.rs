//! The endpoint at 169.254.170.2 as the loop sees it: a listening socket in the task's network namespace, and a process that
//! answers there as long as somebody calls. The loop reads nothing of what is said; it sees that somebody calls, starts the
//! process, and does not look at the socket again until that has ended.

use std::ffi::CStr;
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use super::event_loop::Loop;
use super::holder::Base;
use super::wake::wake;
use crate::plan::agent::{AGENT_ADDRESS, AGENT_PORT};
use crate::sys;
use crate::sys::child::{self, Otherwise, Which};
use crate::sys::spawn::OnParentDeath;
use crate::sys::time;
use crate::worker::protocol::ENDPOINT_COMMAND;

/// How long the socket, or a process that ended soon, is left alone, in milliseconds.
const PAUSE: u64 = 1000;
/// Calls that wait in the kernel.
const BACKLOG: i32 = 128;
/// No other interface can lead to the socket, whatever is routed there.
const INTERFACE: &CStr = c"lo";

/// What the loop knows of it.
#[derive(Debug, Default)]
pub(super) struct Endpoint {
    listener: Option<OwnedFd>,
    process: Option<Process>,
    /// Not before this time is anything tried again, in milliseconds since boot.
    not_before: u64,
    closed: bool,
}

#[derive(Debug)]
struct Process {
    pid: Pid,
    told: OwnedFd,
    began: u64,
}

impl Endpoint {
    /// The descriptor that somebody's call makes readable, while nobody answers.
    pub(super) fn call(&self) -> Option<BorrowedFd<'_>> {
        let waits = self.process.is_none() && self.not_before == 0;
        self.listener.as_ref().filter(|_| waits).map(AsFd::as_fd)
    }

    /// What the process says.
    pub(super) fn told(&self) -> Option<BorrowedFd<'_>> {
        self.process.as_ref().map(|process| process.told.as_fd())
    }

    /// When something is to be tried again, in milliseconds since boot.
    pub(super) fn deadline(&self) -> Option<u64> {
        (self.not_before > 0 && !self.closed).then_some(self.not_before)
    }

    /// Notes the end of the process. One that ended soon has failed, and is not started again at once.
    pub(super) fn note_end(&mut self) {
        let Some(process) = &self.process else { return };
        let ended = child::ended(Which::Pid(process.pid), Otherwise::Return);
        if matches!(ended, Ok(None)) {
            return;
        }
        let now = time::boot_ms();
        if now < process.began + PAUSE {
            self.not_before = now + PAUSE;
        }
        self.process = None;
    }

    /// The end: nobody is left who could call.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.listener = None;
        if let Some(process) = self.process.take() {
            // That it is gone already is no error.
            let _ = kill(process.pid, Signal::SIGKILL);
        }
    }
}

impl Loop<'_> {
    /// Opens the socket, and tries again what has failed.
    pub(super) fn keep_endpoint(&mut self, now: u64) {
        let endpoint = &mut self.endpoint;
        if endpoint.closed || endpoint.not_before > now || self.base.plan.network.eni().is_none() {
            return;
        }
        endpoint.not_before = 0;
        if endpoint.listener.is_none() {
            match open() {
                Ok(listener) => endpoint.listener = Some(listener),
                // The process of a loop that has just died may still hold the address.
                Err(_) => endpoint.not_before = now + PAUSE,
            }
        }
    }

    /// Somebody calls.
    pub(super) fn start_endpoint(&mut self) {
        let Some(listener) = self.endpoint.listener.as_ref().filter(|_| self.endpoint.process.is_none()) else {
            return;
        };
        match spawn(self.base, listener) {
            Ok(process) => self.endpoint.process = Some(process),
            Err(_) => self.endpoint.not_before = time::boot_ms() + PAUSE,
        }
    }

    /// The process has changed something that the task's service has to look at.
    pub(super) fn hear_endpoint(&mut self) {
        let Some(process) = &self.endpoint.process else { return };
        let mut bytes = [0; 64];
        match nix::unistd::read(&process.told, &mut bytes) {
            Ok(1..) => {
                if let Some(link) = &self.base.plan.service {
                    // Without a scheduler now, the next one looks at everything.
                    let _ = wake(link, Some(self.base.host_network.as_fd()));
                }
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // Its end, which its signal tells too; until then there is nothing to hear.
            Ok(0) | Err(_) => self.endpoint.note_end(),
        }
    }
}

/// The socket may be made before its address is there: the worker that makes the network takes longer.
fn open() -> io::Result<OwnedFd> {
    sys::listen::listen(SocketAddrV4::new(AGENT_ADDRESS, AGENT_PORT), INTERFACE, BACKLOG)
}

fn spawn(base: &Base, listener: &OwnedFd) -> io::Result<Process> {
    let null = nix::fcntl::open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    let (told, tell) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    let fds = [listener, &tell, &null, &base.plan_fd, &base.host_network].map(AsFd::as_fd);
    let args = ["berth", ENDPOINT_COMMAND, &base.plan.id];
    let pid = sys::spawn::spawn(base.program.as_fd(), &args, &fds, OnParentDeath::Die)?;
    fcntl(&told, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(Process { pid, told, began: time::boot_ms() })
}
