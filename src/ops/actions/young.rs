//! The young families (daemons, Express gateway services, gateways), as actions.

use super::Kind::{Read, Write};
use super::Scope::Account;
use super::{Action, refuse};

pub(super) const ROWS: &[Action] = &[
    Action::new("CreateDaemon", Write, Account, refuse!("CreateDaemon")).refused("not yet"),
    Action::new("DescribeDaemon", Read, Account, refuse!("DescribeDaemon")).refused("not yet"),
    Action::new("UpdateDaemon", Write, Account, refuse!("UpdateDaemon")).refused("not yet"),
    Action::new("DeleteDaemon", Write, Account, refuse!("DeleteDaemon")).refused("not yet"),
    Action::new("ListDaemons", Read, Account, refuse!("ListDaemons")).refused("not yet"),
    Action::new("DescribeDaemonDeployments", Read, Account, refuse!("DescribeDaemonDeployments")).refused("not yet"),
    Action::new("ListDaemonDeployments", Read, Account, refuse!("ListDaemonDeployments")).refused("not yet"),
    Action::new("DescribeDaemonRevisions", Read, Account, refuse!("DescribeDaemonRevisions")).refused("not yet"),
    Action::new("RegisterDaemonTaskDefinition", Write, Account, refuse!("RegisterDaemonTaskDefinition"))
        .refused("not yet"),
    Action::new("DescribeDaemonTaskDefinition", Read, Account, refuse!("DescribeDaemonTaskDefinition"))
        .refused("not yet"),
    Action::new("ListDaemonTaskDefinitions", Read, Account, refuse!("ListDaemonTaskDefinitions")).refused("not yet"),
    Action::new("DeleteDaemonTaskDefinition", Write, Account, refuse!("DeleteDaemonTaskDefinition")).refused("not yet"),
    Action::new("CreateExpressGatewayService", Write, Account, refuse!("CreateExpressGatewayService"))
        .refused("not yet"),
    Action::new("DescribeExpressGatewayService", Read, Account, refuse!("DescribeExpressGatewayService"))
        .refused("not yet"),
    Action::new("UpdateExpressGatewayService", Write, Account, refuse!("UpdateExpressGatewayService"))
        .refused("not yet"),
    Action::new("DeleteExpressGatewayService", Write, Account, refuse!("DeleteExpressGatewayService"))
        .refused("not yet"),
    Action::new("CreateGateway", Write, Account, refuse!("CreateGateway")).refused("not yet"),
    Action::new("DescribeGateway", Read, Account, refuse!("DescribeGateway")).refused("not yet"),
    Action::new("UpdateGateway", Write, Account, refuse!("UpdateGateway")).refused("not yet"),
    Action::new("DeleteGateway", Write, Account, refuse!("DeleteGateway")).refused("not yet"),
    Action::new("ListGateways", Read, Account, refuse!("ListGateways")).refused("not yet"),
    Action::new("DescribeGatewayResources", Read, Account, refuse!("DescribeGatewayResources")).refused("not yet"),
    Action::new("DescribeGatewayRoute", Read, Account, refuse!("DescribeGatewayRoute")).refused("not yet"),
    Action::new("ListGatewayRoutes", Read, Account, refuse!("ListGatewayRoutes")).refused("not yet"),
    Action::new("AssociateGatewayWithCluster", Write, Account, refuse!("AssociateGatewayWithCluster"))
        .refused("not yet"),
    Action::new("DisassociateGatewayFromCluster", Write, Account, refuse!("DisassociateGatewayFromCluster"))
        .refused("not yet"),
    Action::new("ListGatewayClusterAssociations", Read, Account, refuse!("ListGatewayClusterAssociations"))
        .refused("not yet"),
];
