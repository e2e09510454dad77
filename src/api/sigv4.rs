//! Signature version 4, verified: who signed a request, for which region and service. The canonical form and the HMACs are
//! those of AWS's own crate, made again with the key's secret; nothing is believed before the signatures are the same.
//!
//! The hash of the body is always taken over the bytes that are parsed afterwards. Pure but for the look at the keys.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use hyper::header::{AUTHORIZATION, HeaderName};
use hyper::{HeaderMap, http::request::Parts};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::refusal::Refusal;
use crate::ops::AccessKey;

/// The one algorithm.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far a client's clock may be from ours.
const WINDOW: Duration = Duration::from_secs(5 * 60);
/// Headers that decide something: none may come twice.
const SINGLE: [&str; 7] = [
    "authorization",
    "host",
    "content-type",
    "x-amz-target",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];
/// Headers that must be signed if they are there.
const SIGNED: [&str; 4] = ["host", "x-amz-date", "x-amz-target", "x-amz-security-token"];
/// The most headers that one signature may cover.
const HEADERS_MAX: usize = 64;

/// The scope of a signature, and who it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    /// The key's id.
    pub key: String,
    /// `20260131`.
    date: String,
    /// The region.
    pub region: String,
    /// `ecs`, `sts`, `ec2`.
    pub service: String,
}

/// What an Authorization header says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Authorization<'a> {
    scope: Scope,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

/// Verifies a request. `find` gives the key of an id.
pub(super) fn verify(
    parts: &Parts,
    body: &[u8],
    now: SystemTime,
    find: impl FnOnce(&str) -> Result<Option<Arc<AccessKey>>, Refusal>,
) -> Result<(Scope, Arc<AccessKey>), Refusal> {
    let headers = &parts.headers;
    if let Some(name) = SINGLE.iter().find(|name| headers.get_all(**name).iter().count() > 1) {
        return Err(Refusal::invalid_signature(format!("The header '{name}' may not be sent more than once.")));
    }
    let Some(value) = headers.get(AUTHORIZATION) else { return Err(Refusal::no_authentication()) };
    let value = value.to_str().map_err(|_| Refusal::incomplete_signature("Authorization header is not text."))?;
    let authorization = parse(value)?;
    let (at, at_text) = time_of(headers)?;
    check_signed(headers, &authorization.signed_headers)?;
    check_scope(&authorization.scope, at_text)?;
    check_body(headers, body)?;
    let key = find(&authorization.scope.key)?.ok_or_else(Refusal::unknown_key)?;
    let expected = signature(parts, body, &authorization, at, &key.secret)?;
    if !bool::from(expected.as_bytes().ct_eq(authorization.signature.as_bytes())) {
        return Err(Refusal::invalid_signature(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
             Key and signing method. Consult the service documentation for details.",
        ));
    }
    // Only who has the secret learns how our clock stands, or that a key has expired.
    check_time(at, at_text, now)?;
    check_token(headers, &key, now)?;
    Ok((authorization.scope, key))
}

/// The scope that a request claims, which nobody has verified.
pub(super) fn claimed(headers: &HeaderMap) -> Option<Scope> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    parse(value).ok().map(|authorization| authorization.scope).filter(|scope| is_region(&scope.region))
}

fn parse(value: &str) -> Result<Authorization<'_>, Refusal> {
    let (algorithm, rest) = value.trim().split_once([' ', '\t']).unwrap_or((value.trim(), ""));
    if algorithm != ALGORITHM {
        return Err(Refusal::incomplete_signature(format!("Unsupported AWS 'algorithm': '{}'", shown(algorithm))));
    }
    let mut found: [Option<&str>; 3] = [None; 3];
    for part in rest.split(',') {
        let (name, value) = part.trim().split_once('=').unwrap_or_default();
        let Some(place) = ["Credential", "SignedHeaders", "Signature"].iter().position(|known| *known == name) else {
            continue;
        };
        if found[place].replace(value).is_some() {
            return Err(Refusal::incomplete_signature(format!("Authorization header has two '{name}' parameters.")));
        }
    }
    let part = |place: usize, name: &str| {
        let lacks = || Refusal::incomplete_signature(format!("Authorization header requires '{name}' parameter."));
        found[place].filter(|value| !value.is_empty()).ok_or_else(lacks)
    };
    let (credential, signed, signature) = (part(0, "Credential")?, part(1, "SignedHeaders")?, part(2, "Signature")?);
    let scope = scope(credential)?;
    let signed_headers: Vec<&str> = signed.split(';').collect();
    let is_plain = |name: &&str| !name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase());
    let is_sorted = signed_headers.is_sorted_by(|one, two| one < two);
    if signed_headers.len() > HEADERS_MAX || !is_sorted || !signed_headers.iter().all(is_plain) {
        return Err(Refusal::invalid_signature(
            "SignedHeaders must be lower case names in their order, each once, separated by semicolons.",
        ));
    }
    Ok(Authorization { scope, signed_headers, signature })
}

fn scope(credential: &str) -> Result<Scope, Refusal> {
    let parts: Vec<&str> = credential.split('/').collect();
    let [key, date, region, service, term] = parts[..] else {
        return Err(Refusal::incomplete_signature(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{}'",
            shown(credential)
        )));
    };
    if term != "aws4_request" {
        return Err(Refusal::invalid_signature(format!(
            "Credential should be scoped with a valid terminator: 'aws4_request', not '{}'.",
            shown(term)
        )));
    }
    let owned = str::to_owned;
    Ok(Scope { key: owned(key), date: owned(date), region: owned(region), service: owned(service) })
}

/// Part of what a client sent, short enough for an answer.
fn shown(text: &str) -> String {
    text.chars().take(128).collect()
}

