//! The supervisors of services' tasks, listened to: one that falls silent may have died together with its holder, and then
//! nobody else would notice.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use crate::ops::Engine;
use crate::ops::host::{self, Watch};

/// When a task is looked at again whose supervisor does not listen, in milliseconds: a holder starts a loop at once.
const AGAIN: u64 = 200;

#[derive(Debug)]
struct Followed {
    service: String,
    control: PathBuf,
    watch: Option<Watch>,
    /// When to look for it again, in milliseconds since boot.
    again: Option<u64>,
}

/// All tasks that are followed, by their ids.
#[derive(Debug, Default)]
pub(super) struct Watches {
    tasks: BTreeMap<String, Followed>,
    /// Services whose tasks may have no supervisor.
    untended: Vec<String>,
}

impl Watches {
    /// The tasks of a service are these now.
    pub(super) fn follow(&mut self, service: &str, tasks: &[(String, PathBuf)]) {
        self.tasks.retain(|id, one| one.service != service || tasks.iter().any(|(other, _)| other == id));
        for (id, control) in tasks {
            self.tasks.entry(id.clone()).or_insert_with(|| Followed {
                service: service.to_owned(),
                control: control.clone(),
                watch: None,
                again: Some(0),
            });
        }
    }

    /// A service is held no longer.
    pub(super) fn forget(&mut self, service: &str) {
        self.tasks.retain(|_, one| one.service != service);
    }

    /// The supervisors of a service's tasks are to be looked for.
    pub(super) fn tend(&mut self, service: &str) {
        self.untended.push(service.to_owned());
    }

    /// Listens where nobody has been heard yet; a task without a supervisor gets one. The services that this has changed.
    pub(super) fn keep(&mut self, engine: &mut Engine, now: u64) -> Vec<String> {
        for one in self.tasks.values_mut().filter(|one| one.again.is_some_and(|at| at <= now)) {
            one.watch = host::watch(&one.control).ok();
            if one.watch.is_some() {
                one.again = None;
            } else {
                // It may be on its way, over, or lost.
                if one.again.is_some_and(|at| at > 0) {
                    self.untended.push(one.service.clone());
                }
                one.again = Some(now + AGAIN);
            }
        }
        self.untended.sort();
        self.untended.dedup();
        let untended = std::mem::take(&mut self.untended);
        untended.into_iter().filter(|service| engine.tend_service(service).unwrap_or(false)).collect()
    }

    /// When somebody is to be looked for.
    pub(super) fn due(&self) -> Option<u64> {
        self.tasks.values().filter_map(|one| one.again).min()
    }

    /// The descriptors to wait on.
    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.tasks.values().filter_map(|one| one.watch.as_ref()).map(Watch::as_fd).collect()
    }

    /// Reads what those at these places have said; a silent one is looked for. The services that are to be looked at.
    pub(super) fn hear(&mut self, places: &[usize]) -> Vec<String> {
        let mut services = Vec::new();
        let watched = self.tasks.values_mut().filter(|one| one.watch.is_some());
        for (_, one) in watched.enumerate().filter(|(place, _)| places.contains(place)) {
            let Some(watch) = &mut one.watch else { continue };
            loop {
                if watch.next_status().is_none() {
                    one.watch = None;
                    one.again = Some(host::boot_ms() + AGAIN);
                    services.push(one.service.clone());
                    break;
                }
                if !watch.has_more() {
                    break;
                }
            }
        }
        services
    }
}
