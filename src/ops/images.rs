//! Images: what of the image store the callers may do. Pulling is in `pull`.

use std::path::Path;

use serde::Serialize;

use super::fetch::fetch;
use super::{Engine, OpsError};
use crate::image::{Digest, Image, ImageReference, Job, Progress, Prune, Pruned};
use crate::lifecycle::LastStatus;

impl Engine {
    /// Imports an OCI layout or a docker-archive.
    pub fn import_image(
        &self,
        path: &Path,
        name: Option<ImageReference>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Image>, OpsError> {
        fetch(&self.images()?, &Job::Import { path: path.to_owned(), name }, progress)
    }

    /// All images.
    pub fn list_images(&self) -> Result<Vec<Image>, OpsError> {
        Ok(self.images()?.list()?)
    }

    /// Gives an image another name.
    pub fn tag_image(&self, image: &ImageReference, name: &ImageReference) -> Result<Image, OpsError> {
        Ok(self.images()?.tag(image, name)?)
    }

    /// Removes an image that no task uses which is not stopped.
    pub fn remove_image(&mut self, reference: &ImageReference) -> Result<(), OpsError> {
        let images = self.images()?;
        let removing = images.removing()?;
        let in_use = self.used_images()?;
        Ok(images.remove(removing, reference, &in_use)?)
    }

    /// Removes images that no task uses which is not stopped.
    pub fn prune_images(&mut self, which: Prune) -> Result<Pruned, OpsError> {
        let images = self.images()?;
        let removing = images.removing()?;
        let in_use = self.used_images()?;
        Ok(images.prune(removing, which, &in_use)?)
    }

    /// The images of tasks that are not stopped.
    fn used_images(&mut self) -> Result<Vec<Digest>, OpsError> {
        let tasks = self.tasks()?;
        let running = tasks.iter().filter(|record| record.state.last_status != LastStatus::Stopped);
        let digests = running.flat_map(|record| record.plan.containers.iter().map(|container| &container.image_digest));
        Ok(digests.filter_map(|digest| digest.parse().ok()).collect())
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
