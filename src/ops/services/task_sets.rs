//! CreateTaskSet, UpdateTaskSet, DeleteTaskSet, DescribeTaskSets, UpdateServicePrimaryTaskSet: what a service whose deployments
//! somebody else controls is made of.

use super::super::{Engine, OpsError, tags};
use super::config::{check_network, invalid, refuse_value, unsupported};
use super::create::launch_type;
use super::record::{RevisionRecord, ServiceRecord, now};
use crate::ecs::arn::ServiceArn;
use crate::ecs::error::{EcsError, Exception};
use crate::ecs::service::CreateServiceRequest;
use crate::ecs::task::Failure;
use crate::ecs::task_set::{
    self, CreateTaskSetRequest, DescribeTaskSetsRequest, DescribeTaskSetsResponse, Scale, TaskSetRequest,
    TaskSetResponse, UpdateServicePrimaryTaskSetRequest,
};
use crate::scheduler::{Deploy, Role, TaskSet, add_task_set};
use crate::store::{Commit, Entry, Txn, records};

const ATTEMPTS: usize = 20;
/// How many a service may have (ECS quota).
const MOST: usize = 5;

impl Engine {
    /// CreateTaskSet: ACTIVE, and with no task unless it is given a scale.
    pub fn create_task_set(&mut self, request: &CreateTaskSetRequest) -> Result<TaskSetResponse, OpsError> {
        tags::check(request.tags.as_deref().unwrap_or_default())?;
        let scale = percent(request.scale.as_ref())?.unwrap_or(0.0);
        for _ in 0..ATTEMPTS {
            let mut entry = self.outside(request.cluster.as_deref(), &request.service)?;
            let tagged = |view: task_set::TaskSet| {
                let tags = request.tags.clone().unwrap_or_default();
                TaskSetResponse { task_set: task_set::TaskSet { tags, ..view } }
            };
            if let Some(known) = again(&entry.value, request)? {
                return Ok(tagged(self.task_set_view(&entry.value, &known)));
            }
            if entry.value.service.task_sets.len() >= MOST {
                let message = format!("A service can have at most {MOST} task sets.");
                return Err(EcsError::new(Exception::LimitExceededException, message).into());
            }
            let (deploy, revision) = self.deploy_set(&entry.value, request)?;
            let (id, now) = (deploy.id.clone(), now());
            let set = TaskSet { id: id.clone(), role: Role::Active, scale, stable: false, stable_at: now.wall };
            add_task_set(&mut entry.value.service, deploy, set.clone(), now.wall);
            entry.value.task_sets.insert(id.clone(), request.clone());
            entry.value.launch_type = revision.launch_type; // where its tasks may be: that of the newest set
            let txn = Txn::default().put(records::revision(&entry.key, &id), &revision);
            let arn = entry.value.arn.task_set(&id);
            let txn = tags::put(txn, &arn, request.tags.as_deref().unwrap_or_default());
            if self.put_service(&entry, txn)? {
                return Ok(tagged(self.task_set_view(&entry.value, &set)));
            }
        }
        Err(OpsError::Contention)
    }

    /// What the tasks of a new set are made of.
    fn deploy_set(
        &mut self,
        record: &ServiceRecord,
        request: &CreateTaskSetRequest,
    ) -> Result<(Deploy, RevisionRecord), OpsError> {
        refuse_value(request.load_balancers.as_ref(), "loadBalancers of CreateTaskSet")?;
        refuse_value(request.service_registries.as_ref(), "serviceRegistries of CreateTaskSet")?;
        let (definition, number) = self.runnable(&request.task_definition, None)?;
        check_network(self, &definition, request.network_configuration.as_ref())?;
        let strategy = request.capacity_provider_strategy.as_deref();
        let spread = self.spread(&record.arn.cluster, request.launch_type, strategy)?;
        let launch_type = launch_type(spread.as_ref().map(|one| one.launch_type).or(request.launch_type), &definition)?;
        let spec = CreateServiceRequest {
            network_configuration: request.network_configuration.clone(),
            platform_version: request.platform_version.clone(),
            capacity_provider_strategy: spread.map(|one| one.items),
            ..record.spec.clone()
        };
        self.deploy(&spec, &definition, number, launch_type)
    }

