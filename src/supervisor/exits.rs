//! The ends of processes, as the loop learns of them: its own children, those of its holder, and strangers'.

use std::os::fd::AsFd;

use nix::unistd::Pid;

use super::event_loop::{Loop, REMEMBERED};
use super::holder::{Reaped, told};
use super::recover::{self, Kin};
use super::workers::Worker;
use crate::lifecycle::Exit;
use crate::sys::child::{self, Otherwise, Which};
use crate::sys::failpoint::pass;
use crate::sys::pidfd;
use crate::worker::protocol::Request;

impl Loop<'_> {
    pub(super) fn reap(&mut self) {
        pass("loop: a child has ended");
        while let Ok(Some(_)) = self.signals.read_signal() {}
        (0..self.live.len()).for_each(|place| self.see_end(place));
        self.workers.iter_mut().for_each(Worker::note_end);
        self.endpoint.note_end();
    }

    /// Sees whether a container's first process, a child of this loop, has ended. It stays a zombie: should the loop die
    /// before the record has its exit code, the holder inherits both.
    pub(super) fn see_end(&mut self, place: usize) {
        let Some(live) = &self.live[place] else { return };
        if let Ok(Some(ended)) = child::ended(Which::Pidfd(live.pidfd.as_fd()), Otherwise::Return) {
            self.ended(place, Exit::Code(ended.exit.code()));
        }
    }

    /// Reaps the dead as soon as nothing depends on them: the record is saved, no end is held back, no worker is at a container
    /// that it has not reported yet, or at finding out who killed one.
    pub(super) fn bury(&mut self) {
        let at_one = |worker: &Worker| {
            matches!(worker.request(), Some(Request::Start { .. } | Request::Inspect(_) | Request::Sweep { .. }))
        };
        if self.workers.iter().any(at_one) || !self.held_back.is_empty() {
            return;
        }
        while let Ok(Some(dead)) = child::ended(Which::Any, Otherwise::Return) {
            let unseen = self.live.iter().flatten().any(|live| live.pid == dead.pid.as_raw());
            if unseen || child::reap(dead.pid).is_err() {
                return; // its signal is on the way
            }
        }
    }

    /// The holder's end leaves its children to a stranger, who tells nobody of theirs.
    pub(super) fn hear_holder(&mut self) {
        let all = told(&self.exits_in);
        if all.is_empty() {
            self.holder_lives = false; // readable and empty: the other end is closed
            for live in self.live.iter_mut().flatten() {
                let own = pidfd::stat(Pid::from_raw(live.pid)).is_ok_and(|stat| stat.parent == Pid::this());
                live.kin = if own { Kin::Ours } else { Kin::Strange };
            }
        }
        for reaped in all {
            self.gone(reaped);
        }
    }

    /// A process is gone: a container's first one, or one to remember for a moment.
    fn gone(&mut self, reaped: Reaped) {
        let container = self.live.iter().position(|live| live.as_ref().is_some_and(|live| live.pid == reaped.pid));
        match container {
            Some(place) => self.ended(place, Exit::Code(reaped.code)),
            None => {
                self.exits.push(reaped);
                let surplus = self.exits.len().saturating_sub(REMEMBERED);
                self.exits.drain(..surplus);
            }
        }
    }

    /// The end of a process that is nobody's child here.
    pub(super) fn lost(&mut self, place: usize) {
        if let Some(live) = &self.live[place] {
            self.ended(place, recover::stranger_exit(live));
        }
    }
}
