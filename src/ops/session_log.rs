//! Where sessions of ECS Exec are written down: what a cluster's `executeCommandConfiguration` says of it, and the log of one
//! session, a stream of the local store with the session's name. As with ECS, who says nothing has them in the group to
//! which the container's own output goes, if that is one.

use serde::Deserialize;
use serde_json::Value;

use super::{Engine, OpsError, TaskRecord};
use crate::ecs::error::{EcsError, Exception};
use crate::logs::{self, LogError, LogFile, Stream, StreamFile};

/// `executeCommandConfiguration`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Configuration {
    kms_key_id: Option<String>,
    logging: Logging,
    log_configuration: Option<LogConfiguration>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Logging {
    /// Nowhere.
    None,
    /// Where the container's own output goes.
    #[default]
    Default,
    /// Where `logConfiguration` says.
    Override,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct LogConfiguration {
    cloud_watch_log_group_name: Option<String>,
    cloud_watch_encryption_enabled: bool,
    s3_bucket_name: Option<String>,
    s3_encryption_enabled: bool,
    s3_key_prefix: Option<String>,
}

impl Configuration {
    /// Out of a cluster's `configuration`.
    fn read(configuration: Option<&Value>) -> Result<Self, EcsError> {
        let own = configuration.and_then(|all| all.get("executeCommandConfiguration")).filter(|own| !own.is_null());
        let read = own.map_or_else(|| Ok(Self::default()), Self::deserialize);
        read.map_err(|error| EcsError::invalid_parameter(format!("Invalid executeCommandConfiguration: {error}")))
    }

    /// Why it cannot be.
    fn fault(&self) -> Option<EcsError> {
        let given = self.log_configuration.as_ref();
        let refused = [
            ("kmsKeyId", self.kms_key_id.is_some()),
            ("cloudWatchEncryptionEnabled", given.is_some_and(|given| given.cloud_watch_encryption_enabled)),
            ("s3BucketName", given.is_some_and(|given| given.s3_bucket_name.is_some())),
            ("s3EncryptionEnabled", given.is_some_and(|given| given.s3_encryption_enabled)),
            ("s3KeyPrefix", given.is_some_and(|given| given.s3_key_prefix.is_some())),
        ];
        if let Some((member, _)) = refused.iter().find(|(_, is_given)| *is_given) {
            let message = format!(
                "executeCommandConfiguration: {member} is not supported; sessions are logged as they are, in groups of the local store."
            );
            return Some(EcsError::new(Exception::UnsupportedFeatureException, message));
        }
        let group = given.and_then(|given| given.cloud_watch_log_group_name.as_ref());
        let message = match (self.logging, given, group) {
            (Logging::Override, _, None) => "logging OVERRIDE needs logConfiguration with cloudWatchLogGroupName.",
            (Logging::None | Logging::Default, Some(_), _) => "logConfiguration is for logging OVERRIDE alone.",
            (Logging::Override, _, Some(_)) | (Logging::None | Logging::Default, None, _) => return None,
        };
        Some(EcsError::invalid_parameter(message))
    }
}

/// Refuses what cannot be done of a cluster's `configuration`.
pub(super) fn check(configuration: Option<&Value>) -> Result<(), EcsError> {
    Configuration::read(configuration)?.fault().map_or(Ok(()), Err)
}

/// A group in which a session is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SessionGroup {
    region: String,
    group: String,
}

impl Engine {
    /// The group for sessions in the container at a place, if they are written down.
    pub(super) fn session_group(&self, record: &TaskRecord, place: usize) -> Result<Option<SessionGroup>, OpsError> {
        let cluster = self.cluster_record(&record.plan.cluster)?.map(|entry| entry.value.created_with);
        let configuration = Configuration::read(cluster.and_then(|cluster| cluster.configuration).as_ref())?;
        let given = configuration.log_configuration.and_then(|given| given.cloud_watch_log_group_name);
        Ok(match configuration.logging {
            Logging::None => None,
            Logging::Override => given.map(|group| SessionGroup { region: record.plan.region.clone(), group }),
            Logging::Default => record.plan.containers[place]
                .log
                .stream
                .as_ref()
                .map(|own| SessionGroup { region: own.region.clone(), group: own.group.clone() }),
        })
    }

