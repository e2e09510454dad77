//! What a fetch needs to know, what it says on its way, and how it ends. Made by `ops`, carried out by a worker that has
//! nothing but this and the store's directory, shown by `cli`: all of it crosses a process boundary as JSON.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::reference::ImageReference;

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Job {
    /// A registry.
    Pull(PullRequest),
    /// An OCI image layout (directory or archive) or a docker archive.
    Import {
        /// The file or directory.
        path: PathBuf,
        /// The name that its only image is to have; the source's own names count otherwise.
        name: Option<ImageReference>,
    },
}

/// One image of one registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// What is pulled. A digest counts before a tag.
    pub reference: ImageReference,
    /// The digest that the registry had for the reference when the image that is here was pulled: if it still has it, there is
    /// nothing to fetch, which one HEAD tells. (Docker Hub does not count those towards its limit.)
    pub known: Option<Digest>,
    /// Where it is looked for, in this order: mirrors, then the registry itself. The next one is tried when one is not
    /// there, or does not have the image; never when one gave an answer that is a lie.
    pub endpoints: Vec<Endpoint>,
    /// What is between this host and the registries.
    pub proxies: Proxies,
    /// Hosts (`registry.lan`, `127.0.0.1:5000`) that may be on loopback or link-local addresses besides the endpoints that
    /// are written as such an address: everything else that a name, a redirect or a token server leads to may not.
    pub local_hosts: Vec<String>,
    /// How many layers are fetched at once.
    pub parallel: usize,
}

impl PullRequest {
    /// The name that the index gets for the image with this manifest: by tag, if that was asked for; by the manifest's
    /// digest, if a digest was. A tag beside a digest is left alone then: nobody asked what it means.
    pub(crate) fn recorded(&self, manifest: Digest) -> ImageReference {
        match (self.reference.digest(), self.reference.by_tag()) {
            (None, Some(tagged)) => tagged,
            _ => self.reference.by_digest(manifest),
        }
    }
}

/// One server that speaks the OCI distribution protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// `https://registry-1.docker.io`: scheme, host, and a port if it is not the scheme's.
    pub url: String,
    /// Who we are there. Sent to this host, and to the token server that it names, alone.
    pub credentials: Option<Credentials>,
    /// What a TLS server must show.
    pub certificates: Certificates,
}

/// Whom a TLS server's certificate must be from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Certificates {
    /// One of the host's authorities.
    #[default]
    System,
    /// One of the host's authorities, or one of these (PEM).
    Also(Vec<String>),
    /// Anybody: the registry is configured as insecure.
    Anybody,
}

/// Who we are at a registry, as `~/.docker/config.json` and credential helpers say it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Credentials {
    /// A name and a password.
    Basic {
        /// The name.
        username: String,
        /// The password, or an access token in its place.
        password: String,
    },
    /// A refresh token for the registry's token server (`identitytoken`).
    Identity(String),
    /// A bearer token for the registry itself (`registrytoken`).
    Bearer(String),
}

/// Nothing secret is ever printed.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Basic",
            Self::Identity(_) => "Identity",
            Self::Bearer(_) => "Bearer",
        })
    }
}

/// `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, as curl and Go read them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxies {
    /// For `http:` addresses.
    pub http: Option<String>,
    /// For `https:` addresses.
    pub https: Option<String>,
    /// Hosts that are reached without one, separated by commas.
    pub none: Option<String>,
}

/// A layer of the image that is being fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerSize {
    /// The digest of its blob.
    pub digest: Digest,
    /// Bytes of its blob.
    pub size: u64,
}

/// How far a fetch is. Layers are counted from 0, the lowest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Progress {
    /// The manifest is asked for.
    Resolving {
        /// What is asked for.
        reference: ImageReference,
        /// Where: the host.
        endpoint: String,
    },
    /// Something failed and is tried again.
    Retrying {
        /// What failed, and why.
        reason: String,
        /// How often it has been tried.
        attempt: u32,
        /// Milliseconds until the next time.
        wait: u64,
    },
    /// The image is known.
    Image {
        /// The digest of its manifest.
        digest: Digest,
        /// Its layers, lowest first.
        layers: Vec<LayerSize>,
    },
    /// A layer is in the store already, or was left there by an earlier fetch that did not end.
    Present {
        /// Which one.
        layer: usize,
    },
    /// Somebody else is fetching the layer; this fetch waits for it.
    Waiting {
        /// Which one.
        layer: usize,
    },
    /// A layer is being read and unpacked.
    Layer {
        /// Which one.
        layer: usize,
        /// Bytes of its blob that were read.
        done: u64,
    },
    /// A layer is verified and unpacked.
    Unpacked {
        /// Which one.
        layer: usize,
        /// Bytes of its files.
        size: u64,
        /// Device nodes that were left out.
        devices: u64,
    },
}

/// An image whose layers are unpacked in the staging directory: what a fetch says, and nothing that anybody need believe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// What it is to be called, each name by tag or by digest.
    pub names: Vec<ImageReference>,
    /// The text of the index that it was chosen from, if it was in one.
    pub index: Option<String>,
    /// The text of its manifest.
    pub manifest: String,
    /// The text of its configuration.
    pub config: String,
}

/// Why a fetch came to nothing, by what somebody could do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// The manifest could not be had: no such host, no such image, not allowed, no answer.
    Resolve {
        /// How often it was tried again.
        retries: u32,
    },
    /// A layer's or configuration's bytes could not be had.
    Copy {
        /// How often it was tried again.
        retries: u32,
    },
    /// The image is for other platforms.
    Platform,
    /// What came is not what was promised, or breaks a rule.
    Content,
    /// No space, or no inodes, are left on the store's file system.
    Space,
    /// The source of an import, or the name that it is to have.
    Source,
    /// The store itself.
    Store,
}

/// A fetch that came to nothing, in words that can be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// The whole chain of causes, joined by `: `.
    pub message: String,
}
