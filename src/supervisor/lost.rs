//! A store that is another one than it was: gone, moved away because it was damaged, or an older copy. The record of a task is its
//! supervisor's, which has the plan: what is not in the store any more is written again, with the leases.
//!
//! A task is over when its record says so. Without a record it was removed, and then the file of its plan is gone too;
//! or its record was lost.

use super::holder::Base;
use crate::lifecycle::{LastStatus, TaskState, Timestamp};
use crate::plan::TaskPlan;
use crate::store::records::{self, Lease, Room};
use crate::store::{Commit, Store, StoreError, Txn};

/// Why a task stops of which nothing runs any more and nothing is known.
const REASON: &str = "ContainerRuntimeError: the task's record was lost with the store, and its containers are gone";

/// Writes what a task is; all that belongs to it where the store does not know the task.
pub(super) fn write(plan: &TaskPlan, task: &TaskState) -> Result<(), StoreError> {
    let mut store = Store::open(&plan.store)?;
    let status = Txn::default().put(plan.status_key(), task);
    if store.commit(&status.require_present(plan.plan_key()))? == Commit::Conflict {
        let _: Commit = store.commit(&whole(plan, task))?;
    }
    Ok(())
}

/// All that belongs to a task, for a store that does not know it.
pub fn whole(plan: &TaskPlan, task: &TaskState) -> Txn {
    let txn = Txn::default().put(plan.status_key(), task).put(plan.plan_key(), plan);
    match task.last_status {
        LastStatus::Stopped => txn, // what it held has been given back
        _ => held(plan, txn),
    }
}

/// The address is this task's, whoever has been given it since: its interface has it.
fn held(plan: &TaskPlan, txn: Txn) -> Txn {
    let lease = Lease { task: plan.id.clone() };
    let txn = txn.put(records::room(&plan.id), &Room::of(plan));
    plan.leases.iter().fold(txn, |txn, key| txn.put(key, &lease))
}

/// Whether the store knows the task.
pub(super) fn is_known(store: &Store, plan: &TaskPlan) -> Result<bool, StoreError> {
    Ok(store.revision_of(&plan.plan_key())?.is_some())
}

/// The state of a task whose record was lost, for a loop that is about to look what there is of it; nothing if the task is over.
pub(super) fn state(base: &Base) -> Result<Option<TaskState>, StoreError> {
    let plan = &base.plan;
    if Store::open(&plan.store)?.revision_of(&plan.status_key())?.is_some() {
        return Ok(None);
    }
    let lives = |place| super::recover::live_init(&plan.container_paths(place), None).is_some();
    let lives = (0..plan.containers.len()).any(lives);
    if !lives && !plan.paths.plan_file().exists() {
        return Ok(None);
    }
    let mut task = TaskState::new(&plan.containers, Timestamp(plan.created_at), Timestamp(plan.pulled_at));
    if !lives {
        task.fail(REASON);
    }
    Ok(Some(task))
}
