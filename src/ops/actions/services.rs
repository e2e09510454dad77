//! Services, their deployments and revisions, as actions.

use super::Kind::{Read, Write};
use super::Scope::{Account, Cluster, Named};
use super::{Action, run};
use crate::ecs::service::{
    CreateServiceRequest, DeleteServiceRequest, DescribeServicesRequest, ListServicesRequest, UpdateServiceRequest,
};
use crate::ecs::service_deployment::{
    ContinueServiceDeploymentRequest, DescribeServiceDeploymentsRequest, DescribeServiceRevisionsRequest,
    ListServiceDeploymentsRequest, ListServicesByNamespaceRequest, StopServiceDeploymentRequest,
};

pub(super) const ROWS: &[Action] = &[
    Action::new("CreateService", Write, Cluster, run!(|engine, it: CreateServiceRequest| engine.create_service(&it)))
        .partly("ROLLING only, controllers ECS and EXTERNAL; no load balancers, registries, Service Connect, VPC Lattice, gateways, alarms"),
    Action::new("UpdateService", Write, Cluster, run!(|engine, it: UpdateServiceRequest| engine.update_service(&it)))
        .partly("as CreateService"),
    Action::new("DeleteService", Write, Cluster, run!(|engine, it: DeleteServiceRequest| engine.delete_service(&it))),
    Action::new(
        "DescribeServices",
        Read,
        Cluster,
        run!(|engine, it: DescribeServicesRequest| engine.describe_services(&it)),
    ),
    Action::new("ListServices", Read, Cluster, run!(|engine, it: ListServicesRequest| engine.list_services(&it))),
    Action::new(
        "ListServicesByNamespace",
        Read,
        Account,
        run!(|engine, it: ListServicesByNamespaceRequest| engine.list_services_by_namespace(&it)),
    )
    .but("no namespace is ever found: services with Service Connect are refused"),
    Action::new(
        "ListServiceDeployments",
        Read,
        Cluster,
        run!(|engine, it: ListServiceDeploymentsRequest| engine.list_service_deployments(&it)),
    ),
    Action::new(
        "DescribeServiceDeployments",
        Read,
        Named,
        run!(|engine, it: DescribeServiceDeploymentsRequest| engine.describe_service_deployments(&it)),
    ),
    Action::new(
        "DescribeServiceRevisions",
        Read,
        Named,
        run!(|engine, it: DescribeServiceRevisionsRequest| engine.describe_service_revisions(&it)),
    ),
    Action::new(
        "StopServiceDeployment",
        Write,
        Named,
        run!(|engine, it: StopServiceDeploymentRequest| engine.stop_service_deployment(&it)),
    )
    .partly("stopType ABORT is refused, as ECS does"),
    Action::new(
        "ContinueServiceDeployment",
        Write,
        Named,
        run!(|engine, it: ContinueServiceDeploymentRequest| engine.continue_service_deployment(&it)),
    )
    .but("no deployment is ever paused: services with lifecycle hooks are refused"),
];
