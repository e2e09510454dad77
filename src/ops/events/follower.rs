//! Following the store: the kernel tells when its file is written to, the revisions of the records tell what has changed.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::super::services::ServiceRecord;
use super::super::{Engine, OpsError, TaskRecord};
use super::envelope::Event;
use super::{instance, service, task};
use crate::store::records::{SERVICES, TASKS};
use crate::sys::time;

/// Changes come in groups, and a write to the file is seen a moment before what it wrote.
const SETTLE: u16 = 20;

/// What was seen of one task.
#[derive(Debug, Clone, Default)]
struct SeenTask {
    revision: i64,
    standing: String,
    warned: bool,
    started: bool,
}

/// Somebody who follows what happens in a root.
#[derive(Debug)]
pub struct EventFollower {
    /// None where the kernel has no watch to spare: then every wait takes its whole time.
    changes: Option<Inotify>,
    since: i64,
    begun: bool,
    tasks: HashMap<String, SeenTask>,
    services: HashMap<String, (i64, service::Seen)>,
    instances: HashMap<String, i64>,
}

impl EventFollower {
    /// Follows from now on.
    pub fn new(engine: &Engine) -> Self {
        let watch = || {
            let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
            inotify.add_watch(&engine.layout.state, AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE)?;
            Ok::<_, Errno>(inotify)
        };
        Self {
            changes: watch().ok(),
            since: time::wall_ns() / 1_000_000,
            begun: false,
            tasks: HashMap::new(),
            services: HashMap::new(),
            instances: HashMap::new(),
        }
    }

    /// Waits until something may have changed, for `patience` at most; whether `stop` has become readable.
    pub fn wait(&mut self, stop: BorrowedFd, patience: Duration) -> io::Result<bool> {
        let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        if self.poll(stop, patience)? {
            return Ok(true);
        }
        let Some(changes) = &self.changes else { return Ok(false) };
        while changes.read_events().is_ok_and(|events| !events.is_empty()) {}
        let mut fds = [PollFd::new(stop, PollFlags::POLLIN)];
        let ready = poll(&mut fds, PollTimeout::from(SETTLE)).or_else(interrupted)?;
        Ok(ready > 0)
    }

    fn poll(&self, stop: BorrowedFd, patience: PollTimeout) -> io::Result<bool> {
        let mut fds = vec![PollFd::new(stop, PollFlags::POLLIN)];
        fds.extend(self.changes.iter().map(|changes| PollFd::new(changes.as_fd(), PollFlags::POLLIN)));
        poll(&mut fds, patience).or_else(interrupted)?;
        // A pipe whose other end is gone is readable too.
        Ok(fds[0].any().unwrap_or(false))
    }

    /// What has happened since the last call; at the first one, nothing.
    pub fn events(&mut self, engine: &mut Engine) -> Result<Vec<Event>, OpsError> {
        let now = time::wall_ns() / 1_000_000;
        let mut events = Vec::new();
        for (record, was) in self.changed_tasks(engine)? {
            let shown = record.view();
            let standing = task::standing(&shown);
            if was.standing != standing && self.begun {
                events.extend(task::warning(&record).filter(|_| !was.warned));
                events.push(task::event(&record, &shown, task::seen_at(&record, now)));
            }
            if let Some(seen) = self.tasks.get_mut(&record.plan.key) {
                seen.standing = standing;
                seen.warned = task::is_interrupted(&shown);
            }
        }
        for (record, was) in self.changed_services(engine)? {
            if self.begun {
                events.extend(service::events(&record, &was, now));
            }
        }
        events.extend(self.changed_instances(engine, now)?);
        self.begun = true;
        Ok(events)
    }

