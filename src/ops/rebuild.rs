//! Tasks that the store does not know although they run: it is new, because it was lost or moved away, or an older copy. Each is
//! asked to write its record again; one whose supervisor is gone as well gets a new one. What had no process of its own
//! (services, task definitions, tasks that had not begun) is not found again.

use std::time::{Duration, Instant};

use super::tasks::has_supervisor;
use super::{Engine, OpsError};
use crate::plan::TaskPlan;
use crate::store::records::NEW;
use crate::store::{Commit, Txn};
use crate::supervisor::launch::{Beginning, launch};
use crate::supervisor::poke;

/// How long the tasks may take to write their records.
const PATIENCE: Duration = Duration::from_secs(10);

impl Engine {
    /// Asks all tasks that run, if nobody has asked them since the store was made.
    pub(super) fn rebuild(&mut self) -> Result<(), OpsError> {
        if self.store.revision_of(NEW)?.is_none() {
            return Ok(());
        }
        let found = self.directories()?;
        self.take_up(&found)?;
        let _: Commit = self.store.commit(&Txn::default().delete(NEW))?;
        Ok(())
    }

    /// Has the tasks with these ids write their records, and waits for them.
    pub(super) fn take_up(&mut self, ids: &[String]) -> Result<(), OpsError> {
        let plans: Vec<TaskPlan> = ids.iter().filter_map(|id| self.plan_of(id)).collect();
        for plan in &plans {
            if has_supervisor(&plan.paths)? {
                poke(&plan.paths.control()).map_err(|source| OpsError::Control { task: plan.id.clone(), source })?;
            } else {
                // What cannot be taken up now is tried again by whoever lists the tasks next.
                let _ = launch(plan, Beginning::Adopted);
            }
        }
        let deadline = Instant::now() + PATIENCE;
        for plan in &plans {
            while self.store.revision_of(&plan.plan_key())?.is_none()
                && plan.paths.plan_file().exists()
                && Instant::now() < deadline
            {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(())
    }

    /// The plan that a task's supervisor has left beside its lock.
    fn plan_of(&self, id: &str) -> Option<TaskPlan> {
        let text = std::fs::read(self.layout.task(id).plan_file()).ok()?;
        serde_json::from_slice(&text).ok()
    }
}
