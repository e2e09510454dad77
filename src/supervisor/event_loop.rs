//! The loop: one thread, one poll, one deadline. Descriptors become events, `lifecycle::step` turns these into actions, and
//! after every round the record is written if it has changed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::control::{Control, Wish};
use super::effects::Saved;
use super::endpoint::Endpoint;
use super::holder::{Base, Reaped, told};
use super::last_words::HeldBack;
use super::pump::Pump;
use super::recover::{self, Kin, LiveInit, Network, exit_of};
use super::retry::Retry;
use super::shipper::Sending;
use super::wake::Told;
use super::workers::Worker;
use crate::lifecycle::{
    Container, ContainerPhase, Event, LastStatus, Now, Preparation, TaskState, Timestamp, deadline, step,
};
use crate::sys::failpoint::pass;
use crate::sys::{spawn, time};
use crate::worker::protocol::Request;

/// When nothing has happened for this many milliseconds, freed memory goes back to the kernel.
const IDLE: u64 = 300;
/// When the first loop of a task looks whether somebody wanted it stopped before there was a socket to poke, in milliseconds:
/// not while the start needs the processor.
const FIRST_LOOK: u64 = 20;
/// Exits that the holder told of and nobody has asked about.
pub(super) const REMEMBERED: usize = 256;

/// All that the loop knows.
#[derive(Debug)]
pub(super) struct Loop<'a> {
    pub(super) base: &'a Base,
    pub(super) task: TaskState,
    pub(super) saved: Saved,
    pub(super) workers: Vec<Worker>,
    pub(super) live: Vec<Option<LiveInit>>,
    pub(super) pumps: Vec<Pump<'a>>,
    pub(super) control: Control,
    pub(super) exits: Vec<Reaped>,
    pub(super) look_at: Option<u64>,
    pub(super) looks: Retry,
    pub(super) held_back: Vec<HeldBack>,
    pub(super) finishing: bool,
    pub(super) sending: Sending,
    pub(super) endpoint: Endpoint,
    /// The status that those who watch know; the record has it.
    told: LastStatus,
    /// What the task's service has been told.
    pub(super) service_knows: Option<Told>,
    pub(super) signals: SignalFd,
    pub(super) exits_in: OwnedFd,
    pub(super) holder_lives: bool,
}

/// What a descriptor belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Child,
    HolderExits,
    Control,
    Worker(usize),
    Init(usize),
    Log(usize),
    Shipper,
    Call,
    Endpoint,
}

