//! One log on its way: read behind the supervisor, gathered into events and batches, sent, and noted as sent. In non-blocking
//! mode what is too far behind is passed over and counted, the oldest first.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::destination::{Destination, Limits, SendError};
use crate::logging::Delivery;
use crate::logs::{Count, Event, Gather, LogError, Mark, Sent, Step, Tail};
use crate::plan::TaskPlan;
use crate::worker::protocol::Shipped;

/// The waits between two attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long an event waits for more lines of its own.
const LINES_WAIT: Duration = Duration::from_secs(1);
/// How long a log that cannot be read is left alone.
const READ_PAUSE: Duration = Duration::from_secs(1);

/// How others wake a lane up.
#[derive(Debug)]
pub(super) struct Wake {
    flush: AtomicBool,
    pipe: (OwnedFd, OwnedFd),
}

impl Wake {
    pub(super) fn new() -> io::Result<Self> {
        let pipe = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        Ok(Self { flush: AtomicBool::new(false), pipe })
    }

    /// What has no newline yet gets none.
    pub(super) fn flush(&self) {
        self.flush.store(true, Ordering::Release);
        let _ = nix::unistd::write(&self.pipe.1, b"f"); // a full pipe wakes as well
    }

    fn clear(&self) {
        let mut waste = [0; 64];
        while nix::unistd::read(&self.pipe.0, &mut waste).is_ok_and(|read| read > 0) {}
    }
}

/// One log.
pub(super) struct Lane {
    place: usize,
    path: PathBuf,
    delivery: Delivery,
    destination: Destination,
    limits: Limits,
    wake: Arc<Wake>,
    changes: Inotify,
    tail: Tail,
    gather: Gather,
    /// Gathered, not sent.
    batch: Vec<Event>,
    batch_bytes: usize,
    /// When the oldest of the batch, or the last line of an open event, came.
    since: Instant,
    sent: Sent,
    told: Option<u64>,
}

/// What a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    /// The batch is as large as it may be.
    Full,
    /// There is nothing more now.
    End,
}

impl Lane {
    pub(super) fn new(plan: &TaskPlan, place: usize, wake: Arc<Wake>) -> io::Result<Self> {
        let log = &plan.containers[place].log;
        let path = plan.container_paths(place).log;
        let sent = Sent::read(&path).map_err(io::Error::other)?.unwrap_or_default();
        let destination = Destination::new(plan, place)?;
        let changes = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let directory = path.parent().ok_or_else(|| io::Error::other("a log is in a directory"))?;
        changes
            .add_watch(directory, AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO)?;
        Ok(Self {
            place,
            delivery: log.delivery.unwrap_or(Delivery::Blocking),
            limits: destination.limits(),
            destination,
            wake,
            changes,
            tail: Tail::open(&path, sent.from),
            gather: Gather::new(log.multiline.as_ref().map(crate::logging::Multiline::regex)),
            batch: Vec::new(),
            batch_bytes: 0,
            since: Instant::now(),
            sent,
            told: None,
            path,
        })
    }

    /// Sends for ever; the process ends around it.
    pub(super) fn run(mut self) {
        self.tell();
        loop {
            if let Err(error) = self.round() {
                self.note(&error.to_string());
                std::thread::sleep(READ_PAUSE);
            }
        }
    }

    fn round(&mut self) -> Result<(), LogError> {
        self.forget_changes();
        let flushes = self.wake.flush.swap(false, Ordering::AcqRel);
        self.pass_over()?;
        let read = self.read()?;
        if read == Read::Full && flushes {
            self.wake.flush.store(true, Ordering::Release); // not at the end yet
        }
        let waited = self.since.elapsed();
        if read == Read::End {
            if flushes {
                self.gather.rest(&mut self.batch);
            } else if self.gather.has_lines() && waited >= LINES_WAIT {
                self.gather.lines(&mut self.batch);
            }
        }
        let due = read == Read::Full || flushes || waited >= self.limits.linger;
        if !self.batch.is_empty() && due {
            return self.send_all();
        }
        if self.batch.is_empty() && !self.gather.has_lines() {
            // What was passed over is handled, too.
            self.settle(self.gather.start().unwrap_or(self.tail.mark()))?;
        }
        self.wait(match (self.batch.is_empty(), self.gather.has_lines()) {
            (true, false) => None,
            (true, true) => Some(LINES_WAIT.saturating_sub(waited)),
            (false, _) => Some(self.limits.linger.saturating_sub(waited)),
        });
        Ok(())
    }

    /// Fills the batch.
    fn read(&mut self) -> Result<Read, LogError> {
        while self.batch.len() < self.limits.events && self.batch_bytes < self.limits.bytes {
            let before = self.batch.len();
            match self.tail.next_step()? {
                None => return Ok(Read::End),
                Some(Step::Missed(from, to)) => {
                    // What goes on behind the gap is no part of what began before it.
                    self.gather.rest(&mut self.batch);
                    self.sent.dropped += between(from, to);
                }
                // Sent before this process began.
                Some(Step::Record(record, _, end)) if end.place.bytes <= self.sent.done[record.stream as usize] => {}
                Some(Step::Record(record, start, end)) => {
                    if self.batch.is_empty() {
                        self.since = Instant::now();
                    }
                    self.gather.add(record, start, end, &mut self.batch);
                }
            }
            self.batch_bytes += self.batch[before..].iter().map(|event| self.limits.size(event)).sum::<usize>();
        }
        Ok(Read::Full)
    }

