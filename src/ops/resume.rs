//! After a boot or a crash: every task that has not stopped gets a supervisor again, which finishes what is gone, and every
//! service somebody who holds its count.

use std::collections::HashMap;
use std::fs;

use super::services::ServiceRecord;
use super::tasks::{gone, has_supervisor, names};
use super::{Engine, OpsError, TaskRecord, TimeScale};
use crate::lifecycle::LastStatus;
use crate::runtime::storage;
use crate::store::records::task;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resumed {
    /// Tasks that have not stopped.
    pub tasks: usize,
    /// Services that are not INACTIVE.
    pub services: usize,
}

impl Engine {
    /// Takes up what an earlier boot, or processes that died, have left.
    pub fn resume(&mut self) -> Result<Resumed, OpsError> {
        let kept = names(self.layout.tasks_state())?; // before the records: a task has its record first
        let all = self.tasks()?;
        self.sweep_storage(&kept, &all)?;
        let tasks = all.iter().filter(|record| record.state.last_status != LastStatus::Stopped).count();
        let services = self.scheduled_services()?;
        for key in &services {
            self.wake(key)?;
        }
        Ok(Resumed { tasks, services: services.len() })
    }

    /// Removes the storage of tasks that are over. A cut of the power undoes the removals of the last seconds, and not the records
    /// of what they belonged to, which were on the disk at once; or it takes a record that was not, and its task has no more.
    fn sweep_storage(&self, kept: &[String], all: &[TaskRecord]) -> Result<(), OpsError> {
        let known: HashMap<&str, &TaskRecord> = all.iter().map(|record| (record.plan.id.as_str(), record)).collect();
        for id in kept {
            let paths = self.layout.task(id);
            match known.get(id.as_str()) {
                Some(record) if record.state.last_status == LastStatus::Stopped => {
                    if let Some((path, source)) = storage::remove(&record.plan).into_iter().next() {
                        return Err(OpsError::File { verb: "remove", path, source });
                    }
                }
                Some(_) => {}
                None if has_supervisor(&paths)? => {}
                None => {
                    gone("remove", &paths.upper(), fs::remove_dir_all(paths.upper()))?;
                    gone("remove", &paths.disk(), fs::remove_file(paths.disk()))?;
                }
            }
        }
        Ok(())
    }

    /// Gives supervisors to the tasks of a service that have none; whether there was any.
    pub fn tend_service(&mut self, key: &str) -> Result<bool, OpsError> {
        let Some(entry) = self.store.get::<ServiceRecord>(key)? else { return Ok(false) };
        let owner = &entry.value.arn.owner;
        let mut records = Vec::new();
        for member in &entry.value.service.tasks {
            let key = task(&owner.account, &owner.region, &entry.value.arn.cluster, &member.id);
            records.extend(self.records(&key)?);
        }
        self.tend(&records)
    }

    /// Starts a scheduler if there is none and a service wants one: whoever notices its absence does so.
    pub fn keep_scheduled(&self) -> Result<(), OpsError> {
        let plan = self.layout.scheduler();
        let held = |source| OpsError::File { verb: "look at the lock", path: plan.lock.clone(), source };
        if crate::sys::lock::is_held(&plan.lock).map_err(held)? {
            return Ok(());
        }
        match self.scheduled_services()?.first() {
            Some(key) => self.wake(key),
            None => Ok(()),
        }
    }

    /// The pace of ECS's clocks for services that are made or changed from now on.
    pub fn set_time_scale(&mut self, scale: TimeScale) {
        self.config.time_scale = scale;
    }
}
