//! Who calls, and what they may do. Whether they are who they say is the endpoint's business.

use serde_json::{Map, Value};

use super::super::engine::DEFAULT_CLUSTER;
use super::{Action, Kind, Scope, read};
use crate::ecs::error::{EcsError, Exception};
use crate::ops::Engine;

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Look.
    ReadOnly,
    /// Everything.
    Full,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Their name, as the last part of `arn:aws:iam::ACCOUNT:user/NAME`; `root` has no user.
    pub name: String,
    /// The region of their request; without one, the configuration's.
    pub region: Option<String>,
    /// What they may do.
    pub access: Access,
    /// The clusters that they may see, by name; all, where there is no list.
    pub clusters: Option<Vec<String>>,
    /// Where they reach streams, `ws://HOST:PORT`; nowhere, unless they call an endpoint over TCP.
    pub streams: Option<String>,
}

impl Caller {
    /// Root on this host.
    pub fn root() -> Self {
        Self { name: "root".to_owned(), region: None, access: Access::Full, clusters: None, streams: None }
    }

    /// Their ARN in an account.
    pub fn arn(&self, account: &str) -> String {
        match self.name.as_str() {
            "root" => format!("arn:aws:iam::{account}:root"),
            name => format!("arn:aws:iam::{account}:user/{name}"),
        }
    }

    /// Whether they may see a cluster.
    pub fn sees(&self, cluster: &str) -> bool {
        self.clusters.as_ref().is_none_or(|all| all.iter().any(|one| one == cluster))
    }
}

/// Members that are free text, or nobody's name.
const TEXTS: [&str; 6] = ["clientToken", "group", "nextToken", "reason", "referenceId", "startedBy"];
/// What stands before the cluster in an ARN of something that belongs to one.
const OF_CLUSTERS: [&str; 8] = [
    "cluster",
    "container",
    "container-instance",
    "service",
    "service-deployment",
    "service-revision",
    "task",
    "task-set",
];

/// Whether a caller may do what a request asks for.
pub(super) fn check(engine: &Engine, caller: &Caller, action: &Action, body: &[u8]) -> Result<(), EcsError> {
    let denied = |resource: &str| {
        let who = caller.arn(&engine.config.account);
        let what = action.name;
        let message = format!(
            "User: {who} is not authorized to perform: ecs:{what} on resource: {resource} because no identity-based policy \
             allows the ecs:{what} action"
        );
        Err(EcsError::new(Exception::AccessDeniedException, message))
    };
    if caller.access == Access::ReadOnly && action.kind == Kind::Write {
        return denied("*");
    }
    let Some(seen) = &caller.clusters else { return Ok(()) };
    if action.scope == Scope::Account && action.kind == Kind::Write {
        return denied("*");
    }
    let request = read::object(body)?;
    match named(action, &request).into_iter().find(|cluster| !seen.contains(cluster)) {
        Some(cluster) => denied(&engine.owner().cluster(&cluster).to_string()),
        None => Ok(()),
    }
}

/// The clusters that a request is about.
fn named(action: &Action, request: &Map<String, Value>) -> Vec<String> {
    let mut all = Vec::new();
    for (member, value) in request.iter().filter(|(member, _)| !TEXTS.contains(&member.as_str())) {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        for text in values.iter().filter_map(Value::as_str) {
            match member.as_str() {
                "cluster" | "clusters" | "clusterName" if !text.is_empty() => {
                    all.push(text.rsplit('/').next().unwrap_or(text).to_owned());
                }
                _ => all.extend(of_arn(text)),
            }
        }
    }
    let says = |member: &str| request.get(member).is_some_and(|value| value.as_str() != Some(""));
    let default = match action.scope {
        Scope::Cluster => !says("cluster"),
        Scope::Named => all.is_empty() && matches!(action.name, "CreateCluster" | "DescribeClusters"),
        Scope::Definitions | Scope::Account => false,
    };
    all.extend(default.then(|| DEFAULT_CLUSTER.to_owned()));
    all
}

/// The cluster of what an ARN names. Short ARNs have none in them: they mean what is in the default one.
fn of_arn(text: &str) -> Option<String> {
    let resource = text.strip_prefix("arn:")?.splitn(5, ':').nth(4)?;
    let (kind, tail) = resource.split_once('/')?;
    if !OF_CLUSTERS.contains(&kind) {
        return None;
    }
    match (kind, tail.split_once('/')) {
        ("cluster", _) => Some(tail.to_owned()),
        (_, Some((cluster, _))) => Some(cluster.to_owned()),
        (_, None) => Some(DEFAULT_CLUSTER.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::actions::action;

    fn clusters(name: &str, request: Value) -> Vec<String> {
        let Value::Object(request) = request else { panic!("an object") };
        named(action(name).unwrap(), &request)
    }

    #[test]
    fn a_request_is_about_the_clusters_that_it_names_in_any_form() {
        let arn = "arn:aws:ecs:us-east-1:000000000000:";
        let run = |request| clusters("RunTask", request);
        assert_eq!(run(serde_json::json!({"taskDefinition": "a"})), ["default"]);
        assert_eq!(run(serde_json::json!({"cluster": "", "startedBy": format!("{arn}cluster/x")})), ["default"]);
        assert_eq!(run(serde_json::json!({"cluster": format!("{arn}cluster/a")})), ["a"]);
        let tasks = serde_json::json!({"cluster": "a", "tasks": [format!("{arn}task/b/0123")]});
        assert_eq!(clusters("DescribeTasks", tasks), ["a", "b"]);
        let tag = |tail: &str| clusters("TagResource", serde_json::json!({"resourceArn": format!("{arn}{tail}")}));
        assert_eq!(tag("service/c/web"), ["c"]);
        assert_eq!(tag("service/web"), ["default"]);
        assert!(tag("task-definition/web:1").is_empty());
        assert_eq!(clusters("DescribeClusters", serde_json::json!({})), ["default"]);
    }
}
