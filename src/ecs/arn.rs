//! The names of things: ARNs and their short forms, made and parsed. Nothing here looks whether the thing exists.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What `task/`, `task-definition/` ... stand below: state is kept by account and region.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// The region, `us-east-1`.
    pub region: String,
    /// The account, twelve digits.
    pub account: String,
}

impl Owner {
    /// The owner of what is started on the command line: us-east-1 and the account that AWS's own samples use.
    pub fn local() -> Self {
        Self { region: "us-east-1".to_owned(), account: "123456789012".to_owned() }
    }

    /// The ARN of a cluster.
    pub fn cluster(&self, name: &str) -> ClusterArn {
        ClusterArn { owner: self.clone(), name: name.to_owned() }
    }

    /// The ARN of a revision of a task definition.
    pub fn task_definition(&self, family: &str, revision: u32) -> TaskDefinitionArn {
        TaskDefinitionArn { owner: self.clone(), family: family.to_owned(), revision }
    }

    /// The ARN of a task; `id` is 32 hexadecimal digits.
    pub fn task(&self, cluster: &str, id: &str) -> TaskArn {
        TaskArn { owner: self.clone(), cluster: cluster.to_owned(), id: id.to_owned() }
    }

    /// The ARN of a service.
    pub fn service(&self, cluster: &str, name: &str) -> ServiceArn {
        ServiceArn { owner: self.clone(), cluster: cluster.to_owned(), name: name.to_owned() }
    }

    /// The ARN of a container; `id` is a UUID.
    pub fn container(&self, cluster: &str, task: &str, id: &str) -> ContainerArn {
        ContainerArn { owner: self.clone(), cluster: cluster.to_owned(), task: task.to_owned(), id: id.to_owned() }
    }

    /// The ARN of a container instance; `id` is 32 hexadecimal digits.
    pub fn container_instance(&self, cluster: &str, id: &str) -> String {
        format!("{}container-instance/{cluster}/{id}", self.prefix())
    }

    /// The ARN of a capacity provider.
    pub fn capacity_provider(&self, name: &str) -> String {
        format!("{}capacity-provider/{name}", self.prefix())
    }

    /// The ARN of the attachment of a task; `id` is a UUID.
    pub fn attachment(&self, id: &str) -> String {
        format!("{}attachment/{id}", self.prefix())
    }

    fn prefix(&self) -> String {
        format!("arn:aws:ecs:{}:{}:", self.region, self.account)
    }
}

/// The text is not the ARN, or the short name, that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct ParseArnError {
    text: String,
    expected: &'static str,
}

/// `arn:aws:ecs:REGION:ACCOUNT:cluster/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterArn {
    /// Account and region.
    pub owner: Owner,
    /// The cluster's name.
    pub name: String,
}

/// `arn:aws:ecs:REGION:ACCOUNT:task-definition/FAMILY:REVISION`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskDefinitionArn {
    /// Account and region.
    pub owner: Owner,
    /// The family.
    pub family: String,
    /// The revision, from 1.
    pub revision: u32,
}

/// `arn:aws:ecs:REGION:ACCOUNT:task/CLUSTER/ID`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskArn {
    /// Account and region.
    pub owner: Owner,
    /// The cluster's name.
    pub cluster: String,
    /// 32 hexadecimal digits.
    pub id: String,
}

/// `arn:aws:ecs:REGION:ACCOUNT:container/CLUSTER/TASK/ID`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerArn {
    /// Account and region.
    pub owner: Owner,
    /// The cluster's name.
    pub cluster: String,
    /// The task's id.
    pub task: String,
    /// A UUID.
    pub id: String,
}

/// `arn:aws:ecs:REGION:ACCOUNT:service/CLUSTER/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceArn {
    /// Account and region.
    pub owner: Owner,
    /// The cluster's name.
    pub cluster: String,
    /// The service's name.
    pub name: String,
}

/// A task definition as callers name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskDefinitionName {
    /// `FAMILY`: its latest ACTIVE revision.
    Family(String),
    /// `FAMILY:REVISION`.
    Revision(String, u32),
    /// An ARN.
    Arn(TaskDefinitionArn),
}

