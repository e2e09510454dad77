//! Images: what of the image store the callers may do. Pulling is in `pull`.

mod view;

use std::io::Write;
use std::path::Path;

pub use self::view::{DiskUsage, ImageDiskUsage, ImageInspection, ImageView, LayerInspection};
use super::fetch::fetch;
use super::{Engine, OpsError};
use crate::image::{Digest, Image, ImageReference, Job, Progress, Prune, Pruned};

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

    /// All that is known of an image.
    pub fn inspect_image(&self, reference: &ImageReference) -> Result<ImageInspection, OpsError> {
        Ok(ImageInspection::of(&self.images()?.inspect(reference)?))
    }

    /// What images take of the disk.
    pub fn disk_usage(&mut self) -> Result<DiskUsage, OpsError> {
        let in_use = self.used_images()?;
        Ok(DiskUsage::of(&self.images()?.usage(&in_use)?))
    }

    /// Writes images as an archive that [`Engine::import_image`] reads.
    pub fn save_images(&self, references: &[ImageReference], out: &mut dyn Write) -> Result<(), OpsError> {
        let images = self.images()?;
        let _using = images.using()?;
        Ok(images.save(references, out)?)
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
        let running = self.live_tasks()?;
        let digests =
            running.iter().flat_map(|record| record.plan.containers.iter().map(|container| &container.image_digest));
        Ok(digests.filter_map(|digest| digest.parse().ok()).collect())
    }
}
