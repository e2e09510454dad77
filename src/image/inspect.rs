//! Everything that is known about one image, for people who want to look at it. Called by `ops`.

use std::fs;

use super::digest::Digest;
use super::index::Index;
use super::reference::ImageReference;
use super::store::{Image, ImageStore, StoreError, io_error};

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerDetail {
    /// The digest of its uncompressed archive.
    pub diff_id: Digest,
    /// The digest that names it together with all below it.
    pub chain_id: Digest,
    /// Bytes of its files.
    pub size: u64,
    /// How many files, directories and other entries it has.
    pub entries: u64,
    /// Device nodes that were left out.
    pub devices: u64,
}

/// An image with its documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageDetail {
    /// The image.
    pub image: Image,
    /// All names that it has, the one asked for included.
    pub names: Vec<ImageReference>,
    /// The text of its manifest, as it was digested.
    pub manifest: String,
    /// The digest of its configuration: what Docker calls the image's id.
    pub config_digest: Digest,
    /// The text of its configuration.
    pub config: String,
    /// Its layers, lowest first.
    pub layers: Vec<LayerDetail>,
}

impl ImageStore {
    /// Looks at an image.
    pub fn inspect(&self, reference: &ImageReference) -> Result<ImageDetail, StoreError> {
        let index = Index::read(self.dir())?;
        let record = index.find(reference).ok_or_else(|| StoreError::NotFound(reference.clone().into()))?;
        let text = |digest: &Digest| {
            let path = self.blob(digest);
            fs::read_to_string(&path).map_err(io_error("read", &path))
        };
        let layer = |chain_id: &Digest| {
            let record = self.layer_record(chain_id)?;
            let (diff_id, size, entries, devices) = (record.diff_id, record.size, record.entries, record.devices);
            Ok(LayerDetail { diff_id, chain_id: *chain_id, size, entries, devices })
        };
        let same = index.images.iter().filter(|other| other.digest == record.digest);
        Ok(ImageDetail {
            image: self.image(record)?,
            names: same.map(|other| other.reference.clone()).collect(),
            manifest: text(&record.digest)?,
            config_digest: record.config,
            config: text(&record.config)?,
            layers: record.layers.iter().map(layer).collect::<Result<_, StoreError>>()?,
        })
    }
}
