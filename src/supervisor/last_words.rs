//! The end of a container's output: the task learns that a container has ended when all that it had written is stored. Where
//! the log cannot be written (a full disk) the end is held back for a while; what is not stored then is counted and said.

use super::event_loop::Loop;
use crate::lifecycle::Exit;
use crate::sys::time;

/// How long the end of a container waits for its log, in milliseconds: as long as ECS gives a container to stop.
const PATIENCE: u64 = 30_000;

/// An end that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeldBack {
    container: usize,
    exit: Exit,
    until: u64,
}

impl Loop<'_> {
    /// Nothing of a container runs any more: its last output is stored, then the task learns of it.
    pub(super) fn over(&mut self, container: usize, exit: Exit) {
        let now = time::boot_ms();
        self.pumps[container].run_to_the_end(now);
        match self.pumps[container].retry_at() {
            None => self.all_stored(container, exit),
            Some(_) => self.held_back.push(HeldBack { container, exit, until: now + PATIENCE }),
        }
    }

    /// Those whose log is stored by now, and those that have waited long enough.
    pub(super) fn keep_last_words(&mut self, now: u64) {
        for place in (0..self.held_back.len()).rev() {
            let HeldBack { container, exit, until } = self.held_back[place];
            let pump = &mut self.pumps[container];
            if pump.retry_at().is_none_or(|at| at <= now) {
                pump.run_to_the_end(now);
            }
            let lost = match pump.retry_at() {
                None => 0,
                Some(_) if until > now => continue,
                Some(_) => pump.waiting_bytes(),
            };
            self.held_back.remove(place);
            if lost > 0 {
                let reason = format!("{lost} bytes of its last output could not be stored: its log cannot be written");
                self.task.containers[container].reason.get_or_insert(reason);
            }
            self.all_stored(container, exit);
        }
    }

    /// When the next one has waited long enough.
    pub(super) fn last_words_deadline(&self) -> Option<u64> {
        self.held_back.iter().map(|held| held.until).min()
    }
}
