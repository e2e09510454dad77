//! UpdateTaskProtection and GetTaskProtection, for several tasks at once: what cannot be protected is a failure beside the others.

use super::services::now;
use super::{Engine, OpsError, TaskRecord};
use crate::ecs::Timestamp as Time;
use crate::ecs::error::EcsError;
use crate::ecs::request::{
    GetTaskProtectionRequest, ProtectedTask, TaskProtectionResponse, UpdateTaskProtectionRequest,
};
use crate::ecs::task::Failure;
use crate::lifecycle::Timestamp;

/// The most tasks of one request.
const MOST_UPDATED: usize = 10;
const MOST_SHOWN: usize = 100;
/// Minutes, where a request does not say: two hours.
const DEFAULT_MINUTES: i32 = 120;
const MOST_MINUTES: i32 = 2880;

impl Engine {
    /// UpdateTaskProtection.
    pub fn update_task_protection(
        &mut self,
        request: &UpdateTaskProtectionRequest,
    ) -> Result<TaskProtectionResponse, OpsError> {
        if !(1..=MOST_UPDATED).contains(&request.tasks.len()) {
            return Err(EcsError::invalid_parameter("tasks must have 1 to 10 elements.").into());
        }
        let minutes = match request.expires_in_minutes {
            None => DEFAULT_MINUTES,
            Some(minutes @ 1..=MOST_MINUTES) => minutes,
            Some(_) => return Err(EcsError::invalid_parameter("expiresInMinutes must be between 1 and 2880.").into()),
        };
        let until = Timestamp(now().wall.0 + i64::from(minutes) * 60_000);
        let until = request.protection_enabled.then_some(until);
        self.each_protected(request.cluster.as_deref(), &request.tasks, |engine, record| {
            engine.protect(record, until).map(|()| until)
        })
    }

    /// GetTaskProtection: of the tasks that are named, or of all of the cluster's services where none is.
    pub fn get_task_protection(
        &mut self,
        request: &GetTaskProtectionRequest,
    ) -> Result<TaskProtectionResponse, OpsError> {
        if request.tasks.len() > MOST_SHOWN {
            return Err(EcsError::invalid_parameter("tasks must have at most 100 elements.").into());
        }
        let names = match request.tasks.is_empty() {
            false => request.tasks.clone(),
            true => {
                let cluster = self.cluster_of(request.cluster.as_deref())?;
                let of_services = |task: &super::index::Brief| task.of_service && !task.stops;
                let all = self.briefs_of(&cluster)?;
                all.iter().filter(|task| of_services(task)).map(|task| task.id.clone()).collect()
            }
        };
        self.each_protected(request.cluster.as_deref(), &names, |engine, record| match record.plan.service {
            Some(_) => engine.protection(&record.plan.id),
            None => Err(OpsError::NoService { task: record.plan.id.clone() }),
        })
    }

    /// Does something for each task.
    fn each_protected(
        &mut self,
        cluster: Option<&str>,
        tasks: &[String],
        act: impl Fn(&mut Self, &TaskRecord) -> Result<Option<Timestamp>, OpsError>,
    ) -> Result<TaskProtectionResponse, OpsError> {
        let cluster = self.cluster_of(cluster)?;
        let mut answer = TaskProtectionResponse::default();
        for name in tasks {
            let Some(record) = self.task_of(&cluster, name)? else {
                answer.failures.push(self.missing_task(&cluster, name));
                continue;
            };
            let task_arn = record.plan.arn().to_string();
            match act(self, &record) {
                Ok(until) => answer.protected_tasks.push(ProtectedTask {
                    task_arn,
                    protection_enabled: until.is_some(),
                    expiration_date: until.map(|until| Time::from_millis(until.0)),
                }),
                Err(error @ (OpsError::NoService { .. } | OpsError::Stops { .. })) => answer.failures.push(Failure {
                    arn: Some(task_arn),
                    reason: Some("TASK_NOT_VALID".to_owned()),
                    detail: Some(error.to_string()),
                }),
                Err(error) => return Err(error),
            }
        }
        Ok(answer)
    }
}
