//! `[log]`: what becomes of containers' output.

use std::path::PathBuf;

use serde::Deserialize;

use crate::aws::{Service, Settings, Variables};
use crate::logging::Mode;
use crate::plan::{CloudWatchPlan, LogSettings, Retention};

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LogConfig {
    /// A file is rotated at this size.
    pub max_mib: u64,
    /// How many files are kept per container.
    pub max_files: u32,
    /// Who waits for whom when output cannot be sent as quickly as it is written, where a definition does not say:
    /// `blocking` or `non-blocking` (ECS's account setting `defaultLogDriverMode`).
    pub default_mode: Mode,
    /// Streams of `awslogs` that nothing was written to for so many days are removed.
    pub retention_days: u32,
    /// The oldest streams are removed when all of them hold more.
    pub retention_mib: u64,
    /// Whether `awslogs` goes to CloudWatch Logs (the region's, or the endpoint of `[aws]`) beside the local store. Credentials
    /// come from the shared files of AWS's SDKs, by `[aws] profile` or `AWS_PROFILE`.
    pub cloudwatch: bool,
    /// Whether a group of the local store is there as soon as something is written to it. Where not, it is made by
    /// `awslogs-create-group` or by `berth logs --group NAME --create`, as one of CloudWatch Logs has to be made.
    pub create_groups: bool,
    /// How long a task that is over waits until its last output is sent.
    pub drain_seconds: u64,
    /// The socket of the journal.
    pub journal_socket: PathBuf,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            max_mib: 10,
            max_files: 5,
            default_mode: Mode::NonBlocking,
            retention_days: 30,
            retention_mib: 2048,
            cloudwatch: false,
            create_groups: true,
            drain_seconds: 10,
            journal_socket: "/run/systemd/journal/socket".into(),
        }
    }
}

impl LogConfig {
    /// What cannot be.
    pub(super) fn contradiction(&self) -> Option<String> {
        if self.max_mib == 0 || self.max_files == 0 {
            return Some("log.max-mib and log.max-files must be 1 at least".to_owned());
        }
        if self.retention_days == 0 || self.retention_mib == 0 {
            return Some("log.retention-days and log.retention-mib must be 1 at least".to_owned());
        }
        (!self.journal_socket.is_absolute()).then(|| "log.journal-socket must be an absolute path".to_owned())
    }

    /// As plans need it; `aws` is where AWS is.
    pub fn settings(&self, aws: &Settings) -> LogSettings {
        LogSettings {
            max_bytes: self.max_mib << 20,
            max_files: self.max_files,
            mode: self.default_mode,
            retention: Retention { days: self.retention_days, bytes: self.retention_mib << 20 },
            cloudwatch: self.cloudwatch.then(|| cloudwatch(aws)),
            drain: self.drain_seconds.saturating_mul(1000),
            journal: self.journal_socket.clone(),
        }
    }
}

/// The sender finds its credentials by itself: none stand in a plan.
fn cloudwatch(aws: &Settings) -> CloudWatchPlan {
    CloudWatchPlan {
        endpoint: aws.endpoints.get(&Service::Logs).or(aws.endpoint.as_ref()).cloned(),
        profile: aws.profile.clone(),
        variables: Variables::of_process().without_secrets(),
    }
}
