//! `[image]` of the configuration: where images come from, and when a registry is asked. Which endpoints follow from it is
//! decided in `ops::registries`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The most layers that are fetched at once.
const PARALLEL_MAX: usize = 16;

/// `[image]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImageSettings {
    /// When a registry is asked for an image that is here.
    pub pull_behavior: PullBehavior,
    /// How many layers of an image are fetched at once.
    pub parallel: usize,
    /// Registries (`host` or `host:port`, as image names have them) whose certificate may be anybody's, and that may speak
    /// HTTP without TLS. Those on `localhost` and on literal loopback addresses always may.
    pub insecure_registries: Vec<String>,
    /// Hosts that may be on loopback and link-local addresses.
    pub local_hosts: Vec<String>,
    /// What is asked before a registry, by the registry's name in images: `"docker.io" = ["https://mirror.lan"]`.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// What `HTTP_PROXY` says, for all callers.
    pub http_proxy: Option<String>,
    /// What `HTTPS_PROXY` says, for all callers.
    pub https_proxy: Option<String>,
    /// What `NO_PROXY` says, for all callers.
    pub no_proxy: Option<String>,
}

/// When a registry is asked for an image that is here: the words of the ECS agent's `ECS_IMAGE_PULL_BEHAVIOR`. An image that
/// is named by its digest is never asked for again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullBehavior {
    /// Never.
    #[default]
    Once,
    /// At every start; the image that is here does if the registry cannot be asked.
    Default,
    /// At every start; the task fails if the registry cannot be asked.
    Always,
    /// Never. (The agent's difference to `once` is that it removes no image by itself; berth never does.)
    PreferCached,
}

impl Default for ImageSettings {
    fn default() -> Self {
        Self {
            pull_behavior: PullBehavior::default(),
            parallel: 3,
            insecure_registries: Vec::new(),
            local_hosts: Vec::new(),
            mirrors: BTreeMap::new(),
            http_proxy: None,
            https_proxy: None,
            no_proxy: None,
        }
    }
}

impl ImageSettings {
    /// What is wrong with it, beginning with the key.
    pub(super) fn contradiction(&self) -> Option<String> {
        if !(1..=PARALLEL_MAX).contains(&self.parallel) {
            return Some(format!("image.parallel must be 1 to {PARALLEL_MAX}"));
        }
        let hosts = [("insecure-registries", &self.insecure_registries), ("local-hosts", &self.local_hosts)];
        for (key, hosts) in hosts {
            if let Some(host) = hosts.iter().find(|host| !is_host(host)) {
                return Some(format!("image.{key}: {host:?} is not a host or host:port"));
            }
        }
        for (registry, urls) in &self.mirrors {
            if !is_host(registry) {
                return Some(format!("image.mirrors: {registry:?} is not a host or host:port"));
            }
            if let Some(url) = urls.iter().find(|url| !is_mirror(url)) {
                return Some(format!("image.mirrors.{registry:?}: {url:?} is not http:// or https:// and a host"));
            }
        }
        let proxies = [("http-proxy", &self.http_proxy), ("https-proxy", &self.https_proxy)];
        let wrong = proxies.iter().find(|(_, value)| value.as_deref().is_some_and(|value| !is_proxy(value)));
        // Its value may hold a password.
        wrong.map(|(key, _)| format!("image.{key} is not an http:// or https:// address, or host:port"))
    }
}

/// A host, and perhaps a port: what stands in front of the first slash of an image's name.
fn is_host(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !text.is_empty() && text.bytes().all(plain) && !text.starts_with(':')
}

/// Scheme and host: the paths below it are those of the distribution protocol.
fn is_mirror(url: &str) -> bool {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    host.is_some_and(|host| is_host(host.strip_suffix('/').unwrap_or(host)))
}

/// What Go's and curl's programs take that speaks HTTP; SOCKS proxies are not spoken to.
pub(in crate::ops) fn is_proxy(text: &str) -> bool {
    match text.split_once("://") {
        Some(("http" | "https", rest)) => !rest.is_empty() && !rest.starts_with('/'),
        Some(_) => false,
        None => !text.is_empty() && !text.starts_with('/') && !text.contains(char::is_whitespace),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ImageSettings, String> {
        let settings: ImageSettings = toml::from_str(text).map_err(|error| error.to_string())?;
        match settings.contradiction() {
            Some(reason) => Err(reason),
            None => Ok(settings),
        }
    }

    #[test]
    fn every_key_is_read() {
        let settings = read(
            "pull-behavior = 'prefer-cached'\nparallel = 5\ninsecure-registries = ['registry.lan:5000']\n\
             local-hosts = ['registry.lan']\nhttp-proxy = 'proxy:3128'\nhttps-proxy = 'http://proxy:3128'\n\
             no-proxy = '.lan'\n[mirrors]\n'docker.io' = ['https://mirror.lan', 'http://10.0.0.1:5000/']\n\
             '123456789012.dkr.ecr.eu-west-1.amazonaws.com' = ['http://127.0.0.1:5000']\n",
        )
        .unwrap();
        assert_eq!((settings.pull_behavior, settings.parallel), (PullBehavior::PreferCached, 5));
        assert_eq!(settings.mirrors["docker.io"], ["https://mirror.lan", "http://10.0.0.1:5000/"]);
        assert_eq!(settings.no_proxy.as_deref(), Some(".lan"));
    }

    #[test]
    fn without_a_word_a_present_image_is_not_asked_for() {
        assert_eq!(read("").unwrap(), ImageSettings::default());
        assert_eq!(ImageSettings::default().pull_behavior, PullBehavior::Once);
        assert_eq!(ImageSettings::default().parallel, 3);
    }

    #[test]
    fn what_is_wrong_is_refused_by_its_key() {
        let cases = [
            ("parallel = 0", "image.parallel"),
            ("parallel = 17", "image.parallel"),
            ("pull-behavior = 'sometimes'", "pull-behavior"),
            ("insecure-registries = ['http://x']", "image.insecure-registries"),
            ("local-hosts = ['']", "image.local-hosts"),
            ("[mirrors]\n'docker.io' = ['mirror.lan']", "image.mirrors.\"docker.io\""),
            ("[mirrors]\n'docker.io' = ['https://mirror.lan/v2']", "image.mirrors.\"docker.io\""),
            ("[mirrors]\n'https://x' = []", "image.mirrors"),
            ("https-proxy = 'socks5://me:secret@x:1'", "image.https-proxy"),
            ("mirors = 1", "mirors"),
        ];
        for (text, key) in cases {
            let error = read(text).unwrap_err();
            assert!(error.contains(key) && !error.contains("secret"), "{text}: {error}");
        }
    }
}
