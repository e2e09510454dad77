//! The threads that perform requests, each with an engine of its own: operations block (a store's lock, a supervisor's
//! answer), and whoever only reads does not wait behind those who write. Bounded in threads and in what waits.
//!
//! The threads live as long as the process: workers that operations start die with the thread that started them.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use crate::ops::{Engine, OpsError};

/// How many requests may wait for a thread.
const WAITING: usize = 256;

type Job = Box<dyn FnOnce(&mut Engine) + Send>;

/// Some threads and what waits for them.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    jobs: SyncSender<Job>,
}

/// Why a job was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undone {
    /// Too many wait already.
    Busy,
    /// The thread is gone.
    Lost,
}

impl Pool {
    /// Opens the engine's root once more for each thread; what is known of its tasks they share.
    pub(super) fn start(name: &str, threads: usize, engine: &Engine) -> Result<Self, OpsError> {
        let (jobs, waiting) = sync_channel(WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..threads {
            let own = engine.another()?;
            let waiting = Arc::clone(&waiting);
            let spawned = thread::Builder::new().name(format!("{name}-{number}")).spawn(move || work(own, &waiting));
            spawned.map_err(|source| OpsError::File {
                verb: "start a thread for",
                path: engine.layout().store(),
                source,
            })?;
        }
        Ok(Self { jobs })
    }

    /// Has a thread do something. A caller that goes away before its turn is not served any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Engine) -> T + Send + 'static,
    ) -> Result<T, Undone> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |engine| {
            if !answer.is_closed() {
                // Whoever asked may have gone meanwhile.
                let _ = answer.send(job(engine));
            }
        });
        match self.jobs.try_send(job) {
            Ok(()) => answered.await.map_err(|_| Undone::Lost),
            Err(TrySendError::Full(_)) => Err(Undone::Busy),
            Err(TrySendError::Disconnected(_)) => Err(Undone::Lost),
        }
    }
}

fn work(mut engine: Engine, waiting: &Mutex<Receiver<Job>>) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(job) => {
                engine.refresh();
                job(&mut engine);
            }
            Err(_) => return, // the endpoint is gone
        }
    }
}
