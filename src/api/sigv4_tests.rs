//! Signatures made by AWS's crate, then changed in every way that we could think of.

use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody};
use hyper::Request;
use hyper::header::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::ops::KeyAccess;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000)
}

fn key(token: Option<&str>, expires_at: Option<i64>) -> AccessKey {
    AccessKey {
        id: "AKIAIOSFODNN7EXAMPLE".into(),
        name: "me".into(),
        secret: SECRET.into(),
        token: token.map(str::to_owned),
        access: KeyAccess::Full,
        clusters: Vec::new(),
        created_at: 0,
        expires_at,
    }
}

/// A request as an SDK signs it.
fn signed(body: &[u8], at: SystemTime, secret: &str, token: Option<&str>, service: &str) -> Parts {
    let request = Request::post("/")
        .header("host", "127.0.0.1:7070")
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", "AmazonEC2ContainerServiceV20141113.ListTasks")
        .header("user-agent", "an SDK");
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let identity = Credentials::new("AKIAIOSFODNN7EXAMPLE", secret, token.map(str::to_owned), None, "t").into();
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name(service)
        .time(at)
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let headers: Vec<_> = parts.headers.iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned())).collect();
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let request = SignableRequest::new("POST", "http://127.0.0.1:7070/", headers, SignableBody::Bytes(body)).unwrap();
    let (instructions, _) = sign(request, &params).unwrap().into_parts();
    for (name, value) in instructions.headers() {
        parts.headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    parts
}

fn check(parts: &Parts, body: &[u8], key: &AccessKey) -> Result<Scope, Refusal> {
    verify(parts, body, now(), |id| Ok((id == key.id).then(|| Arc::new(key.clone())))).map(|(scope, _)| scope)
}

fn good() -> (Parts, &'static [u8]) {
    let body: &[u8] = br#"{"cluster":"default"}"#;
    (signed(body, now(), SECRET, None, "ecs"), body)
}

#[test]
fn what_an_sdk_signs_is_accepted_with_its_scope() {
    let (parts, body) = good();
    let scope = check(&parts, body, &key(None, None)).unwrap();
    assert_eq!((scope.region.as_str(), scope.service.as_str()), ("eu-west-1", "ecs"));
    for minutes in [0, 4] {
        let away = Duration::from_secs(minutes * 60 + 59);
        for at in [now() - away, now() + away] {
            check(&signed(body, at, SECRET, None, "sts"), body, &key(None, None)).unwrap();
        }
    }
}

#[test]
fn what_is_stale_or_of_somebody_else_is_refused_in_awss_words() {
    let (parts, body) = good();
    let code = |parts: &Parts, key: &AccessKey| check(parts, body, key).unwrap_err().code;
    let away = Duration::from_secs(5 * 60 + 1);
    let late = check(&signed(body, now() - away, SECRET, None, "ecs"), body, &key(None, None)).unwrap_err();
    assert_eq!(
        late.message,
        "Signature expired: 20261118T110139Z is now earlier than 20261118T110140Z (20261118T110640Z - 5 min.)"
    );
    let early = check(&signed(body, now() + away, SECRET, None, "ecs"), body, &key(None, None)).unwrap_err();
    assert!(early.message.starts_with("Signature not yet current: "), "{early:?}");
    assert_eq!(code(&signed(body, now(), "wrong", None, "ecs"), &key(None, None)), "InvalidSignatureException");
    let service = check(&signed(body, now(), SECRET, None, "s3"), body, &key(None, None)).unwrap_err();
    assert_eq!(service.message, "Credential should be scoped to correct service: 'ecs'.");
    let other = AccessKey { id: "AKIAOTHER".into(), ..key(None, None) };
    assert_eq!(code(&parts, &other), "UnrecognizedClientException");
    let mut bare = parts;
    bare.headers.remove("authorization");
    assert_eq!(code(&bare, &key(None, None)), "MissingAuthenticationTokenException");
}

#[test]
fn a_token_is_wanted_where_there_is_one_and_refused_where_there_is_none() {
    let body = b"{}";
    let with = signed(body, now(), SECRET, Some("token"), "ecs");
    let without = signed(body, now(), SECRET, None, "ecs");
    let later = Some(1_795_000_001_000);
    assert!(check(&with, body, &key(Some("token"), later)).is_ok());
    let code = |parts: &Parts, key: &AccessKey| check(parts, body, key).unwrap_err().code;
    assert_eq!(code(&without, &key(Some("token"), later)), "UnrecognizedClientException");
    assert_eq!(code(&with, &key(Some("other"), later)), "UnrecognizedClientException");
    assert_eq!(code(&with, &key(None, None)), "UnrecognizedClientException");
    assert_eq!(code(&with, &key(Some("token"), Some(1_795_000_000_000))), "ExpiredTokenException");
}

