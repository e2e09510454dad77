//! Image references: what a person writes for an image, resolved as Docker does (distribution/reference, the grammar in
//! its `reference.go` and the familiar names of its `normalize.go`). Pure text; nothing is looked up here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::digest::{Digest, DigestError};

const DEFAULT_REGISTRY: &str = "docker.io";
const OFFICIAL: &str = "library/";
const DEFAULT_TAG: &str = "latest";
/// The longest registry and repository together, in bytes.
const NAME_MAX: usize = 255;
/// The longest tag, in bytes.
const TAG_MAX: usize = 128;

/// The complete name of an image: registry, repository, and a tag or a digest or both. `nginx` is
/// `docker.io/library/nginx:latest`. Displays in the familiar form (`nginx:latest`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageReference {
    registry: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is not an image reference.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing at all, or nothing before the tag.
    #[error("image reference {0:?} has no repository name")]
    Empty(String),
    /// Upper case in the repository.
    #[error("image reference {0:?}: the repository name must be lower case")]
    Uppercase(String),
    /// The repository breaks the grammar.
    #[error(
        "image reference {reference:?}: {component:?} is not a repository name (lower-case letters and digits, joined by \
         `.`, `_`, `__` or hyphens)"
    )]
    Component {
        /// The whole text.
        reference: String,
        /// The part between two slashes.
        component: String,
    },
    /// The registry breaks the grammar.
    #[error("image reference {reference:?}: {registry:?} is not a registry host, or host:port")]
    Registry {
        /// The whole text.
        reference: String,
        /// The part before the first slash.
        registry: String,
    },
    /// The tag breaks the grammar.
    #[error(
        "image reference {reference:?}: {tag:?} is not a tag (letters, digits, `_`, `.` and `-`, not starting with `.` \
         or `-`, at most 128)"
    )]
    Tag {
        /// The whole text.
        reference: String,
        /// The part behind the colon.
        tag: String,
    },
    /// The digest breaks the grammar.
    #[error("image reference {reference:?}")]
    Digest {
        /// The whole text.
        reference: String,
        /// What is wrong with it.
        #[source]
        source: DigestError,
    },
    /// Longer than the registries take.
    #[error("image reference {0:?}: the name is longer than 255 bytes")]
    TooLong(String),
    /// A bare image id.
    #[error("image reference {0:?} is an image id: write the repository's name, or repository@sha256:...")]
    Id(String),
}

impl ImageReference {
    /// The registry's host, with its port if it has one.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository within the registry: `library/nginx`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag; `latest` where neither tag nor digest was written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was written.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Registry and repository without tag and digest: `docker.io/library/nginx`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.registry, self.path)
    }

    /// The complete form: `docker.io/library/nginx:latest`.
    pub fn full(&self) -> String {
        format!("{}/{}{}", self.registry, self.path, self.suffix())
    }

    /// The short form that people write: `nginx:latest`, `someone/thing:1`, `registry.example:5000/a/b@sha256:...`.
    pub fn familiar(&self) -> String {
        let suffix = self.suffix();
        if self.registry != DEFAULT_REGISTRY {
            return format!("{}/{}{suffix}", self.registry, self.path);
        }
        let official = self.path.strip_prefix(OFFICIAL).filter(|rest| !rest.contains('/'));
        format!("{}{suffix}", official.unwrap_or(&self.path))
    }

    /// The same repository, by this digest and without a tag.
    pub(crate) fn by_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The same repository and tag without a digest, if there is a tag.
    pub(crate) fn by_tag(&self) -> Option<Self> {
        self.tag.is_some().then(|| Self { digest: None, ..self.clone() })
    }

    fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
        tag + &digest
    }
}

impl FromStr for ImageReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ReferenceError::Id(text.into()));
        }
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => {
                let parsed = digest.parse().map_err(|source| ReferenceError::Digest { reference: text.into(), source });
                (rest, Some(parsed?))
            }
        };
        let (registry, rest) = split_registry(rest);
        // The registry is off, so that its port is not taken for a tag.
        let (path, tag) = match rest.split_once(':') {
            None => (rest, None),
            Some((path, tag)) => (path, Some(tag.to_owned())),
        };
        check_registry(text, registry)?;
        check_path(text, path)?;
        if let Some(tag) = tag.as_deref().filter(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Tag { reference: text.into(), tag: tag.into() });
        }
        let official = registry == DEFAULT_REGISTRY && !path.contains('/');
        let path = if official { format!("{OFFICIAL}{path}") } else { path.to_owned() };
        if registry.len() + 1 + path.len() > NAME_MAX {
            return Err(ReferenceError::TooLong(text.into()));
        }
        let tag = tag.or_else(|| digest.is_none().then(|| DEFAULT_TAG.to_owned()));
        Ok(Self { registry: registry.to_owned(), path, tag, digest })
    }
}

/// Docker's host rule: what stands before the first slash is a registry if it has a dot or a colon, is `localhost`, or
/// is not lower case (and so cannot be a repository). All else is in Docker's own registry, which has two names.
fn split_registry(text: &str) -> (&str, &str) {
    let Some((first, rest)) = text.split_once('/') else { return (DEFAULT_REGISTRY, text) };
    let is_host = first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase());
    match first {
        _ if !is_host => (DEFAULT_REGISTRY, text),
        "index.docker.io" => (DEFAULT_REGISTRY, rest),
        _ => (first, rest),
    }
}

