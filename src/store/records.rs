//! The typed records and their keys. State is keyed by account, region and cluster, as ARNs are.

use serde::{Deserialize, Serialize};

use crate::lifecycle::StopCode;
use crate::metadata::Counters;
use crate::plan::TaskPlan;

/// The first part of every task's keys.
pub const TASKS: &str = "task/";
/// Which records say what a task is, as SQL.
pub(super) const STATUS: &str = "key GLOB 'task/*/status'";
/// Which of those are of tasks that are over, as their text begins then. For an index, which only narrows what is read.
pub(super) const OVER: &str = r#"value GLOB '{"last_status":"STOPPED"*'"#;
/// The first part of every address lease's keys.
pub const LEASES: &str = "lease/";
/// The first part of the keys of leases of the host's ports, `port/8080/tcp`.
pub const PORTS: &str = "port/";
/// The first part of the keys of what tasks take of the host's CPU and memory.
pub const ROOMS: &str = "room/";
/// The leases of the host's GPUs, by their numbers.
pub const GPUS: &str = "gpu/";
/// The first part of the keys of what tasks have used that are over.
pub const SPENT: &str = "spent/";
/// The first part of the keys of tasks' protections.
pub const PROTECTIONS: &str = "protection/";
/// There as long as nobody has asked the tasks that run whether they were in an earlier store.
pub const NEW: &str = "new";
/// The bridge's block that this root has chosen.
pub const BRIDGE: &str = "bridge";
/// The first part of every service's key.
pub const SERVICES: &str = "service/";
/// The VPC that this root has chosen.
pub const VPC: &str = "vpc";

/// The keys of one task begin with this.
pub fn task(account: &str, region: &str, cluster: &str, id: &str) -> String {
    format!("{TASKS}{account}/{region}/{cluster}/{id}/")
}

/// The lease of an address.
pub fn lease(address: std::net::Ipv4Addr) -> String {
    format!("{LEASES}{address}")
}

/// What a task takes of the host.
pub fn room(task: &str) -> String {
    format!("{ROOMS}{task}")
}

/// Until when a task is protected.
pub fn protection(task: &str) -> String {
    format!("{PROTECTIONS}{task}")
}

/// What a task has used.
pub fn spent(task: &str) -> String {
    format!("{SPENT}{task}")
}

/// A cluster.
pub fn cluster(account: &str, region: &str, name: &str) -> String {
    format!("{}{name}", clusters(account, region))
}

/// All clusters.
pub fn clusters(account: &str, region: &str) -> String {
    format!("cluster/{account}/{region}/")
}

/// A capacity provider that somebody made.
pub fn capacity_provider(account: &str, region: &str, name: &str) -> String {
    format!("{}{name}", capacity_providers(account, region))
}

/// All of them.
pub fn capacity_providers(account: &str, region: &str) -> String {
    format!("capacity-provider/{account}/{region}/")
}

/// All container instances of a cluster of which something is on record, by their ids.
pub fn container_instances(account: &str, region: &str, cluster: &str) -> String {
    format!("container-instance/{account}/{region}/{cluster}/")
}

/// A service.
pub fn service(account: &str, region: &str, cluster: &str, name: &str) -> String {
    format!("{}{name}", services(account, region, cluster))
}

/// All services of a cluster.
pub fn services(account: &str, region: &str, cluster: &str) -> String {
    format!("{SERVICES}{account}/{region}/{cluster}/")
}

/// What a deployment of a service froze; `service` is the service's own key.
pub fn revision(service: &str, id: &str) -> String {
    format!("revision/{service}/{id}")
}

/// The tags of what has this ARN.
pub fn tags(arn: &str) -> String {
    format!("tags/{arn}")
}

/// The tasks that a RunTask with this client token has started.
pub fn token(account: &str, region: &str, cluster: &str, token: &str) -> String {
    format!("token/{account}/{region}/{cluster}/{token}")
}

/// A revision of a task definition; the number is padded, so that the order of keys is that of revisions.
pub fn definition(account: &str, region: &str, family: &str, revision: u32) -> String {
    format!("{}{revision:010}", definitions(account, region, family))
}

/// All revisions of a family.
pub fn definitions(account: &str, region: &str, family: &str) -> String {
    format!("definition/{account}/{region}/{family}/")
}

/// What a task should be: anybody may write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// Why it should stop: ECS's reason.
    pub stop: String,
    /// Who wants it: ECS's code.
    pub code: StopCode,
    /// Milliseconds after which whoever still runs is killed; without it each container has its own time.
    pub grace: Option<u64>,
    /// When that was, in milliseconds since 1970.
    #[serde(default)]
    pub at: i64,
}

/// Until when the decisions of a service leave one of its tasks alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protection {
    /// ECS's `expirationDate`, in milliseconds since 1970.
    pub until: i64,
}

/// What a task has used, from the start of its pull to its end. It outlives the task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// The task id.
    pub task: String,
    /// `service:NAME`, or `family:NAME`.
    pub group: String,
    /// CPU units of its size.
    pub cpu: Option<u32>,
    /// MiB of its size.
    pub memory: Option<u32>,
    /// When its images were asked for, in milliseconds since 1970.
    pub started_at: i64,
    /// When it was over.
    pub stopped_at: i64,
    /// CPU time that it used, in nanoseconds.
    pub cpu_ns: u64,
    /// Periods in which its CPU limit was looked at.
    pub periods: u64,
    /// Those in which it held.
    pub throttled: u64,
    /// The most memory that it had, in bytes.
    pub memory_peak: Option<u64>,
}

impl Spent {
    /// Of a task, by what its groups say, if they are there.
    pub fn of(plan: &TaskPlan, counters: Option<&Counters>, stopped_at: i64) -> Self {
        let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
        let cpu = counters.map(|counters| &counters.cpu);
        Self {
            task: plan.id.clone(),
            group: plan.group.clone().unwrap_or_else(|| format!("family:{}", plan.family)),
            cpu: number(&plan.cpu),
            memory: number(&plan.memory),
            started_at: plan.created_at,
            stopped_at,
            cpu_ns: cpu.map_or(0, |cpu| cpu.total),
            periods: cpu.map_or(0, |cpu| cpu.periods),
            throttled: cpu.map_or(0, |cpu| cpu.throttled_periods),
            memory_peak: counters.and_then(|counters| counters.memory.peak),
        }
    }
}

/// What a task takes of the host as long as anything of it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// CPU units.
    pub cpu: u64,
    /// MiB of memory.
    pub memory: u64,
    /// The container instance that it is on, where that is not the host as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

impl Room {
    /// What a task takes by its plan: its size, or without one what its containers are given.
    pub fn of(plan: &TaskPlan) -> Self {
        let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<u64>().ok());
        let limits = || plan.containers.iter().map(|container| &container.limits);
        let bytes = || limits().map(|limits| limits.memory.or(limits.memory_reservation).unwrap_or_default());
        Self {
            cpu: number(&plan.cpu).unwrap_or_else(|| limits().map(|limits| u64::from(limits.cpu_shares)).sum()),
            memory: number(&plan.memory).unwrap_or_else(|| bytes().sum::<u64>() >> 20),
            instance: plan.container_instance(),
        }
    }
}

/// Who holds an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The task id.
    pub task: String,
}
