//! A whole request of ECS as JSON. What is in it and nobody would read is refused by its place, unlike at the endpoint, where
//! ECS itself says nothing: a person has written it and means it.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::Failure;
use super::input::Json;

/// A request may be this large.
const LARGEST: u64 = 1 << 20;

/// Reads a request.
pub(super) fn read<T: DeserializeOwned + Serialize>(json: &Json) -> Result<T, Failure> {
    let text = json.read(LARGEST)?;
    let wrong = |what: String| Failure::Usage(format!("--json: {what}"));
    let given: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let request: T = serde_json::from_value(given.clone()).map_err(|error| wrong(error.to_string()))?;
    let understood = serde_json::to_value(&request)?;
    match unread(&given, &understood, "") {
        Some(place) => Err(wrong(format!("ECS has no member {place} here"))),
        None => Ok(request),
    }
}

/// The first member that was given and is not in what was understood.
fn unread(given: &Value, understood: &Value, place: &str) -> Option<String> {
    match (given, understood) {
        (Value::Object(given), Value::Object(understood)) => given.iter().find_map(|(name, value)| {
            let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
            match understood.get(name) {
                None if value.is_null() => None,
                None => Some(place),
                Some(other) => unread(value, other, &place),
            }
        }),
        (Value::Array(given), Value::Array(understood)) => {
            let pairs = given.iter().zip(understood).enumerate();
            pairs.into_iter().find_map(|(number, (one, other))| unread(one, other, &format!("{place}[{number}]")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::service::CreateServiceRequest;

    fn read_text(text: &str) -> Result<CreateServiceRequest, Failure> {
        read(&Json::Text(text.to_owned()))
    }

    #[test]
    fn a_member_that_nobody_reads_is_refused_by_its_place() {
        let read =
            read_text(r#"{"desiredCount": 2, "role": null, "placementConstraints": [{"type": "distinctInstance"}]}"#);
        assert_eq!(read.unwrap().desired_count, Some(2));
        for (text, place) in [
            (r#"{"desiredcount": 2}"#, "desiredcount"),
            (
                r#"{"placementConstraints": [{"type": "memberOf", "expresion": "x"}]}"#,
                "placementConstraints[0].expresion",
            ),
            (r#"{"deploymentConfiguration": {"minimumPercent": 1}}"#, "deploymentConfiguration.minimumPercent"),
            (r#"{"desiredCount": "2"}"#, "invalid type"),
        ] {
            let error = read_text(text).unwrap_err();
            assert!(format!("{error:?}").contains(place), "{error:?}");
        }
    }
}
