//! From a request to its answer: metadata, statistics and credentials; task protection and faults are `api`'s.

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;

use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq;

use super::connection::Request;
use super::role::{Had, Role};
use super::sample::{Links, Samples};
use crate::ecs::arn::Owner;
use crate::ecs::task_definition;
use crate::lifecycle::{LastStatus, TaskState, Timestamp};
use crate::metadata::{
    Clock, Facts, FaultAction, Metadata, Path, Storage, Tag, Tagged, Version, container_document, parse, task_document,
    task_with_tags,
};
use crate::net::FaultSockets;
use crate::plan::TaskPlan;
use crate::runtime::cgroup::Cgroups;
use crate::store::records::{self, Desired};
use crate::store::{Store, StoreError};
use crate::sys::time;

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    kind: &'static str,
    body: Vec<u8>,
}

impl Reply {
    pub(super) fn json(status: u16, value: &Value) -> Self {
        Self { status, kind: "application/json", body: value.to_string().into_bytes() }
    }

    pub(super) fn text(status: u16, text: &str) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: format!("{text}\n").into_bytes() }
    }

    pub(super) fn too_many() -> Self {
        Self {
            status: 429,
            kind: "text/plain; charset=utf-8",
            body: b"You have reached maximum request limit.".to_vec(),
        }
    }

    /// Credentials did not come in time.
    pub(super) fn late() -> Self {
        credentials_error(503, "CredentialsUninitialized", "CredentialsV2Request: no answer from the role's source")
    }

    /// The whole message. Nobody keeps what may be somebody's credentials.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let head = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
            self.status,
            reason(self.status),
            self.kind,
            self.body.len(),
        );
        [head.as_bytes(), &self.body].concat()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

/// When it is.
pub(super) enum Answered {
    Now(Reply),
    /// When the credentials are there.
    Later,
}

/// Everything that answers.
pub(super) struct Desk {
    pub(super) plan: TaskPlan,
    pub(super) store: Option<Store>,
    pub(super) faults: Option<FaultSockets>,
    /// When each path of a fault was asked for, the last time.
    pub(super) fault_at: HashMap<(String, FaultAction), u64>,
    role: Role,
    samples: Samples,
}

impl Desk {
    pub(super) fn new(
        plan: TaskPlan,
        cgroups: Cgroups,
        links: Links,
        faults: Option<FaultSockets>,
    ) -> io::Result<Self> {
        let role = Role::new(&plan)?;
        let samples = Samples::new(cgroups, links, &plan);
        Ok(Self { plan, store: None, faults, fault_at: HashMap::new(), role, samples })
    }

