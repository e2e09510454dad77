//! `berth register`, `berth task-definition`, `berth cluster`, `berth resume`.

use super::args::{Clusters, Register, TaskDefinitions};
use super::error::Failure;
use super::output::{self, Output};
use super::{definition, table::Table};
use crate::ecs::cluster::{CreateClusterRequest, DeleteClusterRequest, DescribeClustersRequest, ListClustersRequest};
use crate::ecs::request::ListTaskDefinitionsRequest;
use crate::ops::actions::Caller;
use crate::ops::{Engine, ValidTaskDefinition};

pub(super) fn register(engine: &mut Engine, definition: &ValidTaskDefinition, output: Output) -> Result<(), Failure> {
    let made = engine.register_task_definition(definition, &Caller::root())?;
    match output.asked_for_json() {
        true => Ok(output.print_json(&made)?),
        false => {
            let revision = made.task_definition.revision.unwrap_or_default();
            Ok(output::line(&format!("{}:{revision}", made.task_definition.family))?)
        }
    }
}

pub(super) fn read(args: &Register) -> Result<ValidTaskDefinition, Failure> {
    definition::read(&args.file)
}

pub(super) fn task_definitions(engine: &mut Engine, command: TaskDefinitions, output: Output) -> Result<(), Failure> {
    match command {
        TaskDefinitions::Ls { family, inactive } => {
            let status = Some(if inactive { "INACTIVE" } else { "ACTIVE" }.to_owned());
            let mut request = ListTaskDefinitionsRequest { family_prefix: family, status, ..Default::default() };
            let mut arns = Vec::new();
            loop {
                let page = engine.list_task_definitions(&request)?;
                arns.extend(page.task_definition_arns);
                request.next_token = page.next_token;
                if request.next_token.is_none() {
                    break;
                }
            }
            Ok(output.print(&arns, |arns| {
                let mut table = Table::new(["DEFINITION"]);
                arns.iter().for_each(|arn| table.row([arn.rsplit('/').next().unwrap_or(arn)]));
                table
            })?)
        }
        TaskDefinitions::Describe { name } => Ok(output.print_json(&engine.describe_task_definition(&name)?)?),
        TaskDefinitions::Deregister { name } => {
            let made = engine.deregister_task_definition(&name)?.task_definition;
            Ok(output::line(&format!("{}:{}", made.family, made.revision.unwrap_or_default()))?)
        }
    }
}

pub(super) fn clusters(engine: &mut Engine, command: Clusters, output: Output) -> Result<(), Failure> {
    match command {
        Clusters::Create { name } => {
            let request = CreateClusterRequest { cluster_name: Some(name), ..Default::default() };
            let made = engine.create_cluster(&request)?;
            Ok(output::line(&made.cluster.cluster_name)?)
        }
        Clusters::Delete { name } => {
            let made = engine.delete_cluster(&DeleteClusterRequest { cluster: name })?;
            Ok(output::line(&made.cluster.cluster_name)?)
        }
        Clusters::Ls => {
            let clusters = engine.list_clusters(&ListClustersRequest::default())?.cluster_arns;
            let all = engine.describe_clusters(&DescribeClustersRequest { clusters, include: Vec::new() })?.clusters;
            Ok(output.print(&all, |all| {
                let mut table = Table::new(["CLUSTER", "STATUS", "SERVICES", "RUNNING", "PENDING"]);
                for one in all {
                    table.row([
                        &one.cluster_name,
                        &one.status,
                        &one.active_services_count.to_string(),
                        &one.running_tasks_count.to_string(),
                        &one.pending_tasks_count.to_string(),
                    ]);
                }
                table
            })?)
        }
    }
}

/// `berth resume`: after a boot or a crash, everything that should run does again.
pub(super) fn resume(engine: &mut Engine) -> Result<(), Failure> {
    let resumed = engine.resume()?;
    output::line(&format!("{} tasks were tended, {} services are held", resumed.tasks, resumed.services))?;
    Ok(())
}
