//! Where AWS is: the region, and each service's endpoint. Pure but for the shared configuration file, which `profile`
//! reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::profile::Profile;
use super::variables::Variables;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Systems Manager: parameters.
    Ssm,
    /// Secrets Manager.
    SecretsManager,
    /// CloudWatch Logs.
    Logs,
    /// Simple Storage Service.
    S3,
    /// Security Token Service: roles.
    Sts,
}

impl Service {
    /// What it is called in host names, in signatures and in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ssm => "ssm",
            Self::SecretsManager => "secretsmanager",
            Self::Logs => "logs",
            Self::S3 => "s3",
            Self::Sts => "sts",
        }
    }

    /// What AWS's SDKs call it in errors.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Ssm => "SSM",
            Self::SecretsManager => "Secrets Manager",
            Self::Logs => "CloudWatch Logs",
            Self::S3 => "S3",
            Self::Sts => "STS",
        }
    }

    /// What an operation's `X-Amz-Target` begins with (the service models' `targetPrefix`).
    pub(super) fn target(self) -> &'static str {
        match self {
            Self::Ssm => "AmazonSSM",
            Self::SecretsManager => "secretsmanager",
            Self::Logs => "Logs_20140328",
            Self::S3 | Self::Sts => "",
        }
    }

    /// What stands for it in variables and shared files (AWS SDKs reference guide, "Identifiers for service-specific
    /// endpoints").
    fn identifier(self) -> &'static str {
        match self {
            Self::Ssm => "SSM",
            Self::SecretsManager => "SECRETS_MANAGER",
            Self::Logs => "CLOUDWATCH_LOGS",
            Self::S3 => "S3",
            Self::Sts => "STS",
        }
    }
}

/// `[aws]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The region that is asked where nothing else is said.
    pub region: String,
    /// The profile of the shared files; by default the one that `AWS_PROFILE` names, or `default`.
    pub profile: Option<String>,
    /// One endpoint for all services.
    pub endpoint: Option<String>,
    /// The endpoint of a service.
    pub endpoints: BTreeMap<Service, String>,
}

/// The address of a service, and whether it is AWS's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Scheme and host, perhaps a port and a path, without a slash at its end.
    pub(super) url: String,
    /// Whether it is AWS's, where buckets have host names of their own.
    pub(super) origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Aws,
    Configured,
}

/// A service's endpoint in a region: what berth is told, else the SDKs' own order (reference guide, "Service-specific
/// endpoints"): the service's variable, the variable for all, the service's entry in the profile, the profile's for all.
pub(super) fn endpoint(
    settings: &Settings,
    variables: &Variables,
    profile: &Profile,
    service: Service,
    region: &str,
) -> Endpoint {
    let identifier = service.identifier();
    let ignored = variables.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|value| value == "true");
    let elsewhere = || {
        let variable = variables.get(&format!("AWS_ENDPOINT_URL_{identifier}"));
        let variable = variable.or_else(|| variables.get("AWS_ENDPOINT_URL"));
        variable.or_else(|| profile.endpoint(&identifier.to_ascii_lowercase())).filter(|_| !ignored)
    };
    let told = settings.endpoints.get(&service).or(settings.endpoint.as_ref()).map(String::as_str);
    match told.or_else(elsewhere) {
        Some(url) => Endpoint { url: url.trim_end_matches('/').to_owned(), origin: Origin::Configured },
        None => {
            let url = format!("https://{}.{region}.{}", service.name(), domain(region));
            Endpoint { url, origin: Origin::Aws }
        }
    }
}

/// The domain of a region's partition.
fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings { region: "eu-west-1".into(), profile: None, endpoint: None, endpoints: BTreeMap::new() }
    }

    fn url(settings: &Settings, variables: &[(&str, &str)], profile: &str, service: Service) -> String {
        let variables = Variables::of(variables.iter().copied());
        let profile = Profile::of_text("default", profile, "");
        endpoint(settings, &variables, &profile, service, "eu-west-1").url
    }

    #[test]
    fn without_a_word_it_is_awss_own() {
        assert_eq!(url(&settings(), &[], "", Service::Ssm), "https://ssm.eu-west-1.amazonaws.com");
        let china = endpoint(&settings(), &Variables::default(), &Profile::default(), Service::Logs, "cn-north-1");
        assert_eq!(china, Endpoint { url: "https://logs.cn-north-1.amazonaws.com.cn".into(), origin: Origin::Aws });
    }

    #[test]
    fn the_nearest_word_counts() {
        let shared = "[default]\nservices = local\nendpoint_url = http://profile\n\
                      [services local]\ncloudwatch_logs =\n  endpoint_url = http://profile-logs/\n";
        let of_all = ("AWS_ENDPOINT_URL", "http://all");
        let own = ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://secrets");
        assert_eq!(url(&settings(), &[], shared, Service::S3), "http://profile");
        assert_eq!(url(&settings(), &[], shared, Service::Logs), "http://profile-logs");
        assert_eq!(url(&settings(), &[of_all, own], shared, Service::SecretsManager), "http://secrets");
        assert_eq!(url(&settings(), &[of_all, own], shared, Service::Logs), "http://all");
        let ignored = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
        assert!(url(&settings(), &[of_all, ignored], shared, Service::S3).contains("amazonaws.com"));
        let mut told = Settings { endpoint: Some("http://told".into()), ..settings() };
        assert_eq!(url(&told, &[of_all, own], shared, Service::SecretsManager), "http://told");
        told.endpoints.insert(Service::S3, "http://told-s3".into());
        assert_eq!(url(&told, &[], "", Service::S3), "http://told-s3");
    }
}
