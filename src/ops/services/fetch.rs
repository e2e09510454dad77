//! The images of a deployment, and the values of its secrets and environment files that AWS has, fetched by a child of the
//! scheduler, so that nobody waits for them but the tasks that need them. What cannot be had becomes a task that did not start,
//! as it is on ECS. Values are for the tasks that are started next, and are handed over in memory.

use super::super::{Engine, OpsError};
use super::record::{RevisionRecord, ServiceRecord};
use super::start::digests;
use crate::scheduler::ServiceStatus;
use crate::secrets::TaskValues;
use crate::store::{Commit, Txn};

const ATTEMPTS: usize = 20;

impl Engine {
    /// Fetches what the tasks of a deployment need; the values, if all of it is here now.
    pub fn fetch_for(&mut self, key: &str, deployment: &str) -> Result<Option<TaskValues>, OpsError> {
        self.in_region_of(key, |engine| engine.fetch_there(key, deployment))
    }

    fn fetch_there(&mut self, key: &str, deployment: &str) -> Result<Option<TaskValues>, OpsError> {
        let Some(entry) = self.store.get::<ServiceRecord>(key)? else { return Ok(None) };
        let (definition, options, _) = self.frozen(key, &entry.value, deployment)?;
        let images = self.provide(&definition, &options, &mut |_, _| {})?;
        for _ in 0..ATTEMPTS {
            let Some(entry) = self.store.get::<ServiceRecord>(key)? else { return Ok(None) };
            let wanted = entry.value.service.status == ServiceStatus::Active
                && entry.value.service.deployments.iter().any(|one| one.id == deployment);
            if !wanted {
                return Ok(None);
            }
            let (txn, here) = match &images.outcome {
                Ok(present) => {
                    let (_, _, revision) = self.frozen(key, &entry.value, deployment)?;
                    if !revision.value.pinned.is_empty() {
                        return Ok(Some(images.values));
                    }
                    let pinned = digests(&definition, present);
                    let txn = Txn::default().require_unchanged(&revision.key, revision.revision);
                    (txn.put(&revision.key, &RevisionRecord { pinned, ..revision.value }), true)
                }
                Err(missing) => {
                    let mut record = entry.value;
                    let txn =
                        self.record_missing(&mut record, deployment, (&definition, &options), &images, missing)?;
                    (txn.require_unchanged(key, entry.revision).put(key, &record), false)
                }
            };
            if self.store.commit(&txn)? == Commit::Done {
                return Ok(here.then_some(images.values));
            }
        }
        Err(OpsError::Contention)
    }
}
