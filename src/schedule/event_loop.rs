//! The loop: pokes, ends of children, silence of supervisors and one deadline become turns of services.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

use super::watches::Watches;
use super::{FETCH, MISSING, ScheduleError, system};
use crate::ops::host::{self, SchedulerPlan};
use crate::ops::{Engine, Fetches};

/// How long a service rests whose turn has failed (a full disk), or whose fetch died, in milliseconds.
const REST: u64 = 1000;
/// When nothing has happened for this many milliseconds, freed memory goes back to the kernel.
const IDLE: u16 = 300;

/// A service that is held.
#[derive(Debug, Default)]
struct Held {
    /// When it is to be looked at, in milliseconds since boot.
    wake: Option<u64>,
    fetches: Fetches,
}

/// A child that fetches for a deployment of a service.
struct Fetch {
    service: String,
    deployment: String,
    /// The values, when it is done.
    result: OwnedFd,
}

struct Loop<'a> {
    root: Option<&'a Path>,
    network: BorrowedFd<'a>,
    engine: Engine,
    plan: SchedulerPlan,
    socket: UnixDatagram,
    signals: SignalFd,
    holder: OwnedFd,
    held: BTreeMap<String, Held>,
    dirty: BTreeSet<String>,
    children: BTreeMap<i32, Fetch>,
    watches: Watches,
}

/// Holds the counts until there is none to hold. `holder` is readable when the holder has died.
pub(super) fn run(root: Option<&Path>, network: BorrowedFd, holder: OwnedFd) -> Result<(), ScheduleError> {
    let engine = Engine::open(root)?;
    let plan = engine.layout().scheduler();
    let mut child = SigSet::empty();
    child.add(Signal::SIGCHLD);
    child.thread_block().map_err(|errno| system("block SIGCHLD")(errno.into()))?;
    let signals = SignalFd::with_flags(&child, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK);
    let signals = signals.map_err(|errno| system("listen for SIGCHLD")(errno.into()))?;
    host::raise_open_files();
    let mut this = Loop {
        root,
        network,
        socket: bind(&plan.control).map_err(system("listen on the scheduler's socket"))?,
        engine,
        plan,
        signals,
        holder,
        held: BTreeMap::new(),
        dirty: BTreeSet::new(),
        children: BTreeMap::new(),
        watches: Watches::default(),
    };
    this.look_at_all()?;
    loop {
        this.turns();
        if this.held.is_empty() && this.children.is_empty() && this.ends()? {
            return Ok(());
        }
        this.wait().map_err(system("wait"))?;
    }
}

