//! Undoing: a function of the plan alone. What is gone already is no error, and an error does not keep the rest from being
//! removed.

use std::error::Error;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::resume_unwind;
use std::path::Path;
use std::thread;

use nix::fcntl::{Flock, FlockArg};

use super::protocol::Report;
use super::{Worker, failed};
use crate::net;
use crate::plan::TaskPlan;
use crate::runtime::storage;
use crate::store::records::{self, GPUS, LEASES, Lease, PORTS, Spent, room};
use crate::store::{Commit, Store, Txn};
use crate::sys::failpoint::{pass, reach};
use crate::sys::time;

impl Worker<'_> {
    /// Removes everything that was made for the task but its record, its logs and its lock. Its link ends with its network
    /// namespace, which ends with its last process.
    pub(super) fn clean_up(&self) -> Report {
        let mut failures: Vec<Report> = Vec::new();
        pass("clean-up: asked");
        let spent = self.spent();
        if let Err(errors) = self.cgroups.remove_task(&self.plan.cgroup) {
            failures.extend(errors.iter().map(|error| failed("ContainerRuntimeError", error)));
        }
        pass("clean-up: the groups are gone");
        let (plan, host) = (self.plan, self.host_network.as_fd());
        let network = || {
            let down = network_down(plan, host, spent.as_ref());
            pass("clean-up: the network is down");
            down.err().map(|error| failed("ContainerNetworkingError", error.as_ref()))
        };
        // Both wait for the kernel: one for the end of everybody's look at its rules, the other for the disk.
        thread::scope(|scope| {
            let beside = thread::Builder::new().spawn_scoped(scope, network);
            failures.extend(remove_files(plan));
            failures.extend(match beside {
                Ok(beside) => beside.join().unwrap_or_else(|panic| resume_unwind(panic)),
                Err(_) => network(), // no thread is to be had
            });
        });
        pass("clean-up: done");
        failures.into_iter().next().unwrap_or(Report::CleanedUp)
    }

    /// What the task has used; nothing if an attempt before this one has told it. Groups that went with such an attempt tell
    /// nothing any more: then the time is known at least.
    fn spent(&self) -> Option<Spent> {
        let counters = self.cgroups.counters(&self.plan.cgroup, None).ok();
        let is_told = || {
            let store = Store::open(&self.plan.store).ok()?;
            store.get::<Spent>(&records::spent(&self.plan.id)).ok()?
        };
        match counters {
            None if is_told().is_some() => None,
            counters => Some(Spent::of(self.plan, counters.as_ref(), time::wall_ns() / 1_000_000)),
        }
    }
}

/// The root's nftables table goes with the last lease. A task that is committed after the look comes up after the lock. The
/// lease is released under the lock too: of two tasks that end at once, the second one must see that it is the last.
fn network_down(plan: &TaskPlan, host: BorrowedFd<'_>, spent: Option<&Spent>) -> Result<(), Box<dyn Error>> {
    let _lock = network_lock(&plan.network_lock, FlockArg::LockExclusive)?;
    reach("clean-up: the network's lock is held")?;
    let mut store = Store::open(&plan.store)?;
    let (own, others): (Vec<_>, Vec<_>) =
        store.list::<Lease>(LEASES)?.into_iter().partition(|lease| lease.value.task == plan.id);
    let others = if !others.is_empty() { net::Others::Remain } else { net::Others::None };
    let down = net::down(&plan.network, &plan.root_network, host, others);
    reach("clean-up: before the leases are released")?;
    down.map_err(|errors| errors.into_iter().next().expect("a failure has a cause"))?;
    let ports = match plan.network.host_ports().is_empty() {
        true => Vec::new(),
        false => store.list::<Lease>(PORTS)?,
    };
    let gpus = match plan.leases.iter().any(|lease| lease.starts_with(GPUS)) {
        true => store.list::<Lease>(GPUS)?,
        false => Vec::new(),
    };
    let others = ports.into_iter().chain(gpus).filter(|lease| lease.value.task == plan.id);
    let release = own.into_iter().chain(others).map(|lease| lease.key).chain([room(&plan.id)]);
    let release = release.fold(Txn::default(), |txn, key| txn.delete(key));
    let release = spent.into_iter().fold(release, |txn, spent| txn.put(records::spent(&plan.id), spent));
    let _: Commit = store.commit(&release)?;
    Ok(())
}

/// What stands in files: storage, what the containers had in the run directory, and streams of tasks that ended long ago.
fn remove_files(plan: &TaskPlan) -> Vec<Report> {
    let mut left = storage::remove(plan);
    pass("clean-up: the storage is gone");
    let paths = &plan.paths;
    for directory in [paths.run.join("c"), paths.disk_mount(), paths.libcontainer()] {
        if let Err(error) = remove(&directory) {
            left.push((directory, error));
        }
    }
    prune_streams(plan);
    left.into_iter().map(|(path, error)| failed(&removing(&path), &error)).collect()
}

/// Streams outlive their tasks, within bounds. That it does not succeed keeps no task from ending: the next one will try.
fn prune_streams(plan: &TaskPlan) {
    let Some(stream) = plan.containers.iter().find_map(|container| container.log.stream.as_ref()) else {
        return;
    };
    let (Some(root), Some(tasks)) = (stream.directory.ancestors().nth(3), plan.paths.run.parent()) else {
        return;
    };
    let lives = |task: &str| tasks.join(task).exists();
    let _ = crate::logs::prune(root, stream.retention, lives);
}

fn removing(path: &Path) -> String {
    format!("ContainerRuntimeError: remove {}", path.display())
}

/// Takes the lock around what the root's tasks share in the host's network.
pub(super) fn network_lock(path: &Path, how: FlockArg) -> io::Result<Flock<fs::File>> {
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    Flock::lock(file, how).map_err(|(_, errno)| errno.into())
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
