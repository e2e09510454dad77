//! `ECS_AGENT_URI`: task protection, which the service's scheduler heeds, and faults.

use serde_json::{Value, json};

use super::answer::{Desk, Reply};
use crate::ecs::arn::Owner;
use crate::lifecycle::Timestamp;
use crate::metadata::{FaultAction, FaultKind, Protection, parse_fault, parse_protection};
use crate::net::{ImpairError, Sought};
use crate::store::records::{self, Protection as Protected};
use crate::store::{Commit, StoreError, Txn};
use crate::sys::time;

/// Milliseconds between two requests for one path.
const FAULT_PACE: u64 = 5000;

impl Desk {
    fn arn(&self) -> String {
        let owner = Owner { region: self.plan.region.clone(), account: self.plan.account.clone() };
        owner.task(&self.plan.cluster, &self.plan.id).to_string()
    }

    /// Whether the task is protected, or is to be.
    pub(super) fn protection(&mut self, id: &str, method: &str, body: &[u8]) -> Reply {
        let arn = self.arn();
        let refused = |status, arn: &str, code: &str, message: &str| {
            let mut error = json!({ "Code": code, "Message": message });
            if !arn.is_empty() {
                error["Arn"] = arn.into();
            }
            Reply::json(status, &json!({ "error": error }))
        };
        if !self.is_own(id) {
            return refused(404, "", "ResourceNotFoundException", "Failed to find a task for the request");
        }
        let wanted = match method {
            "PUT" => match parse_protection(body) {
                Ok(wanted) => Some(wanted),
                Err(error) => return refused(400, &arn, "InvalidParameterException", &error.to_string()),
            },
            _ => None,
        };
        if self.plan.agent.role.is_none() {
            let text = "Invalid Request: no task IAM role credentials available for task";
            return refused(403, &arn, "AccessDeniedException", text);
        }
        if self.plan.service.is_none() {
            let failure = json!({ "Arn": arn, "Reason": "TASK_NOT_VALID" });
            return Reply::json(200, &json!({ "failure": failure }));
        }
        match self.protect(wanted) {
            Ok(Some(until)) => Reply::json(200, &Protection::document(&arn, until)),
            // Its service has decided to stop it: it is too late.
            Ok(None) => Reply::json(200, &json!({ "failure": { "Arn": arn, "Reason": "TASK_NOT_VALID" } })),
            Err(error) => refused(500, &arn, "ServerException", &error.to_string()),
        }
    }

    /// Writes what is wanted; what holds then. `None` of a task that is to stop.
    fn protect(&mut self, wanted: Option<Protection>) -> Result<Option<Option<Timestamp>>, StoreError> {
        let (key, desired) = (records::protection(&self.plan.id), self.plan.desired_key());
        let now = Timestamp(time::wall_ns() / 1_000_000);
        let store = self.store()?;
        let Some(wanted) = wanted else {
            let found = store.get::<Protected>(&key)?.map(|entry| Timestamp(entry.value.until));
            return Ok(Some(found.filter(|until| *until > now)));
        };
        let until = wanted.until(now);
        // Against the scheduler's word that it is to stop: one of the two comes first.
        let txn = Txn::default().require_absent(desired);
        let txn = match until {
            Some(until) => txn.put(&key, &Protected { until: until.0 }),
            None => txn.delete(&key),
        };
        if store.commit_durably(&txn)? == Commit::Conflict {
            return Ok(None);
        }
        // The loop wakes the scheduler; one that is gone leaves that to the next.
        let _ = nix::unistd::write(std::io::stdout(), b"w");
        Ok(Some(until))
    }

    /// Begins, ends or tells of a fault.
    pub(super) fn fault(&mut self, id: &str, name: &str, action: FaultAction, body: &[u8]) -> Reply {
        let error = |status, text: String| Reply::json(status, &json!({ "Error": text }));
        let Some(kind) = FaultKind::named(name) else { return Reply::text(404, "404 page not found") };
        if !self.is_own(id) {
            return error(404, format!("unable to lookup container: {id:.128}"));
        }
        let arn = self.arn();
        let Some(sockets) = &mut self.faults else {
            return error(400, format!("enableFaultInjection is not enabled for task: {arn}"));
        };
        let fault = match parse_fault(kind, action, body) {
            Ok(fault) => fault,
            Err(source) => return error(400, source.to_string()),
        };
        let now = time::boot_ms();
        let path = (name.to_owned(), action);
        if self.fault_at.get(&path).is_some_and(|at| now < at + FAULT_PACE) {
            return Reply::too_many();
        }
        self.fault_at.insert(path, now);
        match sockets.act(&fault, action) {
            Ok(sought) => Reply::json(200, &status(sought)),
            Err(source @ ImpairError::Already) => error(409, source.to_string()),
            Err(source) => error(500, super::super::chain(&source)),
        }
    }
}

fn status(sought: Sought) -> Value {
    json!({ "Status": match sought {
        Sought::Running => "running",
        Sought::Stopped => "stopped",
        Sought::NotRunning => "not-running",
    } })
}
