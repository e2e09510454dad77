//! `[aws]` of the configuration: where AWS is, for whatever is asked of it. Nothing is, unless another part of the
//! configuration says so.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::aws::{Service, Settings};

/// `[aws]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AwsSettings {
    /// The region that is asked; by default the one of the ARNs here.
    pub region: Option<String>,
    /// The profile of `~/.aws/config` and `~/.aws/credentials`.
    pub profile: Option<String>,
    /// One endpoint for all services: `http://127.0.0.1:4566`.
    pub endpoint: Option<String>,
    /// The endpoint of one service: `ssm`, `secretsmanager`, `s3`, `logs`, `sts`.
    pub endpoints: BTreeMap<Service, String>,
}

impl AwsSettings {
    /// What is wrong with it, beginning with the key.
    pub(super) fn contradiction(&self) -> Option<String> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if let Some(region) = self.region.as_ref().filter(|region| region.is_empty() || !region.bytes().all(plain)) {
            return Some(format!("aws.region {region:?} is not a region's name"));
        }
        let one = self.endpoint.iter().map(|url| ("aws.endpoint".to_owned(), url));
        let own = self.endpoints.iter().map(|(service, url)| (format!("aws.endpoints.{}", service.name()), url));
        let mut wrong = one.chain(own).filter(|(_, url)| !is_endpoint(url));
        wrong.next().map(|(key, url)| format!("{key}: {url:?} is not http:// or https:// and a host"))
    }

    /// What a client needs; `region` is the one of the ARNs here.
    pub fn settings(&self, region: &str) -> Settings {
        Settings {
            region: self.region.clone().unwrap_or_else(|| region.to_owned()),
            profile: self.profile.clone(),
            endpoint: self.endpoint.clone(),
            endpoints: self.endpoints.clone(),
        }
    }
}

fn is_endpoint(url: &str) -> bool {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty() && !host.starts_with('/') && !host.contains(['@', ' ', '?', '#']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AwsSettings, String> {
        let settings: AwsSettings = toml::from_str(text).map_err(|error| error.to_string())?;
        settings.contradiction().map_or(Ok(settings), Err)
    }

    #[test]
    fn every_key_is_read() {
        let settings = read(
            "region = 'eu-west-1'\nprofile = 'team'\nendpoint = 'http://127.0.0.1:4566'\n\
             [endpoints]\nsecretsmanager = 'https://secrets.lan/x'\nlogs = 'http://logs.lan'\n",
        )
        .unwrap();
        let settings = settings.settings("us-east-1");
        assert_eq!((settings.region.as_str(), settings.profile.as_deref()), ("eu-west-1", Some("team")));
        assert_eq!(settings.endpoints[&Service::SecretsManager], "https://secrets.lan/x");
        assert_eq!(read("").unwrap().settings("us-east-1").region, "us-east-1");
    }

    #[test]
    fn what_is_wrong_is_refused_by_its_key() {
        let cases = [
            ("region = 'eu west'", "aws.region"),
            ("endpoint = '127.0.0.1:4566'", "aws.endpoint"),
            ("[endpoints]\ns3 = 'http://'", "aws.endpoints.s3"),
            ("[endpoints]\nsqs = 'http://x'", "sqs"),
            ("profil = 'x'", "profil"),
        ];
        for (text, key) in cases {
            let error = read(text).unwrap_err();
            assert!(error.contains(key), "{text}: {error}");
        }
    }
}