impl<'a> Loop<'a> {
    fn begin(base: &'a Base, task: TaskState, exits: &[Reaped], exits_in: OwnedFd) -> io::Result<Self> {
        let mut child = SigSet::empty();
        child.add(Signal::SIGCHLD);
        child.thread_block()?;
        let signals = SignalFd::with_flags(&child, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let (plan, count) = (&base.plan, base.plan.containers.len());
        let open = |place: usize| {
            Pump::open(
                &base.logs[place],
                base.words.word(place),
                &plan.container_paths(place),
                &plan.containers[place].log,
            )
        };
        Ok(Self {
            base,
            told: task.last_status,
            task: TaskState { starter: None, ..task },
            saved: Saved::default(),
            workers: Vec::new(),
            live: (0..count).map(|_| None).collect(),
            control: Control::bind(&plan.paths.control())?,
            pumps: (0..count).map(open).collect::<io::Result<_>>()?,
            exits: exits.to_vec(),
            look_at: None,
            looks: Retry::default(),
            held_back: Vec::new(),
            finishing: false,
            service_knows: None,
            sending: Sending::default(),
            endpoint: Endpoint::default(),
            signals,
            exits_in,
            holder_lives: true,
        })
    }

    /// The first worker has a way to go: it is started before anything else, and the caller's answer waits too.
    pub(super) fn begin_new(base: &'a Base, exits: &[Reaped], exits_in: OwnedFd) -> io::Result<Self> {
        let worker = super::effects::first_worker(base)?;
        let task =
            TaskState::new(&base.plan.containers, Timestamp(base.plan.created_at), Timestamp(base.plan.pulled_at));
        let mut this = Self::begin(base, task, exits, exits_in)?;
        this.saved = Saved::at(this.task.version); // the caller has committed the first state
        this.service_knows = Some(Told::of(&this.task));
        this.workers.push(worker);
        this.look_at = Some(time::boot_ms() + FIRST_LOOK);
        Ok(this)
    }

    /// Takes the task up where the last loop left it.
    pub(super) fn resume(
        base: &'a Base,
        task: TaskState,
        network: Network,
        exits: &[Reaped],
        exits_in: OwnedFd,
    ) -> io::Result<Self> {
        let mut this = Self::begin(base, task, exits, exits_in)?;
        let found = recover::look(base, &this.task);
        // Read after the look: the holder tells of an end before it reaps. What looked alive may have been about to be reaped.
        let news = told(&this.exits_in);
        this.live = recover::recover(&mut this.task, found, [&this.exits, &news], network);
        this.exits.extend(news);
        if this.task.preparation == Preparation::UnderWay {
            this.ask(Request::Prepare);
        }
        for place in 0..this.task.containers.len() {
            let Container { phase, pid, .. } = this.task.containers[place];
            let was_up = matches!(phase, ContainerPhase::Running | ContainerPhase::Stopping { .. });
            if was_up && this.live[place].is_none() {
                this.ended(place, exit_of(pid, &this.exits));
            }
        }
        pass("loop: it has recovered");
        this.happen(Event::Tick);
        this.look_at_desired();
        Ok(this)
    }

    /// One event changes the task; what follows from it is done at once.
    pub(super) fn happen(&mut self, event: Event) {
        let now = Now { wall: Timestamp(time::wall_ns() / 1_000_000), boot: time::boot_ms() };
        for action in step(&mut self.task, event, now) {
            self.act(action);
        }
    }

    pub(super) fn round(&mut self) -> io::Result<()> {
        for source in self.wait()? {
            match source {
                Source::Child => self.reap(),
                Source::HolderExits => self.hear_holder(),
                Source::Control => match self.control.run(self.told, &self.task) {
                    Wish::Nothing => {}
                    Wish::Look => self.look_at_desired(),
                    Wish::Left => self.look_for_scheduler(),
                },
                Source::Worker(place) => self.hear_worker(place),
                Source::Init(place) => self.lost(place),
                Source::Log(place) => self.pumps[place].run(time::boot_ms()),
                Source::Shipper => self.hear_shipper(),
                Source::Call => self.start_endpoint(),
                Source::Endpoint => self.hear_endpoint(),
            }
        }
        self.settle();
        Ok(())
    }

    /// What follows every round: deadlines, the record, those who watch it and the logs, and the dead whose ends it holds.
    pub(super) fn settle(&mut self) {
        self.keep_deadlines();
        if self.pumps.iter_mut().any(Pump::take_growth) {
            self.control.tell_of_logs();
        }
        self.workers.retain(|worker| worker.request().is_some()); // a free one is not kept: its input ends here
        if !self.saved.save(&self.base.plan, &self.task) {
            return;
        }
        if self.told != self.task.last_status && !self.finishing {
            self.told = self.task.last_status;
            self.control.tell(self.told);
        }
        if !self.finishing {
            self.tell_service();
        }
        self.bury();
    }

    /// Waits for the next thing to happen; what is ready, workers last to first, so that places stay true.
    fn wait(&self) -> io::Result<Vec<Source>> {
        let (sources, mut fds) = self.sources();
        let timeout = self.timeout();
        let mut ready = poll(&mut fds, short(timeout.map_or(IDLE, |left| left.min(IDLE))))?;
        if ready == 0 && timeout.is_none_or(|left| left > IDLE) {
            spawn::trim_memory();
            ready = poll(&mut fds, timeout.map_or(PollTimeout::NONE, |left| short(left - IDLE)))?;
        }
        if ready == 0 {
            return Ok(Vec::new());
        }
        let hot = |fd: &PollFd| fd.revents().is_some_and(|events| !events.is_empty());
        let mut all: Vec<Source> =
            sources.into_iter().zip(&fds).filter(|(_, fd)| hot(fd)).map(|(source, _)| source).collect();
        all.dedup();
        all.reverse();
        Ok(all)
    }

    fn sources(&self) -> (Vec<Source>, Vec<PollFd<'_>>) {
        let mut all: Vec<(Source, BorrowedFd<'_>)> = Vec::new();
        all.extend(self.control.sources().map(|fd| (Source::Control, fd)));
        for (place, pump) in self.pumps.iter().enumerate() {
            all.extend(pump.sources().into_iter().map(|fd| (Source::Log(place), fd)));
        }
        for (place, live) in self.live.iter().enumerate() {
            let strange = live.as_ref().filter(|live| live.kin == Kin::Strange);
            all.extend(strange.map(|live| (Source::Init(place), live.pidfd.as_fd())));
        }
        all.extend(self.workers.iter().enumerate().map(|(place, worker)| (Source::Worker(place), worker.source())));
        all.extend(self.sending.source().map(|fd| (Source::Shipper, fd)));
        all.extend(self.endpoint.call().map(|fd| (Source::Call, fd)));
        all.extend(self.endpoint.told().map(|fd| (Source::Endpoint, fd)));
        if self.holder_lives {
            all.push((Source::HolderExits, self.exits_in.as_fd()));
        }
        all.push((Source::Child, self.signals.as_fd()));
        all.into_iter().map(|(source, fd)| (source, PollFd::new(fd, PollFlags::POLLIN))).unzip()
    }

    /// Milliseconds to the nearest deadline.
    fn timeout(&self) -> Option<u64> {
        let pumps = self.pumps.iter().filter_map(Pump::retry_at);
        let workers = self.workers.iter().map(Worker::deadline).filter(|deadline| *deadline < u64::MAX);
        let own = [
            deadline(&self.task),
            self.saved.retry_at(),
            self.look_at,
            self.last_words_deadline(),
            self.sending_deadline(),
            self.endpoint.deadline(),
        ];
        let own = own.into_iter().flatten();
        let nearest = pumps.chain(workers).chain(own).min()?;
        Some(nearest.saturating_sub(time::boot_ms()))
    }

    fn keep_deadlines(&mut self) {
        let now = time::boot_ms();
        for pump in self.pumps.iter_mut().filter(|pump| pump.retry_at().is_some_and(|at| at <= now)) {
            pump.run(now);
        }
        self.keep_last_words(now);
        for worker in self.workers.iter_mut().filter(|worker| worker.deadline() <= now) {
            worker.give_up(); // its end is a failure of its request
        }
        for place in (0..self.workers.len()).rev().filter(|place| self.workers[*place].is_gone()).collect::<Vec<_>>() {
            self.hear_worker(place);
        }
        if self.look_at.is_some_and(|at| at <= now) {
            self.look_at_desired();
        }
        if deadline(&self.task).is_some_and(|at| at <= now) {
            self.happen(Event::Tick);
        }
        self.keep_sending(now);
        self.keep_endpoint(now);
    }

    fn hear_worker(&mut self, place: usize) {
        let worker = &mut self.workers[place];
        let Some(report) = worker.listen() else { return };
        let Some(request) = worker.request() else { return };
        worker.rest();
        if matches!(request, Request::Start { .. } | Request::Check { .. }) {
            self.workers.remove(place); // that process has been changed, or knows values: it is not used again
        }
        pass("loop: a worker has answered");
        self.answered(request, report);
    }
}

/// Poll takes milliseconds as an int; a longer wait is cut and begun again.
fn short(milliseconds: u64) -> PollTimeout {
    PollTimeout::try_from(i32::try_from(milliseconds.saturating_add(1)).unwrap_or(i32::MAX))
        .expect("a count of milliseconds is not negative")
}
