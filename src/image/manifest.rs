//! What a source holds: the images of an OCI image layout or of a `docker save` archive, read and checked as documents.
//! Layers are only named here; `layer` reads them. Called by `import`.

use oci_spec::image::{Descriptor, DescriptorBuilder, ImageIndex, ImageManifest, ImageManifestBuilder, MediaType};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::compress::Compression;
use super::config::{ConfigError, Configuration, Platform};
use super::digest::{Digest, DigestError};
use super::layer::LayerBlob;
use super::source::{Source, SourceError};

/// The largest document, in bytes: what the distribution-spec asks registries to take ("Pushing Manifests").
const DOCUMENT_MAX: u64 = 4 << 20;
/// The most manifests in one index.
const MANIFESTS_MAX: usize = 256;
/// The most layers of one image: what Docker allows, below overlayfs's 500.
const LAYERS_MAX: usize = 127;

/// Why a source has no image that can be imported.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A blob of it.
    #[error("the image's documents")]
    Source(#[from] SourceError),
    /// Neither of the two formats.
    #[error("neither an OCI image layout (index.json) nor a docker archive (manifest.json)")]
    Format,
    /// Not the JSON that it should be.
    #[error("{name} is not valid")]
    Json {
        /// The document.
        name: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A document that can be read as two things (CVE-2021-41190), or says that it is another one.
    #[error("{0} does not agree with its media type")]
    Confused(String),
    /// A blob that is not what its name says.
    #[error("{name} has {found}")]
    Lie {
        /// The blob.
        name: String,
        /// Its real size or digest.
        found: String,
    },
    /// A digest that we do not take.
    #[error("a descriptor names its content by something else than a digest")]
    Digest(#[source] DigestError),
    /// The configuration.
    #[error("the configuration {0}")]
    Config(Digest, #[source] ConfigError),
    /// An index in an index in an index.
    #[error("the index {0} is nested too deep")]
    Nested(String),
    /// A fan-out that no real image has.
    #[error("{name} lists more than {limit} {what}")]
    TooMany {
        /// The document.
        name: String,
        /// What there are too many of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The manifest and the configuration count differently.
    #[error("the manifest of {name} has {layers} layers, its configuration {diff_ids}")]
    Layers {
        /// The image.
        name: String,
        /// Layers in the manifest.
        layers: usize,
        /// Layers in the configuration.
        diff_ids: usize,
    },
    /// Images, but none that runs here.
    #[error("no image for {host} in it, only for {found}")]
    Platform {
        /// What this host is.
        host: Platform,
        /// What the image is for.
        found: String,
    },
    /// Nothing.
    #[error("no image in it")]
    Nothing,
}

/// An image of a source, its layers still to be read.
#[derive(Debug)]
pub(crate) struct Found {
    /// What the source calls it; may be no reference at all.
    pub(crate) names: Vec<String>,
    /// The manifest's bytes, as they are digested.
    pub(crate) manifest: Vec<u8>,
    pub(crate) digest: Digest,
    /// The configuration's bytes.
    pub(crate) config: Vec<u8>,
    pub(crate) config_digest: Digest,
    pub(crate) configuration: Configuration,
    /// Lowest first.
    pub(crate) layers: Vec<LayerBlob>,
}

/// The images in `source` that this host can run.
pub(crate) fn images(source: &Source) -> Result<Vec<Found>, ManifestError> {
    // A newer `docker save` writes both; the layout is the better one, with the digests that the registry knows.
    let found = match () {
        () if source.has("index.json") => layout(source)?,
        () if source.has("manifest.json") => docker_archive(source)?,
        () => return Err(ManifestError::Format),
    };
    let host = Platform::host();
    let (ours, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|image| image.configuration.platform == host);
    match (ours.is_empty(), others.first()) {
        (false, _) => Ok(ours),
        (true, Some(other)) => Err(ManifestError::Platform { host, found: other.configuration.platform.to_string() }),
        (true, None) => Err(ManifestError::Nothing),
    }
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

enum Document {
    Index(Vec<Descriptor>),
    Manifest(Box<ImageManifest>),
}

fn json<T: for<'de> Deserialize<'de>>(name: &str, bytes: &[u8]) -> Result<T, ManifestError> {
    serde_json::from_slice(bytes).map_err(|source| ManifestError::Json { name: name.into(), source })
}

/// Reads an index or a manifest by its content, and refuses what could be read as both.
fn document(name: &str, bytes: &[u8], said: Option<&MediaType>) -> Result<Document, ManifestError> {
    let shape: Shape = json(name, bytes)?;
    let disagrees = || ManifestError::Confused(name.into());
    if let (Some(inside), Some(said)) = (&shape.media_type, said)
        && *inside != said.to_string()
    {
        return Err(disagrees());
    }
    match (shape.manifests, shape.config, shape.layers, shape.fs_layers) {
        (Some(_), None, None, None) => {
            let index: ImageIndex = json(name, bytes)?;
            if index.manifests().len() > MANIFESTS_MAX {
                let (what, limit) = ("manifests", MANIFESTS_MAX);
                return Err(ManifestError::TooMany { name: name.into(), what, limit });
            }
            Ok(Document::Index(index.manifests().clone()))
        }
        (None, Some(_), Some(_), None) => Ok(Document::Manifest(Box::new(json(name, bytes)?))),
        _ => Err(disagrees()),
    }
}

fn layout(source: &Source) -> Result<Vec<Found>, ManifestError> {
    let bytes = source.document("index.json", DOCUMENT_MAX)?;
    let Document::Index(index) = document("index.json", &bytes, None)? else {
        return Err(ManifestError::Confused("index.json".into()));
    };
    let mut found: Vec<Found> = Vec::new();
    let mut others = Vec::new();
    for descriptor in &index {
        if let Some(chosen) = choose(source, descriptor, &mut others)? {
            found.push(in_layout(source, names(descriptor), chosen)?);
        }
    }
    if found.is_empty() && !others.is_empty() {
        return Err(ManifestError::Platform { host: Platform::host(), found: others.join(", ") });
    }
    Ok(found)
}

/// The names that a layout gives an image. containerd and Docker write the whole reference into an annotation of their
/// own and only the tag into the standard one.
fn names(descriptor: &Descriptor) -> Vec<String> {
    let annotations = descriptor.annotations().as_ref();
    let named = |key| annotations.and_then(|all| all.get(key)).cloned();
    let name = named("io.containerd.image.name").or_else(|| named("org.opencontainers.image.ref.name"));
    name.into_iter().collect()
}

/// A manifest for this host, with its bytes.
struct Chosen {
    digest: Digest,
    manifest: Box<ImageManifest>,
    bytes: Vec<u8>,
}

/// Follows a descriptor of `index.json` to the manifest for this host. What is for other platforms is put into `others`.
fn choose(source: &Source, descriptor: &Descriptor, others: &mut Vec<String>) -> Result<Option<Chosen>, ManifestError> {
    if !is_ours(descriptor, others) {
        return Ok(None);
    }
    let (digest, bytes) = blob(source, descriptor)?;
    let name = digest.to_string();
    let index = match document(&name, &bytes, Some(descriptor.media_type()))? {
        Document::Manifest(manifest) if !is_image(&manifest) => return Ok(None), // a signature, a chart ...
        Document::Manifest(manifest) => return Ok(Some(Chosen { digest, manifest, bytes })),
        Document::Index(index) => index,
    };
    for descriptor in &index {
        if !is_ours(descriptor, others) {
            continue;
        }
        let (digest, bytes) = blob(source, descriptor)?;
        match document(&digest.to_string(), &bytes, Some(descriptor.media_type()))? {
            Document::Index(_) => return Err(ManifestError::Nested(digest.to_string())),
            Document::Manifest(manifest) if !is_image(&manifest) => {}
            Document::Manifest(manifest) => return Ok(Some(Chosen { digest, manifest, bytes })),
        }
    }
    Ok(None)
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

fn is_image(manifest: &ImageManifest) -> bool {
    match manifest.config().media_type() {
        MediaType::ImageConfig => true,
        other => other.to_string() == "application/vnd.docker.container.image.v1+json",
    }
}

/// The name of a blob in a layout. A digest is checked before it becomes a path.
fn blob_name(descriptor: &Descriptor) -> Result<(Digest, String), ManifestError> {
    let digest: Digest = descriptor.digest().as_ref().parse().map_err(ManifestError::Digest)?;
    Ok((digest, format!("blobs/sha256/{}", digest.hex())))
}

/// A document of a layout, its size and digest verified.
fn blob(source: &Source, descriptor: &Descriptor) -> Result<(Digest, Vec<u8>), ManifestError> {
    let (digest, name) = blob_name(descriptor)?;
    let bytes = source.document(&name, DOCUMENT_MAX)?;
    if bytes.len() as u64 != descriptor.size() {
        let found = format!("{} bytes; its descriptor says {}", bytes.len(), descriptor.size());
        return Err(ManifestError::Lie { name, found });
    }
    match Digest::of(&bytes) {
        found if found == digest => Ok((digest, bytes)),
        found => Err(ManifestError::Lie { name, found: format!("the digest {found}") }),
    }
}

fn in_layout(source: &Source, names: Vec<String>, chosen: Chosen) -> Result<Found, ManifestError> {
    let Chosen { digest, manifest, bytes } = chosen;
    let (config_digest, config) = blob(source, manifest.config())?;
    let blobs = manifest.layers().iter().map(|layer| {
        let (digest, name) = blob_name(layer)?;
        Ok((name, digest, layer.size()))
    });
    let blobs = blobs.collect::<Result<Vec<_>, ManifestError>>()?;
    let configuration = Configuration::parse(&config).map_err(|source| ManifestError::Config(config_digest, source))?;
    let layers = layers(&digest.to_string(), blobs, &configuration)?;
    Ok(Found { names, manifest: bytes, digest, config, config_digest, configuration, layers })
}

/// Brings the blobs of a manifest and the digests of a configuration together.
fn layers(
    name: &str,
    blobs: Vec<(String, Digest, u64)>,
    configuration: &Configuration,
) -> Result<Vec<LayerBlob>, ManifestError> {
    let diff_ids = &configuration.diff_ids;
    if blobs.len() > LAYERS_MAX {
        return Err(ManifestError::TooMany { name: name.into(), what: "layers", limit: LAYERS_MAX });
    }
    if blobs.len() != diff_ids.len() {
        return Err(ManifestError::Layers { name: name.into(), layers: blobs.len(), diff_ids: diff_ids.len() });
    }
    let layer = |((name, digest, size), diff_id): (_, &Digest)| LayerBlob { name, digest, size, diff_id: *diff_id };
    Ok(blobs.into_iter().zip(diff_ids).map(layer).collect())
}

/// One image in the `manifest.json` of a docker archive.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

fn docker_archive(source: &Source) -> Result<Vec<Found>, ManifestError> {
    let name = "manifest.json";
    let saved: Vec<Saved> = json(name, &source.document(name, DOCUMENT_MAX)?)?;
    if saved.len() > MANIFESTS_MAX {
        return Err(ManifestError::TooMany { name: name.into(), what: "images", limit: MANIFESTS_MAX });
    }
    saved.into_iter().map(|image| in_archive(source, image)).collect()
}

/// A docker archive has no manifests: we write the one that a registry would have for the same blobs.
fn in_archive(source: &Source, saved: Saved) -> Result<Found, ManifestError> {
    let names = saved.layers.unwrap_or_default();
    if names.len() > LAYERS_MAX {
        return Err(ManifestError::TooMany { name: saved.config, what: "layers", limit: LAYERS_MAX });
    }
    let config = source.document(&saved.config, DOCUMENT_MAX)?;
    let config_digest = Digest::of(&config);
    let configuration = Configuration::parse(&config).map_err(|source| ManifestError::Config(config_digest, source))?;
    let mut descriptors = Vec::new();
    let mut blobs = Vec::new();
    for name in names {
        let (digest, size) = (source.digest(&name)?, source.blob(&name)?.size());
        let media_type = match source.compression(&name)? {
            Compression::None => MediaType::ImageLayer,
            Compression::Gzip => MediaType::ImageLayerGzip,
            Compression::Zstd => MediaType::ImageLayerZstd,
        };
        descriptors.push(descriptor(media_type, digest, size));
        blobs.push((name, digest, size));
    }
    let layers = layers(&saved.config, blobs, &configuration)?;
    let manifest = ImageManifestBuilder::default()
        .schema_version(oci_spec::image::SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(descriptor(MediaType::ImageConfig, config_digest, config.len() as u64))
        .layers(descriptors)
        .build()
        .expect("every field that must be set is set");
    let manifest = serde_json::to_vec(&manifest).expect("a manifest has no key that is not a string");
    let digest = Digest::of(&manifest);
    let names = saved.repo_tags.unwrap_or_default();
    Ok(Found { names, manifest, digest, config, config_digest, configuration, layers })
}

fn descriptor(media_type: MediaType, digest: Digest, size: u64) -> Descriptor {
    let digest: oci_spec::image::Digest = digest.to_string().parse().expect("ours are written as theirs");
    DescriptorBuilder::default()
        .media_type(media_type)
        .digest(digest)
        .size(size)
        .build()
        .expect("every field that must be set is set")
}
