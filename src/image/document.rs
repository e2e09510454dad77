//! Manifests and indexes as documents: read by their content, refused if they could be read as two things, verified
//! against the descriptor that named them, and followed to the manifest for this host. The same for a layout on disk and
//! for a registry: who has the documents is behind [`Documents`]. Called by `manifest`, `pulled` and `publish`.

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::config::{Configuration, Platform};
use super::digest::Digest;
use super::manifest::{Found, ManifestError, Part};

/// The largest document, in bytes: what the distribution-spec asks registries to take ("Pushing Manifests").
pub(crate) const DOCUMENT_MAX: u64 = 4 << 20;
/// The most manifests in one index.
pub(crate) const MANIFESTS_MAX: usize = 256;

/// Who has the documents that descriptors name. What is given back is not trusted: size and digest are checked here.
pub(crate) trait Documents {
    /// The bytes of an index or a manifest.
    fn manifest(&self, digest: &Digest, size: u64) -> Result<Vec<u8>, ManifestError>;

    /// The bytes of a configuration.
    fn config(&self, digest: &Digest, size: u64) -> Result<Vec<u8>, ManifestError>;

    /// How a blob is called where these documents are.
    fn name(&self, digest: &Digest) -> String;
}

/// What a document is, by what it holds.
#[derive(Deserialize)]
struct Shape {
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
    manifests: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
    #[serde(rename = "fsLayers")]
    fs_layers: Option<IgnoredAny>,
}

/// An index or a manifest.
pub(crate) enum Document {
    Index(Vec<Descriptor>),
    Manifest(Box<ImageManifest>),
}

impl Document {
    /// Reads an index or a manifest by its content, and refuses what could be read as both, or as another one than was
    /// said.
    pub(crate) fn read(name: &str, bytes: &[u8], said: Option<&str>) -> Result<Self, ManifestError> {
        let shape: Shape = json(name, bytes)?;
        let disagrees = || ManifestError::Confused(name.into());
        if let (Some(inside), Some(said)) = (&shape.media_type, said)
            && inside != said
        {
            return Err(disagrees());
        }
        let kind = shape.media_type.as_deref().or(said).and_then(kind);
        match (shape.manifests, shape.config, shape.layers, shape.fs_layers) {
            (Some(_), None, None, None) if kind != Some(Kind::Manifest) => {
                let index: ImageIndex = json(name, bytes)?;
                if index.manifests().len() > MANIFESTS_MAX {
                    let (what, limit) = ("manifests", MANIFESTS_MAX);
                    return Err(ManifestError::TooMany { name: name.into(), what, limit });
                }
                Ok(Self::Index(index.manifests().clone()))
            }
            (None, Some(_), Some(_), None) if kind != Some(Kind::Index) => {
                Ok(Self::Manifest(Box::new(json(name, bytes)?)))
            }
            (None, None, None, Some(_)) => Err(ManifestError::Old(name.into())),
            _ => Err(disagrees()),
        }
    }
}

#[derive(PartialEq, Eq)]
enum Kind {
    Index,
    Manifest,
}

/// What a media type says, if it is one that we know.
fn kind(media_type: &str) -> Option<Kind> {
    match media_type {
        "application/vnd.oci.image.index.v1+json" | "application/vnd.docker.distribution.manifest.list.v2+json" => {
            Some(Kind::Index)
        }
        "application/vnd.oci.image.manifest.v1+json" | "application/vnd.docker.distribution.manifest.v2+json" => {
            Some(Kind::Manifest)
        }
        _ => None,
    }
}

/// Reads JSON and says which document was not.
pub(crate) fn json<T: for<'de> Deserialize<'de>>(name: &str, bytes: &[u8]) -> Result<T, ManifestError> {
    serde_json::from_slice(bytes).map_err(|source| ManifestError::Json { name: name.into(), source })
}

/// A manifest for this host, with its bytes.
pub(crate) struct Chosen {
    pub(crate) digest: Digest,
    manifest: Box<ImageManifest>,
    bytes: Vec<u8>,
    /// The index that it was chosen from.
    index: Option<Vec<u8>>,
}

/// Follows a descriptor to the manifest for this host. What is for other platforms is put into `others`.
pub(crate) fn choose(
    documents: &dyn Documents,
    descriptor: &Descriptor,
    others: &mut Vec<String>,
) -> Result<Option<Chosen>, ManifestError> {
    if !is_ours(descriptor, others) {
        return Ok(None);
    }
    let (digest, bytes) = verified(documents, descriptor, |digest, size| documents.manifest(digest, size))?;
    choose_in(documents, digest, bytes, Some(descriptor.media_type().as_ref()), others)
}

/// The same for a document that is here already, its digest verified.
pub(crate) fn choose_in(
    documents: &dyn Documents,
    digest: Digest,
    bytes: Vec<u8>,
    said: Option<&str>,
    others: &mut Vec<String>,
) -> Result<Option<Chosen>, ManifestError> {
    let descriptors = match Document::read(&digest.to_string(), &bytes, said)? {
        Document::Manifest(manifest) if !is_image(&manifest) => return Ok(None), // a signature, a chart ...
        Document::Manifest(manifest) => return Ok(Some(Chosen { digest, manifest, bytes, index: None })),
        Document::Index(descriptors) => descriptors,
    };
    let index = bytes;
    for descriptor in &descriptors {
        if !is_ours(descriptor, others) {
            continue;
        }
        let (digest, bytes) = verified(documents, descriptor, |digest, size| documents.manifest(digest, size))?;
        match Document::read(&digest.to_string(), &bytes, Some(descriptor.media_type().as_ref()))? {
            Document::Index(_) => return Err(ManifestError::Nested(digest.to_string())),
            Document::Manifest(manifest) if !is_image(&manifest) => {}
            Document::Manifest(manifest) => return Ok(Some(Chosen { digest, manifest, bytes, index: Some(index) })),
        }
    }
    Ok(None)
}

