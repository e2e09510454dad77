//! What lists look at of each task, kept between requests: a list of a thousand tasks reads the records that have changed since
//! the last one, and no other. The store's revision says whether any has; those of the records say which.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Engine, OpsError};
use crate::ecs::LaunchType;
use crate::lifecycle::LastStatus;
use crate::store::records::TASKS;
use crate::sys::lock;

/// How often lists look whether every task has its supervisor. What a single task lacks is seen whenever it is described.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A task in lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Brief {
    /// The keys of its records begin with this.
    pub(super) key: String,
    pub(super) id: String,
    pub(super) cluster: String,
    pub(super) family: String,
    pub(super) revision: u32,
    pub(super) group: String,
    pub(super) started_by: Option<String>,
    pub(super) launch_type: LaunchType,
    /// The container instance that it was placed on.
    pub(super) container_instance: Option<String>,
    pub(super) created_at: i64,
    pub(super) status: LastStatus,
    /// Whether its own record says that it stops.
    ends: bool,
    /// Whether its desiredStatus is STOPPED.
    pub(super) stops: bool,
    /// Whether it waits for what it is made of.
    pub(super) waits: bool,
    /// Whether it belongs to a service.
    pub(super) of_service: bool,
}

impl Brief {
    /// The container instance that it is on; one that was placed on none is on the host.
    pub(super) fn on_instance<'a>(&'a self, host: &'a str) -> Option<&'a str> {
        let on = self.container_instance.as_deref().unwrap_or(host);
        Some(on).filter(|_| self.launch_type != LaunchType::Fargate)
    }
}

/// What is read of a plan. It is never changed but by the task's own beginning.
#[derive(Debug, Deserialize)]
struct PlanPart {
    id: String,
    cluster: String,
    family: String,
    revision: u32,
    #[serde(default)]
    group: Option<String>,
    started_by: Option<String>,
    #[serde(default)]
    service: Option<IgnoredAny>,
    launch_type: LaunchType,
    #[serde(default)]
    asked: AskedPart,
    created_at: i64,
}

/// What is read of what its run was told.
#[derive(Debug, Default, Deserialize)]
struct AskedPart {
    #[serde(default)]
    container_instance: Option<String>,
}

/// What is read of a task's state.
#[derive(Debug, Deserialize)]
struct StatePart {
    last_status: LastStatus,
    stop: Option<IgnoredAny>,
}

/// All tasks of the root.
#[derive(Debug, Default)]
pub(super) struct Index {
    revision: Option<i64>,
    tasks: BTreeMap<String, Kept>,
    looked: Option<Instant>,
}

/// One task, and the revisions of the records that it was read from.
#[derive(Debug)]
struct Kept {
    plan: i64,
    status: i64,
    brief: Arc<Brief>,
}

/// The keys of one task that a list has found.
#[derive(Debug, Default)]
struct Seen {
    plan: Option<i64>,
    status: Option<i64>,
    desired: bool,
    order: bool,
}

impl Engine {
    /// The tasks of this region, by their keys.
    pub(super) fn briefs(&self) -> Result<Vec<Arc<Brief>>, OpsError> {
        let mut index = self.index();
        self.catch_up(&mut index)?;
        let start = format!("{TASKS}{}/{}/", self.config.account, self.config.region);
        let of_region = index.tasks.range(start.clone()..).take_while(|(key, _)| key.starts_with(&start));
        Ok(of_region.map(|(_, kept)| Arc::clone(&kept.brief)).collect())
    }

    /// Those of a cluster, oldest first; every task that should have a supervisor, or somebody who brings what it waits for,
    /// gets one first.
    pub(super) fn briefs_of(&mut self, cluster: &str) -> Result<Vec<Arc<Brief>>, OpsError> {
        let all = self.briefs()?;
        self.tend_listed(&all)?;
        let mut all: Vec<Arc<Brief>> = all.into_iter().filter(|brief| brief.cluster == cluster).collect();
        all.sort_by(|one, two| (one.created_at, &one.id).cmp(&(two.created_at, &two.id)));
        Ok(all)
    }

    /// The index, which threads of the endpoint share: one of them reads what has changed, the others find it read.
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the index up to the store.
    fn catch_up(&self, index: &mut Index) -> Result<(), OpsError> {
        // Read before the keys: what changes in between is read again next time.
        let revision = self.store.revision()?;
        if index.revision == Some(revision) {
            return Ok(());
        }
        let mut old = std::mem::take(&mut index.tasks);
        for (key, seen) in seen(self.store.revisions(TASKS)?) {
            let (Some(plan), Some(status)) = (seen.plan, seen.status) else { continue };
            let kept = old.remove(&key);
            let plan_part = match &kept {
                Some(kept) if kept.plan == plan => None,
                _ => Some(self.store.get::<PlanPart>(&format!("{key}plan"))?),
            };
            let state = match &kept {
                Some(kept) if kept.status == status => None,
                _ => Some(self.store.get::<StatePart>(&format!("{key}status"))?),
            };
            let brief = match (kept.map(|kept| kept.brief), plan_part, state) {
                (Some(brief), None, None) => brief,
                // One of them was removed between the two looks: the task is gone.
                (_, Some(None), _) | (_, _, Some(None)) => continue,
                (old, plan, state) => {
                    let plan = plan.flatten().map(|entry| entry.value);
                    let state = state.flatten().map(|entry| entry.value);
                    match made(&key, old.as_deref(), plan, state) {
                        Some(brief) => Arc::new(brief),
                        None => continue,
                    }
                }
            };
            let stops = seen.desired || brief.ends;
            let brief = match (brief.stops, brief.waits) == (stops, seen.order) {
                true => brief,
                false => Arc::new(Brief { stops, waits: seen.order, ..brief.as_ref().clone() }),
            };
            index.tasks.insert(key, Kept { plan, status, brief });
        }
        index.revision = Some(revision);
        Ok(())
    }

