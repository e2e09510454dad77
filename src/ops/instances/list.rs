//! ListContainerInstances, DescribeContainerInstances, UpdateContainerInstancesState.

use super::super::paging::{Asked, page};
use super::super::{Engine, OpsError};
use super::record::{InstanceRecord, InstanceStatus};
use super::view::Tasks;
use crate::ecs::container_instance::{
    ContainerInstancesResponse, DescribeContainerInstancesRequest, ListContainerInstancesRequest,
    ListContainerInstancesResponse, UpdateContainerInstancesStateRequest,
};
use crate::ecs::error::EcsError;
use crate::ecs::task::Failure;
use crate::scheduler::Expression;

/// What a filter can ask for.
const STATUSES: [&str; 5] = ["ACTIVE", "DRAINING", "REGISTERING", "DEREGISTERING", "REGISTRATION_FAILED"];

impl Engine {
    /// ListContainerInstances: all that are not INACTIVE, those of a status, those that an expression holds for.
    pub fn list_container_instances(
        &self,
        request: &ListContainerInstancesRequest,
    ) -> Result<ListContainerInstancesResponse, OpsError> {
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        if let Some(other) = request.status.as_deref().filter(|status| !STATUSES.contains(status)) {
            return Err(EcsError::invalid_parameter(format!("Invalid status: {other}")).into());
        }
        let filter =
            request.filter.as_deref().filter(|text| !text.is_empty()).map(str::parse::<Expression>).transpose();
        let filter = filter.map_err(|error| EcsError::invalid_parameter(error.to_string()))?;
        let around = self.surround(&cluster, Tasks::Read)?;
        let all = self.instance_records(&cluster)?.into_iter().map(|entry| entry.value);
        let all: Vec<InstanceRecord> = all
            .filter(|record| record.status != InstanceStatus::Inactive)
            .filter(|record| request.status.as_deref().is_none_or(|status| status == record.status.word()))
            .filter(|record| filter.as_ref().is_none_or(|filter| around.instance(record).meets(filter)))
            .collect();
        let host_first = |one: &InstanceRecord| (one.registration.is_some(), one.registered_at, one.id.clone());
        let asked = Asked::by(request.max_results, request.next_token.as_deref(), (100, 100));
        let (all, next_token) = page(&format!("container instances of {cluster}"), all, host_first, asked)?;
        let arn = |one: &InstanceRecord| self.owner().container_instance(&cluster, &one.id);
        let container_instance_arns = all.iter().map(arn).collect();
        Ok(ListContainerInstancesResponse { container_instance_arns, next_token })
    }

    /// DescribeContainerInstances: at most a hundred.
    pub fn describe_container_instances(
        &self,
        request: &DescribeContainerInstancesRequest,
    ) -> Result<ContainerInstancesResponse, OpsError> {
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        match request.container_instances.len() {
            0 => return Err(EcsError::invalid_parameter("Container Instances cannot be empty.").into()),
            1..=100 => {}
            _ => {
                let message = "Container Instances cannot have more than 100 elements.";
                return Err(EcsError::invalid_parameter(message).into());
            }
        }
        let includes = |what: &str| request.include.iter().any(|one| one == what);
        let around = self.surround(&cluster, Tasks::Read)?;
        let mut answer = ContainerInstancesResponse::default();
        for name in &request.container_instances {
            match self.instance_entry(&cluster, name)? {
                None => answer.failures.push(self.no_instance(&cluster, name)),
                Some(entry) => {
                    let mut view = self.instance_view(&cluster, &entry.value, &around);
                    if includes("TAGS") {
                        view.tags = self.tags_of(&view.container_instance_arn)?;
                    }
                    view.health_status = includes("CONTAINER_INSTANCE_HEALTH").then(|| around.health(&entry.value));
                    answer.container_instances.push(view);
                }
            }
        }
        Ok(answer)
    }

