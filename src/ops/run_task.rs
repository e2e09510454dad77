//! RunTask as the ECS API has it: it answers at once, with tasks that are on record and belong to a supervisor, or, where
//! something must be fetched first, to the process that fetches it. The command line's own `run FILE` is in `run`.

mod request;
mod start_task;
mod token;

use std::collections::HashSet;

use self::request::Request;
use self::token::Known;
use super::run::{Surroundings, leases, names_at, state};
use super::waiting::{self, Order};
use super::{Engine, OpsError, RunOptions, TaskImages, TaskRecord};
use crate::ecs::LaunchType;
use crate::ecs::request::{RunTaskRequest, TasksResponse};
use crate::ecs::task::Failure;
use crate::lifecycle::Timestamp;
use crate::plan::TaskPlan;
use crate::plan::make::{Names, plan, plan_unstarted};
use crate::secrets::TaskValues;
use crate::store::{Commit, Txn, records};
use crate::supervisor::launch::{Beginning, Waiting, begin};
use crate::validate::ValidTaskDefinition;

/// How often a plan is made anew because somebody else was quicker.
const ATTEMPTS: usize = 100;

/// What becomes of the tasks of a request.
enum Course<'a> {
    /// All that they are made of is here: they are planned, and launched.
    Start(&'a TaskImages),
    /// Something cannot be had, and nobody needs to be asked: they have stopped before they began.
    Stop(&'a TaskImages),
    /// Something must be fetched: they wait.
    Wait,
}

/// The tasks of a request, in one transaction.
#[derive(Default)]
struct Batch {
    txn: Txn,
    records: Vec<TaskRecord>,
    failures: Vec<Failure>,
}

impl Engine {
    /// RunTask: what does not fit is a failure beside the tasks that do. The same client token again gives the same tasks.
    pub fn run_task(&mut self, request: &RunTaskRequest) -> Result<TasksResponse, OpsError> {
        let asked = self.asked(request)?;
        self.run_asked(&asked, request)
    }

    /// The same, once the request has been held against what ECS takes.
    fn run_asked(&mut self, asked: &Request, request: &RunTaskRequest) -> Result<TasksResponse, OpsError> {
        for _ in 0..ATTEMPTS {
            let slot = match self.known_token(&asked.cluster, request)? {
                Known::Answered(answer) => return Ok(answer),
                Known::New(slot) => slot,
            };
            let images = self.provide_at_once(&asked.definition, &asked.options)?;
            let course = match &images {
                None => Course::Wait,
                Some(images) if images.outcome.is_ok() => Course::Start(images),
                Some(images) => Course::Stop(images),
            };
            // Their start takes a while, which planning has: one ahead is enough for the next to be ready in time.
            let ahead = match course {
                Course::Start(_) => begin(&asked.first, Beginning::New).ok(),
                Course::Stop(_) | Course::Wait => None,
            };
            let room = self.lock_capacity()?;
            let mut batch = self.batch(asked, &course)?;
            batch.txn = self.with_token(batch.txn, slot.as_ref(), request, &batch.records)?;
            let committed = self.store.commit(&batch.txn)?;
            drop(room);
            if committed == Commit::Done {
                self.store.settle()?;
                let no_values = TaskValues::default();
                let values = images.as_ref().map_or(&no_values, |images| &images.values);
                return self.set_going(batch, &course, ahead, values);
            }
        }
        Err(OpsError::Contention)
    }

    /// Plans all tasks of a request for which there is room.
    fn batch(&mut self, asked: &Request, course: &Course<'_>) -> Result<Batch, OpsError> {
        let applied = asked.options.applied(&asked.definition)?;
        let storage = match course {
            Course::Start(_) => self.storage(&applied, &asked.options)?,
            Course::Stop(_) | Course::Wait => Default::default(),
        };
        let surroundings = self.surroundings(&applied, storage, &asked.options)?;
        let mut places = self.places(&applied, &asked.options)?;
        let mut also = HashSet::new();
        let mut batch = Batch::default();
        for number in 0..asked.count {
            let instance = match places.next() {
                Ok(instance) => instance,
                Err((nearest, reason)) => {
                    batch.failures.push(self.failure(&asked.cluster, nearest, reason, None));
                    continue;
                }
            };
            let fargate = asked.options.launch_type == Some(LaunchType::Fargate);
            let options = asked.options_of(number, Some(&instance).filter(|_| !fargate));
            match self.one(asked, &options, (&applied, &surroundings), course, &mut also, number) {
                Ok((txn, record)) => {
                    batch.txn = batch.txn.and(txn);
                    batch.records.push(record);
                }
                Err(error) => {
                    let Some((reason, detail)) = error.shortage() else { return Err(error) };
                    batch.failures.push(self.failure(&asked.cluster, Some(instance), reason, detail));
                }
            }
        }
        Ok(batch)
    }

    /// One task, and what is written of it.
    fn one(
        &self,
        asked: &Request,
        options: &RunOptions,
        (applied, surroundings): (&ValidTaskDefinition, &Surroundings),
        course: &Course<'_>,
        also: &mut HashSet<String>,
        number: usize,
    ) -> Result<(Txn, TaskRecord), OpsError> {
        let place = self.place(surroundings, applied, also)?;
        let txn = Txn::default();
        let (txn, plan, state, waits) = match course {
            Course::Start(images) => {
                let names = asked.names(number, names_at(applied, options, images.started_at.0, images.stopped_at.0));
                let facts = images.outcome.as_ref().map_or(&[][..], |present| &present.facts);
                let plan = plan(applied, asked.revision, facts, &place, names)?;
                let state = state(&plan);
                (leases(txn, applied, &plan), plan, state, false)
            }
            Course::Stop(images) => {
                let names = asked.names(number, names_at(applied, options, images.started_at.0, images.stopped_at.0));
                let mut plan = plan_unstarted(applied, asked.revision, &place, names);
                plan.leases.clear();
                let mut state = state(&plan);
                if let Err(missing) = &images.outcome {
                    state.never_start(&missing.reason, missing.container, images.stopped_at);
                }
                (txn, plan, state, false)
            }
            Course::Wait => {
                // That nothing was pulled yet is told by the time 0.
                let names = asked.names(number, names_at(applied, options, asked.at, 0));
                let plan: TaskPlan = plan_unstarted(applied, asked.revision, &place, names.clone());
                let state = state(&plan);
                let definition = format!("{}:{}", plan.family, plan.revision);
                let order = Order { definition, options: options.clone(), names, attempts: 0 };
                (leases(txn, applied, &plan).put(plan.order_key(), &order), plan, state, true)
            }
        };
        also.extend(plan.leases.iter().cloned());
        let mut txn = txn.put(plan.plan_key(), &plan).put(plan.status_key(), &state);
        if !options.tags.is_empty() {
            txn = txn.put(records::tags(&plan.arn().to_string()), &options.tags);
        }
        Ok((txn, TaskRecord { plan, desired: None, state, waits }))
    }

    /// Gives each task to whoever takes it further. From here on nothing is an error of the request: what goes wrong is on
    /// record, and a task that has nobody is found by the next look.
    fn set_going(
        &mut self,
        batch: Batch,
        course: &Course<'_>,
        ahead: Option<Waiting>,
        values: &TaskValues,
    ) -> Result<TasksResponse, OpsError> {
        let mut answer = TasksResponse { tasks: Vec::new(), failures: batch.failures };
        let mut ahead = ahead;
        let mut records = batch.records.into_iter().peekable();
        while let Some(record) = records.next() {
            let plan = record.plan.clone();
            let done = match course {
                Course::Stop(_) => Ok(record),
                Course::Wait => waiting::start(&plan)
                    .map(|()| record)
                    .map_err(|source| OpsError::Bring { task: plan.id.clone(), source }),
                Course::Start(_) => {
                    let begun = ahead.take().map_or_else(|| begin(&plan.id, Beginning::New), Ok);
                    ahead = records.peek().and_then(|next| begin(&next.plan.id, Beginning::New).ok());
                    match begun {
                        Ok(waiting) => self.launch(waiting, record, values),
                        Err(source) => Err(OpsError::Launch { task: plan.id.clone(), source }),
                    }
                }
            };
            let record = match done {
                Ok(record) => record,
                Err(_) => self.task(&plan)?,
            };
            answer.tasks.push(self.view_with_tags(&record)?);
        }
        Ok(answer)
    }

    fn failure(&self, cluster: &str, instance: Option<String>, reason: &str, detail: Option<String>) -> Failure {
        let arn = instance.map(|id| self.owner().container_instance(cluster, &id));
        Failure { arn, reason: Some(reason.to_owned()), detail }
    }
}

impl Request {
    /// The names of a task: its id was chosen with the request, so that its supervisor could begin before it was planned.
    fn names(&self, number: usize, names: Names) -> Names {
        match number {
            0 => Names { task: self.first.clone(), ..names },
            _ => names,
        }
    }
}

/// Now, as records have it.
fn now() -> Timestamp {
    Timestamp(crate::sys::time::wall_ns() / 1_000_000)
}
