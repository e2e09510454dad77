//! The records of a service: what is in force, and what each of its revisions froze.

use std::collections::BTreeMap;

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::super::engine::DEFAULT_CLUSTER;
use super::super::{Engine, OpsError};
use crate::ecs::LaunchType;
use crate::ecs::arn::{Owner, ServiceArn, is_name};
use crate::ecs::capacity_provider::CapacityProviderStrategyItem;
use crate::ecs::error::EcsError;
use crate::ecs::service::{CreateServiceRequest, NetworkConfiguration};
use crate::ecs::task_set::CreateTaskSetRequest;
use crate::ecs::volume::TaskVolumeConfiguration;
use crate::image::Digest;
use crate::lifecycle::{Now, Timestamp};
use crate::plan::ServiceLink;
use crate::scheduler::Service;
use crate::store::{Entry, records};
use crate::sys::time;

/// A service: one record, so that what is decided and what it was decided from change together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// Its ARN.
    pub arn: ServiceArn,
    /// What CreateService was given.
    pub created_with: CreateServiceRequest,
    /// What is in force now.
    pub spec: CreateServiceRequest,
    /// What its tasks run on.
    pub launch_type: LaunchType,
    /// Its count, deployments, tasks and events.
    pub service: Service,
    /// What its task sets were made with, by their numbers.
    #[serde(default)]
    pub task_sets: BTreeMap<String, CreateTaskSetRequest>,
}

/// What a deployment froze.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::ops) struct RevisionRecord {
    /// `FAMILY:REVISION`.
    pub(in crate::ops) definition: String,
    /// The network that its tasks are in.
    pub(in crate::ops) network: Option<NetworkConfiguration>,
    /// What its tasks run on.
    pub(in crate::ops) launch_type: LaunchType,
    /// The capacity providers that they are spread over, where it is not the launch type that decides.
    #[serde(default)]
    pub(in crate::ops) strategy: Vec<CapacityProviderStrategyItem>,
    /// The EBS volumes of its tasks.
    #[serde(default)]
    pub(in crate::ops) volumes: Vec<TaskVolumeConfiguration>,
    /// Fargate's platform.
    pub(in crate::ops) platform_version: Option<String>,
    /// Container names and images, in the definition's order.
    pub(in crate::ops) images: Vec<(String, String)>,
    /// The digests with which the deployment began, by container; empty until its images were here once.
    pub(in crate::ops) pinned: BTreeMap<String, Digest>,
    /// When it was made.
    pub(in crate::ops) created_at: Timestamp,
}

impl ServiceRecord {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.service.name
    }
}

/// Both clocks.
pub(in crate::ops) fn now() -> Now {
    Now { wall: Timestamp(time::wall_ns() / 1_000_000), boot: time::boot_ms() }
}

/// So many random digits, the first not 0.
pub(super) fn digits(count: usize) -> String {
    let mut rng = rand::rng();
    (0..count).map(|place| char::from(b'0' + rng.random_range(u8::from(place == 0)..10))).collect()
}

/// So many random letters and digits.
pub(super) fn letters(count: usize) -> String {
    const SET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut rng = rand::rng();
    (0..count).map(|_| char::from(SET[rng.random_range(0..SET.len())])).collect()
}

impl Engine {
    /// The name of the cluster that a request means; one that is not there is ECS's exception.
    pub(in crate::ops) fn cluster_of(&self, given: Option<&str>) -> Result<String, OpsError> {
        let name = given.filter(|name| !name.is_empty()).unwrap_or(DEFAULT_CLUSTER);
        let name = name.rsplit('/').next().unwrap_or(name);
        match self.cluster_is_active(name)? {
            true => Ok(name.to_owned()),
            false => Err(EcsError::cluster_not_found().into()),
        }
    }

    /// The ARN of the service that a name, or an ARN, means.
    pub(in crate::ops) fn service_arn(&self, cluster: Option<&str>, name: &str) -> Result<ServiceArn, OpsError> {
        let owner = self.owner();
        match name.parse::<ServiceArn>() {
            Ok(arn) if arn.owner == owner => {
                self.cluster_of(Some(&arn.cluster))?;
                Ok(arn)
            }
            Ok(_) => Err(EcsError::service_not_found().into()),
            Err(_) => {
                let cluster = self.cluster_of(cluster)?;
                match is_name(name) {
                    true => Ok(owner.service(&cluster, name)),
                    false => Err(EcsError::service_not_found().into()),
                }
            }
        }
    }

    pub(super) fn service_key(arn: &ServiceArn) -> String {
        let Owner { account, region } = &arn.owner;
        records::service(account, region, &arn.cluster, &arn.name)
    }

    /// A service's record, if there is one.
    pub(in crate::ops) fn service_entry(&self, arn: &ServiceArn) -> Result<Option<Entry<ServiceRecord>>, OpsError> {
        Ok(self.store.get(&Self::service_key(arn))?)
    }

    /// All services of a cluster, by name.
    pub(in crate::ops) fn services_of(&self, cluster: &str) -> Result<Vec<ServiceRecord>, OpsError> {
        let prefix = records::services(&self.config.account, &self.config.region, cluster);
        Ok(self.store.list::<ServiceRecord>(&prefix)?.into_iter().map(|entry| entry.value).collect())
    }

    /// The same for a service that is at hand.
    pub(in crate::ops) fn wake_service(&self, record: &ServiceRecord) -> Result<(), OpsError> {
        self.wake(&Self::service_key(&record.arn))
    }

    pub(super) fn link(&self, key: &str) -> ServiceLink {
        ServiceLink { key: key.to_owned(), scheduler: self.layout.scheduler() }
    }

    /// Has the process that holds the counts look at a service; it is started if there is none.
    pub(in crate::ops) fn wake(&self, key: &str) -> Result<(), OpsError> {
        let woken = crate::supervisor::wake(&self.link(key), None);
        woken.map_err(|source| OpsError::Scheduler { source })
    }
}
