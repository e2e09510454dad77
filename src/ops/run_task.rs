//! RunTask, StopTask, ListTasks and DescribeTasks as the ECS API has them. The command line's own `run FILE` is in `run`.

use serde::{Deserialize, Serialize};

use super::capacity::rules;
use super::paging::page;
use super::services::{check_network, create::launch_type, subnets};
use super::{Engine, OpsError, RunOptions, TaskRecord};
use crate::ecs::arn::{TaskArn, is_task_id};
use crate::ecs::error::{EcsError, Exception};
use crate::ecs::request::{
    DescribeTasksRequest, ListTasksRequest, ListTasksResponse, RunTaskRequest, StopTaskRequest, StopTaskResponse,
    TasksResponse,
};
use crate::ecs::task::Failure;
use crate::image::{ImageReference, Progress};
use crate::lifecycle::LastStatus;
use crate::store::{Commit, Txn, records};
use crate::validate::ValidTaskDefinition;

/// What StopTask says where nobody says why.
const STOPPED_BY_USER: &str = "Task stopped by user";

/// The tasks that a client token stands for.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Token {
    request: RunTaskRequest,
    /// Empty while they are being started.
    tasks: Vec<String>,
}

impl Engine {
    /// RunTask: what does not fit is a failure beside the tasks that do. Images are pulled first, and `progress` sees it.
    pub fn run_task(
        &mut self,
        request: &RunTaskRequest,
        progress: &mut dyn FnMut(&ImageReference, Progress),
    ) -> Result<TasksResponse, OpsError> {
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        let count = match request.count.unwrap_or(1) {
            count @ 1..=10 => count,
            _ => return Err(EcsError::invalid_parameter("count must be between 1 and 10.").into()),
        };
        refuse(request)?;
        let (definition, revision) = self.runnable(&request.task_definition, None)?;
        check_network(self, &definition, request.network_configuration.as_ref())?;
        launch_type(request.launch_type, &definition)?;
        let options = RunOptions {
            started_by: request.started_by.clone(),
            cluster: Some(cluster.clone()),
            group: request.group.clone(),
            subnets: subnets(request.network_configuration.as_ref()),
            revision: Some(revision),
            overrides: request.overrides.clone().unwrap_or_default(),
            placement: rules(
                request.placement_constraints.as_deref().unwrap_or_default(),
                request.placement_strategy.as_deref().unwrap_or_default(),
            )?,
            ..RunOptions::default()
        };
        let token = match self.claim_token(&cluster, request)? {
            Claim::Answered(answer) => return Ok(answer),
            Claim::Ours(token) => token,
        };
        let started = self.run_many(&definition, &options, count, progress);
        if let Some(key) = token {
            let tasks =
                started.as_ref().map(|answer| answer.tasks.iter().map(|task| task.task_arn.id.clone()).collect());
            let _: Commit = match tasks {
                Ok(tasks) => {
                    self.store.commit(&Txn::default().put(&key, &Token { request: request.clone(), tasks }))?
                }
                Err(_) => self.store.commit(&Txn::default().delete(&key))?,
            };
        }
        started
    }

    fn run_many(
        &mut self,
        definition: &ValidTaskDefinition,
        options: &RunOptions,
        count: i32,
        progress: &mut dyn FnMut(&ImageReference, Progress),
    ) -> Result<TasksResponse, OpsError> {
        let mut answer = TasksResponse::default();
        for _ in 0..count {
            let provided = self.provide(definition, options, progress);
            let started = provided.and_then(|images| self.run(definition, images, options));
            match (started.as_ref().err().and_then(OpsError::shortage), started) {
                (None, started) => answer.tasks.push(started?.view()),
                (Some((reason, detail)), _) => {
                    let host = self.instances()?.into_iter().next().map(|one| one.id);
                    let owner = self.owner();
                    let arn = |id| format!("arn:aws:ecs:{}:{}:container-instance/{id}", owner.region, owner.account);
                    answer.failures.push(Failure { arn: host.map(arn), reason: Some(reason.to_owned()), detail });
                }
            }
        }
        Ok(answer)
    }

    /// The first request with a token starts tasks, the others get the same ones.
    fn claim_token(&mut self, cluster: &str, request: &RunTaskRequest) -> Result<Claim, OpsError> {
        let Some(token) = &request.client_token else { return Ok(Claim::Ours(None)) };
        if token.is_empty() || token.len() > 64 {
            return Err(EcsError::invalid_parameter("clientToken must be 1 to 64 characters.").into());
        }
        let key = records::token(&self.config.account, &self.config.region, cluster, token);
        let new = Token { request: request.clone(), tasks: Vec::new() };
        if self.store.commit(&Txn::default().require_absent(&key).put(&key, &new))? == Commit::Done {
            return Ok(Claim::Ours(Some(key)));
        }
        let Some(known) = self.store.get::<Token>(&key)?.map(|entry| entry.value) else {
            return Err(OpsError::Contention);
        };
        if known.request != *request || known.tasks.is_empty() {
            return Err(EcsError::new(
                Exception::ConflictException,
                "The clientToken was used with other parameters, or its first request is still under way.",
            )
            .into());
        }
        let all = self.tasks()?;
        let tasks = all.iter().filter(|record| known.tasks.contains(&record.plan.id)).map(TaskRecord::view).collect();
        Ok(Claim::Answered(TasksResponse { tasks, failures: Vec::new() }))
    }

