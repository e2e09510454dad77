//! Images as they are shown: in a list, one by one, and as what they take of the disk.

use serde::Serialize;
use serde_json::Value;

use crate::image::{Image, ImageDetail, ImageReference, LayerDetail, Usage};

/// An image in a list.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageView {
    /// Its familiar name.
    pub name: String,
    /// The digest of its manifest.
    pub digest: String,
    /// `linux/amd64`.
    pub platform: String,
    /// Bytes of all its files, unpacked.
    pub size: u64,
    /// When it came here.
    pub imported_at: jiff::Timestamp,
}

impl ImageView {
    /// The view of an image.
    pub fn of(image: &Image) -> Self {
        Self {
            name: image.reference.familiar(),
            digest: image.digest.to_string(),
            platform: image.platform.to_string(),
            size: image.size,
            imported_at: image.imported_at,
        }
    }
}

/// All that is known of an image.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageInspection {
    /// All its names, complete.
    pub names: Vec<String>,
    /// The digest of its manifest.
    pub digest: String,
    /// The digest that the registry has for the name: that of an index, where it has one. None if it was imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry_digest: Option<String>,
    /// The digest of its configuration: docker's image id.
    pub config_digest: String,
    /// `linux/amd64`.
    pub platform: String,
    /// Bytes of all its files, unpacked.
    pub size: u64,
    /// When it was built, as it says itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<jiff::Timestamp>,
    /// When it came here.
    pub imported_at: jiff::Timestamp,
    /// Its layers, lowest first.
    pub layers: Vec<LayerInspection>,
    /// Its configuration, as it came.
    pub config: Value,
    /// Its manifest, as it came.
    pub manifest: Value,
}

/// A layer of an image.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerInspection {
    /// The digest of its uncompressed archive.
    pub diff_id: String,
    /// The digest that names it together with all below it.
    pub chain_id: String,
    /// Bytes of its files.
    pub size: u64,
    /// How many files, directories and other entries it has.
    pub entries: u64,
    /// Device nodes that were left out.
    pub devices: u64,
}

impl ImageInspection {
    /// The view of an image.
    pub(in crate::ops) fn of(detail: &ImageDetail) -> Self {
        let image = &detail.image;
        // Both were read when they were checked; a text that is none is shown as such.
        let document = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        Self {
            names: detail.names.iter().map(ImageReference::full).collect(),
            digest: image.digest.to_string(),
            registry_digest: image.origin.digest().map(ToString::to_string),
            config_digest: detail.config_digest.to_string(),
            platform: image.platform.to_string(),
            size: image.size,
            created: image.created,
            imported_at: image.imported_at,
            layers: detail.layers.iter().map(LayerInspection::of).collect(),
            config: document(&detail.config),
            manifest: document(&detail.manifest),
        }
    }
}

impl LayerInspection {
    fn of(layer: &LayerDetail) -> Self {
        Self {
            diff_id: layer.diff_id.to_string(),
            chain_id: layer.chain_id.to_string(),
            size: layer.size,
            entries: layer.entries,
            devices: layer.devices,
        }
    }
}

/// What images take of the disk, in bytes of files.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiskUsage {
    /// Each image.
    pub images: Vec<ImageDiskUsage>,
    /// How many layers there are.
    pub layers: usize,
    /// All layers, each counted once.
    pub size: u64,
    /// What `prune` of all unused images would free.
    pub reclaimable: u64,
    /// Layers of pulls that were cut off, for the next pull to go on with.
    pub unfinished: u64,
}

/// What an image takes of the disk.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageDiskUsage {
    /// Its familiar names.
    pub names: Vec<String>,
    /// The digest of its manifest.
    pub digest: String,
    /// What other images have too.
    pub shared: u64,
    /// What it alone has.
    pub unique: u64,
    /// Whether a task that is not stopped runs it.
    pub in_use: bool,
}

impl DiskUsage {
    pub(in crate::ops) fn of(usage: &Usage) -> Self {
        let image = |image: &crate::image::ImageUsage| ImageDiskUsage {
            names: image.names.iter().map(ImageReference::familiar).collect(),
            digest: image.digest.to_string(),
            shared: image.shared,
            unique: image.unique,
            in_use: image.in_use,
        };
        Self {
            images: usage.images.iter().map(image).collect(),
            layers: usage.layers,
            size: usage.bytes,
            reclaimable: usage.reclaimable,
            unfinished: usage.staged,
        }
    }
}
