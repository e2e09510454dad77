//! The young families (daemons, Express gateway services, gateways), as actions. berth has none of these things: whoever asks for a
//! list of them gets an empty one, and all else is refused by its name.

use super::Kind::{Read, Write};
use super::Scope::Account;
use super::{Action, Nothing, refuse, run};

/// The function of a list in which nothing is.
macro_rules! empty {
    ($member:literal) => {
        run!(|_engine, _it: Nothing| Ok(serde_json::json!({ $member: [] })))
    };
}

const NONE: &str = "there is none: the list is empty";
const REFUSED: &str = "this family is not part of berth";

pub(super) const ROWS: &[Action] = &[
    Action::new("CreateDaemon", Write, Account, refuse!("CreateDaemon")).refused(REFUSED),
    Action::new("DescribeDaemon", Read, Account, refuse!("DescribeDaemon")).refused(REFUSED),
    Action::new("UpdateDaemon", Write, Account, refuse!("UpdateDaemon")).refused(REFUSED),
    Action::new("DeleteDaemon", Write, Account, refuse!("DeleteDaemon")).refused(REFUSED),
    Action::new("ListDaemons", Read, Account, empty!("daemonSummariesList")).but(NONE),
    Action::new("DescribeDaemonDeployments", Read, Account, refuse!("DescribeDaemonDeployments")).refused(REFUSED),
    Action::new("ListDaemonDeployments", Read, Account, empty!("daemonDeployments")).but(NONE),
    Action::new("DescribeDaemonRevisions", Read, Account, refuse!("DescribeDaemonRevisions")).refused(REFUSED),
    Action::new("RegisterDaemonTaskDefinition", Write, Account, refuse!("RegisterDaemonTaskDefinition"))
        .refused(REFUSED),
    Action::new("DescribeDaemonTaskDefinition", Read, Account, refuse!("DescribeDaemonTaskDefinition"))
        .refused(REFUSED),
    Action::new("ListDaemonTaskDefinitions", Read, Account, empty!("daemonTaskDefinitions")).but(NONE),
    Action::new("DeleteDaemonTaskDefinition", Write, Account, refuse!("DeleteDaemonTaskDefinition")).refused(REFUSED),
    Action::new("CreateExpressGatewayService", Write, Account, refuse!("CreateExpressGatewayService")).refused(REFUSED),
    Action::new("DescribeExpressGatewayService", Read, Account, refuse!("DescribeExpressGatewayService"))
        .refused(REFUSED),
    Action::new("UpdateExpressGatewayService", Write, Account, refuse!("UpdateExpressGatewayService")).refused(REFUSED),
    Action::new("DeleteExpressGatewayService", Write, Account, refuse!("DeleteExpressGatewayService")).refused(REFUSED),
    Action::new("CreateGateway", Write, Account, refuse!("CreateGateway")).refused(REFUSED),
    Action::new("DescribeGateway", Read, Account, refuse!("DescribeGateway")).refused(REFUSED),
    Action::new("UpdateGateway", Write, Account, refuse!("UpdateGateway")).refused(REFUSED),
    Action::new("DeleteGateway", Write, Account, refuse!("DeleteGateway")).refused(REFUSED),
    Action::new("ListGateways", Read, Account, empty!("gateways")).but(NONE),
    Action::new("DescribeGatewayResources", Read, Account, refuse!("DescribeGatewayResources")).refused(REFUSED),
    Action::new("DescribeGatewayRoute", Read, Account, refuse!("DescribeGatewayRoute")).refused(REFUSED),
    Action::new("ListGatewayRoutes", Read, Account, empty!("gatewayRoutes")).but(NONE),
    Action::new("AssociateGatewayWithCluster", Write, Account, refuse!("AssociateGatewayWithCluster")).refused(REFUSED),
    Action::new("DisassociateGatewayFromCluster", Write, Account, refuse!("DisassociateGatewayFromCluster"))
        .refused(REFUSED),
    Action::new("ListGatewayClusterAssociations", Read, Account, empty!("gatewayClusterAssociations")).but(NONE),
];
