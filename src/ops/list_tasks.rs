//! StopTask, DescribeTasks and ListTasks as the ECS API has them.

use std::sync::Arc;

use super::index::Brief;
use super::paging::{Asked, page};
use super::{Engine, ListedTask, OpsError, TaskRecord};
use crate::ecs::Task;
use crate::ecs::arn::{Owner, TaskArn, is_task_id};
use crate::ecs::error::{EcsError, Exception};
use crate::ecs::request::{
    DescribeTasksRequest, ListTasksRequest, ListTasksResponse, StopTaskRequest, StopTaskResponse, TasksResponse,
};
use crate::ecs::task::Failure;
use crate::lifecycle::LastStatus;
use crate::plan::Shown;
use crate::store::records;

/// What StopTask says where nobody says why.
const STOPPED_BY_USER: &str = "Task stopped by user";
/// The longest reason of a stop, in characters.
const LONGEST_REASON: usize = 1024;
/// The most tasks that are described at once.
const MOST: usize = 100;

impl Engine {
    /// StopTask: at once, whatever becomes of the task later.
    pub fn stop_task(&mut self, request: &StopTaskRequest) -> Result<StopTaskResponse, OpsError> {
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        let found = self.task_of(&cluster, &request.task)?;
        let record = found.ok_or_else(|| EcsError::invalid_parameter("The referenced task was not found."))?;
        let reason = request.reason.as_deref().filter(|reason| !reason.is_empty()).unwrap_or(STOPPED_BY_USER);
        if reason.chars().count() > LONGEST_REASON {
            return Err(
                EcsError::invalid_parameter(format!("reason must be at most {LONGEST_REASON} characters.")).into()
            );
        }
        if record.state.last_status != LastStatus::Stopped {
            self.stop(&record.plan, reason)?;
        }
        // The task may have come further by now: the answer is what it was, what it should be, and why.
        let TaskRecord { desired, state, .. } = self.task(&record.plan)?;
        let mut shown = TaskRecord { desired, ..record };
        shown.state.stop = shown.state.stop.or(state.stop);
        Ok(StopTaskResponse { task: shown.view() })
    }

    /// DescribeTasks: whole ids or ARNs, at most a hundred.
    pub fn describe_tasks(&mut self, request: &DescribeTasksRequest) -> Result<TasksResponse, OpsError> {
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        match request.tasks.len() {
            0 => return Err(EcsError::invalid_parameter("Tasks cannot be empty.").into()),
            1..=MOST => {}
            _ => return Err(EcsError::invalid_parameter("Tasks cannot have more than 100 elements.").into()),
        }
        let with_tags = match request.include.iter().find(|what| *what != "TAGS") {
            Some(other) => return Err(EcsError::invalid_parameter(format!("Invalid include: {other}")).into()),
            None => !request.include.is_empty(),
        };
        let mut answer = TasksResponse::default();
        for (name, found) in request.tasks.iter().zip(self.tasks_of(&cluster, &request.tasks)?) {
            match found {
                Some(record) if with_tags => answer.tasks.push(self.view_with_tags(&record)?),
                Some(record) => answer.tasks.push(record.view()),
                None => answer.failures.push(self.missing_task(&cluster, name)),
            }
        }
        Ok(answer)
    }

