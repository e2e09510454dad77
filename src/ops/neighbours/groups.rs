//! The security groups that somebody has named, which berth records and does not enforce.

use std::collections::BTreeSet;

use crate::ops::{Engine, OpsError, ServiceRecord};
use crate::store::records::SERVICES;

/// Those of all services.
pub(super) fn of_services(engine: &Engine) -> Result<BTreeSet<String>, OpsError> {
    let all = engine.store.list::<ServiceRecord>(SERVICES)?;
    let network = |record: ServiceRecord| record.spec.network_configuration?.awsvpc_configuration;
    let networks = all.into_iter().filter_map(|entry| network(entry.value));
    Ok(networks.flat_map(|network| network.security_groups).collect())
}
