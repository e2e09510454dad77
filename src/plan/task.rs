//! The whole plan of a task. It is committed with the task's record; supervisor, workers and whoever finishes for a dead
//! one work from it and from nothing else.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::volume::StoragePlan;
use super::{AgentPlan, CgroupPlan, ContainerPaths, ContainerPlan, NetworkPlan, RootNetwork, ServiceLink, TaskPaths};
use crate::ecs::arn::{Owner, TaskArn};
use crate::ecs::{LaunchType, TaskOverride};

/// What a run is told that changes nothing about how its task is made: it is shown again, or others act on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// `enableExecuteCommand`.
    pub enable_execute_command: bool,
    /// The capacity provider that the task was given to: `FARGATE`, `FARGATE_SPOT` or one of the account's.
    pub capacity_provider: Option<String>,
    /// `platformVersion`, where it is not the latest.
    pub platform_version: Option<String>,
    /// The security groups of its interface.
    pub security_groups: Vec<String>,
    /// `assignPublicIp`.
    pub assign_public_ip: Option<String>,
    /// `referenceId`.
    pub reference_id: Option<String>,
    /// The container instance that it was placed on, this host too; none for Fargate.
    pub container_instance: Option<String>,
}

/// Every choice made for one task. For lists it is read with less of its containers, which are most of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPlan<C = ContainerPlan> {
    /// The task id: 32 hexadecimal digits.
    pub id: String,
    /// The key prefix of its records in the store, `task/ACCOUNT/REGION/CLUSTER/ID/`.
    pub key: String,
    /// The account, twelve digits.
    pub account: String,
    /// The region, `us-east-1`.
    pub region: String,
    /// The cluster's name.
    pub cluster: String,
    /// The family of the task definition.
    pub family: String,
    /// Its revision.
    pub revision: u32,
    /// The task's `cpu` as ECS returns it.
    pub cpu: Option<String>,
    /// The task's `memory` as ECS returns it.
    pub memory: Option<String>,
    /// `startedBy`.
    pub started_by: Option<String>,
    /// What the run has replaced in the task definition; it is in this plan already.
    #[serde(default)]
    pub overrides: TaskOverride,
    /// `group`, where it is not the family's: `service:NAME`.
    #[serde(default)]
    pub group: Option<String>,
    /// The service that it belongs to, if it does.
    #[serde(default)]
    pub service: Option<ServiceLink>,
    /// What else its run was told.
    #[serde(default)]
    pub asked: Asked,
    /// When it was asked for, in milliseconds since the epoch.
    pub created_at: i64,
    /// When its images were here, or were given up: shortly before it was committed.
    pub pulled_at: i64,
    /// What runs it, as DescribeTasks says.
    pub launch_type: LaunchType,
    /// The availability zone.
    pub zone: String,
    /// The keys of its leases in the store: addresses, and ports of the host.
    pub leases: Vec<String>,
    /// Its network.
    pub network: NetworkPlan,
    /// What the root's tasks share in the host's network.
    pub root_network: RootNetwork,
    /// Its control groups.
    pub cgroup: CgroupPlan,
    /// Its storage.
    #[serde(default)]
    pub storage: StoragePlan,
    /// Its directories.
    pub paths: TaskPaths,
    /// The store's file.
    pub store: PathBuf,
    /// The lock around making and unmaking what the root's tasks share in the host's network.
    pub network_lock: PathBuf,
    /// The directory of compiled seccomp filters.
    pub filters: PathBuf,
    /// What its containers find at 169.254.170.2.
    #[serde(default)]
    pub agent: AgentPlan,
    /// Its containers, in the order of the task definition.
    pub containers: Vec<C>,
}

impl TaskPlan {
    /// The directories of the container at a place.
    pub fn container_paths(&self, container: usize) -> ContainerPaths {
        let plan = &self.containers[container];
        let mut paths = self.paths.container(&plan.name);
        if let Some(stream) = &plan.log.stream {
            // A stream outlives its tasks, and may be that of several containers.
            paths.log = stream.directory.join(format!("{}.log", plan.runtime_id));
        }
        paths
    }
}

impl<C> TaskPlan<C> {
    /// Its ARN.
    pub fn arn(&self) -> TaskArn {
        Owner { region: self.region.clone(), account: self.account.clone() }.task(&self.cluster, &self.id)
    }

    /// The container instance that it was placed on; none for Fargate.
    pub fn container_instance(&self) -> Option<String> {
        self.asked.container_instance.clone()
    }

    /// The key of the record that says what the task should be.
    pub fn desired_key(&self) -> String {
        format!("{}desired", self.key)
    }

    /// The key of the record that says what the task is.
    pub fn status_key(&self) -> String {
        format!("{}status", self.key)
    }

    /// The key of what it is to be made of, as long as it waits for its images.
    pub fn order_key(&self) -> String {
        format!("{}order", self.key)
    }

    /// The key of this plan.
    pub fn plan_key(&self) -> String {
        format!("{}plan", self.key)
    }
}
