//! Finding a task by what people type: an ARN, a whole id, or the first digits of one; and a container in it.

use super::{Engine, OpsError, TaskRecord};
use crate::lifecycle::Exit;

impl Engine {
    /// The one task that a name means; if it has no supervisor, it gets one first.
    pub fn find(&mut self, name: &str) -> Result<TaskRecord, OpsError> {
        let id = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
        let mut keys = self.keys_like(&id)?;
        if keys.is_empty() {
            self.live_tasks()?; // one that the store has lost is taken up by this
            keys = self.keys_like(&id)?;
        }
        let key = match keys.as_slice() {
            [] => return Err(OpsError::NoTask(name.to_owned())),
            [key] => key,
            several => return Err(OpsError::Ambiguous { prefix: name.to_owned(), count: several.len() }),
        };
        let record = self.record_of(key)?;
        record.ok_or_else(|| OpsError::NoTask(name.to_owned()))
    }

    /// The keys of the tasks whose ids begin so.
    fn keys_like(&self, id: &str) -> Result<Vec<String>, OpsError> {
        let mut keys = self.store.tasks()?;
        keys.retain(|key| {
            !id.is_empty() && key.trim_end_matches('/').rsplit('/').next().is_some_and(|of| of.starts_with(id))
        });
        Ok(keys)
    }

    /// The task of a key, as it is once it has a supervisor.
    pub(super) fn record_of(&self, key: &str) -> Result<Option<TaskRecord>, OpsError> {
        let record = self.records(key)?.pop();
        if self.tend(&record)? { Ok(self.records(key)?.pop()) } else { Ok(record) }
    }
}

impl TaskRecord {
    /// The place of the container that a name means; without a name the task's only one.
    pub fn container(&self, name: Option<&str>) -> Result<usize, OpsError> {
        let containers = &self.plan.containers;
        let names = || containers.iter().map(|container| container.name.as_str()).collect::<Vec<_>>().join(", ");
        match name {
            None if containers.len() == 1 => Ok(0),
            None => Err(OpsError::WhichContainer { names: names() }),
            Some(name) => {
                let place = containers.iter().position(|container| container.name == name);
                place.ok_or_else(|| OpsError::NoContainer { name: name.to_owned(), names: names() })
            }
        }
    }

    /// The exit code that stands for the whole task: that of the container whose end was the task's, else (a task that
    /// was stopped) that of the first essential one.
    pub fn exit_code(&self) -> Option<i32> {
        let ended = self.state.stop.as_ref().and_then(|stop| stop.container);
        match ended {
            Some(place) => self.container_exit_code(place),
            None => (0..self.state.containers.len())
                .filter(|place| self.state.containers[*place].essential)
                .find_map(|place| self.container_exit_code(place)),
        }
    }
}

impl<C> TaskRecord<C> {
    /// The exit code of the container at a place, if it ended and somebody was there to learn it.
    pub fn container_exit_code(&self, place: usize) -> Option<i32> {
        match self.state.containers[place].exit {
            Some(Exit::Code(code)) => Some(code),
            Some(Exit::Unknown) | None => None,
        }
    }
}
