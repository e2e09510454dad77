//! Clusters, as actions.

use super::Kind::{Read, Write};
use super::Scope::{Account, Cluster, Named};
use super::{Action, refuse, run};
use crate::ecs::cluster::{CreateClusterRequest, DeleteClusterRequest, DescribeClustersRequest, ListClustersRequest};

pub(super) const ROWS: &[Action] = &[
    Action::new("CreateCluster", Write, Named, run!(|engine, it: CreateClusterRequest| engine.create_cluster(&it))),
    Action::new("DeleteCluster", Write, Cluster, run!(|engine, it: DeleteClusterRequest| engine.delete_cluster(&it))),
    Action::new(
        "DescribeClusters",
        Read,
        Named,
        run!(|engine, it: DescribeClustersRequest| engine.describe_clusters(&it)),
    ),
    Action::new("ListClusters", Read, Account, run!(|engine, it: ListClustersRequest| engine.list_clusters(&it))),
    Action::new("UpdateCluster", Write, Cluster, refuse!("UpdateCluster")).refused("not yet"),
    Action::new("UpdateClusterSettings", Write, Cluster, refuse!("UpdateClusterSettings")).refused("not yet"),
    Action::new("PutClusterCapacityProviders", Write, Cluster, refuse!("PutClusterCapacityProviders"))
        .refused("not yet"),
];
