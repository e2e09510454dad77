//! The networks that tasks were asked to be in: security groups, which berth records and does not enforce, and whether a public
//! address was wanted.

use std::collections::{BTreeMap, BTreeSet};

use crate::ecs::service::AwsVpcConfiguration;
use crate::ops::{Engine, OpsError, ServiceRecord};
use crate::plan::TaskPlan;
use crate::store::records::SERVICES;

/// By the keys of services.
pub(super) struct Networks(BTreeMap<String, AwsVpcConfiguration>);

impl Networks {
    pub(super) fn read(engine: &Engine) -> Result<Self, OpsError> {
        let all = engine.store.list::<ServiceRecord>(SERVICES)?;
        let network = |record: ServiceRecord| record.spec.network_configuration?.awsvpc_configuration;
        Ok(Self(all.into_iter().filter_map(|entry| Some((entry.key, network(entry.value)?))).collect()))
    }

    /// All groups that a service names.
    pub(super) fn groups(&self) -> BTreeSet<String> {
        self.0.values().flat_map(|network| network.security_groups.iter().cloned()).collect()
    }

    /// The groups of a task, and whether it is to have a public address.
    pub(super) fn of(&self, plan: &TaskPlan) -> (Vec<String>, bool) {
        let network = plan.service.as_ref().and_then(|service| self.0.get(&service.key));
        network.map_or_else(Default::default, |network| {
            (network.security_groups.clone(), network.assign_public_ip.as_deref() == Some("ENABLED"))
        })
    }
}
