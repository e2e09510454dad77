//! One turn of a service's scheduler: the tasks as they are, the decision, and one transaction for all that follows. Called
//! by the process that holds the counts; two of them do each other no harm, because a decision is committed only against
//! the record that it was made from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::super::{Engine, OpsError};
use super::create::boot_id;
use super::record::{ServiceRecord, now};
use super::start::Start;
use crate::ecs::HealthStatus;
use crate::lifecycle::{LastStatus, StopCode, TaskState, Timestamp};
use crate::scheduler::{Change, Health, Member, Observed, Outcome, ServiceStatus, reconcile};
use crate::secrets::TaskValues;
use crate::store::records::{Desired, SERVICES};
use crate::store::{Commit, Entry, Txn, records};
use crate::supervisor::poke;
use crate::sys::failpoint::pass;

const ATTEMPTS: usize = 20;

/// Deployments whose images and values are being fetched, and those whose have just been, by their numbers.
#[derive(Debug, Clone, Default)]
pub struct Fetches {
    /// A child is at it.
    pub running: BTreeSet<String>,
    /// They were here a moment ago, and values with them: nobody is asked again.
    pub done: BTreeMap<String, TaskValues>,
}

/// What comes of a turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn {
    /// When to look again though nothing was heard, in milliseconds since boot.
    pub wake: Option<u64>,
    /// Deployments whose images must be fetched before a task can start.
    pub fetch: Vec<String>,
    /// The tasks, and where their supervisors listen.
    pub tasks: Vec<(String, PathBuf)>,
    /// Whether nothing more will ever be done.
    pub over: bool,
}

impl Engine {
    /// The keys of all services that somebody must hold.
    pub fn scheduled_services(&self) -> Result<Vec<String>, OpsError> {
        let all = self.store.list::<ServiceRecord>(SERVICES)?;
        let held = all.into_iter().filter(|entry| entry.value.service.status != ServiceStatus::Inactive);
        Ok(held.map(|entry| entry.key).collect())
    }

    /// Takes one turn for the service of that key.
    pub fn turn(&mut self, key: &str, fetches: &Fetches) -> Result<Turn, OpsError> {
        self.in_region_of(key, |engine| engine.turn_there(key, fetches))
    }

    fn turn_there(&mut self, key: &str, fetches: &Fetches) -> Result<Turn, OpsError> {
        for _ in 0..ATTEMPTS {
            let Some(entry) = self.store.get::<ServiceRecord>(key)? else {
                return Ok(Turn { over: true, ..Turn::default() });
            };
            if entry.value.service.status == ServiceStatus::Inactive {
                return Ok(Turn { over: true, ..Turn::default() });
            }
            if let Some(turn) = self.attempt(entry, fetches)? {
                return Ok(turn);
            }
        }
        Err(OpsError::Contention)
    }

    /// One decision and its commit; `None` if the world moved.
    fn attempt(&mut self, entry: Entry<ServiceRecord>, fetches: &Fetches) -> Result<Option<Turn>, OpsError> {
        let room = self.lock_capacity()?;
        let (key, before) = (entry.key, entry.value);
        let protections = self.protections()?;
        let until = |id: &str| protections.get(id).map(|(until, _)| *until).filter(|until| *until > now().wall);
        let mut observed = Vec::new();
        for member in &before.service.tasks {
            observed.extend(self.observe(&before, member, until(&member.id).is_some())?);
        }
        let definitions: Vec<String> = before.service.deployments.iter().map(|one| one.definition.clone()).collect();
        let instances = self.instances_for_service(&before, &definitions)?;
        let mut waiting: BTreeSet<String> = fetches.running.clone();
        let (mut record, outcome, starts) = loop {
            let mut record = before.clone();
            record.service.note_boot(&boot_id()?);
            for deployment in &mut record.service.deployments {
                deployment.fetching = waiting.contains(&deployment.id);
            }
            let mut fresh = || uuid::Builder::from_random_bytes(rand::random()).into_uuid().simple().to_string();
            let outcome = reconcile(&mut record.service, &observed, &instances, now(), &mut fresh);
            match self.prepare(&key, &record, &outcome, fetches)? {
                Ok(starts) => break (record, outcome, starts),
                Err(lacking) => waiting.extend(lacking),
            }
        };
        let expired = record.service.expired(now().wall);
        let mut txn = Txn::default().require_unchanged(&key, entry.revision);
        for change in &outcome.changes {
            if let Change::Stop { task, reason } = change {
                let (code, at) = (StopCode::ServiceSchedulerInitiated, now().wall.0);
                let desired = Desired { stop: reason.clone(), code, grace: None, at };
                txn = txn.put(format!("{}desired", self.task_key(&before, task)), &desired);
                // Whoever protects it meanwhile has done so before.
                let key = records::protection(task);
                txn = match protections.get(task) {
                    Some((_, revision)) => txn.require_unchanged(key, *revision),
                    None => txn.require_absent(key),
                };
            }
        }
        pass("turn: decided");
        let mut begun = self.begin_supervisors(&starts);
        pass("turn: supervisors wait");
        let (txn, planned) = self.plan_starts(txn, &mut record, &starts)?;
        if planned.len() != starts.len() {
            begun.clear(); // they stand in the order of all
        }
        let unprotected = record.service.tasks.iter().filter_map(|member| until(&member.id)).min();
        let turn = Turn {
            wake: outcome.wake.into_iter().chain(unprotected.map(since_boot)).min(),
            fetch: waiting.difference(&fetches.running).cloned().collect(),
            tasks: record.service.tasks.iter().map(|member| self.listens(member)).collect(),
            over: record.service.status == ServiceStatus::Inactive,
        };
        if record == before {
            return Ok(Some(turn));
        }
        if self.store.commit(&txn.put(&key, &record))? == Commit::Conflict {
            return Ok(None);
        }
        drop(room);
        pass("turn: committed");
        self.launch_all(planned, begun);
        pass("turn: launched");
        for change in &outcome.changes {
            if let Change::Stop { task, .. } = change {
                let _ = poke(&self.layout.task(task).control()); // one that is gone looks when it is adopted
            }
        }
        self.forget(&before, &expired);
        Ok(Some(turn))
    }

