//! The service that a task belongs to, as far as the task has to know it: whom to tell when something becomes of it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Layout, TaskPlan};

/// Where the process that holds the services' counts is found, and how it is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulerPlan {
    /// The private root that it is of; `None` for the system's.
    pub root: Option<PathBuf>,
    /// The file whose lock it holds: its liveness.
    pub lock: PathBuf,
    /// The socket on which it is poked.
    pub control: PathBuf,
}

/// The service of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLink {
    /// The key of the service's record in the store.
    pub key: String,
    /// Who holds its count.
    pub scheduler: SchedulerPlan,
}

impl TaskPlan {
    /// Who holds the counts of the services of the task's root, whether it belongs to one or not.
    pub fn scheduler(&self) -> SchedulerPlan {
        scheduler_of(&self.store)
    }
}

/// That of the root whose store is this file.
fn scheduler_of(store: &Path) -> SchedulerPlan {
    let system = Layout::system();
    match store.parent() {
        Some(root) if store != system.store() => Layout::below(root).scheduler(),
        _ => system.scheduler(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheduler_is_that_of_the_root_whose_store_it_is() {
        for layout in [Layout::system(), Layout::below("/srv/world".as_ref())] {
            assert_eq!(scheduler_of(&layout.store()), layout.scheduler());
        }
    }
}
