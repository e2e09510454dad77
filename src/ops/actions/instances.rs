//! Container instances, their attributes and their agents, as actions.

use super::Kind::{Read, Write};
use super::Scope::Cluster;
use super::{Action, run};
use crate::ecs::container_instance::{
    AttributesRequest, ContainerInstanceRequest, DescribeContainerInstancesRequest, DiscoverPollEndpointRequest,
    ListAttributesRequest, ListContainerInstancesRequest, RegisterContainerInstanceRequest, StartTaskRequest,
    SubmitStateChangeRequest, UpdateContainerInstancesStateRequest,
};

const AGENT: &str = "acknowledged: tasks are carried by their supervisors, an agent's word changes nothing";

pub(super) const ROWS: &[Action] = &[
    Action::new("StartTask", Write, Cluster, run!(|engine, it: StartTaskRequest| engine.start_task(&it))),
    Action::new(
        "ListContainerInstances",
        Read,
        Cluster,
        run!(|engine, it: ListContainerInstancesRequest| engine.list_container_instances(&it)),
    ),
    Action::new(
        "DescribeContainerInstances",
        Read,
        Cluster,
        run!(|engine, it: DescribeContainerInstancesRequest| engine.describe_container_instances(&it)),
    )
    .but("this host is an instance of every cluster"),
    Action::new(
        "UpdateContainerInstancesState",
        Write,
        Cluster,
        run!(|engine, it: UpdateContainerInstancesStateRequest| engine.update_container_instances_state(&it)),
    ),
    Action::new(
        "RegisterContainerInstance",
        Write,
        Cluster,
        run!(|engine, it: RegisterContainerInstanceRequest| engine.register_container_instance(&it)),
    )
    .but("a registered instance is a part of this host: its tasks run here"),
    Action::new(
        "DeregisterContainerInstance",
        Write,
        Cluster,
        run!(|engine, it: ContainerInstanceRequest| engine.deregister_container_instance(&it)),
    )
    .but("this host itself stays"),
    Action::new(
        "UpdateContainerAgent",
        Write,
        Cluster,
        run!(|engine, it: ContainerInstanceRequest| engine.update_container_agent(&it)),
    )
    .but("there is never an update: the agent is berth"),
    Action::new("PutAttributes", Write, Cluster, run!(|engine, it: AttributesRequest| engine.put_attributes(&it))),
    Action::new(
        "DeleteAttributes",
        Write,
        Cluster,
        run!(|engine, it: AttributesRequest| engine.delete_attributes(&it)),
    ),
    Action::new("ListAttributes", Read, Cluster, run!(|engine, it: ListAttributesRequest| engine.list_attributes(&it))),
    Action::new(
        "DiscoverPollEndpoint",
        Read,
        Cluster,
        run!(|engine, it: DiscoverPollEndpointRequest| engine.discover_poll_endpoint(&it)),
    )
    .refused("there is no endpoint for agents: berth runs the tasks of all instances itself"),
    Action::new(
        "SubmitTaskStateChange",
        Write,
        Cluster,
        run!(|engine, it: SubmitStateChangeRequest| engine.submit_state_change(&it)),
    )
    .but(AGENT),
    Action::new(
        "SubmitContainerStateChange",
        Write,
        Cluster,
        run!(|engine, it: SubmitStateChangeRequest| engine.submit_state_change(&it)),
    )
    .but(AGENT),
    Action::new(
        "SubmitAttachmentStateChanges",
        Write,
        Cluster,
        run!(|engine, it: SubmitStateChangeRequest| engine.submit_attachment_state_changes(&it)),
    )
    .but(AGENT),
];