    /// Removes records and logs of tasks that stopped long ago. What cannot be removed is left to `berth rm`.
    fn forget(&mut self, service: &ServiceRecord, expired: &[String]) {
        for id in expired {
            let found = self.records(&self.task_key(service, id)).ok().and_then(|mut found| found.pop());
            let _ = found.map(|record| self.remove(&record));
        }
    }

    fn listens(&self, member: &Member) -> (String, PathBuf) {
        (member.id.clone(), self.layout.task(&member.id).control())
    }

    pub(super) fn task_key(&self, record: &ServiceRecord, id: &str) -> String {
        let owner = &record.arn.owner;
        records::task(&owner.account, &owner.region, &record.arn.cluster, id)
    }

    /// A task as it is; `None` if its record is gone.
    fn observe(&self, record: &ServiceRecord, member: &Member, protected: bool) -> Result<Option<Observed>, OpsError> {
        let key = self.task_key(record, &member.id);
        let Some(state) = self.store.get::<TaskState>(&format!("{key}status"))? else { return Ok(None) };
        let state = state.value;
        let desired = self.store.get::<Desired>(&format!("{key}desired"))?.is_some();
        let own_end = |code| matches!(code, StopCode::TaskFailedToStart | StopCode::EssentialContainerExited);
        Ok(Some(Observed {
            id: member.id.clone(),
            status: state.last_status,
            stops: desired || state.stop.is_some() || state.last_status > LastStatus::Running,
            ran: state.times.started_at.is_some(),
            failed: state.stop.as_ref().is_some_and(|stop| own_end(stop.code)),
            health: health(&state),
            protected,
        }))
    }

    /// What is needed for the starts of an outcome, or the deployments whose images are not at hand.
    fn prepare(
        &self,
        key: &str,
        record: &ServiceRecord,
        outcome: &Outcome,
        fetches: &Fetches,
    ) -> Result<Result<Vec<Start>, BTreeSet<String>>, OpsError> {
        let mut lacking = BTreeSet::new();
        let mut starts = Vec::new();
        let mut known: Vec<(String, std::rc::Rc<super::start::Template>)> = Vec::new();
        for change in &outcome.changes {
            let Change::Start { task, deployment, .. } = change else { continue };
            if lacking.contains(deployment) {
                continue;
            }
            if !known.iter().any(|(id, _)| id == deployment) {
                match self.template(key, record, deployment, fetches.done.get(deployment))? {
                    Some(template) => known.push((deployment.clone(), std::rc::Rc::new(template))),
                    None => {
                        lacking.insert(deployment.clone());
                        continue;
                    }
                }
            }
            let found = known.iter().find(|(id, _)| id == deployment).map(|(_, template)| template.clone());
            starts.extend(found.map(|template| Start { task: task.clone(), template }));
        }
        Ok(if lacking.is_empty() { Ok(starts) } else { Err(lacking) })
    }
}

/// A time of the wall clock in milliseconds since boot; it does not lie in the past.
fn since_boot(at: Timestamp) -> u64 {
    let now = now();
    now.boot + u64::try_from(at.0 - now.wall.0).unwrap_or_default() + 1
}

/// What the health checks of a task say, of its essential containers that have one.
fn health(state: &TaskState) -> Health {
    match state.checked_health() {
        None => Health::Unchecked,
        Some(HealthStatus::Unknown) => Health::Unknown,
        Some(HealthStatus::Healthy) => Health::Healthy,
        Some(HealthStatus::Unhealthy) => Health::Unhealthy,
    }
}
