//! A client against scripted answers. What real services say is for `tests/root/aws.rs`, where moto answers.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::*;

/// A server that gives these answers in turn, one for each connection, and remembers what it was asked.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(answers: &[(&'static str, &'static str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, answers) = (Arc::new(Mutex::new(Vec::new())), answers.to_vec());
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            for (head, body) in answers {
                let (stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut text = String::new();
                while reader.read_line(&mut text).unwrap() > 2 {}
                let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                let mut content = vec![0; length.unwrap_or(0)];
                reader.read_exact(&mut content).unwrap();
                text.push_str(&String::from_utf8(content).unwrap());
                heard.lock().unwrap().push(text);
                let length = body.len();
                let answer = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                (&stream).write_all(answer.as_bytes()).unwrap();
            }
        });
        Self { url, asked }
    }

    fn client(&self) -> Client {
        let settings = Settings {
            region: "eu-west-1".into(),
            profile: None,
            endpoint: Some(self.url.clone()),
            endpoints: BTreeMap::new(),
        };
        let variables = Variables::of([
            ("AWS_ACCESS_KEY_ID", "AKTEST"),
            ("AWS_SECRET_ACCESS_KEY", "hush"),
            ("AWS_SESSION_TOKEN", "token"),
            ("HOME", "/nonexistent"),
        ]);
        Client::new(&settings, variables).unwrap().impatient()
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// What STS answers.
const ASSUMED: &str = r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
    <AssumedRoleUser><Arn>a</Arn><AssumedRoleId>b</AssumedRoleId></AssumedRoleUser>
    <Credentials><AccessKeyId>AK</AccessKeyId><SecretAccessKey>s+/</SecretAccessKey>
    <SessionToken>t</SessionToken><Expiration>2026-11-26T05:00:00Z</Expiration></Credentials>
    <PackedPolicySize>6</PackedPolicySize></AssumeRoleResult>
    <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></AssumeRoleResponse>"#;

#[test]
fn a_role_is_taken_on_at_sts_by_the_sdk_and_a_failure_that_may_pass_is_asked_again() {
    let server = Server::new(&[("503 Slow Down", ""), ("200 OK", ASSUMED)]);
    let keys = server.client().assume_role("arn:aws:iam::1:role/app", "task", 900).unwrap();
    assert_eq!((keys.key.as_str(), keys.secret.0.as_str(), keys.token.unwrap().0.as_str()), ("AK", "s+/", "t"));
    assert_eq!(keys.expires.unwrap().to_string(), "2026-11-26T05:00:00Z");
    let asked = server.asked();
    let scope = asked[1].lines().find(|line| line.starts_with("authorization: ")).unwrap();
    assert!(scope.contains("Credential=AKTEST/") && scope.contains("/eu-west-1/sts/aws4_request"), "{scope}");
    assert!(asked[1].contains("x-amz-security-token: token"), "{asked:#?}");
    let form = "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fapp&RoleSessionName=task&DurationSeconds=900";
    assert!(asked[1].ends_with(form), "{asked:#?}");
}

#[test]
fn a_refusal_of_sts_is_told_in_its_words_and_what_is_none_without_a_word_of_it() {
    let no = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error>\
              <RequestId>r</RequestId></ErrorResponse>";
    let server = Server::new(&[
        ("403 Forbidden\r\nx-amzn-requestid: r", no),
        ("200 OK", "<a>hush</a>"),
        ("404 Not Found", "hush"),
    ]);
    let client = server.client();
    let said = || client.assume_role("arn:aws:iam::1:role/app", "task", 900).unwrap_err().to_string();
    let of = "operation error STS: AssumeRole,";
    assert_eq!(said(), format!("{of} https response error StatusCode: 403, RequestID: r, AccessDenied: no"));
    assert_eq!(said(), format!("{of} deserialization failed: it is not STS's XML"));
    assert!(said().starts_with(&format!("{of} https response error StatusCode: 404")));
    let gone = said();
    assert!(
        gone.starts_with(&format!("{of} https response error StatusCode: 0")) && gone.contains(&server.url),
        "{gone}"
    );
}

#[test]
fn a_call_is_signed_json_and_so_is_its_answer() {
    let server = Server::new(&[("200 OK", r#"{"a": 1}"#)]);
    let answer = server.client().call(Service::Logs, "PutLogEvents", &json!({ "x": ["y"] })).unwrap();
    assert_eq!(answer, json!({ "a": 1 }));
    let asked = server.asked().remove(0);
    for part in [
        "POST / HTTP/1.1",
        "x-amz-target: Logs_20140328.PutLogEvents",
        "content-type: application/x-amz-json-1.1",
        "/eu-west-1/logs/aws4_request",
        "x-amz-security-token: token",
        r#"{"x":["y"]}"#,
    ] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
    assert!(!asked.contains("hush"), "{asked}");
}

#[test]
fn a_refusal_has_a_name_and_is_not_asked_for_again() {
    let body = r#"{"__type": "com.amazonaws#ResourceNotFoundException", "message": "not\u0007 here"}"#;
    let server = Server::new(&[("400 Bad Request\r\nx-amzn-requestid: r-1", body)]);
    let error = server.client().call(Service::SecretsManager, "GetSecretValue", &json!({})).unwrap_err();
    assert_eq!(error.code(), Some("ResourceNotFoundException"));
    assert_eq!(
        error.to_string(),
        "operation error Secrets Manager: GetSecretValue, https response error StatusCode: 400, RequestID: r-1, \
         ResourceNotFoundException: not here"
    );
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn who_is_too_quick_or_comes_at_a_bad_time_comes_again_twice() {
    let slow = ("400 Bad Request", r#"{"__type": "ThrottlingException", "message": "Rate exceeded"}"#);
    let down = ("503 Service Unavailable", "");
    let server = Server::new(&[slow, down, ("200 OK", "")]);
    assert_eq!(server.client().call(Service::Ssm, "GetParameters", &json!({})).unwrap(), json!({}));
    let server = Server::new(&[slow, slow, slow, ("200 OK", "")]);
    let error = server.client().call(Service::Ssm, "GetParameters", &json!({})).unwrap_err();
    assert!(error.is_throttled() && error.is_transient());
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn nobody_at_all_is_tried_again_and_told() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = Settings {
        region: "eu-west-1".into(),
        profile: None,
        endpoint: Some(format!("http://{closed}")),
        endpoints: BTreeMap::new(),
    };
    let variables = Variables::of([("AWS_ACCESS_KEY_ID", "AK"), ("AWS_SECRET_ACCESS_KEY", "s")]);
    let client = Client::new(&settings, variables).unwrap().impatient();
    let error = client.call(Service::Ssm, "GetParameters", &json!({})).unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert!(error.to_string().contains("StatusCode: 0") && error.to_string().contains(&closed.to_string()), "{error}");
}

#[test]
fn without_credentials_nobody_is_asked() {
    let server = Server::new(&[]);
    let settings =
        Settings { region: "eu-west-1".into(), profile: None, endpoint: Some(server.url), endpoints: BTreeMap::new() };
    let client = Client::new(&settings, Variables::of([("HOME", "/nonexistent")])).unwrap();
    let error = client.call(Service::Ssm, "GetParameters", &json!({})).unwrap_err();
    assert!(matches!(error, AwsError::Credentials { source: CredentialsError::None { .. }, .. }), "{error:?}");
}

#[test]
fn an_object_is_fetched_from_the_region_of_its_bucket() {
    let moved =
        ("301 Moved Permanently\r\nx-amz-bucket-region: us-west-2", "<Error><Code>PermanentRedirect</Code></Error>");
    let server = Server::new(&[moved, ("200 OK", "A=1\n")]);
    assert_eq!(server.client().object("bucket", "a b.env", 100).unwrap(), b"A=1\n");
    let asked = server.asked();
    assert!(asked[0].contains("GET /bucket/a%20b.env") && asked[0].contains("/eu-west-1/s3/"), "{}", asked[0]);
    assert!(
        asked[1].contains("/us-west-2/s3/aws4_request") && asked[1].contains("x-amz-content-sha256"),
        "{}",
        asked[1]
    );
}

#[test]
fn an_object_that_is_too_large_or_not_there_is_told() {
    let missing =
        "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>The key does not exist.</Message></Error>";
    let server = Server::new(&[("404 Not Found", missing), ("200 OK", "0123456789")]);
    let client = server.client();
    let error = client.object("bucket", "x.env", 1000).unwrap_err();
    assert!(error.to_string().ends_with("NoSuchKey: The key does not exist."), "{error}");
    let error = client.object("bucket", "x.env", 9).unwrap_err();
    assert!(error.to_string().contains("larger than 9 bytes"), "{error}");
}
