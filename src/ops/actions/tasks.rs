//! Tasks, as actions.

use super::Kind::{Read, Write};
use super::Scope::Cluster;
use super::{Action, run};
use crate::ecs::request::{
    DescribeTasksRequest, ExecuteCommandRequest, GetTaskProtectionRequest, ListTasksRequest, RunTaskRequest,
    StopTaskRequest, UpdateTaskProtectionRequest,
};

pub(super) const ROWS: &[Action] = &[
    Action::new("RunTask", Write, Cluster, run!(|engine, it: RunTaskRequest| engine.run_task(&it))),
    Action::new("StopTask", Write, Cluster, run!(|engine, it: StopTaskRequest| engine.stop_task(&it))),
    Action::new("DescribeTasks", Read, Cluster, run!(|engine, it: DescribeTasksRequest| engine.describe_tasks(&it))),
    Action::new("ListTasks", Read, Cluster, run!(|engine, it: ListTasksRequest| engine.list_tasks(&it))),
    Action::new(
        "UpdateTaskProtection",
        Write,
        Cluster,
        run!(|engine, it: UpdateTaskProtectionRequest| engine.update_task_protection(&it)),
    ),
    Action::new(
        "GetTaskProtection",
        Read,
        Cluster,
        run!(|engine, it: GetTaskProtectionRequest| engine.get_task_protection(&it)),
    ),
    Action::new(
        "ExecuteCommand",
        Write,
        Cluster,
        run!(|engine, caller, it: ExecuteCommandRequest| engine.execute_command(caller, &it)),
    )
    .but("the endpoint is Session Manager, too"),
];