    /// UpdateTaskSet: its scale.
    pub fn update_task_set(&mut self, request: &TaskSetRequest) -> Result<TaskSetResponse, OpsError> {
        let scale =
            percent(request.scale.as_ref())?.ok_or_else(|| invalid("The scale of the task set must be specified."))?;
        self.change_set(request.cluster.as_deref(), &request.service, &request.task_set, &|record, place| {
            let set = &mut record.service.task_sets[place];
            if set.role == Role::Draining {
                return Err(invalid("The task set is DRAINING."));
            }
            set.scale = scale;
            Ok(())
        })
    }

    /// DeleteTaskSet: DRAINING until its last task has stopped. One with tasks, or that serves, only by force.
    pub fn delete_task_set(&mut self, request: &TaskSetRequest) -> Result<TaskSetResponse, OpsError> {
        let force = request.force == Some(true);
        self.change_set(request.cluster.as_deref(), &request.service, &request.task_set, &|record, place| {
            let set = &record.service.task_sets[place];
            let scaled = set.wanted(record.service.desired) > 0;
            if scaled && !force {
                return Err(invalid("The task set cannot be deleted while it is scaled above 0."));
            }
            if set.role == Role::Primary && !force {
                return Err(invalid("The primary task set cannot be deleted: make another one primary, or use force."));
            }
            record.service.task_sets[place].role = Role::Draining;
            Ok(())
        })
    }

    /// UpdateServicePrimaryTaskSet: the service is from now on what that set is made of.
    pub fn update_service_primary_task_set(
        &mut self,
        request: &UpdateServicePrimaryTaskSetRequest,
    ) -> Result<TaskSetResponse, OpsError> {
        self.change_set(request.cluster.as_deref(), &request.service, &request.primary_task_set, &|record, place| {
            let sets = &mut record.service.task_sets;
            if sets[place].role == Role::Draining {
                return Err(invalid("The task set is DRAINING."));
            }
            sets.iter_mut().filter(|set| set.role == Role::Primary).for_each(|set| set.role = Role::Active);
            sets[place].role = Role::Primary;
            let id = sets[place].id.clone();
            let definition =
                record.service.deployments.iter().find(|one| one.id == id).map(|one| one.definition.clone());
            record.spec.task_definition = definition;
            if let Some(made) = record.task_sets.get(&id) {
                record.spec.network_configuration.clone_from(&made.network_configuration);
                record.spec.platform_version.clone_from(&made.platform_version);
            }
            Ok(())
        })
    }

    /// DescribeTaskSets: all of a service, or those that are named.
    pub fn describe_task_sets(&self, request: &DescribeTaskSetsRequest) -> Result<DescribeTaskSetsResponse, OpsError> {
        if request.task_sets.len() > 100 {
            return Err(invalid("taskSets can have at most 100 elements.").into());
        }
        self.keep_scheduled()?;
        let entry = self.outside(request.cluster.as_deref(), &request.service)?;
        let record = &entry.value;
        let mut answer = DescribeTaskSetsResponse::default();
        if request.task_sets.is_empty() {
            let all = record.service.task_sets.iter().map(|set| self.task_set_view(record, set));
            answer.task_sets.extend(all);
        }
        for name in &request.task_sets {
            match place(record, name) {
                Some(place) => answer.task_sets.push(self.task_set_view(record, &record.service.task_sets[place])),
                None => {
                    let arn = Some(record.arn.task_set(bare(name)));
                    answer.failures.push(Failure { arn, reason: Some("MISSING".to_owned()), detail: None });
                }
            }
        }
        if request.include.iter().any(|what| what == "TAGS") {
            for set in &mut answer.task_sets {
                set.tags = self.tags_of(&set.task_set_arn)?;
            }
        }
        Ok(answer)
    }

