//! Tasks that the store does not know although they run: it is new, because it was lost or moved away, or an older copy. Each
//! tells its state, and its record is written from that and from the plan beside its lock; one whose supervisor is gone as
//! well gets a new one. What had no process of its own (services, task definitions, tasks that had not begun) is not found
//! again.

use std::time::{Duration, Instant};

use super::tasks::has_supervisor;
use super::{Engine, OpsError};
use crate::plan::TaskPlan;
use crate::store::records::NEW;
use crate::store::{Commit, Txn};
use crate::supervisor::launch::{Beginning, launch};
use crate::supervisor::{Asked, ask, poke, whole};

/// How long the tasks may take to tell their records, or to write them.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many are asked before the first one's answer is read: each takes a descriptor.
const AT_ONCE: usize = 128;

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

    /// Writes the records of the tasks with these ids, as their supervisors tell them. All in one transaction, for each
    /// supervisor that opens the store itself costs more than its record.
    pub(super) fn take_up(&mut self, ids: &[String]) -> Result<(), OpsError> {
        let plans: Vec<TaskPlan> = ids.iter().filter_map(|id| self.plan_of(id)).collect();
        while self.copy_what_is_told(&plans)? == Commit::Conflict {} // who has written its own record is not asked again
        self.wait_for_the_others(&plans)
    }

    /// One that writes its record itself after it was asked, for something has happened to it, makes this a conflict: what
    /// it told is old.
    fn copy_what_is_told(&mut self, plans: &[TaskPlan]) -> Result<Commit, OpsError> {
        let deadline = Instant::now() + PATIENCE;
        let mut told = Vec::new();
        for plans in self.unknown(plans)?.chunks(AT_ONCE) {
            let asked: Vec<(&TaskPlan, Asked)> = plans.iter().filter_map(|plan| asked(plan)).collect();
            told.extend(asked.into_iter().filter_map(|(plan, asked)| {
                let state = asked.answer(deadline.saturating_duration_since(Instant::now()))?;
                Some(whole(plan, &state).require_absent(plan.plan_key()))
            }));
        }
        match told.is_empty() {
            true => Ok(Commit::Done),
            false => Ok(self.store.commit(&told.into_iter().fold(Txn::default(), Txn::and))?),
        }
    }

    /// Those without a supervisor get one. A loop that did not answer writes its record when it can: one that has just died
    /// when the next one begins, one of an older program when it is poked.
    fn wait_for_the_others(&mut self, plans: &[TaskPlan]) -> Result<(), OpsError> {
        let others = self.unknown(plans)?;
        for plan in &others {
            if has_supervisor(&plan.paths)? {
                poke(&plan.paths.control()).map_err(|source| OpsError::Control { task: plan.id.clone(), source })?;
            } else {
                // What cannot be taken up now is tried again by whoever lists the tasks next.
                let _ = launch(plan, Beginning::Adopted);
            }
        }
        let deadline = Instant::now() + PATIENCE;
        for plan in others {
            while self.store.revision_of(&plan.plan_key())?.is_none()
                && plan.paths.plan_file().exists()
                && Instant::now() < deadline
            {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(())
    }

    /// Those that the store does not know.
    fn unknown<'a>(&self, plans: &'a [TaskPlan]) -> Result<Vec<&'a TaskPlan>, OpsError> {
        let mut unknown = Vec::new();
        for plan in plans {
            if self.store.revision_of(&plan.plan_key())?.is_none() {
                unknown.push(plan);
            }
        }
        Ok(unknown)
    }

    /// The plan that a task's supervisor has left beside its lock.
    pub(super) fn plan_of(&self, id: &str) -> Option<TaskPlan> {
        let text = std::fs::read(self.layout.task(id).plan_file()).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// A task whose loop listens, with the question sent.
fn asked(plan: &TaskPlan) -> Option<(&TaskPlan, Asked)> {
    ask(&plan.paths.control()).ok().map(|asked| (plan, asked))
}
