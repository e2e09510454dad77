//! From the bytes of a request to a type: JSON in which null is as good as absent and unknown members are passed over, or
//! AWS's words for what is wrong with it.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::ecs::error::{EcsError, Exception};

/// A request as a type.
pub(in crate::ops) fn request<T: DeserializeOwned>(body: &[u8]) -> Result<T, EcsError> {
    typed(Value::Object(object(body)?))
}

/// The members of a request. No bytes at all are a request that says nothing.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, EcsError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(mut value) => {
            without_null(&mut value);
            match value {
                Value::Object(members) => Ok(members),
                _ => Err(serialization("Unexpected field type")),
            }
        }
        Err(_) => Err(serialization("Unable to parse the request: it is not JSON")),
    }
}

/// A value as a type.
pub(in crate::ops) fn typed<T: DeserializeOwned>(value: Value) -> Result<T, EcsError> {
    serde_json::from_value(value).map_err(|error| exception(&error.to_string()))
}

fn without_null(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(without_null);
        }
        Value::Array(elements) => elements.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn serialization(message: impl Into<String>) -> EcsError {
    EcsError::new(Exception::SerializationException, message)
}

/// AWS's words for serde's.
fn exception(text: &str) -> EcsError {
    if let Some(rest) = text.strip_prefix("unknown variant `") {
        let (value, rest) = rest.split_once('`').unwrap_or((rest, ""));
        let set: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
        return EcsError::invalid_parameter(format!(
            "1 validation error detected: Value '{value}' failed to satisfy constraint: Member must satisfy enum value \
             set: [{}]",
            set.join(", ")
        ));
    }
    let Some((found, expected)) = text.split_once(", expected ") else {
        // A form of our own: an ARN that is none, a time out of range.
        return EcsError::invalid_parameter(text.to_owned());
    };
    let wanted = wanted(expected);
    if let Some(number) = found.strip_prefix("invalid value: ") {
        let number = number.split('`').nth(1).unwrap_or(number);
        return serialization(format!("NUMBER_VALUE cannot be converted to {wanted}: {number} is out of range"));
    }
    let found = match found.strip_prefix("invalid type: ").unwrap_or(found) {
        "sequence" => return serialization("Start of list found where not expected"),
        "map" => return serialization("Start of structure or map found where not expected."),
        "null" => "NULL_VALUE",
        "boolean `true`" => "TRUE_VALUE",
        "boolean `false`" => "FALSE_VALUE",
        found if found.starts_with("string") => "STRING_VALUE",
        _ => "NUMBER_VALUE",
    };
    serialization(format!("{found} cannot be converted to {wanted}"))
}

fn wanted(expected: &str) -> &'static str {
    match expected {
        "a boolean" => "Boolean",
        "i64" | "u64" => "Long",
        "i32" | "u32" | "u16" | "u8" => "Integer",
        "f64" | "f32" => "Double",
        text if text.contains("sequence") => "List",
        text if text.starts_with("struct") || text.contains("map") => "Structure",
        _ => "String",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::request::{ListTasksRequest, RunTaskRequest};

    fn refused(body: &str) -> (Exception, String) {
        let error = request::<RunTaskRequest>(body.as_bytes()).unwrap_err();
        (error.code, error.message)
    }

    #[test]
    fn null_is_absent_and_unknown_members_are_passed_over() {
        let body = br#"{"taskDefinition": "a", "count": null, "new": 1,
            "overrides": {"cpu": null, "containerOverrides": [{"name": "x", "command": null}]}}"#;
        let request = request::<RunTaskRequest>(body).unwrap();
        assert_eq!((request.task_definition.as_str(), request.count), ("a", None));
        assert_eq!(request.overrides.unwrap().container_overrides[0].command, None);
    }

    #[test]
    fn nothing_at_all_is_a_request_that_says_nothing() {
        assert_eq!(request::<ListTasksRequest>(b"").unwrap(), ListTasksRequest::default());
        assert_eq!(request::<ListTasksRequest>(b" \n").unwrap(), ListTasksRequest::default());
    }

    #[test]
    fn a_wrong_type_is_said_in_the_words_of_aws() {
        let cases = [
            (r#"{"count": "1"}"#, "STRING_VALUE cannot be converted to Integer"),
            (r#"{"count": 1.5}"#, "NUMBER_VALUE cannot be converted to Integer"),
            (r#"{"count": 99999999999}"#, "NUMBER_VALUE cannot be converted to Integer: 99999999999 is out of range"),
            (r#"{"taskDefinition": 1}"#, "NUMBER_VALUE cannot be converted to String"),
            (r#"{"taskDefinition": true}"#, "TRUE_VALUE cannot be converted to String"),
            (r#"{"taskDefinition": []}"#, "Start of list found where not expected"),
            (r#"{"taskDefinition": {}}"#, "Start of structure or map found where not expected."),
            (r#"{"tags": "x"}"#, "STRING_VALUE cannot be converted to List"),
            (r#"{"overrides": "x"}"#, "STRING_VALUE cannot be converted to Structure"),
            ("[]", "Unexpected field type"),
            ("{", "Unable to parse the request: it is not JSON"),
        ];
        for (body, message) in cases {
            assert_eq!(refused(body), (Exception::SerializationException, message.to_owned()), "{body}");
        }
    }

    #[test]
    fn a_word_outside_its_set_is_a_wrong_parameter() {
        let (code, message) = refused(r#"{"launchType": "MOON"}"#);
        assert_eq!(code, Exception::InvalidParameterException);
        assert!(
            message.contains("'MOON'") && message.contains("[EC2, FARGATE, EXTERNAL, MANAGED_INSTANCES]"),
            "{message}"
        );
    }
}
