//! The instances that a task can be placed on: for Fargate this host, for EC2 what the cluster has.

use super::super::engine::DEFAULT_CLUSTER;
use super::super::{Engine, OpsError, RunOptions, ServiceRecord};
use super::record::InstanceStatus;
use super::view::Tasks;
use crate::ecs::LaunchType;
use crate::ecs::error::EcsError;
use crate::scheduler::{Constraint, Instance, PlacementRules};
use crate::validate::ValidTaskDefinition;

impl Engine {
    /// This host as placement sees it.
    pub(super) fn host_instance(&self) -> Result<Instance, OpsError> {
        Ok(self.instances()?.remove(0))
    }

    /// The instances of a cluster for tasks of a launch type, with what is left on each.
    fn instances_of(
        &self,
        cluster: &str,
        launch_type: LaunchType,
        rules: &PlacementRules,
    ) -> Result<Vec<Instance>, OpsError> {
        if launch_type == LaunchType::Fargate {
            return self.instances();
        }
        let about_tasks = |constraint: &Constraint| match constraint {
            Constraint::DistinctInstance => false,
            Constraint::MemberOf(expression) => expression.asks_of_tasks(),
        };
        let tasks = if rules.constraints.iter().any(about_tasks) { Tasks::Read } else { Tasks::Leave };
        let around = self.surround(cluster, tasks)?;
        let all = self.instance_records(cluster)?.into_iter().map(|entry| entry.value);
        let all = all.filter(|record| record.status != InstanceStatus::Inactive);
        Ok(all.map(|record| around.instance(&record)).collect())
    }

    /// The instances for a service, each with those of its definitions that the host's configuration grants too little for.
    pub(in crate::ops) fn instances_for_service(
        &self,
        record: &ServiceRecord,
        definitions: &[String],
    ) -> Result<Vec<Instance>, OpsError> {
        let instances = self.instances_of(&record.arn.cluster, record.launch_type, &record.service.placement)?;
        self.instances_for(instances, definitions)
    }

    /// The instances for a task of RunTask; the one that it is started on by name, where it is.
    pub(in crate::ops) fn instances_for_run(
        &self,
        definition: &ValidTaskDefinition,
        options: &RunOptions,
    ) -> Result<Vec<Instance>, OpsError> {
        let cluster = options.cluster.as_deref().unwrap_or(DEFAULT_CLUSTER);
        let own = if definition.is_fargate() { LaunchType::Fargate } else { LaunchType::Ec2 };
        let launch_type = options.launch_type.unwrap_or(own);
        let mut instances = self.instances_of(cluster, launch_type, &options.placement)?;
        instances.retain(|instance| options.on_instance.as_ref().is_none_or(|id| *id == instance.id));
        match instances.iter().all(|instance| instance.draining) {
            true => Err(EcsError::invalid_parameter("No Container Instances were found in your cluster.").into()),
            false => Ok(instances),
        }
    }
}
