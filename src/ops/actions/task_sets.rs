//! Task sets, as actions.

use super::Kind::{Read, Write};
use super::Scope::Cluster;
use super::{Action, refuse};

pub(super) const ROWS: &[Action] = &[
    Action::new("CreateTaskSet", Write, Cluster, refuse!("CreateTaskSet")).refused("not yet"),
    Action::new("UpdateTaskSet", Write, Cluster, refuse!("UpdateTaskSet")).refused("not yet"),
    Action::new("DeleteTaskSet", Write, Cluster, refuse!("DeleteTaskSet")).refused("not yet"),
    Action::new("DescribeTaskSets", Read, Cluster, refuse!("DescribeTaskSets")).refused("not yet"),
    Action::new("UpdateServicePrimaryTaskSet", Write, Cluster, refuse!("UpdateServicePrimaryTaskSet"))
        .refused("not yet"),
];
