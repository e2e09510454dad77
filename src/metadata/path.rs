//! The paths of the endpoint. Pure.
//!
//! A path names a container by its runtime id. Its task is not named: who asks is in the task's own network, and there is
//! nobody else's to be had.

use super::document::Version;

/// What of the metadata is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metadata {
    /// One container.
    Container,
    /// The task.
    Task,
    /// The task with its tags.
    TaskWithTags,
    /// The statistics of one container.
    Stats,
    /// Those of all containers.
    TaskStats,
    /// The containers that a container's links lead to (`associations`): ECS has them for accelerators; here is none.
    Associations,
}

/// What to do with a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultAction {
    /// Begin.
    Start,
    /// End.
    Stop,
    /// Tell.
    Status,
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path {
    /// Metadata of a version; version 2 may name no container.
    Metadata(Version, Metadata, Option<String>),
    /// The credentials with this id; none is named.
    Credentials(Option<String>),
    /// Task protection, asked from a container.
    Protection(String),
    /// A fault, by its name in the path, asked from a container.
    Fault(String, String, FaultAction),
    /// Nothing that there is.
    Unknown,
}

/// Reads a request's target: a path and perhaps a query.
pub fn parse(target: &str) -> Path {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let id = |id: &str| Some(id.to_owned());
    let of = |version, what, container: Option<String>| Path::Metadata(version, what, container);
    match parts[..] {
        ["v4", one] => of(Version::V4, Metadata::Container, id(one)),
        ["v4", one, "task"] => of(Version::V4, Metadata::Task, id(one)),
        ["v4", one, "taskWithTags"] => of(Version::V4, Metadata::TaskWithTags, id(one)),
        ["v4", one, "stats"] => of(Version::V4, Metadata::Stats, id(one)),
        ["v4", one, "task", "stats"] => of(Version::V4, Metadata::TaskStats, id(one)),
        ["v4", one, "associations", ..] => of(Version::V4, Metadata::Associations, id(one)),
        ["v3", one] => of(Version::V3, Metadata::Container, id(one)),
        ["v3", one, "task"] => of(Version::V3, Metadata::Task, id(one)),
        ["v3", one, "taskWithTags"] => of(Version::V3, Metadata::TaskWithTags, id(one)),
        ["v3", one, "stats"] => of(Version::V3, Metadata::Stats, id(one)),
        ["v3", one, "task", "stats"] => of(Version::V3, Metadata::TaskStats, id(one)),
        ["v3", one, "associations", ..] => of(Version::V3, Metadata::Associations, id(one)),
        ["v2", "metadata"] => of(Version::V2, Metadata::Task, None),
        ["v2", "metadataWithTags"] => of(Version::V2, Metadata::TaskWithTags, None),
        ["v2", "metadata", one] => of(Version::V2, Metadata::Container, id(one)),
        ["v2", "stats"] => of(Version::V2, Metadata::TaskStats, None),
        ["v2", "stats", one] => of(Version::V2, Metadata::Stats, id(one)),
        ["v2", "credentials", one] => Path::Credentials(id(one)),
        ["v2", "credentials"] => Path::Credentials(None),
        ["v1", "credentials"] => {
            Path::Credentials(query.split('&').find_map(|pair| pair.strip_prefix("id=")).and_then(id))
        }
        ["api", one, "task-protection", "v1", "state"] => Path::Protection(one.to_owned()),
        ["api", one, "fault", "v1", fault, action] => match action {
            "start" => Path::Fault(one.to_owned(), fault.to_owned(), FaultAction::Start),
            "stop" => Path::Fault(one.to_owned(), fault.to_owned(), FaultAction::Stop),
            "status" => Path::Fault(one.to_owned(), fault.to_owned(), FaultAction::Status),
            _ => Path::Unknown,
        },
        _ => Path::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_ecss_agent_is_known() {
        let of = |version, what, container: Option<&str>| Path::Metadata(version, what, container.map(str::to_owned));
        let cases = [
            ("/v4/x-1", of(Version::V4, Metadata::Container, Some("x-1"))),
            ("/v4/x-1/task", of(Version::V4, Metadata::Task, Some("x-1"))),
            ("/v4/x-1/taskWithTags", of(Version::V4, Metadata::TaskWithTags, Some("x-1"))),
            ("/v4/x-1/stats/", of(Version::V4, Metadata::Stats, Some("x-1"))),
            ("/v3/x-1/task/stats?a=b", of(Version::V3, Metadata::TaskStats, Some("x-1"))),
            ("/v2/metadata", of(Version::V2, Metadata::Task, None)),
            ("/v2/metadata/", of(Version::V2, Metadata::Task, None)),
            ("/v2/metadata/x-1", of(Version::V2, Metadata::Container, Some("x-1"))),
            ("/v2/stats", of(Version::V2, Metadata::TaskStats, None)),
            ("/v2/credentials/u", Path::Credentials(Some("u".into()))),
            ("/v1/credentials?id=u", Path::Credentials(Some("u".into()))),
            ("/v2/credentials", Path::Credentials(None)),
            ("/api/x-1/task-protection/v1/state", Path::Protection("x-1".into())),
            (
                "/api/x-1/fault/v1/network-latency/start",
                Path::Fault("x-1".into(), "network-latency".into(), FaultAction::Start),
            ),
            ("/api/x-1/fault/v1/network-latency/begin", Path::Unknown),
            ("/", Path::Unknown),
            ("/v4", Path::Unknown),
            ("/v5/x", Path::Unknown),
            ("/v4/x/../y", Path::Unknown),
        ];
        for (text, path) in cases {
            assert_eq!(parse(text), path, "{text}");
        }
    }
}
