//! Task definitions as ECS keeps them: families of revisions that are registered, described, listed and deregistered.
//! A revision's number is never used again.

use std::cmp::Reverse;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::actions::Caller;
use super::paging::{Asked, page};
use super::{Engine, OpsError, tags};
use crate::ecs::arn::{Owner, TaskDefinitionArn, TaskDefinitionName};
use crate::ecs::error::EcsError;
use crate::ecs::request::{ListTaskDefinitionsRequest, ListTaskDefinitionsResponse, TaskDefinitionResponse};
use crate::ecs::task_definition::{Compatibility, NetworkMode, TaskDefinitionStatus};
use crate::ecs::{TaskDefinition, Timestamp};
use crate::store::{Commit, Entry, Txn, records};
use crate::sys::time;
use crate::validate::ValidTaskDefinition;

const ATTEMPTS: usize = 100;

/// What lists look at of a definition.
#[derive(Debug, Deserialize)]
pub(super) struct StatusPart {
    status: Option<TaskDefinitionStatus>,
}

impl StatusPart {
    /// Its status: one that has none is ACTIVE.
    pub(super) fn status(&self) -> TaskDefinitionStatus {
        self.status.unwrap_or(TaskDefinitionStatus::Active)
    }
}

/// A definition as it is registered: what was given, and what only registration sets.
fn registered(
    definition: &ValidTaskDefinition,
    owner: &Owner,
    revision: u32,
    (by, at): (&Caller, i64),
) -> TaskDefinition {
    let given = definition.definition();
    TaskDefinition {
        task_definition_arn: Some(owner.task_definition(&given.family, revision).to_string()),
        revision: i32::try_from(revision).ok(),
        status: Some(TaskDefinitionStatus::Active),
        compatibilities: Some(compatibilities(given)),
        registered_at: Some(Timestamp::from_millis(at)),
        registered_by: Some(by.arn(&owner.account)),
        requires_attributes: given.requires_attributes.clone().or_else(|| Some(Vec::new())),
        ..bare(given)
    }
}

/// A definition without what only registration sets.
pub(super) fn bare(definition: &TaskDefinition) -> TaskDefinition {
    TaskDefinition {
        task_definition_arn: None,
        revision: None,
        status: None,
        requires_attributes: None,
        compatibilities: None,
        registered_at: None,
        deregistered_at: None,
        delete_requested_at: None,
        registered_by: None,
        tags: None, // they have a record of their own
        ..definition.clone()
    }
}

/// What it could run on: container instances always, others as it says.
fn compatibilities(definition: &TaskDefinition) -> Vec<Compatibility> {
    let mut all = vec![Compatibility::Ec2];
    if !matches!(definition.network_mode, Some(NetworkMode::Awsvpc)) {
        all.push(Compatibility::External);
    }
    all.extend(definition.requires_compatibilities.iter().flatten().copied());
    all.sort();
    all.dedup();
    all
}

impl Engine {
    /// RegisterTaskDefinition: always a new revision, registered by a caller.
    pub fn register_task_definition(
        &mut self,
        definition: &ValidTaskDefinition,
        by: &Caller,
    ) -> Result<TaskDefinitionResponse, OpsError> {
        let owner = self.owner();
        let prefix = records::definitions(&owner.account, &owner.region, definition.family());
        for _ in 0..ATTEMPTS {
            let last = self.store.last::<IgnoredAny>(&prefix, |_| true)?;
            let last: u32 = last.and_then(|last| last.key.strip_prefix(&prefix)?.parse().ok()).unwrap_or_default();
            let at = time::wall_ns() / 1_000_000;
            if self.store.commit_durably(&self.written(definition, last + 1, (by, at)))? == Commit::Done {
                let task_definition = registered(definition, &owner, last + 1, (by, at));
                let tags = definition.definition().tags.clone().unwrap_or_default();
                return Ok(TaskDefinitionResponse { task_definition, tags });
            }
        }
        Err(OpsError::Contention)
    }

