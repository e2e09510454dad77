//! Starting tasks of a service, many at once: one look at images and addresses, one transaction, then their supervisors, which
//! do the rest side by side.

use std::collections::{HashSet, VecDeque};
use std::rc::Rc;

use super::super::capacity_providers::shares;
use super::super::provide::{Missing, Present};
use super::super::run::{leases, state};
use super::super::{Engine, OpsError, RunOptions, TaskImages, TaskRecord, tags};
use super::config::subnets;
use super::record::{RevisionRecord, ServiceRecord};
use crate::ecs::LaunchType;
use crate::ecs::task_definition::Tag;
use crate::lifecycle::{TaskState, Timestamp};
use crate::plan::make::{plan, plan_unstarted};
use crate::plan::volumes::StorageSettings;
use crate::plan::{Asked, TaskPlan};
use crate::scheduler::next_provider;
use crate::secrets::TaskValues;
use crate::store::{Entry, Txn, records};
use crate::supervisor::launch::{Beginning, Waiting, begin};
use crate::validate::ValidTaskDefinition;

/// How many supervisors are begun before the first one gets its plan.
const AHEAD: usize = 8;

/// All that the tasks of one deployment share.
pub(super) struct Template {
    definition: ValidTaskDefinition,
    options: RunOptions,
    images: TaskImages,
    revision: Entry<RevisionRecord>,
}

/// A task to start.
pub(super) struct Start {
    pub(super) task: String,
    pub(super) template: Rc<Template>,
}

/// A task that is in the transaction, and what it was made of.
pub(super) type Planned = (TaskRecord, Rc<Template>);

impl Engine {
    /// What tasks of a deployment are made of; `None` if its images are not here, or somebody has to be asked first.
    pub(super) fn template(
        &self,
        key: &str,
        record: &ServiceRecord,
        deployment: &str,
        fetched: Option<&TaskValues>,
    ) -> Result<Option<Template>, OpsError> {
        let (definition, options, revision) = self.frozen(key, record, deployment)?;
        let images = self.images_at_hand(&definition, &options, fetched)?;
        Ok(images.map(|images| Template { definition, options, images, revision }))
    }

    /// What a deployment froze, as its tasks are run with it.
    pub(super) fn frozen(
        &self,
        key: &str,
        record: &ServiceRecord,
        deployment: &str,
    ) -> Result<(ValidTaskDefinition, RunOptions, Entry<RevisionRecord>), OpsError> {
        let gone = || OpsError::Revision { service: record.service.name.clone(), revision: deployment.to_owned() };
        let revision = self.store.get::<RevisionRecord>(&records::revision(key, deployment))?.ok_or_else(gone)?;
        let frozen = &revision.value;
        let (definition, number) = self.runnable(&frozen.definition, Some(&frozen.definition))?;
        let options = RunOptions {
            started_by: Some(format!("ecs-svc/{deployment}")),
            cluster: Some(record.arn.cluster.clone()),
            group: Some(format!("service:{}", record.service.name)),
            service: Some(self.link(key)),
            subnets: subnets(frozen.network.as_ref()),
            revision: Some(number),
            pinned: frozen.pinned.clone(),
            tags: self.tags_for_tasks(record, &frozen.definition)?,
            asked: asked(record, frozen),
            launch_type: Some(frozen.launch_type),
            volume_configurations: frozen.volumes.clone(),
            ..RunOptions::default()
        };
        Ok((definition, options, revision))
    }

    /// The tags of a service's tasks: those of the service or of the definition where it wants them, and those that ECS adds.
    fn tags_for_tasks(&self, record: &ServiceRecord, definition: &str) -> Result<Vec<Tag>, OpsError> {
        let mut all = match record.spec.propagate_tags.as_deref() {
            Some("SERVICE") => self.tags_of(&record.arn.to_string())?,
            Some("TASK_DEFINITION") => self.tags_of(&record.definition_arn(definition).to_string())?,
            Some(_) | None => Vec::new(),
        };
        if record.spec.enable_ecs_managed_tags == Some(true) {
            all.push(tags::tag("aws:ecs:clusterName", &record.arn.cluster));
            all.push(tags::tag("aws:ecs:serviceName", &record.arn.name));
        }
        Ok(all)
    }

