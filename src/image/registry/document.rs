//! Manifests, indexes and configurations as bytes: fetched whole, bounded, and what their digest says that they are.

use serde::Deserialize;

use super::error::RequestError;
use super::follow::{Answer, shown};
use super::limits::MESSAGE_MAX;
use crate::image::digest::Digest;

/// What we take, in the order in which we like it.
const ACCEPTED: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// A manifest or an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    /// What the registry, or else the document itself, says that it is; nothing that it must be believed.
    pub(crate) media_type: String,
    /// The digest of the bytes.
    pub(crate) digest: Digest,
    /// The bytes, as they came.
    pub(crate) bytes: Vec<u8>,
}

/// The `Accept` header for a manifest.
pub(super) fn accept() -> (&'static str, String) {
    ("accept", ACCEPTED.join(", "))
}

/// `Docker-Content-Digest`, if the registry sends one and it is a sha256.
pub(super) fn promised(answer: &Answer) -> Result<Option<Digest>, RequestError> {
    let Some(value) = answer.header("docker-content-digest").filter(|value| value.starts_with("sha256:")) else {
        return Ok(None);
    };
    let wrong = |_| RequestError::DigestHeader { url: answer.target.to_string(), value: shown(value, MESSAGE_MAX) };
    value.trim().parse().map(Some).map_err(wrong)
}

/// What a document says about itself.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Peek {
    schema_version: Option<u64>,
    media_type: Option<String>,
}

impl Document {
    /// Reads a manifest; at most `limit` bytes.
    pub(super) fn read(answer: Answer, what: &str, limit: u64) -> Result<Self, RequestError> {
        let promised = promised(&answer)?;
        let said =
            answer.header("content-type").map(|said| said.split(';').next().unwrap_or_default().trim().to_owned());
        let said = said.map(|said| shown(&said.to_ascii_lowercase(), MESSAGE_MAX)).unwrap_or_default();
        let bytes = answer.whole(what, limit)?;
        let digest = Digest::of(&bytes);
        if let Some(expected) = promised.filter(|promised| *promised != digest) {
            return Err(RequestError::Digest { what: what.into(), expected, actual: digest });
        }
        let peek: Peek = serde_json::from_slice(&bytes).unwrap_or_default();
        if said.starts_with("application/vnd.docker.distribution.manifest.v1") || peek.schema_version == Some(1) {
            return Err(RequestError::Schema1(what.into()));
        }
        let media_type = if ACCEPTED.contains(&said.as_str()) { said } else { peek.media_type.unwrap_or(said) };
        Ok(Self { media_type, digest, bytes })
    }

    /// Only if it is that one.
    pub(super) fn verified(self, what: &str, expected: &Digest) -> Result<Self, RequestError> {
        if self.digest == *expected {
            return Ok(self);
        }
        Err(RequestError::Digest { what: what.into(), expected: *expected, actual: self.digest })
    }

    /// Only if it has that size.
    pub(super) fn sized(self, what: &str, expected: u64) -> Result<Self, RequestError> {
        if self.bytes.len() as u64 == expected {
            return Ok(self);
        }
        Err(RequestError::Size { what: what.into(), expected, actual: self.bytes.len().to_string() })
    }
}
