//! Task sets, as actions.

use super::Kind::{Read, Write};
use super::Scope::Cluster;
use super::{Action, run};
use crate::ecs::task_set::{
    CreateTaskSetRequest, DescribeTaskSetsRequest, TaskSetRequest, UpdateServicePrimaryTaskSetRequest,
};

pub(super) const ROWS: &[Action] = &[
    Action::new("CreateTaskSet", Write, Cluster, run!(|engine, it: CreateTaskSetRequest| engine.create_task_set(&it)))
        .partly("no load balancers, no registries"),
    Action::new("UpdateTaskSet", Write, Cluster, run!(|engine, it: TaskSetRequest| engine.update_task_set(&it))),
    Action::new("DeleteTaskSet", Write, Cluster, run!(|engine, it: TaskSetRequest| engine.delete_task_set(&it))),
    Action::new(
        "DescribeTaskSets",
        Read,
        Cluster,
        run!(|engine, it: DescribeTaskSetsRequest| engine.describe_task_sets(&it)),
    ),
    Action::new(
        "UpdateServicePrimaryTaskSet",
        Write,
        Cluster,
        run!(|engine, it: UpdateServicePrimaryTaskSetRequest| engine.update_service_primary_task_set(&it)),
    ),
];