    /// Begins the first supervisors, whose start takes a while.
    pub(super) fn begin_supervisors(&self, starts: &[Start]) -> VecDeque<Waiting> {
        // One that cannot be begun is begun again when it is to be launched, and then the record says why not.
        starts.iter().take(AHEAD).map_while(|start| begin(&start.task, Beginning::New).ok()).collect()
    }

    /// Plans the tasks and puts them into the transaction.
    pub(super) fn plan_starts(
        &mut self,
        mut txn: Txn,
        record: &mut ServiceRecord,
        starts: &[Start],
    ) -> Result<(Txn, Vec<Planned>), OpsError> {
        let mut planned = Vec::new();
        if starts.is_empty() {
            return Ok((txn, planned));
        }
        let mut also = HashSet::new();
        let mut pinned: Vec<&str> = Vec::new();
        for Start { task, template } in starts {
            let Template { definition, options, images, revision } = template.as_ref();
            let mut names = super::super::run::names(definition, options, images);
            names.task.clone_from(task);
            placed(record, task, &revision.value, &mut names.asked)?;
            let present = match &images.outcome {
                Ok(present) => present,
                Err(missing) => {
                    txn = self.unstarted(txn, definition, options, names, &missing.reason, missing.container)?;
                    continue;
                }
            };
            let storage = self.storage(definition, options)?;
            let surroundings = self.surroundings(definition, storage, options)?;
            let number = options.revision.unwrap_or_default();
            let place = match self.place(&surroundings, definition, &also) {
                Ok(place) => place,
                Err(error) => {
                    txn = self.unstarted(txn, definition, options, names, &error.to_string(), None)?;
                    continue;
                }
            };
            match plan(definition, number, &present.facts, &place, names.clone()) {
                Ok(plan) => {
                    also.extend(plan.leases.iter().cloned());
                    if let Some(member) = record.service.member_mut(task) {
                        member.zone.clone_from(&plan.zone);
                    }
                    let state = state(&plan);
                    txn = leases(txn, definition, &plan);
                    txn = txn.put(plan.plan_key(), &plan).put(plan.status_key(), &state);
                    if !options.tags.is_empty() {
                        txn = txn.put(records::tags(&plan.arn().to_string()), &options.tags);
                    }
                    planned.push((TaskRecord { plan, desired: None, state, waits: false }, Rc::clone(template)));
                }
                Err(error) => {
                    let reason = format!("CannotCreateContainerError: {error}");
                    txn = self.unstarted(txn, definition, options, names, &reason, None)?;
                }
            }
            if revision.value.pinned.is_empty() && !pinned.contains(&revision.key.as_str()) {
                pinned.push(&revision.key);
                txn = txn.put(
                    &revision.key,
                    &RevisionRecord { pinned: digests(definition, present), ..revision.value.clone() },
                );
            }
        }
        Ok((txn, planned))
    }

    /// The record of a task that stopped before anything of it was made.
    pub(super) fn unstarted(
        &mut self,
        txn: Txn,
        definition: &ValidTaskDefinition,
        options: &RunOptions,
        names: crate::plan::make::Names,
        reason: &str,
        container: Option<usize>,
    ) -> Result<Txn, OpsError> {
        let options = RunOptions { subnets: Vec::new(), ..options.clone() };
        let surroundings = self.surroundings(definition, StorageSettings::default(), &options)?;
        let place = self.place(&surroundings, definition, &HashSet::new())?;
        let at = Timestamp(names.pulled_at);
        let plan: TaskPlan = plan_unstarted(definition, options.revision.unwrap_or_default(), &place, names);
        let mut state: TaskState = state(&plan);
        state.never_start(reason, container, at);
        Ok(txn.put(plan.plan_key(), &plan).put(plan.status_key(), &state))
    }

