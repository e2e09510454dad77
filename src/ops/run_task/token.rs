//! Client tokens of RunTask: the same token with the same arguments gives the same tasks. Every SDK sends one by itself, and
//! sends it again when an answer is late. Token and tasks are written in one transaction, so that there is never one without
//! the others, whoever dies.

use serde::{Deserialize, Serialize};

use super::now;
use crate::ecs::error::EcsError;
use crate::ecs::request::{RunTaskRequest, TasksResponse};
use crate::ops::{Engine, OpsError, TaskRecord};
use crate::store::{Txn, records};

/// How long a token is remembered, in milliseconds: a day.
const REMEMBERED: i64 = 24 * 3600 * 1000;
/// The longest token, in characters.
const LONGEST: usize = 64;

/// The tasks that a client token stands for.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Token {
    request: RunTaskRequest,
    /// The keys of the tasks.
    tasks: Vec<String>,
    at: i64,
}

/// What is known of a request's token.
pub(super) enum Known {
    /// Its tasks.
    Answered(TasksResponse),
    /// Nothing that anybody remembers. What stands under its key now must stand there still when the tasks are written.
    New(Option<Slot>),
}

/// The place of a token in the store, as it was seen.
pub(super) struct Slot {
    key: String,
    /// The revision of one that is forgotten.
    revision: Option<i64>,
}

impl Engine {
    /// Looks up the token of a request.
    pub(super) fn known_token(&self, cluster: &str, request: &RunTaskRequest) -> Result<Known, OpsError> {
        let Some(token) = &request.client_token else { return Ok(Known::New(None)) };
        if token.is_empty() || token.chars().count() > LONGEST {
            return Err(EcsError::invalid_parameter("clientToken must be 1 to 64 characters.").into());
        }
        let key = records::token(&self.config.account, &self.config.region, cluster, token);
        let (revision, known) = match self.store.get::<Token>(&key)? {
            None => return Ok(Known::New(Some(Slot { key, revision: None }))),
            Some(entry) => (entry.revision, entry.value),
        };
        if now().0 - known.at > REMEMBERED {
            return Ok(Known::New(Some(Slot { key, revision: Some(revision) })));
        }
        let mut tasks = Vec::new();
        for key in &known.tasks {
            tasks.extend(self.records(key)?);
        }
        if known.request != *request {
            let ids = tasks.iter().map(|record| record.plan.arn().to_string()).collect();
            let message = "The clientToken was used before with other parameters.";
            return Err(EcsError::conflict(message, ids).into());
        }
        let tasks = tasks.iter().map(|record| self.view_with_tags(record)).collect::<Result<_, _>>()?;
        Ok(Known::Answered(TasksResponse { tasks, failures: Vec::new() }))
    }

    /// Adds the token of a request to the transaction of its tasks. A request of which nothing came may be sent again.
    pub(super) fn with_token(
        &self,
        txn: Txn,
        slot: Option<&Slot>,
        request: &RunTaskRequest,
        tasks: &[TaskRecord],
    ) -> Result<Txn, OpsError> {
        let Some(Slot { key, revision }) = slot.filter(|_| !tasks.is_empty()) else { return Ok(txn) };
        let new = Token {
            request: request.clone(),
            tasks: tasks.iter().map(|record| record.plan.key.clone()).collect(),
            at: now().0,
        };
        let txn = match revision {
            Some(revision) => txn.require_unchanged(key, *revision),
            None => txn.require_absent(key),
        };
        self.forget_old(txn.put(key, &new), key)
    }

    /// Now and then, those that nobody remembers are taken away: about one request in sixteen looks for them.
    fn forget_old(&self, txn: Txn, key: &str) -> Result<Txn, OpsError> {
        if key.bytes().fold(0_u8, u8::wrapping_add) % 16 != 0 {
            return Ok(txn);
        }
        let all = self.store.list::<Token>("token/")?;
        let old = all.into_iter().filter(|one| one.key != key && now().0 - one.value.at > REMEMBERED);
        Ok(old.fold(txn, |txn, one| txn.delete(one.key)))
    }
}
