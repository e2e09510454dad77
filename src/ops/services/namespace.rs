//! ListServicesByNamespace and ContinueServiceDeployment: what belongs to features of services that are refused when they are asked
//! for, and can therefore be answered.

use super::super::paging::{Asked, page};
use super::super::{Engine, OpsError};
use super::config::invalid;
use super::record::ServiceRecord;
use crate::ecs::arn::ServiceArn;
use crate::ecs::error::{EcsError, Exception};
use crate::ecs::service::ListServicesResponse;
use crate::ecs::service_deployment::{
    ContinueServiceDeploymentRequest, ListServicesByNamespaceRequest, StopServiceDeploymentResponse,
};
use crate::scheduler::ServiceStatus;

impl ServiceRecord {
    /// The namespace of its Service Connect, by name or ARN.
    fn namespace(&self) -> Option<&str> {
        let connect = self.spec.service_connect_configuration.as_ref()?;
        connect["namespace"].as_str().filter(|_| connect["enabled"] == serde_json::Value::Bool(true))
    }
}

impl Engine {
    /// ListServicesByNamespace: those of all clusters. A namespace is there as long as a service is in it.
    pub fn list_services_by_namespace(
        &self,
        request: &ListServicesByNamespaceRequest,
    ) -> Result<ListServicesResponse, OpsError> {
        if request.namespace.is_empty() {
            return Err(invalid("The namespace must be specified.").into());
        }
        let mut arns = Vec::new();
        for cluster in self.active_clusters()? {
            let services = self.services_of(&cluster)?;
            let within = services.iter().filter(|record| record.service.status == ServiceStatus::Active);
            let within = within.filter(|record| record.namespace() == Some(&request.namespace));
            arns.extend(within.map(|record| record.arn.to_string()));
        }
        if arns.is_empty() {
            let message = "The specified namespace wasn't found.";
            return Err(EcsError::new(Exception::NamespaceNotFoundException, message).into());
        }
        let asked = Asked::by(request.max_results, request.next_token.as_deref(), (10, 100));
        let (service_arns, next_token) = page(&request.namespace, arns, String::clone, asked)?;
        Ok(ListServicesResponse { service_arns, next_token })
    }

    /// ContinueServiceDeployment: no deployment pauses at a hook, because services with hooks are refused.
    pub fn continue_service_deployment(
        &self,
        request: &ContinueServiceDeploymentRequest,
    ) -> Result<StopServiceDeploymentResponse, OpsError> {
        match request.action.as_deref() {
            None | Some("CONTINUE" | "ROLLBACK") => {}
            Some(other) => return Err(invalid(format!("Invalid action: {other}")).into()),
        }
        let absent = || EcsError::new(Exception::ServiceDeploymentNotFoundException, "Service deployment not found.");
        let (arn, id) =
            ServiceArn::split_child(&request.service_deployment_arn, "service-deployment").ok_or_else(absent)?;
        let record = self.service_entry(&arn)?.ok_or_else(absent)?.value;
        match record.service.rollouts.iter().any(|one| one.id == id) {
            false => Err(absent().into()),
            true => {
                let hook = &request.hook_id;
                Err(invalid(format!("The service deployment is not paused at a lifecycle hook with the id {hook}."))
                    .into())
            }
        }
    }
}
