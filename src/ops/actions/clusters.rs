//! Clusters, as actions.

use super::Kind::{Read, Write};
use super::Scope::{Account, Cluster, Named};
use super::{Action, run};
use crate::ecs::cluster::{
    CreateClusterRequest, DeleteClusterRequest, DescribeClustersRequest, ListClustersRequest,
    PutClusterCapacityProvidersRequest, UpdateClusterRequest,
};

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
    Action::new("UpdateCluster", Write, Cluster, run!(|engine, it: UpdateClusterRequest| engine.update_cluster(&it)))
        .but("configuration and serviceConnectDefaults are kept and shown"),
    Action::new(
        "UpdateClusterSettings",
        Write,
        Cluster,
        run!(|engine, it: UpdateClusterRequest| engine.update_cluster_settings(&it)),
    )
    .but("containerInsights is kept and shown; there is no CloudWatch to send it to"),
    Action::new(
        "PutClusterCapacityProviders",
        Write,
        Cluster,
        run!(|engine, it: PutClusterCapacityProvidersRequest| engine.put_cluster_capacity_providers(&it)),
    ),
];