    /// What is written of a new revision, if there is none of that number.
    pub(super) fn written(&self, definition: &ValidTaskDefinition, revision: u32, (by, at): (&Caller, i64)) -> Txn {
        let owner = self.owner();
        let key = records::definition(&owner.account, &owner.region, definition.family(), revision);
        let new = registered(definition, &owner, revision, (by, at));
        let arn = owner.task_definition(definition.family(), revision).to_string();
        let given = definition.definition().tags.as_deref().unwrap_or_default();
        tags::put(Txn::default().require_absent(&key).put(&key, &new), &arn, given)
    }

    /// DescribeTaskDefinition.
    pub fn describe_task_definition(&self, name: &str) -> Result<TaskDefinitionResponse, OpsError> {
        let found = self.definition(name)?.ok_or_else(EcsError::definition_not_described)?;
        let tags = self.tags_of(found.value.task_definition_arn.as_deref().unwrap_or_default())?;
        Ok(TaskDefinitionResponse { task_definition: found.value, tags })
    }

    /// DeregisterTaskDefinition: the revision can no longer be run, and stays describable.
    pub fn deregister_task_definition(&mut self, name: &str) -> Result<TaskDefinitionResponse, OpsError> {
        match name.rsplit('/').next().and_then(|tail| tail.split_once(':')) {
            None => return Err(EcsError::client("Revision is missing.").into()),
            Some((_, revision)) if revision.parse::<u32>().is_err() => {
                return Err(EcsError::bad_revision(revision).into());
            }
            Some(_) => {}
        }
        for _ in 0..ATTEMPTS {
            let Entry { key, revision, value: mut found } =
                self.definition(name)?.ok_or_else(EcsError::definition_not_described)?;
            if found.status != Some(TaskDefinitionStatus::Active) {
                return Ok(bare_response(found));
            }
            found.status = Some(TaskDefinitionStatus::Inactive);
            found.deregistered_at = Some(Timestamp::from_millis(time::wall_ns() / 1_000_000));
            let txn = Txn::default().require_unchanged(&key, revision).put(&key, &found);
            if self.store.commit_durably(&txn)? == Commit::Done {
                return Ok(bare_response(found));
            }
        }
        Err(OpsError::Contention)
    }

    /// ListTaskDefinitions: `familyPrefix` is a whole family's name.
    pub fn list_task_definitions(
        &self,
        request: &ListTaskDefinitionsRequest,
    ) -> Result<ListTaskDefinitionsResponse, OpsError> {
        let owner = self.owner();
        let prefix = match &request.family_prefix {
            Some(family) => records::definitions(&owner.account, &owner.region, family),
            None => format!("definition/{}/{}/", owner.account, owner.region),
        };
        let status = match request.status.as_deref() {
            None | Some("ACTIVE") => TaskDefinitionStatus::Active,
            Some("INACTIVE") => TaskDefinitionStatus::Inactive,
            Some("DELETE_IN_PROGRESS") => TaskDefinitionStatus::DeleteInProgress,
            Some(other) => return Err(EcsError::invalid_parameter(format!("Invalid status: {other}")).into()),
        };
        let all = self.store.list::<StatusPart>(&prefix)?;
        let arns: Vec<TaskDefinitionArn> = all
            .into_iter()
            .filter(|one| one.value.status() == status)
            .filter_map(|one| arn_of(&one.key, &owner))
            .collect();
        let order = |arn: &TaskDefinitionArn| (arn.family.clone(), arn.revision);
        let asked = Asked::by(request.max_results, request.next_token.as_deref(), (100, 100));
        let (arns, next_token) = match request.sort.as_deref() {
            None | Some("ASC") => page(&"task definitions", arns, order, asked)?,
            Some("DESC") => page(&"task definitions from the end", arns, |arn| Reverse(order(arn)), asked)?,
            Some(other) => return Err(EcsError::invalid_parameter(format!("Invalid sort: {other}")).into()),
        };
        let task_definition_arns = arns.iter().map(ToString::to_string).collect();
        Ok(ListTaskDefinitionsResponse { task_definition_arns, next_token })
    }

