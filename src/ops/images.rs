//! Images: what of the image store the callers may do.

use serde::Serialize;

use super::{Engine, OpsError};
use crate::image::{Digest, Image, ImageReference};
use crate::lifecycle::LastStatus;

impl Engine {
    /// All images.
    pub fn list_images(&self) -> Result<Vec<Image>, OpsError> {
        Ok(self.images()?.list()?)
    }

    /// Removes an image that no task uses which is not stopped.
    pub fn remove_image(&mut self, reference: &ImageReference) -> Result<(), OpsError> {
        let images = self.images()?;
        let removing = images.removing()?;
        let tasks = self.tasks()?;
        let running = tasks.iter().filter(|record| record.state.last_status != LastStatus::Stopped);
        let digests = running.flat_map(|record| record.plan.containers.iter().map(|container| &container.image_digest));
        let in_use: Vec<Digest> = digests.filter_map(|digest| digest.parse().ok()).collect();
        Ok(images.remove(removing, reference, &in_use)?)
    }
}

/// An image as it is shown.
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
