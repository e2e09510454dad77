//! Service deployments and revisions: listed, described, and one that is under way stopped, which goes back.

use std::cmp::Reverse;

use super::super::paging::{Asked, page};
use super::super::{Engine, OpsError};
use super::config::{invalid, unsupported};
use super::record::{RevisionRecord, ServiceRecord, now};
use super::view::time;
use crate::ecs::arn::ServiceArn;
use crate::ecs::error::{EcsError, Exception};
use crate::ecs::service::RevisionSummary;
use crate::ecs::service_deployment::{
    BreakerState, ContainerImage, DescribeServiceDeploymentsRequest, DescribeServiceDeploymentsResponse,
    DescribeServiceRevisionsRequest, DescribeServiceRevisionsResponse, ListServiceDeploymentsRequest,
    ListServiceDeploymentsResponse, Rollback, ServiceDeployment, ServiceDeploymentBrief, ServiceRevision,
    StopServiceDeploymentRequest, StopServiceDeploymentResponse,
};
use crate::ecs::task::Failure;
use crate::scheduler::{Rollout, RolloutStatus, roll_back};
use crate::store::{Commit, Txn, records};

const ATTEMPTS: usize = 20;

impl Engine {
    /// ListServiceDeployments, newest first.
    pub fn list_service_deployments(
        &self,
        request: &ListServiceDeploymentsRequest,
    ) -> Result<ListServiceDeploymentsResponse, OpsError> {
        let arn = self.service_arn(request.cluster.as_deref(), &request.service)?;
        let record = self.service_entry(&arn)?.ok_or_else(EcsError::service_not_found)?.value;
        let within = |one: &&Rollout| {
            let at = time(one.created_at);
            let range = request.created_at.unwrap_or_default();
            range.after.is_none_or(|after| at > after) && range.before.is_none_or(|before| at < before)
        };
        let rollouts = record.service.rollouts.iter();
        let all: Vec<&Rollout> = rollouts
            .filter(within)
            .filter(|one| request.status.is_empty() || request.status.iter().any(|word| *word == status(one.status)))
            .collect();
        let newest_first = |one: &&Rollout| Reverse((one.created_at, one.id.clone()));
        let asked = Asked::by(request.max_results, request.next_token.as_deref(), (20, 100));
        let (rollouts, next_token) = page(&record.arn, all, newest_first, asked)?;
        let service_deployments = rollouts.into_iter().map(|one| brief(&record, one)).collect();
        Ok(ListServiceDeploymentsResponse { service_deployments, next_token })
    }

    /// DescribeServiceDeployments: at most twenty.
    pub fn describe_service_deployments(
        &self,
        request: &DescribeServiceDeploymentsRequest,
    ) -> Result<DescribeServiceDeploymentsResponse, OpsError> {
        if !(1..=20).contains(&request.service_deployment_arns.len()) {
            return Err(invalid("serviceDeploymentArns must have 1 to 20 elements.").into());
        }
        let mut answer = DescribeServiceDeploymentsResponse::default();
        for arn in &request.service_deployment_arns {
            match self.rollout(arn)? {
                Some((record, rollout)) => answer.service_deployments.push(view(&record, &rollout)),
                None => answer.failures.push(missing(arn)),
            }
        }
        Ok(answer)
    }

    /// DescribeServiceRevisions: at most twenty.
    pub fn describe_service_revisions(
        &self,
        request: &DescribeServiceRevisionsRequest,
    ) -> Result<DescribeServiceRevisionsResponse, OpsError> {
        if !(1..=20).contains(&request.service_revision_arns.len()) {
            return Err(invalid("serviceRevisionArns must have 1 to 20 elements.").into());
        }
        let mut answer = DescribeServiceRevisionsResponse::default();
        for arn in &request.service_revision_arns {
            match self.revision_view(arn)? {
                Some(revision) => answer.service_revisions.push(revision),
                None => answer.failures.push(missing(arn)),
            }
        }
        Ok(answer)
    }

    /// StopServiceDeployment: back to the last deployment that was completed.
    pub fn stop_service_deployment(
        &mut self,
        request: &StopServiceDeploymentRequest,
    ) -> Result<StopServiceDeploymentResponse, OpsError> {
        match request.stop_type.as_deref() {
            None | Some("ROLLBACK") => {}
            Some("ABORT") => return Err(unsupported("stopType ABORT").into()),
            Some(other) => return Err(invalid(format!("Invalid stopType: {other}")).into()),
        }
        let absent = || EcsError::new(Exception::ServiceDeploymentNotFoundException, "Service deployment not found.");
        let (arn, id) =
            ServiceArn::split_child(&request.service_deployment_arn, "service-deployment").ok_or_else(absent)?;
        for _ in 0..ATTEMPTS {
            let mut entry = self.service_entry(&arn)?.ok_or_else(absent)?;
            let service = &mut entry.value.service;
            if !service.rollouts.iter().any(|one| one.id == id) {
                return Err(absent().into());
            }
            if service.rollout_mut().is_none_or(|one| one.id != id) {
                return Err(
                    EcsError::new(Exception::ConflictException, "The service deployment is not in progress.").into()
                );
            }
            if !roll_back(service, "The service deployment was stopped by the user.", now()) {
                return Err(EcsError::new(
                    Exception::ConflictException,
                    "There is no completed deployment to roll back to.",
                )
                .into());
            }
            let txn = Txn::default().require_unchanged(&entry.key, entry.revision).put(&entry.key, &entry.value);
            if self.store.commit_durably(&txn)? == Commit::Done {
                self.wake(&entry.key)?;
                let service_deployment_arn = request.service_deployment_arn.clone();
                return Ok(StopServiceDeploymentResponse { service_deployment_arn });
            }
        }
        Err(OpsError::Contention)
    }

