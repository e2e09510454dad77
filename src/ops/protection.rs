//! Task protection: until when scale-in and deployments leave a task of a service alone. What a user stops, and what ends by
//! itself, it does not keep. Called for UpdateTaskProtection, by tasks themselves and by people.

use std::collections::HashMap;

use super::services::now;
use super::{Engine, OpsError, TaskRecord};
use crate::lifecycle::{LastStatus, Timestamp};
use crate::store::records::{self, PROTECTIONS, Protection};
use crate::store::{Commit, Txn};

impl Engine {
    /// Protects a task until then, or from now on no more. Once a service has decided to stop a task it is too late.
    pub fn protect(&mut self, record: &TaskRecord, until: Option<Timestamp>) -> Result<(), OpsError> {
        let plan = &record.plan;
        let Some(service) = &plan.service else { return Err(OpsError::NoService { task: plan.id.clone() }) };
        if record.state.stop.is_some() || record.state.last_status > LastStatus::Running {
            return Err(OpsError::Stops { task: plan.id.clone() });
        }
        let key = records::protection(&plan.id);
        // Against the scheduler's word that it is to stop: one of the two comes first.
        let txn = Txn::default().require_absent(plan.desired_key());
        let txn = match until {
            Some(until) => txn.put(&key, &Protection { until: until.0 }),
            None => txn.delete(&key),
        };
        match self.store.commit_durably(&txn)? {
            Commit::Done => self.wake(&service.key.clone()),
            Commit::Conflict => Err(OpsError::Stops { task: plan.id.clone() }),
        }
    }

    /// Until when a task is protected, if it is now.
    pub fn protection(&self, task: &str) -> Result<Option<Timestamp>, OpsError> {
        let found = self.store.get::<Protection>(&records::protection(task))?;
        Ok(found.map(|entry| Timestamp(entry.value.until)).filter(|until| *until > now().wall))
    }

    /// All protections by their tasks' ids, with their revisions; those that are over too.
    pub(super) fn protections(&self) -> Result<HashMap<String, (Timestamp, i64)>, OpsError> {
        let all = self.store.list::<Protection>(PROTECTIONS)?.into_iter();
        let id = |key: &str| key.strip_prefix(PROTECTIONS).unwrap_or(key).to_owned();
        Ok(all.map(|entry| (id(&entry.key), (Timestamp(entry.value.until), entry.revision))).collect())
    }
}