    /// Hands the plans to supervisors; what becomes of each is in its record.
    pub(super) fn launch_all(&mut self, planned: Vec<Planned>, mut begun: VecDeque<Waiting>) {
        let mut planned = VecDeque::from(planned);
        let mut ahead: VecDeque<Planned> = planned.drain(..planned.len().min(begun.len())).collect();
        begun.truncate(ahead.len());
        loop {
            while ahead.len() < AHEAD
                && let Some((record, template)) = planned.pop_front()
            {
                match begin(&record.plan.id, Beginning::New) {
                    Ok(waiting) => {
                        begun.push_back(waiting);
                        ahead.push_back((record, template));
                    }
                    Err(error) => self.not_begun(record, &error.to_string()),
                }
            }
            let (Some((record, template)), Some(waiting)) = (ahead.pop_front(), begun.pop_front()) else { return };
            // A failure is on record as the task's stoppedReason.
            let _ = self.launch(waiting, record, &template.images.values);
        }
    }

    fn not_begun(&mut self, record: TaskRecord, error: &str) {
        // A store that does not take it leaves a task without a supervisor, which the next look finds.
        let _ = self.give_up(record, &format!("ContainerRuntimeError: start the task's supervisor: {error}"));
    }

    /// Puts on record that the images of a deployment cannot be had: a task that did not start.
    pub(super) fn record_missing(
        &mut self,
        record: &mut ServiceRecord,
        deployment: &str,
        (definition, options): (&ValidTaskDefinition, &RunOptions),
        images: &TaskImages,
        missing: &Missing,
    ) -> Result<Txn, OpsError> {
        let names = super::super::run::names(definition, options, images);
        let now = super::record::now();
        record.service.add_unstarted(&names.task, deployment, now);
        self.unstarted(Txn::default(), definition, options, names, &missing.reason, missing.container)
    }
}

/// What a service's tasks are told that is only shown again.
/// Where the scheduler has put a task, and the capacity provider that it counts for: that of the strategy in force, of a task
/// set that of its own.
fn placed(
    record: &mut ServiceRecord,
    task: &str,
    frozen: &RevisionRecord,
    asked: &mut Asked,
) -> Result<(), crate::ecs::error::EcsError> {
    let strategy = match record.service.controller.is_outside() {
        true => frozen.strategy.clone(),
        false => record.spec.capacity_provider_strategy.clone().unwrap_or_default(),
    };
    let shares = if strategy.is_empty() { Vec::new() } else { shares(&strategy)? };
    let service = &record.service;
    let Some(member) = service.tasks.iter().find(|member| member.id == task) else { return Ok(()) };
    let have = |name: &str| {
        let of = service.tasks.iter().filter(|one| one.is_good() && one.deployment == member.deployment);
        u32::try_from(of.filter(|one| one.provider.as_deref() == Some(name)).count()).unwrap_or(u32::MAX)
    };
    asked.capacity_provider = next_provider(&shares, &have).map(str::to_owned);
    asked.container_instance = Some(member.instance.clone()).filter(|_| frozen.launch_type == LaunchType::Ec2);
    if let Some(member) = record.service.member_mut(task) {
        member.provider.clone_from(&asked.capacity_provider);
    }
    Ok(())
}

fn asked(record: &ServiceRecord, frozen: &RevisionRecord) -> Asked {
    let vpc = frozen.network.as_ref().and_then(|network| network.awsvpc_configuration.as_ref());
    Asked {
        enable_execute_command: record.spec.enable_execute_command == Some(true),
        capacity_provider: None,
        platform_version: frozen.platform_version.clone().filter(|version| version != "LATEST"),
        security_groups: vpc.map(|vpc| vpc.security_groups.clone()).unwrap_or_default(),
        assign_public_ip: vpc.and_then(|vpc| vpc.assign_public_ip.clone()),
        reference_id: None,
        container_instance: None,
    }
}

/// The digests that all tasks of the deployment run from now on.
pub(super) fn digests(
    definition: &ValidTaskDefinition,
    present: &Present,
) -> std::collections::BTreeMap<String, crate::image::Digest> {
    let containers = definition.definition().container_definitions.iter();
    let consistent =
        containers.zip(&present.facts).filter(|(one, _)| one.version_consistency.as_deref() != Some("disabled"));
    consistent.filter_map(|(one, facts)| Some((one.name.clone(), facts.digest.parse().ok()?))).collect()
}