    /// StopTask: at once, whatever becomes of the task later.
    pub fn stop_task(&mut self, request: &StopTaskRequest) -> Result<StopTaskResponse, OpsError> {
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        let found = self.task_of(&cluster, &request.task)?;
        let record = found.ok_or_else(|| EcsError::invalid_parameter("The referenced task was not found."))?;
        if record.state.last_status != LastStatus::Stopped {
            self.stop(&record.plan, request.reason.as_deref().unwrap_or(STOPPED_BY_USER))?;
        }
        Ok(StopTaskResponse { task: self.task(&record.plan)?.view() })
    }

    /// DescribeTasks: whole ids or ARNs, at most a hundred.
    pub fn describe_tasks(&mut self, request: &DescribeTasksRequest) -> Result<TasksResponse, OpsError> {
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        match request.tasks.len() {
            0 => return Err(EcsError::invalid_parameter("Tasks cannot be empty.").into()),
            1..=100 => {}
            _ => return Err(EcsError::invalid_parameter("Tasks cannot have more than 100 elements.").into()),
        }
        let mut answer = TasksResponse::default();
        for name in &request.tasks {
            match self.task_of(&cluster, name)? {
                Some(record) => answer.tasks.push(record.view()),
                None => {
                    let id = name.rsplit('/').next().unwrap_or(name);
                    answer.failures.push(Failure {
                        arn: Some(self.owner().task(&cluster, id).to_string()),
                        reason: Some("MISSING".to_owned()),
                        detail: None,
                    });
                }
            }
        }
        Ok(answer)
    }

    /// ListTasks: running ones, or those that are to stop.
    pub fn list_tasks(&mut self, request: &ListTasksRequest) -> Result<ListTasksResponse, OpsError> {
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        let stopped = match request.desired_status.as_deref() {
            None | Some("RUNNING") => false,
            Some("STOPPED") => true,
            Some("PENDING") => return Ok(ListTasksResponse::default()),
            Some(other) => return Err(EcsError::invalid_parameter(format!("Invalid desiredStatus: {other}")).into()),
        };
        let group = request.service_name.as_ref().map(|name| {
            let name = name.rsplit('/').next().unwrap_or(name);
            format!("service:{name}")
        });
        let all = self.tasks()?;
        let wanted = all.iter().filter(|record| {
            let stops = record.desired.is_some() || record.state.stop.is_some();
            record.plan.cluster == cluster
                && stops == stopped
                && request.family.as_ref().is_none_or(|family| *family == record.plan.family)
                && (request.started_by.is_none() || request.started_by == record.plan.started_by)
                && (group.is_none() || group == record.plan.group)
        });
        let arns: Vec<String> = wanted.map(|record| record.view().task_arn.to_string()).collect();
        let (task_arns, next_token) = page(&arns, request.max_results, request.next_token.as_deref(), (100, 100))?;
        Ok(ListTasksResponse { task_arns, next_token })
    }

    pub(super) fn task_of(&mut self, cluster: &str, name: &str) -> Result<Option<TaskRecord>, OpsError> {
        let id = match name.parse::<TaskArn>() {
            Ok(arn) => arn.id,
            Err(_) => name.rsplit('/').next().unwrap_or(name).to_owned(),
        };
        if !is_task_id(&id) {
            return Err(EcsError::bad_task_id().into());
        }
        let id = id.replace('-', "");
        Ok(self.tasks()?.into_iter().find(|record| record.plan.id == id && record.plan.cluster == cluster))
    }
}

enum Claim {
    Ours(Option<String>),
    Answered(TasksResponse),
}

/// What is not done yet is refused by its name.
fn refuse(request: &RunTaskRequest) -> Result<(), EcsError> {
    let members = [
        (request.capacity_provider_strategy.is_some(), "capacityProviderStrategy"),
        (request.volume_configurations.is_some(), "volumeConfigurations"),
        (request.tags.as_ref().is_some_and(|tags| !tags.is_empty()), "tags"),
    ];
    match members.into_iter().find(|(asks, _)| *asks) {
        Some((_, name)) => Err(EcsError::new(
            Exception::UnsupportedFeatureException,
            format!("{name} of RunTask is not supported by this version of berth."),
        )),
        None => Ok(()),
    }
}
