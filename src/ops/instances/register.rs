//! RegisterContainerInstance, DeregisterContainerInstance.

use serde::Deserialize;

use super::super::{Engine, OpsError, tags};
use super::attributes::check;
use super::record::{InstanceRecord, InstanceStatus, Registration};
use super::view::Tasks;
use crate::ecs::container_instance::{
    Attribute, ContainerInstanceRequest, ContainerInstanceResponse, RegisterContainerInstanceRequest, Resource,
};
use crate::ecs::error::EcsError;
use crate::sys::time;

/// EC2's instance identity document, as far as it is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct IdentityDocument {
    instance_id: String,
    availability_zone: String,
    instance_type: String,
    image_id: String,
    region: String,
}

impl Engine {
    /// RegisterContainerInstance: a new instance, or one that is there already registers again.
    pub fn register_container_instance(
        &mut self,
        request: &RegisterContainerInstanceRequest,
    ) -> Result<ContainerInstanceResponse, OpsError> {
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        let (registration, attributes) = self.registration(request)?;
        let tags = request.tags.clone().unwrap_or_default();
        tags::check(&tags)?;
        let known = match request.container_instance_arn.as_deref() {
            Some(arn) => self.change_instance(&cluster, arn, &|record| {
                if record.registration.is_none() {
                    return Err(EcsError::client("This host registers itself."));
                }
                record.registration = Some(registration.clone());
                for one in &attributes {
                    record.set_attribute(one.clone());
                }
                record.status = InstanceStatus::Active;
                Ok(())
            })?,
            None => None,
        };
        let record = match (known, request.container_instance_arn.is_some()) {
            (Some(record), _) => record,
            (None, true) => return Err(EcsError::client("The referenced container instance was not found.").into()),
            (None, false) => {
                let record = InstanceRecord {
                    id: uuid::Builder::from_random_bytes(rand::random()).into_uuid().simple().to_string(),
                    status: InstanceStatus::Active,
                    version: 1,
                    registered_at: time::wall_ns() / 1_000_000,
                    attributes,
                    registration: Some(registration),
                    agent_update: None,
                };
                self.add_instance(&cluster, &record, &tags)?;
                record
            }
        };
        self.wake_services(&cluster)?;
        let around = self.surround(&cluster, Tasks::Read)?;
        let mut view = self.instance_view(&cluster, &record, &around);
        view.tags = self.tags_of(&view.container_instance_arn)?;
        Ok(ContainerInstanceResponse { container_instance: view })
    }

    /// What an instance says of itself.
    fn registration(
        &self,
        request: &RegisterContainerInstanceRequest,
    ) -> Result<(Registration, Vec<Attribute>), OpsError> {
        if request.platform_devices.as_ref().is_some_and(|devices| !devices.is_empty()) {
            return Err(
                EcsError::invalid_parameter("platformDevices: GPUs are this host's, see [instance] gpus.").into()
            );
        }
        let document = request.instance_identity_document.as_deref().unwrap_or_default();
        let document: IdentityDocument = match document.is_empty() {
            true => IdentityDocument::default(),
            false => serde_json::from_str(document)
                .map_err(|_| EcsError::client("The instance identity document could not be parsed."))?,
        };
        let region = self.owner().region;
        if !document.region.is_empty() && document.region != region {
            return Err(EcsError::client("The instance identity document is of another region.").into());
        }
        let resources = request.total_resources.as_deref().unwrap_or_default();
        let version_info = request.version_info.clone().unwrap_or_default();
        let random = || format!("i-{:017x}", rand::random::<u64>() >> 4);
        let registration = Registration {
            ec2_instance_id: Some(document.instance_id).filter(|id| !id.is_empty()).unwrap_or_else(random),
            zone: Some(document.availability_zone).filter(|zone| !zone.is_empty()).unwrap_or_else(|| self.zone()),
            cpu: integer(resources, "CPU")?,
            memory: integer(resources, "MEMORY")?,
            ports: strings(resources, "PORTS"),
            ports_udp: strings(resources, "PORTS_UDP"),
            version_info,
        };
        let mut attributes = Vec::new();
        let own = [("ecs.instance-type", document.instance_type), ("ecs.ami-id", document.image_id)];
        for (name, value) in own.into_iter().filter(|(_, value)| !value.is_empty()) {
            attributes.push(Attribute { name: name.to_owned(), value: Some(value), ..Attribute::default() });
        }
        for given in request.attributes.iter().flatten() {
            check(given)?;
            attributes.retain(|one: &Attribute| one.name != given.name);
            attributes.push(Attribute { target_type: None, target_id: None, ..given.clone() });
        }
        Ok((registration, attributes))
    }

    /// DeregisterContainerInstance: with tasks on it only by force. Those of services go elsewhere, the others run to their end.
    pub fn deregister_container_instance(
        &mut self,
        request: &ContainerInstanceRequest,
    ) -> Result<ContainerInstanceResponse, OpsError> {
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        let absent = || EcsError::client("The referenced container instance was not found.");
        let entry = self.instance_entry(&cluster, &request.container_instance)?.ok_or_else(absent)?;
        if entry.value.registration.is_none() {
            return Err(EcsError::client("This host cannot be deregistered: set it to DRAINING instead.").into());
        }
        let around = self.surround(&cluster, Tasks::Read)?;
        if around.tasks_on(&entry.value.id) > 0 && request.force != Some(true) {
            return Err(EcsError::invalid_parameter("Found running tasks on the instance.").into());
        }
        let record = self.change_instance(&cluster, &entry.value.id, &|record| {
            record.status = InstanceStatus::Inactive;
            Ok(())
        })?;
        let record = record.ok_or_else(absent)?;
        self.wake_services(&cluster)?;
        Ok(ContainerInstanceResponse { container_instance: self.instance_view(&cluster, &record, &around) })
    }
}

/// A resource that is a number. An instance without one has none of it to give.
fn integer(resources: &[Resource], name: &str) -> Result<u64, EcsError> {
    let Some(found) = resources.iter().find(|one| one.name == name) else { return Ok(0) };
    let value = match found.r#type.as_str() {
        "INTEGER" => Some(found.integer_value),
        "LONG" => Some(found.long_value),
        _ => None,
    };
    let value = value.and_then(|value| u64::try_from(value).ok());
    value.ok_or_else(|| {
        EcsError::invalid_parameter(format!("totalResources: {name} must be an INTEGER that is not negative."))
    })
}

fn strings(resources: &[Resource], name: &str) -> Vec<String> {
    let found = resources.iter().find(|one| one.name == name);
    found.and_then(|one| one.string_set_value.clone()).unwrap_or_default()
}