    /// Begins the log of a session.
    pub(super) fn session_log(
        &self,
        record: &TaskRecord,
        place: usize,
        group: &SessionGroup,
        session: &str,
    ) -> Result<SessionLog, OpsError> {
        let SessionGroup { region, group } = group;
        let is_there = self.layout().log_group(region, group).is_dir();
        if !is_there && !self.config.log.create_groups {
            return Err(EcsError::client(format!("The log group {group} for this session does not exist.")).into());
        }
        let container = &record.plan.containers[place];
        let path = self.layout().log_stream(region, group, session).join(format!("{}.log", container.runtime_id));
        let (max_bytes, max_files) = (container.log.max_bytes, container.log.max_files);
        let file = LogFile::open(&path, max_bytes, max_files)?;
        let of = StreamFile {
            region: region.clone(),
            group: group.clone(),
            stream: session.to_owned(),
            task: record.plan.id.clone(),
            container: container.name.clone(),
            multiline: None,
        };
        logs::describe(&path, &of)?;
        Ok(SessionLog { file })
    }
}

/// The log of a session.
#[derive(Debug)]
pub struct SessionLog {
    file: LogFile,
}

impl SessionLog {
    /// Writes down what was shown. A session whose log cannot be written goes on without.
    pub fn write(&mut self, shown: &[u8]) {
        let _ = self.append(shown);
    }

    fn append(&mut self, shown: &[u8]) -> Result<(), LogError> {
        let mut batch = Vec::new();
        logs::encode(&mut batch, Stream::Stdout, jiff::Timestamp::now(), shown);
        if self.file.is_full_for(batch.len()) {
            self.file.rotate()?;
        }
        self.file.append(&batch)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(configuration: &Value) -> String {
        let all = json!({ "executeCommandConfiguration": configuration });
        check(Some(&all)).map_or_else(|error| error.message, |()| "taken".to_owned())
    }

    #[test]
    fn what_can_be_done_is_taken_and_the_rest_refused_by_name() {
        assert!(check(None).is_ok() && check(Some(&json!({}))).is_ok());
        let group = json!({ "cloudWatchLogGroupName": "g" });
        for taken in [
            json!({}),
            json!({ "logging": "NONE" }),
            json!({ "logging": "DEFAULT" }),
            json!({ "logging": "OVERRIDE", "logConfiguration": group }),
        ] {
            assert_eq!(refusal(&taken), "taken", "{taken}");
        }
        let overriding = |member: &str, value: Value| {
            let mut own = group.clone();
            own[member] = value;
            refusal(&json!({ "logging": "OVERRIDE", "logConfiguration": own }))
        };
        for (member, said) in [
            ("kmsKeyId", refusal(&json!({ "kmsKeyId": "k" }))),
            ("cloudWatchEncryptionEnabled", overriding("cloudWatchEncryptionEnabled", json!(true))),
            ("s3BucketName", overriding("s3BucketName", json!("b"))),
            ("s3EncryptionEnabled", overriding("s3EncryptionEnabled", json!(true))),
            ("s3KeyPrefix", overriding("s3KeyPrefix", json!("p"))),
            ("cloudWatchLogGroupName", refusal(&json!({ "logging": "OVERRIDE" }))),
            ("OVERRIDE", refusal(&json!({ "logging": "NONE", "logConfiguration": group }))),
            ("unknown variant", refusal(&json!({ "logging": "SOMETIMES" }))),
            ("unknown field", refusal(&json!({ "loging": "NONE" }))),
        ] {
            assert!(said.contains(member) && said != "taken", "{member}: {said}");
        }
    }
}