    /// Now and then, whether every task has its supervisor: what has none is taken up, as by any other look.
    fn tend_listed(&mut self, all: &[Arc<Brief>]) -> Result<(), OpsError> {
        let looked = self.index().looked;
        if looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return Ok(());
        }
        self.index().looked = Some(Instant::now());
        let mut services = false;
        for brief in all.iter().filter(|brief| brief.status != LastStatus::Stopped) {
            services |= brief.of_service;
            let paths = self.layout.task(&brief.id);
            let path = if brief.waits { paths.order_lock() } else { paths.lock() };
            let held =
                lock::is_held(&path).map_err(|source| OpsError::File { verb: "look at the lock", path, source })?;
            if !held {
                self.live_tasks()?;
                return Ok(());
            }
        }
        if services { self.keep_scheduled() } else { Ok(()) }
    }
}

/// The keys of tasks, put together by task.
fn seen(keys: Vec<(String, i64)>) -> BTreeMap<String, Seen> {
    let mut all: BTreeMap<String, Seen> = BTreeMap::new();
    for (key, revision) in keys {
        let Some((task, kind)) = key.rsplit_once('/') else { continue };
        let seen = all.entry(format!("{task}/")).or_default();
        match kind {
            "plan" => seen.plan = Some(revision),
            "status" => seen.status = Some(revision),
            "desired" => seen.desired = true,
            "order" => seen.order = true,
            _ => {}
        }
    }
    all
}

/// A brief of what was read now, and of what was known before where nothing was.
fn made(key: &str, old: Option<&Brief>, plan: Option<PlanPart>, state: Option<StatePart>) -> Option<Brief> {
    let mut brief = match plan {
        None => old?.clone(),
        Some(plan) => Brief {
            key: key.to_owned(),
            id: plan.id,
            cluster: plan.cluster,
            group: plan.group.unwrap_or_else(|| format!("family:{}", plan.family)),
            family: plan.family,
            revision: plan.revision,
            started_by: plan.started_by,
            launch_type: plan.launch_type,
            container_instance: plan.asked.container_instance,
            created_at: plan.created_at,
            status: old.map_or(LastStatus::Provisioning, |old| old.status),
            ends: old.is_some_and(|old| old.ends),
            stops: false,
            waits: false,
            of_service: plan.service.is_some(),
        },
    };
    if let Some(state) = state {
        brief.status = state.last_status;
        brief.ends = state.stop.is_some();
    }
    Some(brief)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Commit, Txn};

    fn plan(id: &str) -> serde_json::Value {
        serde_json::json!({"id": id, "cluster": "c", "family": "f", "revision": 1, "started_by": null,
            "launch_type": "FARGATE", "created_at": 5})
    }

    #[test]
    fn a_list_shows_what_has_changed_since_the_last_one() {
        let root = tempfile::tempdir().unwrap();
        let mut engine = Engine::open(Some(root.path())).unwrap();
        let key = |id: &str, kind: &str| format!("{TASKS}000000000000/us-east-1/c/{id}/{kind}");
        let state = |status: &str| serde_json::json!({"last_status": status, "stop": null});
        let txn = Txn::default().put(key("a", "plan"), &plan("a")).put(key("a", "status"), &state("RUNNING"));
        let txn = txn.put(key("b", "plan"), &plan("b")).put(key("b", "status"), &state("PROVISIONING"));
        assert_eq!(engine.store.commit(&txn.put(key("b", "order"), &1)).unwrap(), Commit::Done);
        let first = engine.briefs().unwrap();
        let look =
            |all: &[Arc<Brief>]| all.iter().map(|b| (b.id.clone(), b.status, b.stops, b.waits)).collect::<Vec<_>>();
        let running = ("a".to_owned(), LastStatus::Running, false, false);
        assert_eq!(look(&first), [running.clone(), ("b".to_owned(), LastStatus::Provisioning, false, true)]);
        let txn = Txn::default().put(key("b", "desired"), &1).delete(key("b", "order"));
        assert_eq!(engine.store.commit(&txn.put(key("b", "status"), &state("STOPPED"))).unwrap(), Commit::Done);
        let second = engine.briefs().unwrap();
        assert_eq!(look(&second), [running.clone(), ("b".to_owned(), LastStatus::Stopped, true, false)]);
        assert!(Arc::ptr_eq(&first[0], &second[0]), "what has not changed is not read again");
        let gone = Txn::default().delete(key("b", "plan")).delete(key("b", "status")).delete(key("b", "desired"));
        assert_eq!(engine.store.commit(&gone).unwrap(), Commit::Done);
        assert_eq!(look(&engine.briefs().unwrap()), [running]);
        assert_eq!(engine.in_region("eu-west-1", |engine| engine.briefs().unwrap().len()), 0);
    }
}
