//! What has been read of tasks, kept between requests: a task that is described again, and whose records have not changed, is
//! not parsed again, which is most of the work. The records' revisions say whether they have.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use super::{Engine, ListedTask, OpsError};

/// How many tasks are kept: a page of DescribeTasks is a hundred, and one takes some 5 KiB.
const MOST: usize = 1000;

/// Tasks by their keys.
#[derive(Debug, Default)]
pub(super) struct Known {
    tasks: HashMap<String, Parsed>,
}

/// A task, and the keys and revisions of the records that it was read from.
#[derive(Debug)]
struct Parsed {
    revisions: Vec<(String, i64)>,
    record: Arc<ListedTask>,
}

impl Engine {
    /// The tasks with these keys, as they are at one moment.
    pub(super) fn known(&self, keys: &[Option<String>]) -> Result<Vec<Option<Arc<ListedTask>>>, OpsError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = |key: &Option<String>| match key {
            Some(key) => self.read(&mut known, key),
            None => Ok(None),
        };
        self.store.reading(|| keys.iter().map(&mut found).collect())
    }

    fn read(&self, known: &mut Known, key: &str) -> Result<Option<Arc<ListedTask>>, OpsError> {
        let revisions = self.store.revisions(key)?;
        if let Some(parsed) = known.tasks.get(key).filter(|parsed| parsed.revisions == revisions) {
            return Ok(Some(Arc::clone(&parsed.record)));
        }
        let Some(record) = self.records_with(key)?.pop().map(Arc::new) else {
            known.tasks.remove(key);
            return Ok(None);
        };
        if known.tasks.len() >= MOST {
            known.tasks.clear();
        }
        known.tasks.insert(key.to_owned(), Parsed { revisions, record: Arc::clone(&record) });
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::{LastStatus, TaskState, Timestamp};
    use crate::plan::make::tests::{planned, settings};
    use crate::store::{Commit, Txn};

    #[test]
    fn a_task_is_read_again_only_when_a_record_of_it_has_changed() {
        let root = tempfile::tempdir().unwrap();
        let mut engine = Engine::open(Some(root.path())).unwrap();
        let text = r#"{"family": "f", "containerDefinitions": [{"name": "a", "image": "i", "memory": 64}]}"#;
        let plan = planned(text, settings());
        let mut state = TaskState::new(&plan.containers, Timestamp(1), Timestamp(1));
        let txn = Txn::default().put(plan.plan_key(), &plan).put(plan.status_key(), &state);
        assert_eq!(engine.store.commit(&txn).unwrap(), Commit::Done);
        let known = |engine: &Engine| engine.known(&[None, Some(plan.key.clone())]).unwrap().pop().unwrap();
        let first = known(&engine).unwrap();
        assert!(Arc::ptr_eq(&first, &known(&engine).unwrap()));
        state.last_status = LastStatus::Running;
        assert_eq!(engine.store.commit(&Txn::default().put(plan.status_key(), &state)).unwrap(), Commit::Done);
        assert_eq!(known(&engine).unwrap().state.last_status, LastStatus::Running);
        let gone = Txn::default().delete(plan.plan_key()).delete(plan.status_key());
        assert_eq!(engine.store.commit(&gone).unwrap(), Commit::Done);
        assert!(known(&engine).is_none());
    }
}