    /// ListTasks: running ones, or those that are to stop.
    pub fn list_tasks(&mut self, request: &ListTasksRequest) -> Result<ListTasksResponse, OpsError> {
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        let stopped = match request.desired_status.as_deref() {
            None | Some("RUNNING") => Some(false),
            Some("STOPPED") => Some(true),
            // ECS never reports it.
            Some("PENDING") => None,
            Some(other) => return Err(EcsError::invalid_parameter(format!("Invalid desiredStatus: {other}")).into()),
        };
        if request.daemon_name.is_some() {
            let message = "daemonName of ListTasks is not supported by this version of berth.";
            return Err(EcsError::new(Exception::UnsupportedFeatureException, message).into());
        }
        let group = match &request.service_name {
            Some(name) => {
                let arn = self.service_arn(Some(&cluster), name)?;
                self.service_entry(&arn)?.ok_or_else(EcsError::service_not_found)?;
                Some(format!("service:{}", arn.name))
            }
            None => None,
        };
        let on_instance = match &request.container_instance {
            Some(name) => Some(self.instance_named(&cluster, name)?),
            None => None,
        };
        let host = self.host_id();
        let owner = self.owner();
        let all = self.briefs_of(&cluster)?;
        let wanted = all.into_iter().filter(|brief| {
            Some(brief.stops) == stopped
                && request.family.as_ref().is_none_or(|family| *family == brief.family)
                && (request.started_by.is_none() || request.started_by == brief.started_by)
                && group.as_ref().is_none_or(|group| *group == brief.group)
                && request.launch_type.is_none_or(|launch| launch == brief.launch_type)
                && on_instance.as_ref().is_none_or(|id| brief.on_instance(&host) == Some(id))
        });
        let oldest_first = |brief: &Arc<Brief>| (brief.created_at, brief.id.clone());
        let asked = Asked::by(request.max_results, request.next_token.as_deref(), (100, 100));
        let (briefs, next_token) = page(&format!("tasks of {cluster}"), wanted.collect(), oldest_first, asked)?;
        let task_arns = briefs.iter().map(|brief| owner.task(&cluster, &brief.id).to_string()).collect();
        Ok(ListTasksResponse { task_arns, next_token })
    }

    /// The task that a name means in a cluster, as it is now; one that has no supervisor gets one.
    pub(super) fn task_of(&self, cluster: &str, name: &str) -> Result<Option<TaskRecord>, OpsError> {
        match self.key_of(cluster, name)? {
            Some(key) => self.record_of(&key),
            None => Ok(None),
        }
    }

    /// The same of several names.
    fn tasks_of(&self, cluster: &str, names: &[String]) -> Result<Vec<Option<Arc<ListedTask>>>, OpsError> {
        let keys = names.iter().map(|name| self.key_of(cluster, name)).collect::<Result<Vec<_>, _>>()?;
        let found = self.known(&keys)?;
        let live = found.iter().flatten().map(Arc::as_ref);
        if self.tend(live)? { self.known(&keys) } else { Ok(found) }
    }

    /// The key of the task that a name means in a cluster; none, where its ARN is of another one.
    fn key_of(&self, cluster: &str, name: &str) -> Result<Option<String>, OpsError> {
        let owner = self.owner();
        let id = match name.parse::<TaskArn>() {
            Ok(arn) if arn.owner != owner || arn.cluster != cluster => return Ok(None),
            Ok(arn) => arn.id,
            Err(_) => name.rsplit('/').next().unwrap_or(name).to_owned(),
        };
        if !is_task_id(&id) {
            return Err(EcsError::bad_task_id().into());
        }
        let Owner { account, region } = &owner;
        Ok(Some(records::task(account, region, cluster, &id.replace('-', "").to_ascii_lowercase())))
    }

    /// ECS's words for a task that there is not.
    pub(super) fn missing_task(&self, cluster: &str, name: &str) -> Failure {
        let arn = match name.starts_with("arn:") {
            true => name.to_owned(),
            false => self.owner().task(cluster, name.rsplit('/').next().unwrap_or(name)).to_string(),
        };
        Failure { arn: Some(arn), reason: Some("MISSING".to_owned()), detail: None }
    }

    /// A task with its tags, which a stopped one has no longer.
    pub(super) fn view_with_tags<C: Shown>(&self, record: &TaskRecord<C>) -> Result<Task, OpsError> {
        let mut view = record.view();
        if record.state.last_status != LastStatus::Stopped {
            view.tags = self.tags_of(&record.plan.arn().to_string())?;
        }
        Ok(view)
    }
}