/// The time of a request; also as it was written.
fn time_of(headers: &HeaderMap) -> Result<(SystemTime, &str), Refusal> {
    let Some(value) = headers.get("x-amz-date") else {
        return Err(Refusal::incomplete_signature("Authorization header requires existence of a 'X-Amz-Date' header."));
    };
    let text = value.to_str().unwrap_or_default();
    let bad = || {
        Refusal::incomplete_signature(format!(
            "Date must be in ISO-8601 'basic format'. Got '{}'. See http://en.wikipedia.org/wiki/ISO_8601",
            shown(text)
        ))
    };
    let shape = text.bytes().enumerate().all(|(place, byte)| match place {
        8 => byte == b'T',
        15 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    });
    if text.len() != 16 || !shape {
        return Err(bad());
    }
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).map_err(|_| bad())?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| bad())?.timestamp();
    match u64::try_from(time.as_second()) {
        Ok(seconds) => Ok((SystemTime::UNIX_EPOCH + Duration::from_secs(seconds), text)),
        Err(_) => Err(bad()),
    }
}

/// What must be signed is, and what is signed is there.
fn check_signed(headers: &HeaderMap, signed: &[&str]) -> Result<(), Refusal> {
    if !signed.contains(&"host") {
        return Err(Refusal::invalid_signature(
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
        ));
    }
    let unsigned = |name: &&&str| headers.contains_key(**name) && !signed.contains(*name);
    if let Some(name) = SIGNED.iter().find(unsigned) {
        return Err(Refusal::invalid_signature(format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.")));
    }
    Ok(())
}

fn check_scope(scope: &Scope, at: &str) -> Result<(), Refusal> {
    if !at.starts_with(&scope.date) || scope.date.len() != 8 {
        return Err(Refusal::invalid_signature(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{}', from \
             '{at}'.",
            shown(&scope.date),
            &at[..8]
        )));
    }
    if !["ecs", "ssm", "sts", "ec2"].contains(&scope.service.as_str()) {
        return Err(Refusal::invalid_signature("Credential should be scoped to correct service: 'ecs'."));
    }
    if !is_region(&scope.region) {
        return Err(Refusal::invalid_signature("Credential should be scoped to a valid region."));
    }
    Ok(())
}

/// A name that can stand in ARNs and keys.
fn is_region(region: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&region.len()) && region.bytes().all(plain)
}

/// The hash that a client sends must be that of the body: there are no unsigned bodies here.
fn check_body(headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
    let Some(sent) = headers.get("x-amz-content-sha256") else { return Ok(()) };
    let hash: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    if sent.as_bytes() != hash.as_bytes() {
        return Err(Refusal::invalid_signature(
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        ));
    }
    Ok(())
}

/// The signature that the request should have.
fn signature(
    parts: &Parts,
    body: &[u8],
    authorization: &Authorization,
    at: SystemTime,
    secret: &str,
) -> Result<String, Refusal> {
    let scope = &authorization.scope;
    let identity = Credentials::new(&scope.key, secret, None, None, "berth").into();
    let mut settings = SigningSettings::default();
    settings.excluded_headers = None; // exactly what the client says it has signed
    let cannot = || Refusal::invalid_signature("The canonical form of this request cannot be made.");
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(&scope.region)
        .name(&scope.service)
        .time(at)
        .settings(settings)
        .build()
        .map_err(|_| cannot())?
        .into();
    let mut headers: Vec<(&str, &str)> = Vec::with_capacity(authorization.signed_headers.len());
    for name in &authorization.signed_headers {
        let known = HeaderName::from_bytes(name.as_bytes()).map_err(|_| cannot())?;
        let mut values = parts.headers.get_all(known).iter().peekable();
        match (values.peek().is_some(), *name) {
            (true, _) => {
                for value in values {
                    headers.push((name, value.to_str().map_err(|_| cannot())?));
                }
            }
            // HTTP/2 has it in the request line.
            (false, "host") => headers.push((name, parts.uri.authority().ok_or_else(cannot)?.as_str())),
            (false, _) => headers.push((name, "")),
        }
    }
    let uri = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let request = SignableRequest::new(parts.method.as_str(), uri, headers.into_iter(), SignableBody::Bytes(body));
    let signed = sign(request.map_err(|_| cannot())?, &params).map_err(|_| cannot())?;
    Ok(signed.signature().to_owned())
}

fn check_time(at: SystemTime, text: &str, now: SystemTime) -> Result<(), Refusal> {
    let written = |time: SystemTime| {
        let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let time = jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or(0)).unwrap_or_default();
        time.strftime("%Y%m%dT%H%M%SZ").to_string()
    };
    let (earliest, latest) = (now - WINDOW, now + WINDOW);
    if at < earliest {
        return Err(Refusal::invalid_signature(format!(
            "Signature expired: {text} is now earlier than {} ({} - 5 min.)",
            written(earliest),
            written(now)
        )));
    }
    if at > latest {
        return Err(Refusal::invalid_signature(format!(
            "Signature not yet current: {text} is still later than {} ({} + 5 min.)",
            written(latest),
            written(now)
        )));
    }
    Ok(())
}

/// A key that expires goes with its token and no other key with any.
fn check_token(headers: &HeaderMap, key: &AccessKey, now: SystemTime) -> Result<(), Refusal> {
    let sent = headers.get("x-amz-security-token").map_or(&b""[..], |value| value.as_bytes());
    let wanted = key.token.as_deref().unwrap_or_default();
    if !bool::from(sent.ct_eq(wanted.as_bytes())) {
        return Err(Refusal::unknown_key());
    }
    let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis());
    match key.expires_at.and_then(|at| u128::try_from(at).ok()) {
        Some(at) if at <= now => Err(Refusal::expired_key()),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "sigv4_tests.rs"]
mod tests;