fn check_registry(reference: &str, registry: &str) -> Result<(), ReferenceError> {
    let (host, port) = match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            let address = address.parse::<std::net::Ipv6Addr>().is_ok();
            (address, port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
        }
        None => {
            let (host, port) = registry.split_once(':').map_or((registry, None), |(host, port)| (host, Some(port)));
            (host.split('.').all(is_label), port.is_none_or(is_port))
        }
    };
    if host && port {
        return Ok(());
    }
    Err(ReferenceError::Registry { reference: reference.into(), registry: registry.into() })
}

fn is_label(label: &str) -> bool {
    let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    !label.is_empty() && inner && !label.starts_with('-') && !label.ends_with('-')
}

fn is_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn check_path(reference: &str, path: &str) -> Result<(), ReferenceError> {
    if path.is_empty() {
        return Err(ReferenceError::Empty(reference.into()));
    }
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(ReferenceError::Uppercase(reference.into()));
    }
    match path.split('/').find(|component| !is_component(component)) {
        None => Ok(()),
        Some(component) => Err(ReferenceError::Component { reference: reference.into(), component: component.into() }),
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let word = |byte: char| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut rest = component;
    loop {
        let start = rest.trim_start_matches(word);
        if start.len() == rest.len() {
            return false; // a word must stand at the beginning, and behind every separator
        }
        if start.is_empty() {
            return true;
        }
        rest = start.trim_start_matches(['.', '_', '-']);
        let separator = &start[..start.len() - rest.len()];
        if !matches!(separator, "." | "_" | "__") && !separator.bytes().all(|byte| byte == b'-') {
            return false;
        }
        if separator.is_empty() {
            return false;
        }
    }
}

/// `[\w][\w.-]{0,127}`
fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let inner = tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-');
    inner && tag.len() <= TAG_MAX && tag.bytes().next().is_some_and(word)
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.familiar())
    }
}

impl TryFrom<String> for ImageReference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<ImageReference> for String {
    fn from(reference: ImageReference) -> Self {
        reference.full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn references_resolve_as_docker_does() {
        let with_digest = format!("nginx@{DIGEST}");
        let both = format!("localhost:5000/a/b:1@{DIGEST}");
        let cases = [
            ("nginx", "docker.io/library/nginx:latest", "nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27", "nginx:1.27"),
            ("someone/thing", "docker.io/someone/thing:latest", "someone/thing:latest"),
            ("docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
            ("index.docker.io/library/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
            ("docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
            ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
            ("localhost:5000/x:y", "localhost:5000/x:y", "localhost:5000/x:y"),
            ("[2001:db8::1]:5000/x", "[2001:db8::1]:5000/x:latest", "[2001:db8::1]:5000/x:latest"),
            ("ghcr.io/a/b__c/d--e:V1", "ghcr.io/a/b__c/d--e:V1", "ghcr.io/a/b__c/d--e:V1"),
            ("UPPER/x", "UPPER/x:latest", "UPPER/x:latest"),
            (&with_digest, &format!("docker.io/library/nginx@{DIGEST}"), &with_digest),
            (&both, &both, &both),
        ];
        for (text, full, familiar) in cases {
            let reference: ImageReference = text.parse().unwrap();
            assert_eq!(reference.full(), full, "{text}");
            assert_eq!(reference.to_string(), familiar, "{text}");
            assert_eq!(reference.full().parse::<ImageReference>().unwrap(), reference, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_reference_is_refused_with_the_reason() {
        let error = |text: &str| text.parse::<ImageReference>().unwrap_err();
        assert!(matches!(error(""), ReferenceError::Empty(_)));
        assert!(matches!(error(":tag"), ReferenceError::Empty(_)));
        assert!(matches!(error("host.example/"), ReferenceError::Empty(_)));
        assert!(matches!(error("Nginx"), ReferenceError::Uppercase(_)));
        assert!(matches!(error("host.example/Nginx"), ReferenceError::Uppercase(_)));
        for bad in ["a//b", "-a", "a-", "a..b", "a___b", "a._b", "/etc/passwd", "../x", "a/../b", "nginx latest", "ä"]
        {
            assert!(matches!(error(bad), ReferenceError::Component { .. } | ReferenceError::Registry { .. }), "{bad}");
        }
        assert!(matches!(error("host.example:port/x"), ReferenceError::Registry { .. }));
        assert!(matches!(error("-host.example/x"), ReferenceError::Registry { .. }));
        for bad in ["x:", "x:-a", "x:a b", &format!("x:{}", "a".repeat(129)), "x:a/b"] {
            assert!(bad.parse::<ImageReference>().is_err(), "{bad}");
        }
        assert!(matches!(error("x@sha256:12"), ReferenceError::Digest { .. }));
        assert!(matches!(error("x@md5:12"), ReferenceError::Digest { .. }));
        assert!(matches!(error(&"a".repeat(256)), ReferenceError::TooLong(_)));
        assert!(matches!(error(&DIGEST[7..]), ReferenceError::Id(_)));
    }
}
