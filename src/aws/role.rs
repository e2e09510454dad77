//! Credentials for somebody else: those of a profile of this host, or of a role that is taken on at STS. STS speaks the
//! Query protocol: a form goes there, XML comes back.

use std::time::SystemTime;

use jiff::Timestamp;
use serde::Deserialize;

use super::client::{Client, Draft, shown};
use super::credentials::{CredentialsError, Secret};
use super::error::AwsError;
use super::http::Answer;
use super::settings::Service;

const OPERATION: &str = "STS: AssumeRole";
/// An answer has a few kilobytes.
const LIMIT: u64 = 64 << 10;

/// Credentials that are handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The key's id.
    pub key: String,
    /// The key.
    pub secret: Secret,
    /// What belongs to one that is good for some time only.
    pub token: Option<Secret>,
    /// Until when it is good, if it ends.
    pub expires: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Response {
    assume_role_result: ResultElement,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResultElement {
    credentials: CredentialsElement,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CredentialsElement {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    error: ErrorElement,
    request_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorElement {
    code: String,
    message: Option<String>,
}

impl Client {
    /// This client's own credentials.
    pub fn own_keys(&self) -> Result<Keys, CredentialsError> {
        let own = self.credentials(SystemTime::now())?;
        Ok(Keys { key: own.key, secret: own.secret, token: own.token, expires: own.expires })
    }

    /// Takes on a role for so many seconds; the session's name is what AWS's own records show.
    pub fn assume_role(&self, role: &str, session: &str, seconds: u32) -> Result<Keys, AwsError> {
        let region = self.region().to_owned();
        let url = format!("{}/", self.endpoint(Service::Sts, &region).url);
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", "AssumeRole")
            .append_pair("Version", "2011-06-15")
            .append_pair("RoleArn", role)
            .append_pair("RoleSessionName", session)
            .append_pair("DurationSeconds", &seconds.to_string())
            .finish();
        let draft = Draft {
            service: Service::Sts,
            operation: OPERATION,
            region: &region,
            method: "POST",
            url: &url,
            headers: &[("content-type", "application/x-www-form-urlencoded".to_owned())],
            body: body.as_bytes(),
            limit: LIMIT,
        };
        let answer = self.retried(&draft, |answer| match answer.status {
            200..=299 => Ok(answer),
            _ => Err(refusal(&answer)),
        })?;
        // A parser's message may quote what it read.
        let text = String::from_utf8_lossy(&answer.body);
        let wrong = |_| AwsError::Answer { operation: OPERATION.to_owned(), reason: "it is not STS's XML".to_owned() };
        let response: Response = quick_xml::de::from_str(&text).map_err(wrong)?;
        let found = response.assume_role_result.credentials;
        Ok(Keys {
            key: found.access_key_id,
            secret: Secret(found.secret_access_key),
            token: Some(Secret(found.session_token)),
            expires: Some(found.expiration),
        })
    }
}

fn refusal(answer: &Answer) -> AwsError {
    let text = String::from_utf8_lossy(&answer.body);
    let unknown = || "UnknownError".to_owned();
    let said: Option<Refusal> = quick_xml::de::from_str(&text).ok();
    let (code, message, request) = match said {
        Some(said) => (shown(&said.error.code), said.error.message.map(|text| shown(&text)), said.request_id),
        None => (unknown(), None, None),
    };
    AwsError::Service {
        operation: OPERATION.to_owned(),
        status: answer.status,
        request: request.map(|id| shown(&id)).unwrap_or_default(),
        code,
        message: message.unwrap_or_else(unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sts_says_is_read() {
        let text = r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
            <AssumedRoleUser><Arn>a</Arn><AssumedRoleId>b</AssumedRoleId></AssumedRoleUser>
            <Credentials><AccessKeyId>AK</AccessKeyId><SecretAccessKey>s+/</SecretAccessKey>
            <SessionToken>t</SessionToken><Expiration>2026-11-26T05:00:00Z</Expiration></Credentials>
            <PackedPolicySize>6</PackedPolicySize></AssumeRoleResult>
            <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></AssumeRoleResponse>"#;
        let response: Response = quick_xml::de::from_str(text).unwrap();
        let found = response.assume_role_result.credentials;
        assert_eq!((found.access_key_id.as_str(), found.secret_access_key.as_str()), ("AK", "s+/"));
        assert_eq!(found.expiration.to_string(), "2026-11-26T05:00:00Z");
        let text = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error>\
                    <RequestId>r</RequestId></ErrorResponse>";
        let said: Refusal = quick_xml::de::from_str(text).unwrap();
        assert_eq!((said.error.code.as_str(), said.request_id.as_deref()), ("AccessDenied", Some("r")));
    }
}
