//! One member of a secret that is a JSON object. Texts are given as they are, all else as JSON writes it. (The ECS agent
//! gives what Go prints for it, `1e+06` for a million and `map[a:1]` for an object, which no program wants.)

use serde_json::Value;

use super::error::LookupError;

/// The member's value.
pub(super) fn member(secret: &str, key: &str) -> Result<String, LookupError> {
    // A parser's message may quote what it read.
    let Ok(Value::Object(mut members)) = serde_json::from_str(secret) else {
        return Err(LookupError::NotJson(key.to_owned()));
    };
    match members.remove(key) {
        None => Err(LookupError::NoKey(key.to_owned())),
        Some(Value::String(text)) => Ok(text),
        Some(other) => Ok(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_its_text_or_its_json() {
        let secret = r#"{"password": "a\"b", "port": 1000000, "tls": true, "more": {"x": [1]}, "none": null}"#;
        for (key, value) in
            [("password", "a\"b"), ("port", "1000000"), ("tls", "true"), ("more", r#"{"x":[1]}"#), ("none", "null")]
        {
            assert_eq!(member(secret, key).unwrap(), value);
        }
    }

    #[test]
    fn a_missing_member_and_a_secret_without_members_are_told_in_ecss_words() {
        let error = member("{}", "user").unwrap_err().to_string();
        assert_eq!(error, "retrieved secret from Secrets Manager did not contain json key user");
        for secret in ["hush", "[\"hush\"]", "\"hush\"", "{\"hush\":"] {
            let error = member(secret, "user").unwrap_err().to_string();
            assert!(error.contains("not a JSON object") && !error.contains("hush"), "{error}");
        }
    }
}
