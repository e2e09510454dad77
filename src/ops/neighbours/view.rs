//! What EC2's lists show, read from the root at once: its VPC, its subnets, the security groups that somebody names, and the
//! interfaces of tasks.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::groups::of_services;
use crate::ops::actions::Caller;
use crate::ops::{Engine, ListedTask, OpsError};
use crate::plan::vpc::Vpc;
use crate::store::records::LEASES;

/// The interface of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) id: String,
    pub(super) subnet: String,
    pub(super) zone: String,
    pub(super) address: String,
    pub(super) mac: String,
    pub(super) name: String,
    /// The attachment's UUID and ARN.
    pub(super) attachment: (String, String),
    pub(super) attached_at: i64,
    pub(super) groups: Vec<String>,
    pub(super) is_public: bool,
}

/// All that is shown.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) account: String,
    pub(super) region: String,
    /// The VPC's id.
    pub(super) id: String,
    pub(super) vpc: Vpc,
    /// The ids of security groups; the first is the VPC's own.
    pub(super) groups: Vec<String>,
    pub(super) interfaces: Vec<Interface>,
    /// The addresses that somebody has.
    pub(super) leased: Vec<Ipv4Addr>,
}

impl Engine {
    /// The id of the root's VPC.
    pub(in crate::ops) fn vpc_id(&self) -> String {
        format!("vpc-{:0>17}", self.layout.tag())
    }

    /// The id of the VPC's own security group.
    pub(in crate::ops) fn default_group(&self) -> String {
        format!("sg-{:0>17}", self.layout.tag())
    }
}

impl View {
    /// The view of a caller: tasks of clusters that it may not see are left out.
    pub(super) fn read(engine: &mut Engine, caller: &Caller) -> Result<Self, OpsError> {
        let owner = engine.owner();
        let vpc = engine.vpc()?;
        let default = engine.default_group();
        let mut named: BTreeSet<String> = of_services(engine)?;
        let mut interfaces = Vec::new();
        let live: Vec<ListedTask> = engine.live_records()?;
        for record in live {
            let plan = &record.plan;
            let ours = (&plan.account, &plan.region) == (&owner.account, &owner.region) && caller.sees(&plan.cluster);
            if !ours {
                continue;
            }
            let Some(eni) = plan.network.eni() else { continue };
            let asked = &plan.asked;
            let none = asked.security_groups.is_empty();
            let groups = if none { vec![default.clone()] } else { asked.security_groups.clone() };
            named.extend(groups.iter().cloned());
            interfaces.push(Interface {
                id: eni.interface.clone(),
                subnet: eni.subnet.clone(),
                zone: plan.zone.clone(),
                address: eni.link.address.address.to_string(),
                mac: eni.link.mac_text(),
                name: eni.host_name.clone(),
                attachment: (eni.attachment.clone(), owner.attachment(&eni.attachment)),
                attached_at: record.state.times.connectivity_at.map_or(plan.created_at, |at| at.0),
                groups,
                is_public: asked.assign_public_ip.as_deref() == Some("ENABLED"),
            });
        }
        named.remove(&default);
        let leased = engine.store.list_text(LEASES)?;
        Ok(Self {
            account: owner.account,
            region: owner.region,
            id: engine.vpc_id(),
            vpc,
            groups: std::iter::once(default).chain(named).collect(),
            interfaces,
            leased: leased.iter().filter_map(|lease| lease.key.strip_prefix(LEASES)?.parse().ok()).collect(),
        })
    }
}
