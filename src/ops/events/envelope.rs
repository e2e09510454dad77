//! What is around every event.

use serde::Serialize;
use serde_json::Value;

use crate::ecs::arn::Owner;

/// An event in EventBridge's form.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// `0`.
    version: &'static str,
    /// A UUID.
    id: String,
    /// `ECS Task State Change` ...
    detail_type: &'static str,
    /// `aws.ecs`.
    source: &'static str,
    account: String,
    /// RFC 3339, whole seconds.
    time: String,
    region: String,
    /// The ARNs that it is about.
    resources: Vec<String>,
    /// What has happened.
    detail: Value,
    #[serde(skip)]
    pub(super) at: i64,
}

impl Event {
    /// An event of that time, in milliseconds since 1970.
    pub(super) fn new(
        detail_type: &'static str,
        owner: &Owner,
        at: i64,
        resources: Vec<String>,
        detail: Value,
    ) -> Self {
        Self {
            version: "0",
            id: uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string(),
            detail_type,
            source: "aws.ecs",
            account: owner.account.clone(),
            time: written(at, "%Y-%m-%dT%H:%M:%SZ"),
            region: owner.region.clone(),
            resources,
            detail,
            at,
        }
    }

    /// When it happened, in milliseconds since 1970.
    pub fn at(&self) -> i64 {
        self.at
    }
}

fn written(at: i64, format: &str) -> String {
    jiff::Timestamp::from_millisecond(at).unwrap_or_default().strftime(format).to_string()
}

/// A time as events write it within their details: `2026-11-26T04:20:49.123Z`.
pub(super) fn iso(at: i64) -> Value {
    Value::String(written(at, "%Y-%m-%dT%H:%M:%S%.3fZ"))
}

/// The API writes times as numbers, events as texts.
pub(super) fn with_written_times(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_f64() {
                    Some(seconds) if name.ends_with("At") => *member = iso((seconds * 1000.0).round() as i64),
                    _ => with_written_times(member),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(with_written_times),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_texts_at_every_depth_and_numbers_stay_numbers() {
        let mut value = serde_json::json!({"createdAt": 1_763_721_710.482, "version": 3, "a": [{"stoppedAt": 0}]});
        with_written_times(&mut value);
        let expected = serde_json::json!({
            "createdAt": "2025-11-21T10:41:50.482Z", "version": 3, "a": [{"stoppedAt": "1970-01-01T00:00:00.000Z"}],
        });
        assert_eq!(value, expected);
    }
}
