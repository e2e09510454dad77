//! `ECS Container Instance State Change`: the instance as DescribeContainerInstances shows it.

use super::super::{Engine, OpsError};
use super::envelope::{Event, iso, with_written_times};
use crate::ecs::container_instance::DescribeContainerInstancesRequest;

const DETAIL_TYPE: &str = "ECS Container Instance State Change";
/// What the keys of container instances begin with.
pub(super) const KEYS: &str = "container-instance/";

/// The event of an instance's present state; `engine` works in its region.
pub(super) fn event(engine: &Engine, key: &str, at: i64) -> Result<Option<Event>, OpsError> {
    let mut parts = key.split('/').skip(3);
    let (Some(cluster), Some(id)) = (parts.next(), parts.next()) else { return Ok(None) };
    let request = DescribeContainerInstancesRequest {
        cluster: Some(cluster.to_owned()),
        container_instances: vec![id.to_owned()],
        ..DescribeContainerInstancesRequest::default()
    };
    let answer = engine.describe_container_instances(&request)?;
    let Some(instance) = answer.container_instances.first() else { return Ok(None) };
    let owner = engine.owner();
    let mut detail = serde_json::to_value(instance).unwrap_or_default();
    with_written_times(&mut detail);
    if let Some(members) = detail.as_object_mut() {
        members.shift_remove("tags");
        members.insert("clusterArn".to_owned(), owner.cluster(cluster).to_string().into());
        members.insert("updatedAt".to_owned(), iso(at));
    }
    let arn = detail["containerInstanceArn"].as_str().unwrap_or_default().to_owned();
    Ok(Some(Event::new(DETAIL_TYPE, &owner, at, vec![arn], detail)))
}