/// Whether the text can be the name of a family, a container or a cluster: `[A-Za-z0-9_-]{1,255}`.
pub fn is_name(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Whether the text can be the id of a task: 32 hexadecimal digits, or the 36 of a UUID with its hyphens.
pub fn is_task_id(text: &str) -> bool {
    matches!(text.len(), 32 | 36) && text.bytes().all(|b| b.is_ascii_hexdigit() || (b == b'-' && text.len() == 36))
}

/// Splits `arn:aws:ecs:REGION:ACCOUNT:KIND/TAIL`.
fn split<'a>(text: &'a str, kind: &str) -> Option<(Owner, &'a str)> {
    let mut parts = text.strip_prefix("arn:aws:ecs:")?.splitn(3, ':');
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let tail = resource.strip_prefix(kind)?.strip_prefix('/')?;
    let region_ok = !region.is_empty() && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let account_ok = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    (region_ok && account_ok).then(|| (Owner { region: region.to_owned(), account: account.to_owned() }, tail))
}

/// `FAMILY:REVISION`.
fn revision(text: &str) -> Option<(String, u32)> {
    let (family, revision) = text.split_once(':')?;
    let digits = revision.bytes().all(|b| b.is_ascii_digit());
    let revision = revision.parse().ok().filter(|revision| digits && *revision > 0)?;
    is_name(family).then(|| (family.to_owned(), revision))
}

impl ClusterArn {
    fn parse(text: &str) -> Option<Self> {
        let (owner, name) = split(text, "cluster")?;
        is_name(name).then(|| Self { owner, name: name.to_owned() })
    }
}

impl TaskDefinitionArn {
    fn parse(text: &str) -> Option<Self> {
        let (owner, tail) = split(text, "task-definition")?;
        let (family, revision) = revision(tail)?;
        Some(Self { owner, family, revision })
    }
}

impl TaskArn {
    fn parse(text: &str) -> Option<Self> {
        let (owner, tail) = split(text, "task")?;
        let (cluster, id) = tail.split_once('/')?;
        (is_name(cluster) && is_task_id(id)).then(|| Self { owner, cluster: cluster.to_owned(), id: id.to_owned() })
    }
}

impl ServiceArn {
    /// The ARN of one of its revisions; `id` is 19 digits, those of the deployment.
    pub fn revision(&self, id: &str) -> String {
        format!("{}service-revision/{}/{}/{id}", self.owner.prefix(), self.cluster, self.name)
    }

    /// The ARN of one of its service deployments; `id` is 21 characters.
    pub fn deployment(&self, id: &str) -> String {
        format!("{}service-deployment/{}/{}/{id}", self.owner.prefix(), self.cluster, self.name)
    }

    /// The ARN of one of its task sets; `id` is 19 digits.
    pub fn task_set(&self, id: &str) -> String {
        format!("{}task-set/{}/{}/ecs-svc/{id}", self.owner.prefix(), self.cluster, self.name)
    }

    /// The service and the 19 digits in the ARN of a task set.
    pub fn split_task_set(text: &str) -> Option<(Self, String)> {
        let (owner, tail) = split(text, "task-set")?;
        let mut parts = tail.splitn(4, '/').map(str::to_owned);
        let (cluster, name, kind, id) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        (is_name(&cluster) && is_name(&name) && kind == "ecs-svc").then_some((Self { owner, cluster, name }, id))
    }

    /// The service and the id in the ARN of a revision (`service-revision`) or of a service deployment
    /// (`service-deployment`).
    pub fn split_child(text: &str, kind: &str) -> Option<(Self, String)> {
        let (owner, tail) = split(text, kind)?;
        let mut parts = tail.splitn(3, '/').map(str::to_owned);
        let (cluster, name, id) = (parts.next()?, parts.next()?, parts.next()?);
        (is_name(&cluster) && is_name(&name) && is_name(&id)).then_some((Self { owner, cluster, name }, id))
    }

    /// The short form `service/NAME` means the default cluster.
    fn parse(text: &str) -> Option<Self> {
        let (owner, tail) = split(text, "service")?;
        let (cluster, name) = tail.split_once('/').unwrap_or(("default", tail));
        (is_name(cluster) && is_name(name)).then(|| Self { owner, cluster: cluster.to_owned(), name: name.to_owned() })
    }
}

impl ContainerArn {
    fn parse(text: &str) -> Option<Self> {
        let (owner, tail) = split(text, "container")?;
        let mut parts = tail.splitn(3, '/').map(str::to_owned);
        let (cluster, task, id) = (parts.next()?, parts.next()?, parts.next()?);
        (is_name(&cluster) && is_task_id(&task) && is_name(&id)).then_some(Self { owner, cluster, task, id })
    }
}

