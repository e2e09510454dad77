//! Requests with AWS's signatures, made by AWS's own crate; and the same ones altered.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use berth::ops::AccessKey;
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Who has a key.
pub(super) struct Signer {
    pub(super) key: AccessKey,
    rng: StdRng,
}

impl Signer {
    pub(super) fn new(key: AccessKey) -> Self {
        Self { key, rng: StdRng::seed_from_u64(7) }
    }

    /// A good request of its own time, region, service and body.
    pub(super) fn good(&mut self, now: SystemTime) -> (Parts, Vec<u8>) {
        let away = Duration::from_secs(self.rng.random_range(0..290));
        let at = if self.rng.random() { now + away } else { now - away };
        let region = ["us-east-1", "eu-west-1", "ap-southeast-3", "local"][self.rng.random_range(0..4)];
        let length = self.rng.random_range(2..300);
        let body: Vec<u8> = (0..length).map(|_| self.rng.random()).collect();
        (self.signed("ListTasks", &body, (at, region), &self.key.secret), body)
    }

    /// A request for an action, signed for a time and a region.
    pub(super) fn signed(&self, action: &str, body: &[u8], (at, region): (SystemTime, &str), secret: &str) -> Parts {
        let (mut parts, ()) = hyper::Request::post("/").body(()).unwrap().into_parts();
        for (name, value) in [
            ("host", "127.0.0.1:7070"),
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", &format!("AmazonEC2ContainerServiceV20141113.{action}")),
        ] {
            parts.headers.insert(name, HeaderValue::from_str(value).unwrap());
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
    pub(super) fn altered(&mut self, parts: &mut Parts, body: &mut Vec<u8>, now: SystemTime) -> &'static str {
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
                *parts = self.signed("ListTasks", body, (at, "us-east-1"), &self.key.secret);
                "stale"
            }
            3 => {
                let at = now + Duration::from_secs(self.rng.random_range(302..100_000));
                *parts = self.signed("ListTasks", body, (at, "us-east-1"), &self.key.secret);
                "of the future"
            }
            4 => {
                let secret: String = (0..40).map(|_| char::from(self.rng.random_range(b'a'..=b'z'))).collect();
                *parts = self.signed("ListTasks", body, (now, "us-east-1"), &secret);
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
