//! PutAttributes, DeleteAttributes, ListAttributes: names that people give to container instances, for constraints of placement.

use std::collections::BTreeMap;

use super::super::paging::{Asked, page};
use super::super::{Engine, OpsError};
use super::record::{InstanceRecord, InstanceStatus};
use super::view::Tasks;
use crate::ecs::container_instance::{Attribute, AttributesRequest, AttributesResponse, ListAttributesRequest};
use crate::ecs::error::{EcsError, Exception};

/// How many of its own an instance may have (ECS quota), and how many a request may name.
const MOST: usize = 10;
const TARGET: &str = "container-instance";

impl InstanceRecord {
    /// Gives it an attribute, in place of one of the same name.
    pub(super) fn set_attribute(&mut self, attribute: Attribute) {
        match self.attributes.iter_mut().find(|one| one.name == attribute.name) {
            Some(old) => *old = attribute,
            None => self.attributes.push(attribute),
        }
    }
}

/// Whether an attribute can be.
pub(super) fn check(attribute: &Attribute) -> Result<(), EcsError> {
    let bad = |message: String| Err(EcsError::invalid_parameter(message));
    let length = |text: &str| (1..=128).contains(&text.len());
    let within = |text: &str, more: &str| text.chars().all(|sign| sign.is_ascii_alphanumeric() || more.contains(sign));
    let name = &attribute.name;
    if !length(name) || !within(name, "-_/\\.") {
        return bad(format!(
            "Attribute name {name:?} must be 1 to 128 letters, digits, hyphens, underscores, slashes, back slashes and periods."
        ));
    }
    match &attribute.value {
        Some(value) if !length(value) || !within(value, "-_.@/\\: ") || value.trim() != value => bad(format!(
            "Attribute value {value:?} must be 1 to 128 letters, digits, spaces inside, and the signs - _ . @ / \\ :"
        )),
        _ => Ok(()),
    }
}

impl Engine {
    /// PutAttributes: all of them, or none.
    pub fn put_attributes(&mut self, request: &AttributesRequest) -> Result<AttributesResponse, OpsError> {
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        for (id, given) in self.targets(&cluster, request)? {
            for one in &given {
                check(one)?;
                if one.name.starts_with("ecs.") || one.name.starts_with("com.amazonaws.") {
                    let name = &one.name;
                    return Err(EcsError::invalid_parameter(format!("Attribute name {name} is reserved.")).into());
                }
            }
            self.change_instance(&cluster, &id, &|record| {
                given.iter().for_each(|one| record.set_attribute(one.clone()));
                let own = record
                    .attributes
                    .iter()
                    .filter(|one| !one.name.starts_with("ecs.") && !one.name.starts_with("com."));
                match own.count() > MOST {
                    true => Err(EcsError::new(
                        Exception::AttributeLimitExceededException,
                        format!("A resource can have at most {MOST} custom attributes."),
                    )),
                    false => Ok(()),
                }
            })?;
        }
        self.wake_services(&cluster)?;
        Ok(AttributesResponse { attributes: request.attributes.clone(), next_token: None })
    }

    /// DeleteAttributes: one with a value only if it has that.
    pub fn delete_attributes(&mut self, request: &AttributesRequest) -> Result<AttributesResponse, OpsError> {
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        for (id, given) in self.targets(&cluster, request)? {
            self.change_instance(&cluster, &id, &|record| {
                record.attributes.retain(|one| {
                    let is = |other: &Attribute| {
                        other.name == one.name && (other.value.is_none() || other.value == one.value)
                    };
                    !given.iter().any(is)
                });
                Ok(())
            })?;
        }
        self.wake_services(&cluster)?;
        Ok(AttributesResponse { attributes: request.attributes.clone(), next_token: None })
    }

    /// ListAttributes: one row for each attribute of each instance.
    pub fn list_attributes(&self, request: &ListAttributesRequest) -> Result<AttributesResponse, OpsError> {
        if request.target_type != TARGET {
            return Err(EcsError::invalid_parameter("Invalid targetType: it must be container-instance.").into());
        }
        if request.attribute_value.is_some() && request.attribute_name.is_none() {
            return Err(EcsError::invalid_parameter("attributeValue needs attributeName.").into());
        }
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        let around = self.surround(&cluster, Tasks::Read)?;
        let mut all = Vec::new();
        for entry in self.instance_records(&cluster)? {
            if entry.value.status == InstanceStatus::Inactive {
                continue;
            }
            let arn = self.owner().container_instance(&cluster, &entry.value.id);
            let own = around.instance(&entry.value).attributes.into_iter().filter(|one| !one.is_fact());
            let wanted = own
                .filter(|one| request.attribute_name.as_ref().is_none_or(|name| *name == one.name))
                .filter(|one| request.attribute_value.is_none() || request.attribute_value == one.value);
            all.extend(wanted.map(|one| Attribute {
                name: one.name,
                value: one.value,
                target_type: Some(TARGET.to_owned()),
                target_id: Some(arn.clone()),
            }));
        }
        let order = |one: &Attribute| (one.target_id.clone(), one.name.clone());
        let asked = Asked::by(request.max_results, request.next_token.as_deref(), (100, 100));
        let (attributes, next_token) = page(&format!("attributes of {cluster}"), all, order, asked)?;
        Ok(AttributesResponse { attributes, next_token })
    }

    /// The attributes of a request by the instances that they are for, all of which are there.
    fn targets(
        &self,
        cluster: &str,
        request: &AttributesRequest,
    ) -> Result<BTreeMap<String, Vec<Attribute>>, OpsError> {
        if !(1..=MOST).contains(&request.attributes.len()) {
            return Err(EcsError::invalid_parameter(format!("attributes must have 1 to {MOST} elements.")).into());
        }
        let mut all: BTreeMap<String, Vec<Attribute>> = BTreeMap::new();
        for one in &request.attributes {
            let Some(target) = &one.target_id else {
                return Err(EcsError::invalid_parameter("The targetId of an attribute must be specified.").into());
            };
            if one.target_type.as_deref().is_some_and(|kind| kind != TARGET) {
                return Err(EcsError::invalid_parameter("Invalid targetType: it must be container-instance.").into());
            }
            let found =
                self.instance_entry(cluster, target)?.filter(|found| found.value.status != InstanceStatus::Inactive);
            let found = found.ok_or_else(|| {
                EcsError::new(
                    Exception::TargetNotFoundException,
                    format!("The specified target {target} could not be found."),
                )
            })?;
            let bare = Attribute { name: one.name.clone(), value: one.value.clone(), ..Attribute::default() };
            all.entry(found.value.id).or_default().push(bare);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_those_that_ecs_takes() {
        let attribute = |name: &str, value: Option<&str>| Attribute {
            name: name.to_owned(),
            value: value.map(str::to_owned),
            ..Attribute::default()
        };
        for good in [attribute("stack", None), attribute("a/b\\c.d-e_f", Some("x y@z:1"))] {
            assert!(check(&good).is_ok(), "{good:?}");
        }
        let long = "x".repeat(129);
        for bad in [
            attribute("", None),
            attribute("a:b", None),
            attribute(&long, None),
            attribute("a", Some("")),
            attribute("a", Some(" b")),
            attribute("a", Some("b ")),
            attribute("a", Some("b\n")),
            attribute("a", Some(&long)),
        ] {
            assert!(check(&bad).is_err(), "{bad:?}");
        }
    }
}
