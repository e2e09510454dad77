//! The endpoint in process, against those who mean it harm: `make fuzz-api` does a million of each, `make test` a few.

#[path = "../support/malformed.rs"]
mod malformed;

use std::path::Path;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use berth::api::{Call, Front, Peer, Service, perform};
use berth::ops::actions::{Access, Caller};
use berth::ops::{AccessKey, Authentication, Engine, KeyAccess, NewAccessKey};
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use malformed::Malformed;

/// How many times, if the environment says nothing else.
fn times(name: &str, short: usize) -> usize {
    std::env::var(name).ok().map_or(short, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

fn engine(directory: &Path) -> Engine {
    Engine::open(Some(directory)).unwrap()
}

#[test]
fn no_malformed_request_makes_it_panic_fail_or_grow() {
    let count = times("FUZZ_REQUESTS", 4000);
    let directory = tempfile::tempdir().unwrap();
    let mut engine = engine(directory.path());
    // A service can be made that has no tasks. Whoever wakes its scheduler finds one that listens, and starts none: what would be
    // started is this program.
    let control = engine.layout().scheduler().control;
    std::fs::create_dir_all(control.parent().unwrap()).unwrap();
    let _scheduler = std::os::unix::net::UnixDatagram::bind(&control).unwrap();
    let seed = times("FUZZ_SEED", 1) as u64;
    let mut malformed = Malformed::new(seed);
    assert_eq!(malformed.actions.len(), 88);
    let (mut refused, mut before) = (0, 0);
    for number in 0..count {
        let (action, body) = malformed.request();
        let access = if number % 4 == 0 { Access::ReadOnly } else { Access::Full };
        let caller = Caller { access, ..Caller::root() };
        let call = Call { service: Service::Ecs, action, caller, key: String::new() };
        let answer = perform(&mut engine, &call, &body, "id");
        let shown = || {
            format!(
                "{number} {}: {}",
                call.action,
                String::from_utf8_lossy(&body).chars().take(2000).collect::<String>()
            )
        };
        assert!(answer.status < 500, "{}\n{}", shown(), String::from_utf8_lossy(&answer.body));
        let value: serde_json::Value =
            serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", shown()));
        assert_eq!(answer.error.is_some(), value["__type"].is_string(), "{}", shown());
        refused += usize::from(answer.error.is_some());
        if number == count / 2 {
            before = resident_kib();
        }
    }
    let grown = resident_kib().saturating_sub(before);
    println!(
        "{count} malformed requests (seed {seed}): {refused} refused, the others answered; grown by {grown} KiB in the second half"
    );
    assert!(refused > count / 3, "they are malformed");
    assert!(grown < 32 << 10, "grown by {grown} KiB");
}

struct Signer {
    front: Front,
    key: AccessKey,
    rng: StdRng,
    _directory: tempfile::TempDir,
}

impl Signer {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let engine = engine(directory.path());
        let new = NewAccessKey { name: "me".into(), access: KeyAccess::Full, clusters: Vec::new(), expires_at: None };
        let key = engine.create_access_key(new).unwrap();
        let front = Front::new(engine.access_keys(), Authentication::Signatures, None);
        Self { front, key, rng: StdRng::seed_from_u64(7), _directory: directory }
    }

    /// A good request of its own time, region, service and body.
    fn good(&mut self, now: SystemTime) -> (Parts, Vec<u8>) {
        let away = Duration::from_secs(self.rng.random_range(0..290));
        let at = if self.rng.random() { now + away } else { now - away };
        let region = ["us-east-1", "eu-west-1", "ap-southeast-3", "local"][self.rng.random_range(0..4)];
        let length = self.rng.random_range(2..300);
        let body: Vec<u8> = (0..length).map(|_| self.rng.random()).collect();
        (self.signed(&body, at, region, &self.key.secret), body)
    }

    fn signed(&self, body: &[u8], at: SystemTime, region: &str, secret: &str) -> Parts {
        let (mut parts, ()) = hyper::Request::post("/").body(()).unwrap().into_parts();
        for (name, value) in [
            ("host", "127.0.0.1:7070"),
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "AmazonEC2ContainerServiceV20141113.ListTasks"),
        ] {
            parts.headers.insert(name, HeaderValue::from_static(value));
        }
        let identity = Credentials::new(&self.key.id, secret, None, None, "test").into();
        let params = v4::SigningParams::builder();
        let params =
            params.identity(&identity).region(region).name("ecs").time(at).settings(SigningSettings::default());
        let params = params.build().unwrap().into();
        let headers: Vec<(String, String)> =
            parts.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let request =
            SignableRequest::new("POST", "http://127.0.0.1:7070/", headers, SignableBody::Bytes(body)).unwrap();
        let (made, _) = sign(request, &params).unwrap().into_parts();
        for (name, value) in made.headers() {
            parts.headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        parts
    }

    /// The same request, altered so that its signature is none any more.
    fn altered(&mut self, parts: &mut Parts, body: &mut Vec<u8>, now: SystemTime) -> &'static str {
        match self.rng.random_range(0..8) {
            0 => {
                let place = self.rng.random_range(0..body.len());
                body[place] ^= 1 << self.rng.random_range(0..8);
                "a bit of the body"
            }
            1 => {
                body.push(b' ');
                "a longer body"
            }
            2 => {
                let at = now - Duration::from_secs(self.rng.random_range(301..100_000));
                *parts = self.signed(body, at, "us-east-1", &self.key.secret);
                "stale"
            }
            3 => {
                let at = now + Duration::from_secs(self.rng.random_range(302..100_000));
                *parts = self.signed(body, at, "us-east-1", &self.key.secret);
                "of the future"
            }
            4 => {
                let secret: String = (0..40).map(|_| char::from(self.rng.random_range(b'a'..=b'z'))).collect();
                *parts = self.signed(body, now, "us-east-1", &secret);
                "another secret"
            }
            5 => {
                parts
                    .headers
                    .insert("x-amz-target", HeaderValue::from_static("AmazonEC2ContainerServiceV20141113.StopTask"));
                "another action"
            }
            6 => {
                let text = parts.headers["authorization"].to_str().unwrap().to_owned();
                let place = self.rng.random_range(text.len() - 64..text.len());
                let digit = text.as_bytes()[place];
                let other = if digit == b'0' { '1' } else { '0' };
                let changed = format!("{}{other}{}", &text[..place], &text[place + 1..]);
                parts.headers.insert("authorization", changed.parse().unwrap());
                "a digit of the signature"
            }
            _ => {
                let text = parts.headers["authorization"].to_str().unwrap();
                let changed = text.replacen("/ecs/", "/sts/", 1);
                parts.headers.insert("authorization", changed.parse().unwrap());
                "another service"
            }
        }
    }
}

#[test]
fn no_forged_stale_or_altered_signature_is_accepted_and_no_good_one_is_refused() {
    let count = times("FUZZ_SIGNATURES", 300);
    let mut signer = Signer::new();
    let peer = Peer::Network("127.0.0.1".parse().unwrap());
    for number in 0..count {
        let now = SystemTime::now();
        let (mut parts, mut body) = signer.good(now);
        let call = signer.front.admit(&parts, &body, peer, now);
        assert_eq!(call.map(|call| call.key).ok().as_ref(), Some(&signer.key.id), "{number}: {parts:?}");
        let how = signer.altered(&mut parts, &mut body, now);
        let accepted = signer.front.admit(&parts, &body, peer, now);
        assert!(accepted.is_err(), "{number}: {how}: {parts:?}");
    }
    println!("{count} good signatures, none refused; {count} forged, stale or altered ones, none accepted");
}
