//! What somebody must do as long as tasks run, and the endpoint does because it is there: tasks that have lost their supervisor
//! get another one, services somebody who holds their counts, and children that have ended are reaped. Nothing depends on it:
//! without an endpoint, whoever calls berth next does the same.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use super::metrics::Metrics;
use crate::ops::{Engine, EventFollower, host};

/// How often tasks and services are looked at though nothing has happened.
const LOOK: Duration = Duration::from_secs(30);
/// How often children are reaped.
const REAP: Duration = Duration::from_secs(2);

/// The thread that looks after things.
#[derive(Debug)]
pub(super) struct Keeper {
    thread: JoinHandle<()>,
    stop: OwnedFd,
}

impl Keeper {
    /// Starts it.
    pub(super) fn start(engine: Engine, metrics: Arc<Metrics>) -> io::Result<Self> {
        let (stopped, stop) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        let work = move || keep(engine, &metrics, &stopped);
        Ok(Self { thread: thread::Builder::new().name("keep".to_owned()).spawn(work)?, stop })
    }

    /// Ends it.
    pub(super) fn stop(self) {
        drop(self.stop);
        let _ = self.thread.join(); // a panic there has said so
    }
}

fn keep(mut engine: Engine, metrics: &Metrics, stopped: &OwnedFd) {
    let mut follower = EventFollower::new(&engine);
    let mut looked: Option<Instant> = None;
    loop {
        if looked.is_none_or(|at| at.elapsed() >= LOOK) {
            looked = Some(Instant::now());
            engine.refresh();
            // A full disk, a store that is locked: the next look may find it mended.
            let _ = engine.look_after();
        }
        host::reap_left();
        match follower.wait(stopped.as_fd(), REAP) {
            Ok(true) => return,
            Ok(false) => {}
            Err(_) => thread::sleep(REAP),
        }
        for launch in follower.launches(&engine).unwrap_or_default() {
            metrics.launch(launch);
        }
    }
}
