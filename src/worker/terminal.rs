//! A container's terminal (`pseudoTerminal`): a small process that lives as long as the container and carries what is written
//! to the terminal into the container's log FIFO.
//!
//! It owns the terminal's other end, and nobody else does: were that a supervisor's, its death would hang the terminal up, and
//! the container with it. It is started before the container, by the worker that creates it, in the task's own group
//! and not the container's; it dies with the worker as long as it has not got the terminal. When the container has ended and
//! all of its output is in the FIFO, it ends.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{Pid, read, write};

use super::protocol::InitFile;
use super::start::write_whole;
use crate::plan::ContainerPaths;
use crate::sys::capability::{self, Capabilities};
use crate::sys::spawn::OnParentDeath;
use crate::sys::{self, passing, pidfd};

/// The name that starts the program as such a carrier; its descriptors 3 and 4 are the socket on which it gets the
/// terminal and the FIFO.
pub const COMMAND: &str = "terminal";

/// How long a full FIFO is waited for before its reader is looked for, in milliseconds.
const LOOK: u16 = 1000;
/// How long the last output of a container may take to be carried, in milliseconds.
const PATIENCE: u16 = 10_000;

/// A carrier that waits for a terminal.
pub(super) struct Carrier {
    pid: Pid,
    socket: OwnedFd,
}

impl Carrier {
    /// Starts one.
    pub(super) fn start(task: &str, paths: &ContainerPaths) -> io::Result<Self> {
        let open = |path: &Path, flags| nix::fcntl::open(path, flags | OFlag::O_CLOEXEC, Mode::empty());
        let null = open(Path::new("/dev/null"), OFlag::O_RDWR)?;
        let fifo = open(&paths.stdout(), OFlag::O_RDWR | OFlag::O_NONBLOCK)?;
        let (socket, theirs) = passing::pair()?;
        let program = sys::seal::own_program()?;
        let fds = [&null, &null, &null, &theirs, &fifo].map(AsFd::as_fd);
        let pid = sys::spawn::spawn(program.as_fd(), &["berth", COMMAND, task], &fds, OnParentDeath::Live)?;
        Ok(Self { pid, socket })
    }

    /// Gives it the terminal of a container that is created and has not begun. Whoever waits for the container's last output
    /// finds the carrier by its file.
    pub(super) fn hand_over(self, terminal: &OwnedFd, init: Pid, paths: &ContainerPaths) -> io::Result<()> {
        let Some([master, slave]) = passing::receive(terminal)? else {
            return Err(io::Error::other("the container has made no terminal"));
        };
        let file = InitFile {
            pid: self.pid.as_raw(),
            start_time: pidfd::stat(self.pid)?.start_time,
            boot_id: pidfd::boot_id()?,
            started: true,
            run: 0,
        };
        write_whole(&paths.terminal_file(), &file)?;
        let init = pidfd::open(init)?;
        passing::send(&self.socket, &[master.as_fd(), slave.as_fd(), init.as_fd()])
    }
}

/// Waits until a container's carrier has ended, for some seconds at most. None is none to wait for.
pub(super) fn wait_for_output(paths: &ContainerPaths) {
    let file = std::fs::read(paths.terminal_file()).ok();
    let Some(carrier) = file.and_then(|text| serde_json::from_slice::<InitFile>(&text).ok()) else { return };
    let Ok(process) = pidfd::open(Pid::from_raw(carrier.pid)) else { return };
    let same = pidfd::stat(Pid::from_raw(carrier.pid)).is_ok_and(|stat| stat.start_time == carrier.start_time)
        && pidfd::boot_id().is_ok_and(|boot| boot == carrier.boot_id);
    if same {
        let _ = wait(&mut [PollFd::new(process.as_fd(), PollFlags::POLLIN)], PollTimeout::from(PATIENCE));
    }
}

/// Carries, until the container has ended and all of its output is in the FIFO.
pub fn run() -> io::Result<()> {
    let [socket, fifo] = sys::spawn::inherited([3, 4]);
    capability::set(Capabilities::NONE, Capabilities::NONE)?;
    let Some([master, _slave, init]) = passing::receive(&socket)? else { return Ok(()) };
    drop(socket);
    fcntl(&master, FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK))?;
    let mut bytes = [0; 8192];
    let mut ended = false;
    loop {
        match read(&master, &mut bytes) {
            Ok(count) if count > 0 => {
                if !write_all(fifo.as_fd(), &bytes[..count])? {
                    return Ok(());
                }
            }
            // The kernel has looked into its buffers before it said that there is nothing.
            Err(Errno::EAGAIN) if ended => return Ok(()),
            Err(Errno::EAGAIN) => ended = wait_for_either(master.as_fd(), init.as_fd())?,
            Err(Errno::EINTR) => {}
            Ok(_) | Err(Errno::EIO) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Waits for output or for the container's end; whether it has ended.
fn wait_for_either(master: BorrowedFd<'_>, init: BorrowedFd<'_>) -> io::Result<bool> {
    let mut fds = [master, init].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    wait(&mut fds, PollTimeout::NONE)?;
    Ok(fds[1].any() == Some(true))
}

/// Writes all of it, however long nobody reads; false if nobody ever will, because the FIFO has been removed.
fn write_all(fifo: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<bool> {
    while !bytes.is_empty() {
        match write(fifo, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::EAGAIN) => {
                if wait(&mut [PollFd::new(fifo, PollFlags::POLLOUT)], PollTimeout::from(LOOK))? == 0
                    && fstat(fifo)?.st_nlink == 0
                {
                    return Ok(false);
                }
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(true)
}

fn wait(fds: &mut [PollFd<'_>], timeout: PollTimeout) -> io::Result<i32> {
    loop {
        match poll(fds, timeout) {
            Err(Errno::EINTR) => {}
            ready => return Ok(ready?),
        }
    }
}
