//! Many tasks at once: all or those that are not over, each with a supervisor, and what is found beside them that no record knows.

use std::collections::HashMap;
use std::fs;

use serde::de::DeserializeOwned;

use super::tasks::{ListedTask, TaskRecord, gone, has_supervisor, names};
use super::{Engine, OpsError};
use crate::lifecycle::LastStatus;
use crate::store::records::TASKS;

impl Engine {
    /// All tasks, oldest first. Tasks whose supervisor is gone get a new one first.
    pub fn tasks(&mut self) -> Result<Vec<TaskRecord>, OpsError> {
        self.looked_after(|engine| engine.records(TASKS))
    }

    /// The same for a list.
    pub fn list(&mut self) -> Result<Vec<ListedTask>, OpsError> {
        self.looked_after(|engine| engine.records_with(TASKS))
    }

    /// The same without those that are over, which are not even read.
    pub fn live_tasks(&mut self) -> Result<Vec<TaskRecord>, OpsError> {
        self.looked_after(Self::live_records)
    }

    /// The same for a list.
    pub fn list_live(&mut self) -> Result<Vec<ListedTask>, OpsError> {
        self.looked_after(Self::live_records)
    }

    /// The records of these tasks.
    pub(super) fn live_records<C: DeserializeOwned>(&self) -> Result<Vec<TaskRecord<C>>, OpsError> {
        self.store.reading(|| {
            let mut all = Vec::new();
            for key in self.store.live_tasks()? {
                all.extend(self.records_with(&key)?);
            }
            all.retain(|record: &TaskRecord<C>| record.state.last_status != LastStatus::Stopped);
            Ok(all)
        })
    }

    /// Some tasks, among which are all that are not over, once each of these has its supervisor.
    fn looked_after<C>(
        &mut self,
        read: impl Fn(&Self) -> Result<Vec<TaskRecord<C>>, OpsError>,
    ) -> Result<Vec<TaskRecord<C>>, OpsError> {
        let directories = self.directories()?; // before the records: a task has its record first
        let mut all = read(self)?;
        if self.tend(&all)? {
            all = read(self)?;
        }
        let lost = self.sweep(&directories, &all)?;
        if !lost.is_empty() {
            self.take_up(&lost)?;
            all = read(self)?;
        }
        if all.iter().any(|record| record.plan.service.is_some() && record.state.last_status != LastStatus::Stopped) {
            self.keep_scheduled()?;
        }
        all.sort_by(|one, two| (one.plan.created_at, &one.plan.id).cmp(&(two.plan.created_at, &two.plan.id)));
        Ok(all)
    }

    /// The tasks that have a directory for locks and sockets, by their ids.
    pub(super) fn directories(&self) -> Result<Vec<String>, OpsError> {
        names(self.layout.tasks_run())
    }

    /// Removes the directories of tasks that are over and whose supervisor died just before it would have done so. Those that
    /// the store does not know and that are not over, for it is another one than it was.
    fn sweep<C>(&self, directories: &[String], all: &[TaskRecord<C>]) -> Result<Vec<String>, OpsError> {
        let known: HashMap<&str, LastStatus> =
            all.iter().map(|record| (record.plan.id.as_str(), record.state.last_status)).collect();
        let mut lost = Vec::new();
        for id in directories {
            let paths = self.layout.task(id);
            let status = match known.get(id.as_str()) {
                Some(status) => Some(*status),
                None => self.status_of(id)?,
            };
            let is_over = match status {
                Some(status) => status == LastStatus::Stopped,
                None => !paths.plan_file().exists(),
            };
            if is_over && !has_supervisor(&paths)? {
                gone("remove", &paths.run, fs::remove_dir_all(&paths.run))?;
            }
            if !is_over && status.is_none() {
                lost.push(id.clone());
            }
        }
        Ok(lost)
    }

    /// What the record says that belongs to the plan beside a task's lock.
    fn status_of(&self, id: &str) -> Result<Option<LastStatus>, OpsError> {
        let Some(plan) = self.plan_of(id) else { return Ok(None) };
        Ok(self.records(&plan.key)?.pop().map(|record| record.state.last_status))
    }
}
