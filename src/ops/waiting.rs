//! Tasks that wait for what they are made of. RunTask answers at once: where an image must be asked for, the task is on record
//! without a plan that can be started, and beside it stands its order, which says how it is to be planned. A short-lived
//! process of its own fetches and then plans, commits and launches it; whoever finds that process dead starts it again.
//!
//! ```text
//! caller: plan without images + order --spawn--> bring: fetch --> plan --> supervisor
//!              stop: takes the order away, and the task has stopped; bring finds that out at once and ends
//! ```

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};

use super::connect::held;
use super::provide::Present;
use super::pull::reason::{chain, shortened};
use super::run::state;
use super::{Engine, OpsError, RunOptions, TaskImages, TaskRecord};
use crate::lifecycle::{LastStatus, Timestamp};
use crate::plan::TaskPlan;
use crate::plan::make::{Names, plan};
use crate::store::records::{self, Desired};
use crate::store::{Commit, Entry, Store, Txn};
use crate::supervisor::launch::{Beginning, begin};
use crate::supervisor::{poke, short};
use crate::sys;
use crate::sys::lock;
use crate::sys::spawn::OnParentDeath;
use crate::validate::ValidTaskDefinition;

/// The name that starts the program as the process that brings what a task is made of.
pub(super) const COMMAND: &str = "bring";
/// How often that process may die over one task before the task is given up.
const MOST_ATTEMPTS: u32 = 5;
/// How often a commit is tried.
const COMMITS: usize = 20;

/// What a task is to be made of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Order {
    /// `FAMILY:REVISION`.
    pub(super) definition: String,
    /// What the run was told.
    pub(super) options: RunOptions,
    /// The names that it has already.
    pub(super) names: Names,
    /// How often its process has begun.
    pub(super) attempts: u32,
}

/// Starts the process that brings what a task waits for. One that finds another one at it ends at once.
pub(super) fn start<C>(plan: &TaskPlan<C>) -> io::Result<()> {
    let program = sys::seal::own_program()?;
    let open = |path: &str, flags: OFlag| nix::fcntl::open(path, flags | OFlag::O_CLOEXEC, Mode::empty());
    let null = open("/dev/null", OFlag::O_RDWR)?;
    let network = open("/proc/self/ns/net", OFlag::O_RDONLY)?;
    let store = plan.store.to_string_lossy().into_owned();
    let run = plan.paths.run.to_string_lossy().into_owned();
    let fds = [null.as_fd(), null.as_fd(), null.as_fd(), network.as_fd()];
    sys::spawn::spawn(program.as_fd(), &["berth", COMMAND, &store, &run, &plan.key], &fds, OnParentDeath::Live)?;
    Ok(())
}

/// Whether that process lives.
pub(super) fn is_being_brought<C>(plan: &TaskPlan<C>) -> Result<bool, OpsError> {
    let path = plan.paths.order_lock();
    lock::is_held(&path).map_err(|source| OpsError::File { verb: "look at the lock", path, source })
}

/// Runs this process as the one that brings: its arguments are the store's file, the task's directory and its key; its
/// descriptor 3 is the host's network namespace.
pub(super) fn run(args: &[String]) -> Result<(), String> {
    let [store, run, key] = args else {
        return Err("bring needs the store, the task's directory and its key".to_owned());
    };
    let [network] = sys::spawn::inherited([3]);
    detach(&network).map_err(|error| format!("leave the caller: {error}"))?;
    let run = PathBuf::from(run);
    let _lock = match take(&run).map_err(|error| format!("take the lock in {}: {error}", run.display()))? {
        Some(lock) => lock,
        None => return Ok(()),
    };
    let order_key = format!("{key}order");
    listen(&run.join("order.sock"), Path::new(store), &order_key).map_err(|error| format!("listen: {error}"))?;
    let root = root_of(Path::new(store));
    let brought =
        Engine::open(root.as_deref()).and_then(|mut engine| engine.in_region_of(key, |it| it.carry_out(&order_key)));
    brought.map_err(|error| chain(&error))
}