    /// What is readable when credentials have come.
    pub(super) fn told(&self) -> BorrowedFd<'_> {
        self.role.told()
    }

    /// Takes credentials that have come; whether there is something to say now.
    pub(super) fn hear(&mut self) -> bool {
        self.role.hear()
    }

    pub(super) fn answer(&mut self, request: &Request) -> Answered {
        let path = parse(&request.target);
        match (path, request.method.as_str()) {
            (Path::Unknown, _) => Answered::Now(Reply::text(404, "404 page not found")),
            (Path::Credentials(id), "GET") => self.credentials_for(id.as_deref()),
            (Path::Metadata(version, what, id), "GET") => Answered::Now(self.metadata(version, what, id.as_deref())),
            (Path::Protection(id), method @ ("GET" | "PUT")) => {
                Answered::Now(self.protection(&id, method, &request.body))
            }
            (Path::Fault(id, name, action), "POST") => Answered::Now(self.fault(&id, &name, action, &request.body)),
            _ => Answered::Now(Reply::text(405, "405 method not allowed")),
        }
    }

    fn credentials_for(&mut self, id: Option<&str>) -> Answered {
        let refuse = |status, code, text| Answered::Now(credentials_error(status, code, text));
        let Some(id) = id else {
            return refuse(400, "NoIdInRequest", "CredentialsV2Request: No Credential ID in the request");
        };
        let known =
            self.plan.agent.role.as_ref().is_some_and(|role| bool::from(role.id.as_bytes().ct_eq(id.as_bytes())));
        if !known {
            return refuse(400, "InvalidIdInRequest", "CredentialsV2Request: Credentials not found");
        }
        match self.role.ask() {
            Had::Now => Answered::Now(self.credentials()),
            Had::Later => Answered::Later,
        }
    }

    /// The credentials, or why there are none.
    pub(super) fn credentials(&self) -> Reply {
        match self.role.answer() {
            Ok(document) => Reply::json(200, &document),
            Err(reason) => {
                let text = format!("CredentialsV2Request: Credentials uninitialized for ID: {reason}");
                credentials_error(503, "CredentialsUninitialized", &text)
            }
        }
    }

    fn metadata(&mut self, version: Version, what: Metadata, id: Option<&str>) -> Reply {
        if let Some(id) = id.filter(|id| !self.is_own(id)) {
            return unknown(version, id);
        }
        let state = match self.state() {
            Ok(Some(state)) => state,
            Ok(None) => return failed("the task is over"),
            Err(error) => return failed(&error.to_string()),
        };
        let facts = match self.facts() {
            Ok(facts) => facts,
            Err(error) => return failed(&error.to_string()),
        };
        let id = id.unwrap_or_default();
        let document = match what {
            Metadata::Task => task_document(version, &self.plan, &state, &facts),
            Metadata::TaskWithTags => {
                let tags = self.tags();
                task_with_tags(version, &self.plan, &state, &facts, &tags)
            }
            Metadata::Container => match container_document(version, &self.plan, &state, &facts, id) {
                Some(document) => document,
                None => return unknown(version, id),
            },
            Metadata::Stats => match self.samples.stats(version, &self.plan, &state, Some(id)).remove(id) {
                Some(document) => document,
                None => return unknown(version, id),
            },
            Metadata::TaskStats => Value::Object(self.samples.stats(version, &self.plan, &state, None)),
            Metadata::Associations => json!({ "Associations": [] }),
        };
        Reply::json(200, &document)
    }

    /// Whether it is the id of a container of this task.
    pub(super) fn is_own(&self, id: &str) -> bool {
        self.plan.containers.iter().any(|container| container.runtime_id == id)
    }

    /// The store, opened when it is needed first.
    pub(super) fn store(&mut self) -> Result<&mut Store, StoreError> {
        if self.store.is_none() {
            self.store = Some(Store::open(&self.plan.store)?);
        }
        Ok(self.store.as_mut().expect("it was opened above"))
    }

    fn state(&mut self) -> Result<Option<TaskState>, StoreError> {
        let key = self.plan.status_key();
        let found = self.store()?.get::<TaskState>(&key)?.map(|entry| entry.value);
        Ok(found.filter(|state| state.last_status != LastStatus::Stopped))
    }

    /// The tags of the task, and of the container instance that it was placed on.
    fn tags(&mut self) -> Vec<Tagged> {
        let plan = &self.plan;
        let owner = Owner { region: plan.region.clone(), account: plan.account.clone() };
        let instance = plan.container_instance().map(|id| owner.container_instance(&plan.cluster, &id).to_string());
        let all = [("TaskTags", Some(plan.arn().to_string())), ("ContainerInstanceTags", instance)];
        let tagged = |(member, arn): (&'static str, Option<String>)| {
            let arn = arn?;
            let tags = self.tags_of(&arn).map_err(|error| error.to_string());
            Some(Tagged { member, arn, tags })
        };
        all.into_iter().filter_map(tagged).collect()
    }

    fn tags_of(&mut self, arn: &str) -> Result<Vec<Tag>, StoreError> {
        let found = self.store()?.get::<Vec<task_definition::Tag>>(&records::tags(arn))?;
        let tag =
            |tag: task_definition::Tag| Tag { key: tag.key.unwrap_or_default(), value: tag.value.unwrap_or_default() };
        Ok(found.map(|entry| entry.value).unwrap_or_default().into_iter().map(tag).collect())
    }

    fn facts(&mut self) -> Result<Facts, StoreError> {
        let key = self.plan.desired_key();
        let stops = self.store()?.get::<Desired>(&key)?.is_some();
        let now = Timestamp(time::wall_ns() / 1_000_000);
        let clock = match time::clock() {
            Ok(clock) => Clock { error_us: clock.error_us, is_synchronized: clock.is_synchronized, now },
            Err(_) => Clock { error_us: 0, is_synchronized: false, now }, // the kernel does not say
        };
        Ok(Facts { stops, clock, storage: self.storage() })
    }

    /// What the file of the task's own disk takes on the host.
    fn storage(&self) -> Option<Storage> {
        use std::os::unix::fs::MetadataExt;
        let disk = self.plan.storage.disk.as_ref()?;
        let found = std::fs::metadata(&disk.file).ok()?;
        Some(Storage { used: (found.blocks() * 512).min(disk.bytes), size: disk.bytes })
    }
}

/// ECS's agent answers with a JSON string.
fn unknown(version: Version, id: &str) -> Reply {
    let version = match version {
        Version::V2 => "V2",
        Version::V3 => "V3",
        Version::V4 => "V4",
    };
    let shown: String = id.chars().take(128).collect();
    let text = format!(
        "{version} metadata handler: unable to get task arn from request: unable to get task Arn from v3 endpoint ID: {shown}"
    );
    Reply::json(404, &text.into())
}

fn failed(why: &str) -> Reply {
    Reply::json(500, &format!("Failed to get metadata: {why}").into())
}

fn credentials_error(status: u16, code: &str, message: &str) -> Reply {
    let mut all = Map::new();
    all.insert("code".to_owned(), code.into());
    all.insert("message".to_owned(), message.into());
    all.insert("HTTPErrorCode".to_owned(), status.into());
    Reply::json(status, &Value::Object(all))
}
