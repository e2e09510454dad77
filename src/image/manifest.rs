//! What a source holds: the images of an OCI image layout or of a `docker save` archive, read and checked as documents.
//! Layers are only named here; `layer` reads them. Called by `fetch`.

use oci_spec::image::{Descriptor, DescriptorBuilder, ImageManifestBuilder, MediaType};
use serde::Deserialize;

use super::compress::Compression;
use super::config::{ConfigError, Configuration, Platform};
use super::digest::{Digest, DigestError};
use super::document::{DOCUMENT_MAX, Document, Documents, MANIFESTS_MAX, choose, found, json};
use super::layer::LayerBlob;
use super::pulled::Unavailable;
use super::request::FailureKind;
use super::source::{Source, SourceError};

/// The most bytes that the documents of all images of one source may have together: they are in memory at once.
const DOCUMENTS_MAX: usize = 2 * DOCUMENT_MAX as usize;
/// The most layers of one image: what Docker allows, below overlayfs's 500.
const LAYERS_MAX: usize = 127;

/// Why a source has no image that can be imported.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A blob of it.
    #[error("the image's documents")]
    Source(#[from] SourceError),
    /// The registry that should have them.
    #[error(transparent)]
    Registry(Unavailable),
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
    /// A document over its limit.
    #[error("{name} is larger than {DOCUMENT_MAX} bytes")]
    TooLarge {
        /// The document.
        name: String,
    },
    /// Documents over their limit.
    #[error("the documents of its images are larger than {DOCUMENTS_MAX} bytes")]
    TooMuch,
    /// What registries spoke before 2015.
    #[error("{0} is of Docker's schema 1, which has no content digests; push the image anew")]
    Old(String),
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

impl ManifestError {
    /// What kind of failure it is for who asked for the image.
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::Source(_) | Self::Format => FailureKind::Source,
            Self::Registry(source) => source.kind(),
            Self::Platform { .. } => FailureKind::Platform,
            _ => FailureKind::Content,
        }
    }
}

/// An image of a source, its layers still to be read.
#[derive(Debug)]
pub(crate) struct Found {
    /// What the source calls it; may be no reference at all.
    pub(crate) names: Vec<String>,
    /// The bytes of the index that it was chosen from, if it was in one.
    pub(crate) index: Option<Vec<u8>>,
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
    let documents = found.iter().map(|image| image.manifest.len() + image.config.len());
    if documents.sum::<usize>() > DOCUMENTS_MAX {
        return Err(ManifestError::TooMuch);
    }
    let (ours, others): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|image| image.configuration.platform == Platform::host());
    match (ours.is_empty(), others.first()) {
        (false, _) => Ok(ours),
        (true, Some(other)) => Err(check_platform(&other.configuration.platform).expect_err("it is another one")),
        (true, None) => Err(ManifestError::Nothing),
    }
}

/// Sees whether a configuration is for this host, whatever an index said about it.
pub(crate) fn check_platform(platform: &Platform) -> Result<(), ManifestError> {
    let host = Platform::host();
    if *platform == host { Ok(()) } else { Err(ManifestError::Platform { host, found: platform.to_string() }) }
}

impl Documents for Source {
    fn manifest(&self, digest: &Digest, _: u64) -> Result<Vec<u8>, ManifestError> {
        Ok(self.document(&self.name(digest), DOCUMENT_MAX)?)
    }

    fn config(&self, digest: &Digest, size: u64) -> Result<Vec<u8>, ManifestError> {
        self.manifest(digest, size)
    }

    /// A digest is checked before it becomes a path.
    fn name(&self, digest: &Digest) -> String {
        format!("blobs/sha256/{}", digest.hex())
    }
}

fn layout(source: &Source) -> Result<Vec<Found>, ManifestError> {
    let bytes = source.document("index.json", DOCUMENT_MAX)?;
    let Document::Index(index) = Document::read("index.json", &bytes, None)? else {
        return Err(ManifestError::Confused("index.json".into()));
    };
    let mut images: Vec<Found> = Vec::new();
    let mut others = Vec::new();
    for descriptor in &index {
        if let Some(chosen) = choose(source, descriptor, &mut others)? {
            images.push(found(source, names(descriptor), chosen)?);
        }
    }
    if images.is_empty() && !others.is_empty() {
        return Err(ManifestError::Platform { host: Platform::host(), found: others.join(", ") });
    }
    Ok(images)
}

/// The names that a layout gives an image. containerd and Docker write the whole reference into an annotation of their
/// own and only the tag into the standard one.
fn names(descriptor: &Descriptor) -> Vec<String> {
    let annotations = descriptor.annotations().as_ref();
    let named = |key| annotations.and_then(|all| all.get(key)).cloned();
    let name = named("io.containerd.image.name").or_else(|| named("org.opencontainers.image.ref.name"));
    name.into_iter().collect()
}

/// A blob that a manifest lists as a layer.
pub(crate) struct Part {
    /// What it is called where it is.
    pub(crate) name: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// Brings the blobs of a manifest and the digests of a configuration together.
pub(crate) fn layers(
    name: &str,
    parts: Vec<Part>,
    configuration: &Configuration,
) -> Result<Vec<LayerBlob>, ManifestError> {
    let diff_ids = &configuration.diff_ids;
    if parts.len() > LAYERS_MAX {
        return Err(ManifestError::TooMany { name: name.into(), what: "layers", limit: LAYERS_MAX });
    }
    if parts.len() != diff_ids.len() {
        return Err(ManifestError::Layers { name: name.into(), layers: parts.len(), diff_ids: diff_ids.len() });
    }
    let layer =
        |(Part { name, digest, size }, diff_id): (_, &Digest)| LayerBlob { name, digest, size, diff_id: *diff_id };
    Ok(parts.into_iter().zip(diff_ids).map(layer).collect())
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
    let mut parts = Vec::new();
    for name in names {
        let (digest, size) = (source.digest(&name)?, source.blob(&name)?.size());
        let media_type = match source.compression(&name)? {
            Compression::None => MediaType::ImageLayer,
            Compression::Gzip => MediaType::ImageLayerGzip,
            Compression::Zstd => MediaType::ImageLayerZstd,
        };
        descriptors.push(descriptor(media_type, digest, size));
        parts.push(Part { name, digest, size });
    }
    let layers = layers(&saved.config, parts, &configuration)?;
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
    Ok(Found { names, index: None, manifest, digest, config, config_digest, configuration, layers })
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
