//! What a task's containers find at 169.254.170.2: the address, their identifiers there, the role whose credentials they get,
//! and the variables that tell them. Pure; made by `make`, served by the task's endpoint process.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::make::{Names, Place};
use super::{NetworkPlan, TaskPlan};
use crate::ecs::container_definition::PortMapping;
use crate::ecs::{ContainerDefinition, TaskDefinition};

/// The address of ECS's agent, as every SDK knows it.
pub const AGENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);
/// Where the agent really listens; port 80 of its address leads there, so that a container may have its own port 80. (ECS's
/// agent has the same one.)
pub const AGENT_PORT: u16 = 51_679;

/// Where the credentials of a role come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoleSource {
    /// Fixed keys of the configuration; they stand in the task's values file.
    Keys,
    /// A profile of the host's shared files.
    Profile(AwsIdentity),
    /// STS, asked with the identity of the host.
    Assume {
        /// Who asks.
        by: AwsIdentity,
        /// The role that is asked for.
        role: String,
        /// For how many seconds.
        seconds: u32,
    },
}

/// Who berth is at AWS, as far as it may stand in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwsIdentity {
    /// The region that is asked.
    pub region: String,
    /// The profile of the shared files.
    pub profile: Option<String>,
    /// Where STS is, if not where AWS has it.
    pub endpoint: Option<String>,
    /// The caller's `AWS_...` variables, as far as they hold no secret.
    pub variables: BTreeMap<String, String>,
}

/// A role that a task has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolePlan {
    /// Its ARN, as the task definition has it.
    pub arn: String,
    /// The last part of the path at which its credentials are.
    pub id: String,
    /// Where they come from.
    pub source: RoleSource,
}

/// What the endpoint tells of a container beside what its plan and its record say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentContainer {
    /// `cpu` of the container definition.
    pub cpu: u32,
    /// `memory` of the container definition in MiB.
    pub memory: Option<u32>,
    /// `logDriver`.
    pub log_driver: Option<String>,
    /// The log's options.
    pub log_options: BTreeMap<String, String>,
    /// Its ports with their protocols.
    pub ports: Vec<(u16, String)>,
}

/// What the endpoint tells of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentPlan {
    /// The VPC of a task that is in one.
    pub vpc: Option<String>,
    /// `enableFaultInjection`.
    pub fault_injection: bool,
    /// The role.
    pub role: Option<RolePlan>,
    /// Name servers and search domains of the task's containers.
    pub dns: (Vec<String>, Vec<String>),
    /// Its containers.
    pub containers: Vec<AgentContainer>,
}

pub(super) fn agent(task: &TaskDefinition, place: &Place, names: &Names, network: &NetworkPlan) -> AgentPlan {
    let arn = task.task_role_arn.clone().filter(|arn| !arn.is_empty());
    let role = place.role.clone().zip(arn).map(|(source, arn)| RolePlan { arn, id: names.credentials.clone(), source });
    AgentPlan {
        vpc: network.eni().map(|eni| vpc_id(eni.link.vpc.network())),
        fault_injection: task.enable_fault_injection == Some(true),
        role,
        dns: dns(place.resolv_conf),
        containers: task.container_definitions.iter().map(container).collect(),
    }
}

/// The id of the VPC that begins at an address, made as those of its subnets are.
pub fn vpc_id(first: Ipv4Addr) -> String {
    format!("vpc-{:017x}", u64::from(first.to_bits()))
}

fn container(container: &ContainerDefinition) -> AgentContainer {
    let log = container.log_configuration.as_ref();
    let port = |port: &PortMapping| {
        let number = port.container_port.and_then(|port| u16::try_from(port).ok())?;
        Some((number, port.protocol.clone().unwrap_or_else(|| "tcp".to_owned())))
    };
    AgentContainer {
        cpu: container.cpu.and_then(|cpu| u32::try_from(cpu).ok()).unwrap_or_default(),
        memory: container.memory.and_then(|memory| u32::try_from(memory).ok()),
        log_driver: log.map(|log| log.log_driver.clone()),
        log_options: log.and_then(|log| log.options.clone()).unwrap_or_default(),
        ports: container.port_mappings.iter().flatten().filter_map(port).collect(),
    }
}

fn dns(resolv_conf: &str) -> (Vec<String>, Vec<String>) {
    let words = |key: &str| {
        let lines = resolv_conf.lines().filter_map(|line| line.strip_prefix(key));
        lines.flat_map(str::split_whitespace).map(str::to_owned).collect()
    };
    (words("nameserver "), words("search "))
}

/// The variables of a container.
fn variables(plan: &TaskPlan, place: usize) -> Vec<(String, String)> {
    let (id, base) = (&plan.containers[place].runtime_id, format!("http://{AGENT_ADDRESS}"));
    let mut all = vec![
        ("ECS_CONTAINER_METADATA_URI".to_owned(), format!("{base}/v3/{id}")),
        ("ECS_CONTAINER_METADATA_URI_V4".to_owned(), format!("{base}/v4/{id}")),
        ("ECS_AGENT_URI".to_owned(), format!("{base}/api/{id}")),
    ];
    if let Some(role) = &plan.agent.role {
        all.push(("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI".to_owned(), credentials_path(&role.id)));
    }
    all
}

/// Where a role's credentials are.
pub fn credentials_path(id: &str) -> String {
    format!("/v2/credentials/{id}")
}

/// Tells the containers; what ECS says counts more than what their definitions say. Only in the network of a task there is
/// an endpoint: in bridge and host mode a variable would lead nowhere, and clients would wait for it.
pub(super) fn inject(plan: &mut TaskPlan) {
    if plan.network.eni().is_none() {
        return;
    }
    for place in 0..plan.containers.len() {
        if plan.containers[place].process.args.is_empty() {
            continue;
        }
        for (name, value) in variables(plan, place) {
            let process = &mut plan.containers[place].process;
            if let Some(private) = &mut process.private {
                private.fixed.push(name.clone());
            }
            match process.env.iter_mut().find(|(known, _)| *known == name) {
                Some((_, old)) => *old = value,
                None => process.env.push((name, value)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ContainerNetwork;
    use super::super::make::tests::{planned, settings};
    use super::*;
    use crate::ecs::task_definition::NetworkMode;

    const DEFINITION: &str = r#"{
        "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "containerDefinitions": [{"name": "app", "image": "nginx"}]}"#;

    fn tells(mut plan: TaskPlan) -> bool {
        plan.containers[0].process.args = vec!["serve".to_owned()];
        plan.containers[0].process.env.clear();
        inject(&mut plan);
        plan.containers[0].process.env.iter().any(|(name, _)| name.starts_with("ECS_"))
    }

    #[test]
    fn only_where_there_is_an_endpoint_a_variable_leads_to_it() {
        let plan = planned(DEFINITION, settings());
        assert!(tells(plan.clone()));
        let containers = vec![ContainerNetwork::Host { ports: Vec::new() }];
        let network = NetworkPlan::PerContainer { mode: NetworkMode::Host, containers };
        assert!(!tells(TaskPlan { network, ..plan }));
    }
}