    /// How long tasks took from RunTask to RUNNING that have got there since the last call.
    pub fn launches(&mut self, engine: &Engine) -> Result<Vec<Duration>, OpsError> {
        let mut launches = Vec::new();
        for (record, was) in self.changed_tasks(engine)? {
            let times = &record.state.times;
            let Some(started) = times.started_at else { continue };
            if !was.started
                && started.0 >= self.since
                && let Ok(took) = u64::try_from(started.0 - times.created_at.0)
            {
                launches.push(Duration::from_millis(took));
            }
            if let Some(seen) = self.tasks.get_mut(&record.plan.key) {
                seen.started = true;
            }
        }
        Ok(launches)
    }

    /// The tasks whose records have changed, and what was seen of them before.
    fn changed_tasks(&mut self, engine: &Engine) -> Result<Vec<(TaskRecord, SeenTask)>, OpsError> {
        let mut now: HashMap<String, i64> = HashMap::new();
        for (key, revision) in engine.store.revisions(TASKS)? {
            if let Some((task, "status" | "desired")) = key.rsplit_once('/') {
                let newest = now.entry(format!("{task}/")).or_default();
                *newest = revision.max(*newest);
            }
        }
        self.tasks.retain(|key, _| now.contains_key(key));
        let mut changed = Vec::new();
        for (key, revision) in now {
            let seen = self.tasks.entry(key.clone()).or_default();
            if seen.revision == revision {
                continue;
            }
            // One that was removed meanwhile is forgotten with the next look.
            let Some(record) = engine.records(&key)?.pop() else { continue };
            changed.push((record, seen.clone()));
            seen.revision = revision;
        }
        changed.sort_by_key(|(record, _)| (task::reached(record), record.plan.id.clone()));
        Ok(changed)
    }

    fn changed_services(&mut self, engine: &Engine) -> Result<Vec<(ServiceRecord, service::Seen)>, OpsError> {
        let now = engine.store.revisions(SERVICES)?;
        self.services.retain(|key, _| now.iter().any(|(other, _)| other == key));
        let mut changed = Vec::new();
        for (key, revision) in now {
            let (seen_revision, seen) = self.services.entry(key.clone()).or_default();
            if *seen_revision == revision {
                continue;
            }
            let Some(entry) = engine.store.get::<ServiceRecord>(&key)? else { continue };
            let was = std::mem::replace(seen, service::Seen::of(&entry.value));
            *seen_revision = entry.revision;
            changed.push((entry.value, was));
        }
        Ok(changed)
    }
}

/// Container instances, which are described in their own regions.
impl EventFollower {
    fn changed_instances(&mut self, engine: &mut Engine, now: i64) -> Result<Vec<Event>, OpsError> {
        let mut events = Vec::new();
        for (key, revision) in engine.store.revisions(instance::KEYS)? {
            if self.instances.insert(key.clone(), revision) != Some(revision) && self.begun {
                events.extend(engine.in_region_of(&key, |engine| instance::event(engine, &key, now))?);
            }
        }
        Ok(events)
    }
}

fn interrupted(errno: Errno) -> io::Result<i32> {
    match errno {
        Errno::EINTR => Ok(0),
        errno => Err(errno.into()),
    }
}

impl Engine {
    /// What the store still knows of what has happened: the state of each task, and what services have told; oldest first.
    pub fn past_events(&self) -> Result<Vec<Event>, OpsError> {
        let mut events = Vec::new();
        for record in self.records(TASKS)? {
            events.extend(task::warning(&record));
            events.push(task::event(&record, &record.view(), task::reached(&record)));
        }
        for entry in self.store.list::<ServiceRecord>(SERVICES)? {
            let record = entry.value;
            events.extend(service::events(&record, &service::Seen::default(), record.service.created_at.0));
        }
        events.sort_by_key(Event::at);
        Ok(events)
    }

    /// What somebody must do as long as tasks run: supervisors for tasks that have lost theirs, a scheduler for services.
    pub fn look_after(&mut self) -> Result<(), OpsError> {
        self.live_tasks()?;
        self.briefs()?; // read now, they are there when somebody asks for a list
        self.keep_scheduled()
    }
}
