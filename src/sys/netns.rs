//! The network namespace of the calling thread: which one it is, entering another, making a fresh one.
//!
//! All three act on the calling thread alone: call them from a single-threaded process, or know that the others stay.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::sched::{CloneFlags, setns, unshare};

/// A descriptor of the calling thread's network namespace; it keeps the namespace alive.
pub fn current() -> io::Result<OwnedFd> {
    Ok(File::open("/proc/thread-self/ns/net")?.into())
}

/// Moves the calling thread into a network namespace. Sockets that it made before stay where they were made.
pub fn enter(namespace: BorrowedFd<'_>) -> io::Result<()> {
    Ok(setns(namespace, CloneFlags::CLONE_NEWNET)?)
}

/// Moves the calling thread into a fresh network namespace, in which only a downed `lo` exists.
pub fn enter_new() -> io::Result<()> {
    Ok(unshare(CloneFlags::CLONE_NEWNET)?)
}
