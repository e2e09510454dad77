//! Families of task definitions: their list, and the end of revisions that were deregistered.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::definitions::{StatusPart, arn_of};
use super::index::Brief;
use super::paging::{Asked, page};
use super::{Engine, OpsError};
use crate::ecs::TaskDefinition;
use crate::ecs::Timestamp;
use crate::ecs::arn::TaskDefinitionName;
use crate::ecs::error::EcsError;
use crate::ecs::request::{
    DeleteTaskDefinitionsRequest, DeleteTaskDefinitionsResponse, ListTaskDefinitionFamiliesRequest,
    ListTaskDefinitionFamiliesResponse,
};
use crate::ecs::task::Failure;
use crate::ecs::task_definition::TaskDefinitionStatus;
use crate::lifecycle::LastStatus;
use crate::scheduler::ServiceStatus;
use crate::store::records::SERVICES;
use crate::store::{Commit, Entry, Txn};
use crate::sys::time;

/// The most revisions that one request deletes.
const MOST: usize = 10;
const ATTEMPTS: usize = 20;
const ABSENT: &str =
    "The specified task definition does not exist. Specify a valid account, family, revision and try again.";
const STILL_ACTIVE: &str =
    "The specified task definition is still in ACTIVE status. Please deregister the target and try again.";

impl Engine {
    /// ListTaskDefinitionFamilies: here `familyPrefix` really is a prefix.
    pub fn list_task_definition_families(
        &self,
        request: &ListTaskDefinitionFamiliesRequest,
    ) -> Result<ListTaskDefinitionFamiliesResponse, OpsError> {
        let owner = self.owner();
        let start = format!("definition/{}/{}/", owner.account, owner.region);
        let wanted = format!("{start}{}", request.family_prefix.as_deref().unwrap_or_default());
        let mut families: BTreeMap<String, bool> = BTreeMap::new();
        for one in self.store.list::<StatusPart>(&wanted)? {
            let status = one.value.status();
            let Some(arn) = arn_of(&one.key, &owner).filter(|_| status != TaskDefinitionStatus::DeleteInProgress)
            else {
                continue;
            };
            *families.entry(arn.family).or_default() |= status == TaskDefinitionStatus::Active;
        }
        match request.status.as_deref() {
            None | Some("ALL") => {}
            Some("ACTIVE") => families.retain(|_, active| *active),
            Some("INACTIVE") => families.retain(|_, active| !*active),
            Some(other) => return Err(EcsError::invalid_parameter(format!("Invalid status: {other}")).into()),
        }
        let asked = Asked::by(request.max_results, request.next_token.as_deref(), (100, 100));
        let (families, next_token) = page(&"families", families.into_keys().collect(), String::clone, asked)?;
        Ok(ListTaskDefinitionFamiliesResponse { families, next_token })
    }

    /// DeleteTaskDefinitions: INACTIVE revisions become DELETE_IN_PROGRESS, and are gone as soon as nothing uses them. The
    /// record stays, so that the number is never given again.
    pub fn delete_task_definitions(
        &mut self,
        request: &DeleteTaskDefinitionsRequest,
    ) -> Result<DeleteTaskDefinitionsResponse, OpsError> {
        if !(1..=MOST).contains(&request.task_definitions.len()) {
            return Err(EcsError::invalid_parameter(format!("taskDefinitions must have 1 to {MOST} elements.")).into());
        }
        let mut answer = DeleteTaskDefinitionsResponse::default();
        for name in &request.task_definitions {
            let failure =
                |reason: &str| Failure { arn: Some(name.clone()), reason: Some(reason.to_owned()), detail: None };
            if matches!(name.parse::<TaskDefinitionName>(), Err(_) | Ok(TaskDefinitionName::Family(_))) {
                answer.failures.push(failure(ABSENT));
                continue;
            }
            match self.delete_definition(name)? {
                Ok(definition) => answer.task_definitions.push(definition),
                Err(reason) => answer.failures.push(failure(reason)),
            }
        }
        Ok(answer)
    }

    fn delete_definition(&mut self, name: &str) -> Result<Result<TaskDefinition, &'static str>, OpsError> {
        for _ in 0..ATTEMPTS {
            let Some(Entry { key, revision, mut value }) = self.definition(name)? else { return Ok(Err(ABSENT)) };
            match value.status {
                Some(TaskDefinitionStatus::Inactive) => {}
                Some(TaskDefinitionStatus::DeleteInProgress) => return Ok(Ok(value)),
                Some(TaskDefinitionStatus::Active) | None => return Ok(Err(STILL_ACTIVE)),
            }
            value.status = Some(TaskDefinitionStatus::DeleteInProgress);
            value.delete_requested_at = Some(Timestamp::from_millis(time::wall_ns() / 1_000_000));
            if self.store.commit_durably(&Txn::default().require_unchanged(&key, revision).put(&key, &value))?
                == Commit::Done
            {
                return Ok(Ok(value));
            }
        }
        Err(OpsError::Contention)
    }

    /// Whether a task or a service is of a revision.
    pub(super) fn is_used(&self, definition: &TaskDefinition) -> Result<bool, OpsError> {
        let revision = definition.revision.and_then(|revision| u32::try_from(revision).ok()).unwrap_or_default();
        let of_task = |brief: &Arc<Brief>| {
            brief.status != LastStatus::Stopped && brief.family == definition.family && brief.revision == revision
        };
        if self.briefs()?.iter().any(of_task) {
            return Ok(true);
        }
        let short = format!("{}:{revision}", definition.family);
        let owner = self.owner();
        let prefix = format!("{}{}/{}/", SERVICES, owner.account, owner.region);
        let services = self.store.list::<super::ServiceRecord>(&prefix)?;
        Ok(services.iter().map(|entry| &entry.value.service).any(|service| {
            service.status != ServiceStatus::Inactive && service.deployments.iter().any(|one| one.definition == short)
        }))
    }
}
