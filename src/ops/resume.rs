//! After a boot or a crash: every task that has not stopped gets a supervisor again, which finishes what is gone, and every
//! service somebody who holds its count.

use super::services::ServiceRecord;
use super::{Engine, OpsError, TimeScale};
use crate::lifecycle::LastStatus;
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
        let tasks = self.tasks()?.iter().filter(|record| record.state.last_status != LastStatus::Stopped).count();
        let services = self.scheduled_services()?;
        for key in &services {
            self.wake(key)?;
        }
        Ok(Resumed { tasks, services: services.len() })
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