/// The private root of a store, or nothing if it is the system's.
fn root_of(store: &Path) -> Option<PathBuf> {
    let system = crate::plan::Layout::system().store();
    store.parent().filter(|_| store != system).map(Path::to_owned)
}

fn detach(network: &OwnedFd) -> io::Result<()> {
    nix::sys::stat::umask(Mode::from_bits_truncate(0o077));
    nix::sched::setns(network, nix::sched::CloneFlags::CLONE_NEWNET)?;
    nix::unistd::setsid()?;
    nix::unistd::chdir("/")?;
    Ok(())
}

fn take(run: &Path) -> io::Result<Option<lock::Lock>> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(run)?;
    lock::take(&run.join("order.lock"))
}

/// Whoever takes the order away knocks here: then there is nothing left to do, and this process ends at once, with the
/// children that fetch for it.
fn listen(path: &Path, store: &Path, order_key: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = short(path, |short| UnixListener::bind(short))?;
    let store = Store::open(store).map_err(io::Error::other)?;
    let order_key = order_key.to_owned();
    std::thread::Builder::new().name("listen".to_owned()).spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            drop(client);
            if matches!(store.get::<serde_json::Value>(&order_key), Ok(None)) {
                std::process::exit(0);
            }
        }
    })?;
    Ok(())
}

impl Engine {
    /// Brings what an order asks for, and makes a task of it.
    fn carry_out(&mut self, order_key: &str) -> Result<(), OpsError> {
        let key = order_key.trim_end_matches("order");
        let Some(mut entry) = self.store.get::<Order>(order_key)? else { return self.clear(key) };
        entry.value.attempts += 1;
        let txn = Txn::default().require_unchanged(order_key, entry.revision).put(order_key, &entry.value);
        if self.store.commit(&txn)? == Commit::Conflict {
            return self.clear(key); // it has been taken away
        }
        let Some(record) = self.records(key)?.pop() else { return Ok(()) };
        if entry.value.attempts > MOST_ATTEMPTS {
            let reason = format!(
                "ResourceInitializationError: the process that fetches what the task is made of ended {MOST_ATTEMPTS} times \
                 before it was done"
            );
            return self.fail(record, &reason, None);
        }
        match self.made(&entry.value, &record) {
            Ok(Made::Missing(reason, container)) => self.fail(record, &reason, container),
            Ok(Made::Gone) => self.clear(key),
            Ok(Made::Started) => Ok(()),
            Err(error) => {
                let reason = shortened(&format!("ResourceInitializationError: {}", chain(&error)));
                self.fail(record, &reason, None)
            }
        }
    }

    /// Removes the directory of a task that was stopped before it began; of any other, it is somebody else's.
    fn clear(&self, key: &str) -> Result<(), OpsError> {
        let stopped = |record: &TaskRecord| record.state.last_status == LastStatus::Stopped;
        if let Some(record) = self.records(key)?.pop().filter(stopped) {
            let _ = fs::remove_dir_all(&record.plan.paths.run); // else the next look does it
        }
        Ok(())
    }

    fn made(&mut self, order: &Order, record: &TaskRecord) -> Result<Made, OpsError> {
        let (definition, _) = self.runnable(&order.definition, Some(&order.definition))?;
        let images = self.provide(&definition, &order.options, &mut |_, _| {})?;
        let present = match &images.outcome {
            Ok(present) => present,
            Err(missing) => return Ok(Made::Missing(missing.reason.clone(), missing.container)),
        };
        self.start_ordered(&definition, order, record, &images, present)
    }

