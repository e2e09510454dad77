//! Tags: one record for each thing that has any, whatever it is, by its ARN; and the operations on them.

use super::{Engine, OpsError};
use crate::ecs::arn::{ClusterArn, ServiceArn, TaskArn, TaskDefinitionArn};
use crate::ecs::error::{EcsError, Exception};
use crate::ecs::tags::{
    ListTagsForResourceRequest, ListTagsForResourceResponse, TagResourceRequest, UntagResourceRequest,
};
use crate::ecs::task_definition::Tag;
use crate::lifecycle::LastStatus;
use crate::scheduler::ServiceStatus;
use crate::store::{Commit, Txn, records};

/// The most tags of one thing.
const MOST: usize = 50;
const LONGEST_KEY: usize = 128;
const LONGEST_VALUE: usize = 256;
const ATTEMPTS: usize = 20;

/// A tag.
pub(super) fn tag(key: &str, value: &str) -> Tag {
    Tag { key: Some(key.to_owned()), value: Some(value.to_owned()) }
}

/// ECS's rules of the tags of a request.
pub(super) fn check(tags: &[Tag]) -> Result<(), EcsError> {
    let refused = |message: String| Err(EcsError::invalid_parameter(message));
    if tags.len() > MOST {
        return refused(format!("The number of tags must be at most {MOST}."));
    }
    for (place, tag) in tags.iter().enumerate() {
        let key = tag.key.as_deref().unwrap_or_default();
        let value = tag.value.as_deref().unwrap_or_default();
        if !(1..=LONGEST_KEY).contains(&key.chars().count()) {
            return refused(format!("The key of a tag must be 1 to {LONGEST_KEY} characters."));
        }
        if value.chars().count() > LONGEST_VALUE {
            return refused(format!("The value of the tag {key} must be at most {LONGEST_VALUE} characters."));
        }
        if is_reserved(key) || is_reserved(value) {
            return refused(format!("The tag {key} is not valid: the prefix aws: is reserved for AWS."));
        }
        if tags[..place].iter().any(|other| other.key == tag.key) {
            return refused(format!("Duplicate tag keys found: {key}"));
        }
    }
    Ok(())
}

fn is_reserved(text: &str) -> bool {
    text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"))
}

/// Adds those whose keys are not there yet, as far as there is room.
pub(super) fn add(tags: &mut Vec<Tag>, others: Vec<Tag>) {
    for other in others {
        let known = tags.iter().any(|tag| tag.key == other.key);
        if !known && tags.len() < MOST && !is_reserved(other.key.as_deref().unwrap_or_default()) {
            tags.push(other);
        }
    }
}

/// Puts the tags of something new into its transaction.
pub(super) fn put(txn: Txn, arn: &str, tags: &[Tag]) -> Txn {
    match tags.is_empty() {
        true => txn.delete(records::tags(arn)),
        false => txn.put(records::tags(arn), &tags),
    }
}

impl Engine {
    /// The tags of what has this ARN.
    pub(super) fn tags_of(&self, arn: &str) -> Result<Vec<Tag>, OpsError> {
        Ok(self.store.get(&records::tags(arn))?.map(|entry| entry.value).unwrap_or_default())
    }

    /// TagResource: a key that is there gets the new value.
    pub fn tag_resource(&mut self, request: &TagResourceRequest) -> Result<(), OpsError> {
        check(&request.tags)?;
        if request.tags.is_empty() {
            return Err(EcsError::invalid_parameter("Tags cannot be empty.").into());
        }
        self.change_tags(&request.resource_arn, |tags| {
            for tag in &request.tags {
                match tags.iter_mut().find(|own| own.key == tag.key) {
                    Some(own) => own.value.clone_from(&tag.value),
                    None => tags.push(tag.clone()),
                }
            }
        })
    }

    /// UntagResource.
    pub fn untag_resource(&mut self, request: &UntagResourceRequest) -> Result<(), OpsError> {
        self.change_tags(&request.resource_arn, |tags| {
            tags.retain(|tag| !request.tag_keys.iter().any(|key| tag.key.as_ref() == Some(key)));
        })
    }

    /// ListTagsForResource.
    pub fn list_tags_for_resource(
        &mut self,
        request: &ListTagsForResourceRequest,
    ) -> Result<ListTagsForResourceResponse, OpsError> {
        self.check_tagged(&request.resource_arn)?;
        Ok(ListTagsForResourceResponse { tags: self.tags_of(&request.resource_arn)? })
    }

