//! What a caller that is a process of its own needs of the bands below: its lock, its fork, its children, its wake-up.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

pub use crate::plan::{Layout, SchedulerPlan};
pub use crate::supervisor::wake::COMMAND as SCHEDULE;
pub use crate::supervisor::wake::is_scheduled;
pub use crate::supervisor::{Watch, short, watch};
pub use crate::sys::lock::{Lock, take};
pub use crate::sys::spawn::{
    Fork, fork, inherited, keep_children, memory_file, read_whole, reap_left, share_heaps, trim_memory,
};
pub use crate::sys::time::boot_ms;

use crate::sys::child::{self, Otherwise, Which};
use crate::sys::spawn::OnParentDeath;

/// The directories of a root, without opening it.
pub fn layout(root: Option<&Path>) -> io::Result<Layout> {
    match root {
        None => Ok(Layout::system()),
        Some(root) => Ok(Layout::below(&std::fs::canonicalize(root)?)),
    }
}

/// Starts another scheduler.
pub fn start(plan: &SchedulerPlan, network: BorrowedFd) -> io::Result<()> {
    crate::supervisor::wake::start(plan, Some(network))
}

/// Starts this program as a child that dies with its parent; its descriptor 3 is the host's network namespace, 4 is `result`.
pub fn spawn_own(args: &[&str], network: BorrowedFd, result: BorrowedFd) -> io::Result<Pid> {
    let program = crate::sys::seal::own_program()?;
    let null = nix::fcntl::open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    let fds = [null.as_fd(), null.as_fd(), null.as_fd(), network, result];
    crate::sys::spawn::spawn(program.as_fd(), args, &fds, OnParentDeath::Die)
}

/// Waits for the end of a child; its exit code, 128 + n for signal n.
pub fn wait(pid: Pid) -> io::Result<i32> {
    loop {
        match child::ended(Which::Pid(pid), Otherwise::Wait) {
            Ok(Some(ended)) => {
                child::reap(pid)?;
                return Ok(ended.exit.code());
            }
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reaps a child that has ended; its exit code.
pub fn reap_any() -> io::Result<Option<(Pid, i32)>> {
    let Some(ended) = child::ended(Which::Any, Otherwise::Return)? else { return Ok(None) };
    child::reap(ended.pid)?;
    Ok(Some((ended.pid, ended.exit.code())))
}

/// As many descriptors as the kernel allows: one for each task that is followed.
pub fn raise_open_files() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard); // with fewer, some tasks are not listened to
    }
}