impl fmt::Display for ClusterArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}cluster/{}", self.owner.prefix(), self.name)
    }
}

impl fmt::Display for TaskDefinitionArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}task-definition/{}:{}", self.owner.prefix(), self.family, self.revision)
    }
}

impl fmt::Display for TaskArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}task/{}/{}", self.owner.prefix(), self.cluster, self.id)
    }
}

impl fmt::Display for ContainerArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}container/{}/{}/{}", self.owner.prefix(), self.cluster, self.task, self.id)
    }
}

impl fmt::Display for ServiceArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}service/{}/{}", self.owner.prefix(), self.cluster, self.name)
    }
}

impl FromStr for TaskDefinitionName {
    type Err = ParseArnError;

    fn from_str(text: &str) -> Result<Self, ParseArnError> {
        let parsed = if text.starts_with("arn:") {
            TaskDefinitionArn::parse(text).map(Self::Arn)
        } else if text.contains(':') {
            revision(text).map(|(family, revision)| Self::Revision(family, revision))
        } else {
            is_name(text).then(|| Self::Family(text.to_owned()))
        };
        let expected = "a task definition: FAMILY, FAMILY:REVISION or an ARN";
        parsed.ok_or_else(|| ParseArnError { text: text.to_owned(), expected })
    }
}

macro_rules! text_form {
    ($arn:ty, $expected:literal) => {
        impl FromStr for $arn {
            type Err = ParseArnError;

            fn from_str(text: &str) -> Result<Self, ParseArnError> {
                Self::parse(text).ok_or_else(|| ParseArnError { text: text.to_owned(), expected: $expected })
            }
        }

        impl TryFrom<String> for $arn {
            type Error = ParseArnError;

            fn try_from(text: String) -> Result<Self, ParseArnError> {
                text.parse()
            }
        }

        impl From<$arn> for String {
            fn from(arn: $arn) -> Self {
                arn.to_string()
            }
        }
    };
}

text_form!(ClusterArn, "the ARN of a cluster");
text_form!(TaskDefinitionArn, "the ARN of a task definition");
text_form!(TaskArn, "the ARN of a task");
text_form!(ContainerArn, "the ARN of a container");
text_form!(ServiceArn, "the ARN of a service");

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn an_arn_reads_back_as_it_was_made() {
        let owner = Owner::local();
        let task = owner.task("default", ID);
        assert_eq!(task.to_string(), format!("arn:aws:ecs:us-east-1:123456789012:task/default/{ID}"));
        assert_eq!(task.to_string().parse(), Ok(task));
        let definition = owner.task_definition("webserver", 3);
        assert_eq!(definition.to_string(), "arn:aws:ecs:us-east-1:123456789012:task-definition/webserver:3");
        assert_eq!(definition.to_string().parse(), Ok(definition));
        let cluster = owner.cluster("default");
        assert_eq!(cluster.to_string().parse(), Ok(cluster));
        let container = owner.container("default", ID, "5f0f4ff6-8b1e-4d53-9a5e-b4d4bba2b1b4");
        assert_eq!(container.to_string().parse(), Ok(container));
    }

    #[test]
    fn what_is_not_an_arn_is_refused_by_name() {
        for text in ["", "arn:aws:ecs:::task/a/b", "arn:aws:ecs:us-east-1:123456789012:cluster/default", ID] {
            assert!(text.parse::<TaskArn>().is_err(), "{text}");
        }
        let error = "task/x".parse::<TaskArn>().unwrap_err();
        assert_eq!(error.to_string(), r#""task/x" is not the ARN of a task"#);
    }

    #[test]
    fn a_task_definition_is_named_in_three_ways() {
        let parse = |text: &str| text.parse::<TaskDefinitionName>();
        assert_eq!(parse("web"), Ok(TaskDefinitionName::Family("web".to_owned())));
        assert_eq!(parse("web:2"), Ok(TaskDefinitionName::Revision("web".to_owned(), 2)));
        assert!(matches!(
            parse("arn:aws:ecs:us-east-1:123456789012:task-definition/web:2"),
            Ok(TaskDefinitionName::Arn(_))
        ));
        for text in ["web:", "web:0", "web:+1", "web:x", "we b", "arn:aws:ecs:web"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
