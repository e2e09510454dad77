//! What a registry has under a name: the image for this host, found and checked as in any other place. Layers are only
//! named here. Called by `fetch`.

use super::config::Platform;
use super::digest::Digest;
use super::document::{Documents, choose_in, found};
use super::manifest::{Found, ManifestError, check_platform};
use super::registry::{RegistryError, Repository};
use super::request::FailureKind;

/// A registry's failure. It speaks for itself: its words are those that ECS shows.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Unavailable(Box<RegistryError>);

impl Unavailable {
    pub(crate) fn kind(&self) -> FailureKind {
        self.0.kind()
    }
}

impl From<RegistryError> for Unavailable {
    fn from(error: RegistryError) -> Self {
        Self(error.into())
    }
}

impl From<RegistryError> for ManifestError {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error.into())
    }
}

impl Documents for Repository {
    fn manifest(&self, digest: &Digest, size: u64) -> Result<Vec<u8>, ManifestError> {
        Ok(self.manifest_by_digest(digest, size)?.bytes)
    }

    fn config(&self, digest: &Digest, size: u64) -> Result<Vec<u8>, ManifestError> {
        Ok(self.small_blob(digest, size)?)
    }

    fn name(&self, digest: &Digest) -> String {
        digest.to_string()
    }
}

/// The image that the repository's reference names.
pub(crate) fn pulled(repository: &Repository) -> Result<Found, ManifestError> {
    let top = repository.manifest()?;
    let mut others = Vec::new();
    match choose_in(repository, top.digest, top.bytes, Some(&top.media_type), &mut others)? {
        Some(chosen) => {
            let image = found(repository, Vec::new(), chosen)?;
            check_platform(&image.configuration.platform)?;
            Ok(image)
        }
        None if others.is_empty() => Err(ManifestError::Nothing),
        None => Err(ManifestError::Platform { host: Platform::host(), found: others.join(", ") }),
    }
}
