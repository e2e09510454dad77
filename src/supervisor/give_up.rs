//! The end of a task whose loop cannot begin, however often the holder tries (a socket that cannot be bound, a store that cannot
//! be read): what was made for it is removed, and the record says why it stopped. A task of which a container lives is not
//! given up: its output needs the holder.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::effects::remove_run_directory;
use super::holder::Base;
use super::recover::{live_init, record};
use super::workers::{PATIENCE, Worker};
use crate::lifecycle::Timestamp;
use crate::store::{Store, Txn};
use crate::sys::time;
use crate::worker::protocol::{Report, Request};

/// Whether the task is over now; what could be done for that is done. Where the store does not answer either, the record stays
/// as it is, and whoever finds the lock free tries once more.
pub(super) fn give_up(base: &Base, reason: &str) -> bool {
    let lives = |place: usize| live_init(&base.plan.container_paths(place), None).is_some();
    if (0..base.plan.containers.len()).any(lives) {
        return false;
    }
    let is_clean = clean_up(base);
    if let Ok(Some(mut task)) = record(base) {
        let reason =
            format!("ContainerRuntimeError: the task's supervisor could not begin, however often it tried: {reason}");
        match is_clean {
            true => task.never_start(&reason, None, Timestamp(time::wall_ns() / 1_000_000)),
            false => task.fail(&reason), // the next supervisor removes what is left, and starts nothing
        }
        let plan = &base.plan;
        let txn = Txn::default().put(plan.status_key(), &task); // the leases went with what they stood for
        if Store::open(&plan.store).and_then(|mut store| store.commit(&txn)).is_err() {
            return true;
        }
    }
    if is_clean {
        let _ = remove_run_directory(base); // what is left of it is a directory that `berth ps` removes
    }
    true
}

/// Has a worker remove everything that was made for the task.
fn clean_up(base: &Base) -> bool {
    let Ok(mut worker) = Worker::spawn(base) else { return false };
    let deadline = time::boot_ms() + PATIENCE;
    worker.ask(Request::CleanUp, PATIENCE, time::boot_ms());
    let report = loop {
        if let Some(report) = worker.listen() {
            break Some(report);
        }
        let left = deadline.saturating_sub(time::boot_ms());
        if left == 0 {
            break None;
        }
        let mut fds = [PollFd::new(worker.source(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)); // interrupted: looked at again
    };
    worker.end();
    report == Some(Report::CleanedUp)
}