    /// UpdateContainerInstancesState: from a DRAINING instance the tasks of services go elsewhere.
    pub fn update_container_instances_state(
        &mut self,
        request: &UpdateContainerInstancesStateRequest,
    ) -> Result<ContainerInstancesResponse, OpsError> {
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        let status = match request.status.as_str() {
            "ACTIVE" => InstanceStatus::Active,
            "DRAINING" => InstanceStatus::Draining,
            _ => {
                let message = "Container instance status should be one of [ACTIVE,DRAINING]";
                return Err(EcsError::invalid_parameter(message).into());
            }
        };
        match request.container_instances.len() {
            0 => return Err(EcsError::invalid_parameter("Container Instances cannot be empty.").into()),
            1..=10 => {}
            _ => {
                let message = "Container Instances cannot have more than 10 elements.";
                return Err(EcsError::invalid_parameter(message).into());
            }
        }
        let (mut changed, mut failures) = (Vec::new(), Vec::new());
        for name in &request.container_instances {
            let set = self.change_instance(&cluster, name, &|record| {
                if record.status != InstanceStatus::Inactive {
                    record.status = status;
                }
                Ok(())
            })?;
            match set {
                None => failures.push(self.no_instance(&cluster, name)),
                Some(record) if record.status == InstanceStatus::Inactive => {
                    let arn = Some(self.owner().container_instance(&cluster, &record.id));
                    failures.push(Failure { arn, reason: Some("INACTIVE".to_owned()), detail: None });
                }
                Some(record) => changed.push(record),
            }
        }
        self.wake_services(&cluster)?;
        let around = self.surround(&cluster, Tasks::Read)?;
        let container_instances = changed.iter().map(|one| self.instance_view(&cluster, one, &around)).collect();
        Ok(ContainerInstancesResponse { container_instances, failures })
    }

    /// Whether there is an instance of that id, for its tags.
    pub(in crate::ops) fn is_instance(&self, cluster: &str, id: &str) -> Result<bool, OpsError> {
        let found = self.instance_entry(cluster, id)?;
        Ok(found.is_some_and(|entry| entry.value.status != InstanceStatus::Inactive))
    }

    /// The id of an instance, and whether tasks may be started on it; `None` if there is no such one.
    pub(in crate::ops) fn instance_state(&self, cluster: &str, name: &str) -> Result<Option<(String, bool)>, OpsError> {
        let found = self.instance_entry(cluster, name)?.map(|entry| entry.value);
        Ok(found.map(|record| (record.id.clone(), record.status == InstanceStatus::Active)))
    }

    /// The id of the instance that a request names.
    pub(in crate::ops) fn instance_named(&self, cluster: &str, name: &str) -> Result<String, OpsError> {
        let found = self.instance_entry(cluster, name)?;
        let absent = || EcsError::invalid_parameter("The referenced container instance was not found.");
        Ok(found.ok_or_else(absent)?.value.id)
    }

    /// How many instances a cluster has, this host among them.
    pub(in crate::ops) fn instance_count(&self, cluster: &str) -> Result<u32, OpsError> {
        let all = self.instance_records(cluster)?;
        let active = all.iter().filter(|entry| entry.value.status != InstanceStatus::Inactive).count();
        Ok(u32::try_from(active).unwrap_or(u32::MAX))
    }

    /// Whether a cluster has instances that somebody registered.
    pub(in crate::ops) fn has_registered(&self, cluster: &str) -> Result<bool, OpsError> {
        Ok(self.instance_count(cluster)? > 1)
    }

    pub(in crate::ops) fn no_instance(&self, cluster: &str, name: &str) -> Failure {
        let id = name.rsplit('/').next().unwrap_or(name);
        let arn = Some(self.owner().container_instance(cluster, id));
        Failure { arn, reason: Some("MISSING".to_owned()), detail: None }
    }

    /// Has all services of a cluster looked at: where their tasks may be has changed.
    pub(super) fn wake_services(&self, cluster: &str) -> Result<(), OpsError> {
        for record in self.services_of(cluster)? {
            if record.service.status != crate::scheduler::ServiceStatus::Inactive {
                self.wake_service(&record)?;
            }
        }
        Ok(())
    }
}