    fn change_tags(&mut self, arn: &str, change: impl Fn(&mut Vec<Tag>)) -> Result<(), OpsError> {
        self.check_tagged(arn)?;
        let key = records::tags(arn);
        for _ in 0..ATTEMPTS {
            let (txn, mut tags) = match self.store.get::<Vec<Tag>>(&key)? {
                Some(entry) => (Txn::default().require_unchanged(&key, entry.revision), entry.value),
                None => (Txn::default().require_absent(&key), Vec::new()),
            };
            change(&mut tags);
            let own = tags.iter().filter(|tag| !is_reserved(tag.key.as_deref().unwrap_or_default())).count();
            if own > MOST {
                return Err(EcsError::invalid_parameter(format!("A resource can have at most {MOST} tags.")).into());
            }
            if self.store.commit_durably(&put(txn, arn, &tags))? == Commit::Done {
                return Ok(());
            }
        }
        Err(OpsError::Contention)
    }

    /// Whether there is something of that ARN that can have tags. Short ARNs of services and tasks are refused, as ECS does.
    fn check_tagged(&mut self, arn: &str) -> Result<(), OpsError> {
        let kind = arn.splitn(6, ':').nth(5).and_then(|resource| resource.split('/').next()).unwrap_or_default();
        let gone = |message: &str| Err(EcsError::invalid_parameter(message).into());
        if let Ok(cluster) = arn.parse::<ClusterArn>() {
            self.cluster_of(Some(&cluster.name))?;
            return Ok(());
        }
        if let Ok(service) = arn.parse::<ServiceArn>() {
            if service.to_string() != arn {
                return gone(
                    "Long arn format must be used for tagging operations. Use the long ARN of the service and try again.",
                );
            }
            let active = |record: &super::ServiceRecord| record.service.status != ServiceStatus::Inactive;
            return match self.service_entry(&service)? {
                Some(entry) if active(&entry.value) => Ok(()),
                Some(_) => gone("The specified service is inactive. Specify an active service and try again."),
                None => Err(EcsError::service_not_found().into()),
            };
        }
        if let Ok(task) = arn.parse::<TaskArn>() {
            let key = records::task(&task.owner.account, &task.owner.region, &task.cluster, &task.id);
            return match self.records(&key)?.pop() {
                Some(record) if record.state.last_status != LastStatus::Stopped => Ok(()),
                Some(_) => gone("The specified task is stopped. Specify a running task and try again."),
                None => gone("The referenced task was not found."),
            };
        }
        if arn.parse::<TaskDefinitionArn>().is_ok() {
            return match self.definition(arn)? {
                Some(_) => Ok(()),
                None => gone(
                    "The specified task definition does not exist. Specify a valid family and revision and try again.",
                ),
            };
        }
        match kind {
            "container-instance" | "capacity-provider" | "task-set" => match self.other_tagged(arn)? {
                true => Ok(()),
                false => {
                    let message = "The specified resource was not found.";
                    Err(EcsError::new(Exception::ResourceNotFoundException, message).into())
                }
            },
            _ => gone("Invalid resource ARN. Specify the ARN of a valid resource and try again."),
        }
    }

    /// Whether there is a container instance, a capacity provider or a task set of that ARN.
    fn other_tagged(&self, arn: &str) -> Result<bool, OpsError> {
        let owner = self.owner();
        let tail = |kind: &str| {
            let start = format!("arn:aws:ecs:{}:{}:{kind}/", owner.region, owner.account);
            arn.strip_prefix(&start).map(str::to_owned)
        };
        if let Some((cluster, id)) = tail("container-instance").as_deref().and_then(|tail| tail.split_once('/')) {
            return self.is_instance(cluster, id);
        }
        match tail("capacity-provider") {
            Some(name) => self.has_provider(&name),
            None => self.is_task_set(arn),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_held_against_the_rules_of_ecs() {
        let long = "k".repeat(129);
        let many: Vec<Tag> = (0..51).map(|number| tag(&format!("k{number}"), "")).collect();
        let cases = [
            (vec![tag("", "v")], "1 to 128"),
            (vec![tag(&long, "v")], "1 to 128"),
            (vec![tag("k", &"v".repeat(257))], "at most 256"),
            (vec![tag("AWS:x", "v")], "reserved"),
            (vec![tag("a", "1"), tag("a", "2")], "Duplicate"),
            (many, "at most 50"),
        ];
        for (tags, word) in cases {
            let error = check(&tags).unwrap_err();
            assert!(error.message.contains(word), "{}", error.message);
        }
        assert!(check(&[tag("k", ""), tag("awsome", "v")]).is_ok());
    }

    #[test]
    fn tags_that_are_taken_over_do_not_replace_those_that_are_given() {
        let mut own = vec![tag("a", "own")];
        add(&mut own, vec![tag("a", "other"), tag("b", "other"), tag("aws:ecs:clusterName", "x")]);
        assert_eq!(own, [tag("a", "own"), tag("b", "other")]);
    }
}
