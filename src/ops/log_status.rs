//! What became of a task's output: which driver has it, how much was sent, how much was not, and why.

use serde::Serialize;

use super::{OpsError, TaskRecord};
use crate::logging::Delivery;
use crate::logs::{Mark, Sent, Tail};

/// One container's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogStatus {
    /// The container.
    pub container: String,
    /// ECS's name of the driver; none where the definition names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The group and stream of `awslogs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// Where it is sent on: what became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<SentStatus>,
}

/// What became of a log that is sent on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SentStatus {
    /// `blocking` or `non-blocking`.
    pub mode: &'static str,
    /// Lines that were sent.
    pub lines: u64,
    /// Bytes of output that were sent.
    pub bytes: u64,
    /// Lines that were not and never will be.
    pub dropped_lines: u64,
    /// Bytes of output that were not.
    pub dropped_bytes: u64,
    /// Bytes of the local files that wait.
    pub waiting_bytes: u64,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl TaskRecord {
    /// The logs of all containers.
    pub fn log_status(&self) -> Result<Vec<LogStatus>, OpsError> {
        (0..self.plan.containers.len()).map(|place| self.one_log_status(place)).collect()
    }

    fn one_log_status(&self, place: usize) -> Result<LogStatus, OpsError> {
        let container = &self.plan.containers[place];
        let log = &container.log;
        let sent = log.delivery.map(|delivery| self.sent(place, delivery)).transpose()?;
        Ok(LogStatus {
            container: container.name.clone(),
            driver: Some(&log.driver).filter(|driver| !driver.is_empty()).cloned(),
            group: log.stream.as_ref().map(|stream| stream.group.clone()),
            stream: log.stream.as_ref().map(|stream| stream.stream.clone()),
            sent,
        })
    }

    fn sent(&self, place: usize, delivery: Delivery) -> Result<SentStatus, OpsError> {
        let path = self.plan.container_paths(place).log;
        let sent = Sent::read(&path)?.unwrap_or_default();
        let end = Tail::open(&path, Mark::default()).end()?;
        Ok(SentStatus {
            mode: match delivery {
                Delivery::Blocking => "blocking",
                Delivery::NonBlocking { .. } => "non-blocking",
            },
            lines: sent.sent.lines,
            bytes: sent.sent.bytes,
            dropped_lines: sent.dropped.lines,
            dropped_bytes: sent.dropped.bytes,
            waiting_bytes: end.saturating_sub(sent.from.place.bytes),
            error: sent.error,
        })
    }
}