    /// The task as it is planned with its images, in the place of the one that waited.
    fn start_ordered(
        &mut self,
        definition: &ValidTaskDefinition,
        order: &Order,
        record: &TaskRecord,
        images: &TaskImages,
        present: &Present,
    ) -> Result<Made, OpsError> {
        let applied = order.options.applied(definition)?;
        let waiting = begin(&record.plan.id, Beginning::New);
        let waiting = waiting.map_err(|source| OpsError::Launch { task: record.plan.id.clone(), source })?;
        let storage = self.storage(&applied, &order.options)?;
        let surroundings = self.surroundings(&applied, storage, &order.options)?;
        for _ in 0..COMMITS {
            let Some(entry) = self.store.get::<Order>(&record.plan.order_key())? else { return Ok(Made::Gone) };
            let connection = held(surroundings.ground(), &record.plan.network);
            let connection = connection.ok_or_else(|| OpsError::Moved { task: record.plan.id.clone() })?;
            let place = self.place_at(&surroundings, &applied, connection, &HashSet::new())?;
            let names = Names { pulled_at: images.stopped_at.0, ..order.names.clone() };
            let planned = match plan(&applied, record.plan.revision, &present.facts, &place, names) {
                Ok(planned) => planned,
                Err(error) => {
                    let reason = format!("CannotCreateContainerError: {}", chain(&error));
                    return Ok(Made::Missing(shortened(&reason), None));
                }
            };
            let state = state(&planned);
            let new = planned.leases.iter().filter(|lease| !record.plan.leases.contains(lease));
            let lease = records::Lease { task: planned.id.clone() };
            let txn = Txn::default().require_unchanged(&entry.key, entry.revision).delete(&entry.key);
            let txn = new.fold(txn, |txn, key| txn.require_absent(key).put(key, &lease));
            let txn = txn.put(planned.plan_key(), &planned).put(planned.status_key(), &state);
            if self.store.commit(&txn)? == Commit::Done {
                let record = TaskRecord { plan: planned, desired: None, state, waits: false };
                // A failure is on record as the task's stoppedReason.
                let _ = self.launch(waiting, record, &images.values);
                return Ok(Made::Started);
            }
        }
        Err(OpsError::Contention)
    }

    /// The end of a task whose order cannot be carried out.
    fn fail(&mut self, record: TaskRecord, reason: &str, container: Option<usize>) -> Result<(), OpsError> {
        let now = Timestamp(sys::time::wall_ns() / 1_000_000);
        let Some(entry) = self.store.get::<Order>(&record.plan.order_key())? else { return Ok(()) };
        let mut state = record.state;
        state.times.pull_stopped_at = now;
        state.never_start(reason, container, now);
        let txn = taken_away(&record.plan, &entry).put(record.plan.status_key(), &state);
        let _: Commit = self.store.commit(&txn)?; // a conflict is the end that somebody else has written
        let _ = fs::remove_dir_all(&record.plan.paths.run); // else the next look does it
        Ok(())
    }

    /// Stops a task that waits; whether it did wait.
    pub(super) fn stop_waiting(&mut self, plan: &TaskPlan, desired: &Desired) -> Result<bool, OpsError> {
        for _ in 0..COMMITS {
            let Some(entry) = self.store.get::<Order>(&plan.order_key())? else { return Ok(false) };
            let Some(mut record) = self.records(&plan.key)?.pop() else { return Ok(false) };
            let now = Timestamp(sys::time::wall_ns() / 1_000_000);
            record.state.never_start(&desired.stop, None, now);
            if let Some(stop) = &mut record.state.stop {
                stop.code = desired.code;
            }
            let txn = taken_away(plan, &entry).put(plan.status_key(), &record.state).put(plan.desired_key(), desired);
            if self.store.commit_durably(&txn)? == Commit::Done {
                poke(&plan.paths.order_control())
                    .map_err(|source| OpsError::Control { task: plan.id.clone(), source })?;
                let _ = fs::remove_dir_all(&plan.paths.run); // else the next look does it
                return Ok(true);
            }
        }
        Err(OpsError::Contention)
    }
}

/// What became of an order.
enum Made {
    /// A task with a supervisor, or one that says why not.
    Started,
    /// Something cannot be had: why, and for which container.
    Missing(String, Option<usize>),
    /// Somebody took it away.
    Gone,
}

/// A transaction that takes an order away, with all that its task holds.
fn taken_away(plan: &TaskPlan, entry: &Entry<Order>) -> Txn {
    let txn = Txn::default().require_unchanged(&entry.key, entry.revision).delete(&entry.key);
    plan.leases.iter().fold(txn.delete(records::room(&plan.id)), |txn, lease| txn.delete(lease))
}
