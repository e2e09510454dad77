//! DeleteService, DescribeServices, ListServices.

use super::super::paging::{Asked, page};
use super::super::{Engine, OpsError};
use super::config::invalid;
use crate::ecs::arn::ServiceArn;
use crate::ecs::error::EcsError;
use crate::ecs::service::{
    DeleteServiceRequest, DescribeServicesRequest, DescribeServicesResponse, ListServicesRequest, ListServicesResponse,
    ServiceResponse,
};
use crate::ecs::task::Failure;
use crate::scheduler::{ServiceStatus, Working};
use crate::store::{Commit, Txn};

const ATTEMPTS: usize = 20;

impl Engine {
    /// DeleteService: DRAINING until the last task has stopped, then INACTIVE.
    pub fn delete_service(&mut self, request: &DeleteServiceRequest) -> Result<ServiceResponse, OpsError> {
        let arn = self.service_arn(request.cluster.as_deref(), &request.service)?;
        for _ in 0..ATTEMPTS {
            let mut entry = self.service_entry(&arn)?.ok_or_else(EcsError::service_not_found)?;
            let service = &mut entry.value.service;
            match service.status {
                ServiceStatus::Inactive => return Err(EcsError::service_not_found().into()),
                ServiceStatus::Draining => {
                    return Ok(ServiceResponse { service: self.service_view(&entry.value) });
                }
                ServiceStatus::Active => {}
            }
            let scaled = service.desired > 0 && service.working == Working::Replica;
            if scaled && request.force != Some(true) {
                return Err(invalid("The service cannot be stopped while it is scaled above 0.").into());
            }
            service.status = ServiceStatus::Draining;
            service.desired = 0;
            let txn = Txn::default().require_unchanged(&entry.key, entry.revision).put(&entry.key, &entry.value);
            if self.store.commit_durably(&txn)? == Commit::Done {
                self.wake(&entry.key)?;
                return Ok(ServiceResponse { service: self.service_view(&entry.value) });
            }
        }
        Err(OpsError::Contention)
    }

    /// DescribeServices: at most ten; those that there are not are failures.
    pub fn describe_services(&self, request: &DescribeServicesRequest) -> Result<DescribeServicesResponse, OpsError> {
        if request.services.is_empty() {
            return Err(invalid("Services cannot be empty.").into());
        }
        if request.services.len() > 10 {
            return Err(invalid("Services cannot have more than 10 elements.").into());
        }
        self.keep_scheduled()?;
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        let with_tags = request.include.iter().any(|what| what == "TAGS");
        let mut answer = DescribeServicesResponse::default();
        for name in &request.services {
            let arn = name.parse::<ServiceArn>().unwrap_or_else(|_| self.owner().service(&cluster, name));
            match self.service_entry(&arn)? {
                Some(entry) => {
                    let mut view = self.service_view(&entry.value);
                    if with_tags {
                        view.tags = self.tags_of(&arn.to_string())?;
                        for set in &mut view.task_sets {
                            set.tags = self.tags_of(&set.task_set_arn)?;
                        }
                    }
                    answer.services.push(view);
                }
                None => answer.failures.push(Failure {
                    arn: Some(arn.to_string()),
                    reason: Some("MISSING".to_owned()),
                    detail: None,
                }),
            }
        }
        Ok(answer)
    }

    /// ListServices: ten to a page, ACTIVE ones only.
    pub fn list_services(&self, request: &ListServicesRequest) -> Result<ListServicesResponse, OpsError> {
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        if let Some(other) = request.scheduling_strategy.as_deref().filter(|one| !matches!(*one, "REPLICA" | "DAEMON"))
        {
            return Err(invalid(format!("Invalid schedulingStrategy: {other}")).into());
        }
        let strategy = |working| match working {
            Working::Replica => "REPLICA",
            Working::Daemon => "DAEMON",
        };
        let arns: Vec<String> = self
            .services_of(&cluster)?
            .into_iter()
            .filter(|record| record.service.status == ServiceStatus::Active)
            .filter(|record| request.launch_type.is_none_or(|launch| Some(launch) == record.shown_launch_type()))
            .filter(|_| request.resource_management_type.as_deref().is_none_or(|kind| kind == "CUSTOMER"))
            .filter(|record| {
                request.scheduling_strategy.as_deref().is_none_or(|asked| asked == strategy(record.service.working))
            })
            .map(|record| record.arn.to_string())
            .collect();
        let asked = Asked::by(request.max_results, request.next_token.as_deref(), (10, 100));
        let (service_arns, next_token) = page(&format!("services of {cluster}"), arns, String::clone, asked)?;
        Ok(ListServicesResponse { service_arns, next_token })
    }
}