fn bind(path: &Path) -> io::Result<UnixDatagram> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = host::short(path, |short| UnixDatagram::bind(short))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl Loop<'_> {
    /// Every service is looked at, and every task of one that has lost its supervisor gets another one.
    fn look_at_all(&mut self) -> Result<(), ScheduleError> {
        for key in self.engine.scheduled_services()? {
            self.watches.tend(&key);
            self.dirty.insert(key);
        }
        Ok(())
    }

    /// Turns of all services that something has happened to, or that are due.
    fn turns(&mut self) {
        self.engine.refresh();
        let now = host::boot_ms();
        let due =
            self.held.iter().filter(|(_, held)| held.wake.is_some_and(|at| at <= now)).map(|(key, _)| key.clone());
        self.dirty.extend(due);
        for key in std::mem::take(&mut self.dirty) {
            self.turn(&key);
        }
        let tended = self.watches.keep(&mut self.engine, now);
        self.dirty.extend(tended);
    }

    fn turn(&mut self, key: &str) {
        let held = self.held.entry(key.to_owned()).or_default();
        match self.engine.turn(key, &held.fetches) {
            Ok(turn) if turn.over => {
                self.held.remove(key);
                self.watches.forget(key);
            }
            Ok(turn) => {
                held.wake = turn.wake;
                held.fetches.done.clear(); // what was fetched is in use; values are asked for anew for each start
                self.watches.follow(key, &turn.tasks);
                turn.fetch.iter().for_each(|deployment| self.fetch(key, deployment));
            }
            Err(_) => held.wake = Some(host::boot_ms() + REST),
        }
    }

    fn fetch(&mut self, key: &str, deployment: &str) {
        let root = self.root.map(|root| root.to_string_lossy().into_owned()).unwrap_or_default();
        let begin = || {
            let result = host::memory_file(c"values", b"")?;
            let pid = host::spawn_own(&["berth", FETCH, &root, key, deployment], self.network, result.as_fd())?;
            Ok::<_, io::Error>((pid, result))
        };
        let started = begin();
        let held = self.held.entry(key.to_owned()).or_default();
        match started {
            Ok((pid, result)) => {
                held.fetches.running.insert(deployment.to_owned());
                let fetch = Fetch { service: key.to_owned(), deployment: deployment.to_owned(), result };
                self.children.insert(pid.as_raw(), fetch);
            }
            Err(_) => held.wake = Some(host::boot_ms() + REST),
        }
    }

    /// Reaps children: fetches, and supervisors whose tasks are over.
    fn reap(&mut self) {
        while let Ok(Some(_)) = self.signals.read_signal() {}
        while let Ok(Some((pid, code))) = host::reap_any() {
            let Some(fetch) = self.children.remove(&Pid::as_raw(pid)) else { continue };
            let Some(held) = self.held.get_mut(&fetch.service) else { continue };
            held.fetches.running.remove(&fetch.deployment);
            let values = host::read_whole(&fetch.result).ok().and_then(|text| serde_json::from_slice(&text).ok());
            match (code, values) {
                (0, Some(values)) => {
                    held.fetches.done.insert(fetch.deployment, values);
                    self.dirty.insert(fetch.service);
                }
                (code, _) if code == i32::from(MISSING) => drop(self.dirty.insert(fetch.service)),
                _ => held.wake = Some(host::boot_ms() + REST),
            }
        }
    }

    /// Waits for the next thing to happen.
    fn wait(&mut self) -> io::Result<()> {
        if !self.dirty.is_empty() {
            return Ok(());
        }
        let wakes = self.held.values().filter_map(|held| held.wake);
        let next = wakes.chain(self.watches.due()).min();
        let timeout = next.map(|at| at.saturating_sub(host::boot_ms()));
        let (socket_hot, signals_hot, holder_gone, silent) = {
            let mut fds = vec![self.socket.as_fd(), self.signals.as_fd(), self.holder.as_fd()];
            fds.extend(self.watches.descriptors());
            let mut fds: Vec<PollFd> = fds.into_iter().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
            let first = timeout.map_or(PollTimeout::from(IDLE), in_time);
            let mut ready = poll(&mut fds, first).or_else(interrupted)?;
            if ready == 0 && timeout.is_none() {
                host::trim_memory();
                ready = poll(&mut fds, PollTimeout::NONE).or_else(interrupted)?;
            }
            let hot = |fd: &PollFd| ready > 0 && fd.revents().is_some_and(|events| !events.is_empty());
            let silent: Vec<usize> = (3..fds.len()).filter(|place| hot(&fds[*place])).map(|place| place - 3).collect();
            (hot(&fds[0]), hot(&fds[1]), hot(&fds[2]), silent)
        };
        self.dirty.extend(self.watches.hear(&silent));
        if signals_hot {
            self.reap();
        }
        if socket_hot {
            self.hear();
        }
        if holder_gone {
            // Nobody starts this loop again if it dies: another pair takes over, and waits until the lock is free.
            fs::remove_file(&self.plan.control)?; // the new pair must not take this loop for one that stays
            host::start(&self.plan, self.network)?;
            std::process::exit(1);
        }
        Ok(())
    }

    /// Takes all pokes: each names a service; an empty one only asks whether somebody listens.
    fn hear(&mut self) {
        let mut key = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut key) {
            let key = String::from_utf8_lossy(&key[..length]);
            self.dirty.extend(Some(key.into_owned()).filter(|key| !key.is_empty()));
        }
    }

    /// Whether nothing is left to hold. The socket goes first: whoever finds it deaf starts another scheduler, which waits for
    /// the lock, and what was said before is seen by the last look.
    fn ends(&mut self) -> Result<bool, ScheduleError> {
        fs::remove_file(&self.plan.control).map_err(system("remove the scheduler's socket"))?;
        self.hear();
        self.look_at_all()?;
        if self.dirty.is_empty() {
            return Ok(true);
        }
        self.socket = bind(&self.plan.control).map_err(system("listen on the scheduler's socket"))?;
        self.look_at_all()?;
        Ok(false)
    }
}

fn interrupted(errno: nix::errno::Errno) -> io::Result<i32> {
    match errno {
        nix::errno::Errno::EINTR => Ok(0),
        errno => Err(errno.into()),
    }
}

/// Poll takes milliseconds as an int; a longer wait is cut and begun again.
fn in_time(milliseconds: u64) -> PollTimeout {
    let milliseconds = i32::try_from(milliseconds.saturating_add(1)).unwrap_or(i32::MAX);
    PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
}