/// Reads the configuration of a chosen manifest and brings the two together.
pub(crate) fn found(documents: &dyn Documents, names: Vec<String>, chosen: Chosen) -> Result<Found, ManifestError> {
    let Chosen { digest, manifest, bytes, index } = chosen;
    let (config_digest, config) =
        verified(documents, manifest.config(), |digest, size| documents.config(digest, size))?;
    let parts = manifest.layers().iter().map(|layer| {
        let digest = digest_of(layer)?;
        Ok(Part { name: documents.name(&digest), digest, size: layer.size() })
    });
    let parts = parts.collect::<Result<Vec<_>, ManifestError>>()?;
    let configuration = Configuration::parse(&config).map_err(|source| ManifestError::Config(config_digest, source))?;
    let layers = super::manifest::layers(&digest.to_string(), parts, &configuration)?;
    Ok(Found { names, index, manifest: bytes, digest, config, config_digest, configuration, layers })
}

/// The digest that a descriptor has.
pub(crate) fn digest_of(descriptor: &Descriptor) -> Result<Digest, ManifestError> {
    descriptor.digest().as_ref().parse().map_err(ManifestError::Digest)
}

/// A document, its size and digest verified. No more than its limit is ever asked for.
fn verified(
    documents: &dyn Documents,
    descriptor: &Descriptor,
    read: impl FnOnce(&Digest, u64) -> Result<Vec<u8>, ManifestError>,
) -> Result<(Digest, Vec<u8>), ManifestError> {
    let digest = digest_of(descriptor)?;
    let lie = |found| ManifestError::Lie { name: documents.name(&digest), found };
    if descriptor.size() > DOCUMENT_MAX {
        return Err(ManifestError::TooLarge { name: documents.name(&digest) });
    }
    let bytes = read(&digest, descriptor.size())?;
    if bytes.len() as u64 != descriptor.size() {
        return Err(lie(format!("{} bytes; its descriptor says {}", bytes.len(), descriptor.size())));
    }
    match Digest::of(&bytes) {
        found if found == digest => Ok((digest, bytes)),
        found => Err(lie(format!("the digest {found}"))),
    }
}

/// Whether a descriptor is for this host, or does not say.
fn is_ours(descriptor: &Descriptor, others: &mut Vec<String>) -> bool {
    let Some(platform) = descriptor.platform() else { return true };
    let platform = Platform { os: platform.os().to_string(), architecture: platform.architecture().to_string() };
    let ours = platform == Platform::host();
    // buildkit's attestations are for `unknown/unknown`.
    if !ours && platform.os != "unknown" {
        others.push(platform.to_string());
    }
    ours
}

pub(crate) fn is_image(manifest: &ImageManifest) -> bool {
    match manifest.config().media_type() {
        MediaType::ImageConfig => true,
        other => other.to_string() == "application/vnd.docker.container.image.v1+json",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";

    #[test]
    fn no_mutated_manifest_index_or_configuration_does_harm() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let one = format!(r#""digest":"{digest}","size":7"#);
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json",{one}}},
            "layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip",{one}}}],"annotations":{{"a":"b"}}}}"#
        );
        let platform = r#""platform":{"architecture":"amd64","os":"linux","variant":"v1"}"#;
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{MANIFEST}",{one},{platform}}}]}}"#);
        crate::sys::mutate::fuzz(&[manifest.into_bytes(), index.into_bytes()], |bytes| {
            Document::read("x", bytes, None).is_ok()
        });
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Env":["PATH=/bin"],"Cmd":["/a"],"User":"1000:50",
            "ExposedPorts":{{"80/tcp":{{}}}},"Volumes":{{"/v":{{}}}},"Labels":{{"a":"b"}},"StopSignal":"SIGQUIT"}},
            "rootfs":{{"type":"layers","diff_ids":["{digest}"]}},"history":[{{"created_by":"x"}}]}}"#
        );
        crate::sys::mutate::fuzz(&[config.into_bytes()], |bytes| Configuration::parse(bytes).is_ok());
    }

    #[test]
    fn a_document_is_what_it_holds_and_nothing_else_may_be_said_of_it() {
        let index = br#"{"schemaVersion":2,"manifests":[]}"#;
        assert!(matches!(Document::read("x", index, None), Ok(Document::Index(_))));
        assert!(matches!(Document::read("x", index, Some(INDEX)), Ok(Document::Index(_))));
        assert!(matches!(Document::read("x", index, Some(MANIFEST)), Err(ManifestError::Confused(_))));
        let both = br#"{"schemaVersion":2,"manifests":[],"layers":[],"config":{}}"#;
        assert!(matches!(Document::read("x", both, None), Err(ManifestError::Confused(_))));
        let old = br#"{"schemaVersion":1,"fsLayers":[]}"#;
        assert!(matches!(Document::read("x", old, None), Err(ManifestError::Old(_))));
    }
}
