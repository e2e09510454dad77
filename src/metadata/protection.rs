//! Task protection, as a container asks for it (ECS_AGENT_URI). Pure.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::lifecycle::Timestamp;

/// Minutes where none are said, and those that may be.
const DEFAULT: i64 = 120;
const ALLOWED: std::ops::RangeInclusive<i64> = 1..=2880;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// For so many minutes from now.
    For(i64),
    /// Not any more.
    None,
}

/// A body that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtectionError {
    /// It cannot be read.
    #[error("UpdateTaskProtection: failed to decode request")]
    Body,
    /// It does not say what is wanted.
    #[error("Invalid request: does not contain 'ProtectionEnabled' field")]
    Missing,
    /// Too short or too long.
    #[error("Invalid request: expiration must be between 1 and 2880 minutes, inclusive")]
    Minutes,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Body {
    protection_enabled: Option<bool>,
    expires_in_minutes: Option<i64>,
}

/// Reads the body of a PUT.
pub fn parse_protection(body: &[u8]) -> Result<Protection, ProtectionError> {
    let body: Body = serde_json::from_slice(body).map_err(|_| ProtectionError::Body)?;
    let minutes = body.expires_in_minutes.unwrap_or(DEFAULT);
    match body.protection_enabled.ok_or(ProtectionError::Missing)? {
        true if ALLOWED.contains(&minutes) => Ok(Protection::For(minutes)),
        true => Err(ProtectionError::Minutes),
        false => Ok(Protection::None),
    }
}

impl Protection {
    /// Until when it holds.
    pub fn until(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::For(minutes) => Some(Timestamp(now.0 + minutes * 60_000)),
            Self::None => None,
        }
    }

    /// The answer about a task that is protected until then, or not at all.
    pub fn document(arn: &str, until: Option<Timestamp>) -> Value {
        let mut protection = json!({ "ProtectionEnabled": until.is_some(), "TaskArn": arn });
        if let Some(until) = until.and_then(|until| jiff::Timestamp::from_millisecond(until.0).ok()) {
            protection["ExpirationDate"] = until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
        }
        json!({ "protection": protection })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_says_what_is_wanted_and_nothing_else() {
        let read = |text: &str| parse_protection(text.as_bytes());
        assert_eq!(read(r#"{"ProtectionEnabled": true}"#), Ok(Protection::For(120)));
        assert_eq!(read(r#"{"ProtectionEnabled": true, "ExpiresInMinutes": 2880}"#), Ok(Protection::For(2880)));
        assert_eq!(read(r#"{"ProtectionEnabled": false, "ExpiresInMinutes": 0}"#), Ok(Protection::None));
        assert_eq!(read("{}"), Err(ProtectionError::Missing));
        assert_eq!(read(""), Err(ProtectionError::Body));
        assert_eq!(read(r#"{"ProtectionEnabled": true, "Expires": 1}"#), Err(ProtectionError::Body));
        for minutes in [0, -1, 2881] {
            let body = format!(r#"{{"ProtectionEnabled": true, "ExpiresInMinutes": {minutes}}}"#);
            assert_eq!(read(&body), Err(ProtectionError::Minutes), "{minutes}");
        }
    }

    #[test]
    fn the_answer_has_an_end_only_if_there_is_one() {
        let until = Protection::For(1).until(Timestamp(0));
        let answer = Protection::document("arn", until);
        assert_eq!(answer["protection"]["ExpirationDate"], "1970-01-01T00:01:00Z");
        assert_eq!(
            Protection::document("arn", None),
            json!({"protection": {"ProtectionEnabled": false, "TaskArn": "arn"}})
        );
    }
}
