//! Ctrl-C and its like as a descriptor, for commands that wait for a task.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// SIGINT, SIGTERM and SIGHUP are from now on read from the descriptor and do nothing else.
pub(super) fn interrupts() -> nix::Result<SignalFd> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block()?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// The same for a while: a signal that came meanwhile takes effect at the end.
pub(super) struct Interrupts {
    signals: SignalFd,
    before: SigSet,
}

impl Interrupts {
    /// From now on.
    pub(super) fn begin() -> nix::Result<Self> {
        Ok(Self { before: SigSet::thread_get_mask()?, signals: interrupts()? })
    }
}

impl AsFd for Interrupts {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        // The mask was the kernel's own answer.
        let _ = self.before.thread_set_mask();
    }
}