    /// Whether there is a task set of that ARN, for its tags.
    pub(in crate::ops) fn is_task_set(&self, arn: &str) -> Result<bool, OpsError> {
        let Some((service, tail)) = ServiceArn::split_task_set(arn) else { return Ok(false) };
        let record = self.service_entry(&service)?;
        Ok(record.is_some_and(|entry| place(&entry.value, &tail).is_some()))
    }

    /// A service that is made of task sets, and can be changed.
    fn outside(&self, cluster: Option<&str>, name: &str) -> Result<Entry<ServiceRecord>, OpsError> {
        let entry = self.active(cluster, name)?;
        match entry.value.service.controller.is_outside() {
            true => Ok(entry),
            false => Err(invalid("Task sets are only for services with the EXTERNAL deployment controller.").into()),
        }
    }

    fn put_service(&mut self, entry: &Entry<ServiceRecord>, txn: Txn) -> Result<bool, OpsError> {
        let txn = txn.require_unchanged(&entry.key, entry.revision).put(&entry.key, &entry.value);
        let done = self.store.commit_durably(&txn)? == Commit::Done;
        if done {
            self.wake(&entry.key)?;
        }
        Ok(done)
    }

    /// Changes a task set. `change` is given the service and the set's place in it.
    fn change_set(
        &mut self,
        cluster: Option<&str>,
        service: &str,
        name: &str,
        change: &dyn Fn(&mut ServiceRecord, usize) -> Result<(), EcsError>,
    ) -> Result<TaskSetResponse, OpsError> {
        for _ in 0..ATTEMPTS {
            let mut entry = self.outside(cluster, service)?;
            let absent = || {
                EcsError::new(
                    Exception::TaskSetNotFoundException,
                    "The specified task set wasn't found. You can view your available task sets with DescribeTaskSets.",
                )
            };
            let place = place(&entry.value, name).ok_or_else(absent)?;
            change(&mut entry.value, place)?;
            let set = entry.value.service.task_sets[place].clone();
            if let Some(of) = entry.value.service.deployments.iter_mut().find(|one| one.id == set.id) {
                (of.updated_at, of.backoff) = (now().wall, None); // an update is a new beginning
            }
            if self.put_service(&entry, Txn::default())? {
                return Ok(TaskSetResponse { task_set: self.task_set_view(&entry.value, &set) });
            }
        }
        Err(OpsError::Contention)
    }
}

/// The set that a client token stands for already.
fn again(record: &ServiceRecord, request: &CreateTaskSetRequest) -> Result<Option<TaskSet>, EcsError> {
    let Some(token) = request.client_token.as_deref().filter(|token| !token.is_empty()) else { return Ok(None) };
    if token.len() > 36 {
        return Err(invalid("clientToken must be at most 36 characters."));
    }
    let known = record.task_sets.iter().find(|(_, made)| made.client_token.as_deref() == Some(token));
    match known {
        None => Ok(None),
        Some((_, made)) if made != request => Err(invalid("The clientToken was used with other parameters.")),
        Some((id, _)) => Ok(record.service.task_sets.iter().find(|set| set.id == *id).cloned()),
    }
}

/// The 19 digits of a set's id or ARN.
fn bare(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn place(record: &ServiceRecord, name: &str) -> Option<usize> {
    record.service.task_sets.iter().position(|set| set.id == bare(name))
}

/// A scale in percent.
fn percent(scale: Option<&Scale>) -> Result<Option<f64>, EcsError> {
    let Some(scale) = scale else { return Ok(None) };
    match scale.unit.as_deref() {
        None | Some("PERCENT") => {}
        Some(other) => return Err(unsupported(&format!("scale.unit {other}"))),
    }
    match scale.value {
        Some(value) if (0.0..=100.0).contains(&value) => Ok(Some(value)),
        Some(_) => Err(invalid("scale.value must be between 0.0 and 100.0.")),
        None => Ok(None),
    }
}