#[test]
fn nothing_that_was_signed_can_be_changed_added_or_sent_twice() {
    let (parts, body) = good();
    let key = key(None, None);
    let refused = |change: &dyn Fn(&mut Parts)| {
        let mut changed = parts.clone();
        change(&mut changed);
        check(&changed, body, &key).unwrap_err()
    };
    assert!(check(&parts, b"{\"cluster\":\"defaulu\"}", &key).is_err());
    let set = |name: &'static str, value: &'static str| {
        refused(&move |parts| {
            parts.headers.insert(name, HeaderValue::from_static(value));
        })
    };
    set("x-amz-target", "AmazonEC2ContainerServiceV20141113.StopTask");
    set("host", "elsewhere");
    set("x-amz-date", "20261118T110641Z");
    set("content-type", "text/plain");
    set("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    set("x-amz-security-token", "unsigned");
    for name in SINGLE {
        refused(&|parts| {
            let value = parts.headers.get(name).cloned().unwrap_or(HeaderValue::from_static("x"));
            parts.headers.append(name, value.clone());
            parts.headers.append(name, value);
        });
    }
    refused(&|parts| parts.uri = "/?Action=StopTask".parse().unwrap());
    refused(&|parts| parts.uri = "/x".parse().unwrap());
    refused(&|parts| parts.method = hyper::Method::PUT);
    let drop_signed = refused(&|parts| {
        let text = parts.headers["authorization"].to_str().unwrap().replace("host;", "");
        parts.headers.insert("authorization", text.parse().unwrap());
    });
    assert!(drop_signed.message.starts_with("'Host' or ':authority' must be a 'SignedHeader'"), "{drop_signed:?}");
    let drop_target = refused(&|parts| {
        let text = parts.headers["authorization"].to_str().unwrap().replace(";x-amz-target", "");
        parts.headers.insert("authorization", text.parse().unwrap());
    });
    assert!(drop_target.message.starts_with("'x-amz-target' must be a 'SignedHeader'"), "{drop_target:?}");
}

#[test]
fn an_incomplete_header_is_said_to_be_so() {
    let (parts, body) = good();
    let message = |value: &str| {
        let mut changed = parts.clone();
        changed.headers.insert("authorization", value.parse().unwrap());
        let refusal = check(&changed, body, &key(None, None)).unwrap_err();
        (refusal.code, refusal.message)
    };
    let incomplete = |text: &str| ("IncompleteSignatureException".to_owned(), text.to_owned());
    assert_eq!(message("Bearer x"), incomplete("Unsupported AWS 'algorithm': 'Bearer'"));
    assert_eq!(message("AWS4-HMAC-SHA256"), incomplete("Authorization header requires 'Credential' parameter."));
    assert_eq!(
        message("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=00").1,
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'a/b'"
    );
    let twice = message("AWS4-HMAC-SHA256 Credential=a/b/c/d/e, Credential=x, SignedHeaders=host, Signature=00");
    assert_eq!(twice, incomplete("Authorization header has two 'Credential' parameters."));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_changed_byte_of_header_or_body_passes(place in 0_usize..4096, bit in 0_u8..8, what in 0_usize..4) {
        let (mut parts, body) = good();
        let mut body = body.to_vec();
        let name = ["authorization", "x-amz-date", "x-amz-target"].get(what);
        match name {
            None => {
                let place = place % body.len();
                body[place] ^= 1 << bit;
            }
            Some(name) => {
                let mut bytes = parts.headers[*name].as_bytes().to_vec();
                let place = place % bytes.len();
                bytes[place] ^= 1 << bit;
                let Ok(value) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
                // White space around the parts of the header is nothing that anybody signs.
                let squeezed = |bytes: &[u8]| bytes.iter().copied().filter(|byte| *byte != b' ' && *byte != b'\t').collect::<Vec<_>>();
                prop_assume!(squeezed(&bytes) != squeezed(parts.headers[*name].as_bytes()));
                parts.headers.insert(*name, value);
            }
        }
        prop_assert!(check(&parts, &body, &key(None, None)).is_err());
    }
}
