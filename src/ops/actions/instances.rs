//! Container instances, their attributes and their agents, as actions.

use super::Kind::{Read, Write};
use super::Scope::Cluster;
use super::{Action, refuse};

pub(super) const ROWS: &[Action] = &[
    Action::new("StartTask", Write, Cluster, refuse!("StartTask")).refused("not yet"),
    Action::new("ListContainerInstances", Read, Cluster, refuse!("ListContainerInstances")).refused("not yet"),
    Action::new("DescribeContainerInstances", Read, Cluster, refuse!("DescribeContainerInstances")).refused("not yet"),
    Action::new("UpdateContainerInstancesState", Write, Cluster, refuse!("UpdateContainerInstancesState"))
        .refused("not yet"),
    Action::new("RegisterContainerInstance", Write, Cluster, refuse!("RegisterContainerInstance")).refused("not yet"),
    Action::new("DeregisterContainerInstance", Write, Cluster, refuse!("DeregisterContainerInstance"))
        .refused("not yet"),
    Action::new("UpdateContainerAgent", Write, Cluster, refuse!("UpdateContainerAgent")).refused("not yet"),
    Action::new("PutAttributes", Write, Cluster, refuse!("PutAttributes")).refused("not yet"),
    Action::new("DeleteAttributes", Write, Cluster, refuse!("DeleteAttributes")).refused("not yet"),
    Action::new("ListAttributes", Read, Cluster, refuse!("ListAttributes")).refused("not yet"),
    Action::new("DiscoverPollEndpoint", Read, Cluster, refuse!("DiscoverPollEndpoint")).refused("not yet"),
    Action::new("SubmitTaskStateChange", Write, Cluster, refuse!("SubmitTaskStateChange")).refused("not yet"),
    Action::new("SubmitContainerStateChange", Write, Cluster, refuse!("SubmitContainerStateChange")).refused("not yet"),
    Action::new("SubmitAttachmentStateChanges", Write, Cluster, refuse!("SubmitAttachmentStateChanges"))
        .refused("not yet"),
];
