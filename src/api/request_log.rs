//! The request log: a line of JSON for each request, written by a thread of its own, so that a reader who is slow or gone
//! delays nobody. What does not fit into the queue is counted, and the next line says how many that were.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use serde::Serialize;

/// How many lines may wait.
const WAITING: usize = 4096;
/// How many bytes are written at once.
const BATCH: usize = 64 << 10;

/// One request.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Entry {
    pub(super) time: String,
    pub(super) id: String,
    pub(super) peer: String,
    pub(super) action: String,
    /// Which key, as far as one was named; who has not signed well may have named another's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) region: Option<String>,
    pub(super) status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    pub(super) ms: f64,
    /// Lines before this one that nobody could write.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) lost: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The log; `None` is nowhere.
#[derive(Debug)]
pub(super) struct RequestLog {
    lines: Option<SyncSender<String>>,
    lost: AtomicU64,
}

impl RequestLog {
    /// Nothing is written.
    pub(super) fn off() -> Self {
        Self { lines: None, lost: AtomicU64::new(0) }
    }

    /// Lines go to standard output; the thread ends when the log is dropped.
    pub(super) fn to_stdout() -> io::Result<(Self, JoinHandle<()>)> {
        let (lines, waiting) = sync_channel(WAITING);
        let writer = thread::Builder::new().name("request-log".to_owned()).spawn(move || write(&waiting))?;
        Ok((Self { lines: Some(lines), lost: AtomicU64::new(0) }, writer))
    }

    /// Tells of a request.
    pub(super) fn tell(&self, mut entry: Entry) {
        let Some(lines) = &self.lines else { return };
        entry.lost = self.lost.swap(0, Ordering::Relaxed);
        let line = serde_json::to_string(&entry).unwrap_or_default();
        if lines.try_send(line).is_err() {
            self.lost.fetch_add(1 + entry.lost, Ordering::Relaxed);
        }
    }
}

fn write(waiting: &Receiver<String>) {
    while let Ok(mut batch) = waiting.recv() {
        batch.push('\n');
        while batch.len() < BATCH
            && let Ok(next) = waiting.try_recv()
        {
            batch.push_str(&next);
            batch.push('\n');
        }
        let mut out = io::stdout().lock();
        // With nobody to read, there is nobody to tell.
        let _ = out.write_all(batch.as_bytes()).and_then(|()| out.flush());
    }
}
