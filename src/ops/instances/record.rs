//! The records of container instances. This host has one only where something about it was changed.

use serde::{Deserialize, Serialize};

use super::super::{Engine, OpsError, tags};
use crate::ecs::container_instance::{Attribute, VersionInfo};
use crate::ecs::task_definition::Tag;
use crate::store::{Commit, Entry, Txn, records};

const ATTEMPTS: usize = 20;

/// ECS's status of a container instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(in crate::ops) enum InstanceStatus {
    /// Tasks may be placed on it.
    Active,
    /// No more tasks, and those of services go elsewhere.
    Draining,
    /// It was deregistered, and stays describable.
    Inactive,
}

impl InstanceStatus {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Draining => "DRAINING",
            Self::Inactive => "INACTIVE",
        }
    }
}

/// What an instance said of itself when it was registered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ops) struct Registration {
    /// From its identity document.
    pub(super) ec2_instance_id: String,
    pub(super) zone: String,
    /// CPU units and MiB of memory that its tasks may have.
    pub(super) cpu: u64,
    pub(super) memory: u64,
    /// Ports that its agent keeps for itself.
    pub(super) ports: Vec<String>,
    pub(super) ports_udp: Vec<String>,
    pub(super) version_info: VersionInfo,
}

/// A container instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ops) struct InstanceRecord {
    /// 32 hexadecimal digits.
    pub(super) id: String,
    pub(in crate::ops) status: InstanceStatus,
    /// It grows with every change.
    pub(super) version: u64,
    /// In milliseconds since the epoch.
    pub(super) registered_at: i64,
    /// Those that somebody gave it; names and values only.
    pub(super) attributes: Vec<Attribute>,
    /// `None` for this host.
    pub(super) registration: Option<Registration>,
    /// The state of the last update of its agent that was asked for.
    pub(super) agent_update: Option<String>,
}

impl Engine {
    /// The id of this host as a container instance.
    pub(in crate::ops) fn host_id(&self) -> String {
        format!("{:0>32}", self.layout.tag())
    }

    fn instance_key(&self, cluster: &str, id: &str) -> String {
        let owner = self.owner();
        format!("{}{id}", records::container_instances(&owner.account, &owner.region, cluster))
    }

    /// All instances of a cluster, this host first; deregistered ones too. A host of which nothing is on record has revision 0.
    pub(in crate::ops) fn instance_records(&self, cluster: &str) -> Result<Vec<Entry<InstanceRecord>>, OpsError> {
        let owner = self.owner();
        let prefix = records::container_instances(&owner.account, &owner.region, cluster);
        let mut all = self.store.list::<InstanceRecord>(&prefix)?;
        all.sort_by_key(|entry| (entry.value.registration.is_some(), entry.value.registered_at));
        if all.first().is_none_or(|entry| entry.value.registration.is_some()) {
            all.insert(0, self.unchanged_host(cluster));
        }
        Ok(all)
    }

    fn unchanged_host(&self, cluster: &str) -> Entry<InstanceRecord> {
        let id = self.host_id();
        let value = InstanceRecord {
            id: id.clone(),
            status: InstanceStatus::Active,
            version: 1,
            registered_at: self.made_at(),
            attributes: Vec::new(),
            registration: None,
            agent_update: None,
        };
        Entry { key: self.instance_key(cluster, &id), revision: 0, value }
    }

    /// When this root was made, in milliseconds since the epoch: its store is its oldest file.
    fn made_at(&self) -> i64 {
        let made = std::fs::metadata(self.layout.store()).and_then(|of| of.created().or_else(|_| of.modified()));
        let since = made.ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// The instance that an id or an ARN means.
    pub(super) fn instance_entry(&self, cluster: &str, name: &str) -> Result<Option<Entry<InstanceRecord>>, OpsError> {
        let id = name.rsplit('/').next().unwrap_or(name).replace('-', "");
        if id == self.host_id() {
            let stored = self.store.get(&self.instance_key(cluster, &id))?;
            return Ok(Some(stored.unwrap_or_else(|| self.unchanged_host(cluster))));
        }
        match id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            true => Ok(self.store.get(&self.instance_key(cluster, &id))?),
            false => Ok(None),
        }
    }

    /// Puts a new instance on record.
    pub(super) fn add_instance(
        &mut self,
        cluster: &str,
        record: &InstanceRecord,
        tags: &[Tag],
    ) -> Result<(), OpsError> {
        let key = self.instance_key(cluster, &record.id);
        let arn = self.owner().container_instance(cluster, &record.id);
        let txn = tags::put(Txn::default().require_absent(&key).put(&key, record), &arn, tags);
        match self.store.commit_durably(&txn)? {
            Commit::Done => Ok(()),
            Commit::Conflict => Err(OpsError::Contention),
        }
    }

    /// Changes an instance; `None` if there is no such one. What `change` finds wrong is the answer.
    pub(in crate::ops) fn change_instance(
        &mut self,
        cluster: &str,
        name: &str,
        change: &dyn Fn(&mut InstanceRecord) -> Result<(), crate::ecs::error::EcsError>,
    ) -> Result<Option<InstanceRecord>, OpsError> {
        for _ in 0..ATTEMPTS {
            let Some(entry) = self.instance_entry(cluster, name)? else { return Ok(None) };
            let mut record = entry.value.clone();
            change(&mut record)?;
            if record == entry.value {
                return Ok(Some(record));
            }
            record.version += 1;
            let txn = match entry.revision {
                0 => Txn::default().require_absent(&entry.key),
                revision => Txn::default().require_unchanged(&entry.key, revision),
            };
            if self.store.commit_durably(&txn.put(&entry.key, &record))? == Commit::Done {
                return Ok(Some(record));
            }
        }
        Err(OpsError::Contention)
    }
}