    fn rollout(&self, arn: &str) -> Result<Option<(ServiceRecord, Rollout)>, OpsError> {
        let Some((service, id)) = ServiceArn::split_child(arn, "service-deployment") else { return Ok(None) };
        let Some(entry) = self.service_entry(&service)? else { return Ok(None) };
        let found = entry.value.service.rollouts.iter().find(|one| one.id == id).cloned();
        Ok(found.map(|rollout| (entry.value, rollout)))
    }

    fn revision_view(&self, arn: &str) -> Result<Option<ServiceRevision>, OpsError> {
        let Some((service, id)) = ServiceArn::split_child(arn, "service-revision") else { return Ok(None) };
        let Some(record) = self.service_entry(&service)?.map(|entry| entry.value) else { return Ok(None) };
        let key = records::revision(&Self::service_key(&service), &id);
        let Some(frozen) = self.store.get::<RevisionRecord>(&key)?.map(|entry| entry.value) else { return Ok(None) };
        let (platform_version, platform_family) = record.platform();
        let image = |(name, image): &(String, String)| ContainerImage {
            container_name: name.clone(),
            image_digest: frozen.pinned.get(name).map(ToString::to_string),
            image: image.clone(),
        };
        Ok(Some(ServiceRevision {
            service_revision_arn: arn.to_owned(),
            service_arn: service.clone(),
            cluster_arn: service.owner.cluster(&service.cluster),
            task_definition: record.definition_arn(&frozen.definition),
            launch_type: frozen.strategy.is_empty().then_some(frozen.launch_type),
            capacity_provider_strategy: frozen.strategy.clone(),
            platform_version,
            platform_family,
            network_configuration: frozen.network.clone(),
            volume_configurations: frozen.volumes.clone(),
            container_images: frozen.images.iter().map(image).collect(),
            created_at: time(frozen.created_at),
        }))
    }
}

fn missing(arn: &str) -> Failure {
    Failure { arn: Some(arn.to_owned()), reason: Some("MISSING".to_owned()), detail: None }
}

fn brief(record: &ServiceRecord, one: &Rollout) -> ServiceDeploymentBrief {
    ServiceDeploymentBrief {
        service_deployment_arn: record.arn.deployment(&one.id),
        service_arn: record.arn.clone(),
        cluster_arn: record.arn.owner.cluster(&record.arn.cluster),
        started_at: time(one.created_at),
        created_at: time(one.created_at),
        finished_at: one.finished_at.map(time),
        target_service_revision_arn: record.arn.revision(&one.revision),
        status: status(one.status).to_owned(),
        status_reason: one.reason.clone(),
    }
}

fn view(record: &ServiceRecord, one: &Rollout) -> ServiceDeployment {
    let (failure_count, threshold) = one.breaker;
    let breaker = match (record.service.config.breaker.enable, &one.rollback) {
        (false, _) => "DISABLED",
        (true, Some(_)) => "TRIGGERED",
        (true, None) if one.status.is_final() => "MONITORING_COMPLETE",
        (true, None) => "MONITORING",
    };
    ServiceDeployment {
        service_deployment_arn: record.arn.deployment(&one.id),
        service_arn: record.arn.clone(),
        cluster_arn: record.arn.owner.cluster(&record.arn.cluster),
        created_at: time(one.created_at),
        started_at: time(one.created_at),
        finished_at: one.finished_at.map(time),
        stopped_at: one.stopped_at.map(time),
        updated_at: time(one.updated_at),
        source_service_revisions: one.sources.iter().map(|id| record.summary(id)).collect::<Vec<RevisionSummary>>(),
        target_service_revision: record.summary(&one.revision),
        status: status(one.status).to_owned(),
        status_reason: one.reason.clone(),
        deployment_configuration: record.configuration(),
        rollback: one.rollback.as_ref().map(|back| Rollback {
            reason: back.reason.clone(),
            started_at: time(back.started_at),
            service_revision_arn: record.arn.revision(&back.revision),
        }),
        deployment_circuit_breaker: BreakerState { status: breaker.to_owned(), failure_count, threshold },
    }
}

fn status(status: RolloutStatus) -> &'static str {
    match status {
        RolloutStatus::Pending => "PENDING",
        RolloutStatus::InProgress => "IN_PROGRESS",
        RolloutStatus::Successful => "SUCCESSFUL",
        RolloutStatus::StopRequested => "STOP_REQUESTED",
        RolloutStatus::Stopped => "STOPPED",
        RolloutStatus::RollbackRequested => "ROLLBACK_REQUESTED",
        RolloutStatus::RollbackInProgress => "ROLLBACK_IN_PROGRESS",
        RolloutStatus::RollbackSuccessful => "ROLLBACK_SUCCESSFUL",
        RolloutStatus::RollbackFailed => "ROLLBACK_FAILED",
    }
}