    /// Sends the batch, however often it takes; in non-blocking mode until it is too old.
    fn send_all(&mut self) -> Result<(), LogError> {
        let first = self.destination.pause().unwrap_or(FIRST_PAUSE);
        let mut pause = first;
        while !self.batch.is_empty() {
            match self.destination.send(&self.batch) {
                Ok(refused) => {
                    let count = total(&self.batch);
                    let lines = count.lines.saturating_sub(refused.lines);
                    self.sent.sent += Count { lines, bytes: count.bytes.saturating_sub(refused.bytes) };
                    self.sent.dropped += refused;
                    self.sent.error = (refused.lines > 0).then(|| "refused: too old, or too new".to_owned());
                    self.let_go(self.batch.len());
                }
                Err(SendError::Refused { events, source }) => {
                    self.note(&format!("refused: {source}"));
                    let events = events.min(self.batch.len());
                    self.sent.dropped += total(&self.batch[..events]);
                    self.let_go(events);
                }
                Err(SendError::Failed(source)) => {
                    self.note(&source);
                    self.rest(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE.max(first));
                    self.pass_over()?;
                }
            }
        }
        let from = self.gather.start().unwrap_or(self.tail.mark());
        self.settle(from)
    }

    /// The first events of the batch are done with.
    fn let_go(&mut self, events: usize) {
        for event in self.batch.drain(..events) {
            let done = &mut self.sent.done[event.stream as usize];
            *done = (*done).max(event.end.place.bytes);
        }
        self.batch_bytes = self.batch.iter().map(|event| self.limits.size(event)).sum();
    }

    /// In non-blocking mode: passes over the oldest until no more waits than the buffer holds.
    fn pass_over(&mut self) -> Result<(), LogError> {
        let Delivery::NonBlocking { max_buffer } = self.delivery else { return Ok(()) };
        let end = self.tail.end()?;
        let oldest = |lane: &Self| {
            let first = lane.batch.first().map(|event| event.start);
            let first = first.into_iter().chain(lane.gather.start()).min_by_key(|mark| mark.place);
            first.unwrap_or(lane.tail.mark()).place.bytes
        };
        if end.saturating_sub(oldest(self)) <= max_buffer {
            return Ok(());
        }
        while !self.batch.is_empty() && end.saturating_sub(oldest(self)) > max_buffer {
            self.sent.dropped += total(&self.batch[..1]);
            self.let_go(1);
        }
        if end.saturating_sub(oldest(self)) > max_buffer {
            let mut open = Vec::new();
            self.gather.rest(&mut open);
            self.sent.dropped += total(&open);
        }
        while end.saturating_sub(self.tail.mark().place.bytes) > max_buffer {
            match self.tail.next_step()? {
                None => break,
                Some(Step::Missed(from, to)) => self.sent.dropped += between(from, to),
                Some(Step::Record(record, _, end)) if end.place.bytes <= self.sent.done[record.stream as usize] => {}
                Some(Step::Record(_, from, to)) => self.sent.dropped += between(from, to),
            }
        }
        Ok(())
    }

    /// Everything before this mark is handled: the file says so, then the supervisor.
    fn settle(&mut self, from: Mark) -> Result<(), LogError> {
        if self.told == Some(from.place.bytes) {
            return Ok(());
        }
        self.sent.from = from;
        self.sent.write(&self.path)?;
        self.tell();
        Ok(())
    }

    fn tell(&mut self) {
        let through = self.sent.from.place.bytes;
        let mut line = serde_json::to_vec(&Shipped { container: self.place, through }).expect("plain data");
        line.push(b'\n');
        // In one write, which a pipe takes whole. That nobody reads means that the end is near.
        let _ = io::stdout().lock().write_all(&line).and_then(|()| io::stdout().flush());
        self.told = Some(through);
    }

    /// Notes why nothing is sent, once.
    fn note(&mut self, error: &str) {
        let error: String = error.chars().filter(|character| !character.is_control()).take(512).collect();
        if self.sent.error.as_ref() != Some(&error) {
            self.sent.error = Some(error);
            let _ = self.sent.write(&self.path); // a full disk: the next one will do
        }
    }

    fn forget_changes(&self) {
        self.wake.clear();
        while self.changes.read_events().is_ok() {}
    }

    /// Until the log changes, somebody flushes, or the time is over.
    fn wait(&self, limit: Option<Duration>) {
        let fds = [self.wake.pipe.0.as_fd(), self.changes.as_fd()];
        let mut fds = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let _ = poll(&mut fds, limit.map_or(PollTimeout::NONE, timeout)); // interrupted: looked at once more
    }

    /// Between two attempts what the container writes changes nothing.
    fn rest(&self, pause: Duration) {
        std::thread::sleep(pause);
    }
}

fn timeout(limit: Duration) -> PollTimeout {
    PollTimeout::from(u16::try_from(limit.as_millis() + 1).unwrap_or(u16::MAX))
}

fn between(from: Mark, to: Mark) -> Count {
    Count { lines: to.place.lines - from.place.lines, bytes: to.place.written - from.place.written }
}

fn total(events: &[Event]) -> Count {
    let mut count = Count::default();
    events.iter().for_each(|event| count += event.count);
    count
}