    /// The definition that a name means, with its read-only members: the latest ACTIVE one of a family, or that revision. One
    /// that is deleted is there as long as something of it is used.
    pub(super) fn definition(&self, name: &str) -> Result<Option<Entry<TaskDefinition>>, OpsError> {
        let owner = self.owner();
        let key = |family: &str, revision| records::definition(&owner.account, &owner.region, family, revision);
        let found = match name.parse::<TaskDefinitionName>() {
            Err(_) => None,
            Ok(TaskDefinitionName::Family(family)) => {
                let prefix = records::definitions(&owner.account, &owner.region, &family);
                let active = |one: &TaskDefinition| one.status.is_none_or(|is| is == TaskDefinitionStatus::Active);
                self.store.last(&prefix, active)?
            }
            Ok(TaskDefinitionName::Revision(family, revision)) => self.store.get(&key(&family, revision))?,
            Ok(TaskDefinitionName::Arn(arn)) if arn.owner == owner => {
                self.store.get(&key(&arn.family, arn.revision))?
            }
            Ok(TaskDefinitionName::Arn(_)) => None,
        };
        let Some(mut found) = found else { return Ok(None) };
        complete(&mut found, &owner);
        match found.value.status {
            Some(TaskDefinitionStatus::DeleteInProgress) if !self.is_used(&found.value)? => Ok(None),
            _ => Ok(Some(found)),
        }
    }

    /// A definition that is registered and can be run, and its revision.
    pub fn registered(&self, name: &str) -> Result<(ValidTaskDefinition, u32), OpsError> {
        self.runnable(name, None)
    }

    /// Whether tasks of a registered definition must be told which subnets they may be in.
    pub fn needs_network(&self, name: &str) -> Result<bool, OpsError> {
        Ok(self.registered(name)?.0.network_mode() == NetworkMode::Awsvpc)
    }

    /// A definition that is to be run: one that is INACTIVE only if it is `in_use` already.
    pub(super) fn runnable(&self, name: &str, in_use: Option<&str>) -> Result<(ValidTaskDefinition, u32), OpsError> {
        let found = self.definition(name)?.ok_or_else(EcsError::definition_not_found)?;
        let arn = arn_of(&found.key, &self.owner()).ok_or_else(EcsError::definition_not_found)?;
        let short = format!("{}:{}", arn.family, arn.revision);
        if found.value.status != Some(TaskDefinitionStatus::Active) && in_use != Some(&short) {
            return Err(EcsError::client("TaskDefinition is inactive").into());
        }
        let valid = self.store.get::<ValidTaskDefinition>(&found.key)?.ok_or_else(EcsError::definition_not_found)?;
        Ok((valid.value, arn.revision))
    }
}

/// What a record without its own read-only members has for them.
fn complete(found: &mut Entry<TaskDefinition>, owner: &Owner) {
    let Some(arn) = arn_of(&found.key, owner) else { return };
    found.value.revision = i32::try_from(arn.revision).ok();
    found.value.task_definition_arn = Some(arn.to_string());
    found.value.status.get_or_insert(TaskDefinitionStatus::Active);
}

pub(super) fn arn_of(key: &str, owner: &Owner) -> Option<TaskDefinitionArn> {
    let (rest, revision) = key.rsplit_once('/')?;
    Some(owner.task_definition(rest.rsplit('/').next()?, revision.parse().ok()?))
}

/// An answer without tags.
fn bare_response(task_definition: TaskDefinition) -> TaskDefinitionResponse {
    TaskDefinitionResponse { task_definition, tags: Vec::new() }
}
