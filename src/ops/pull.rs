//! Pulling one image: from its name to a job, and the job carried out. When a task's images are pulled is decided in
//! `provide`.

pub(super) mod reason;

use super::config::Config;
use super::credentials::{CredentialError, is_ecr, secret};
use super::environment::Environment;
use super::fetch::fetch;
use super::registries::{Registries, RegistryError};
use super::values::Sources;
use super::{Engine, OpsError};
use crate::image::{Failure, Image, ImageReference, ImageStore, Job, Origin, Progress};
use crate::plan::Layout;

/// Why an image was not pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The secret that the task definition names.
    #[error("private registry credentials")]
    Secret(#[source] CredentialError),
    /// Where it is to be asked for, or as whom.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The fetch came to nothing.
    #[error(transparent)]
    Fetch(#[from] Failure),
    /// Everything else.
    #[error(transparent)]
    Other(Box<OpsError>),
}

impl PullError {
    /// The reason of a container whose image it was, as ECS words it.
    pub(super) fn reason(&self) -> String {
        reason::reason(self)
    }

    /// Whether it is about who we are at one of Amazon's registries.
    fn is_ecr(&self) -> bool {
        matches!(self, Self::Registry(RegistryError::Credentials { registry, .. }) if is_ecr(registry))
    }
}

impl From<OpsError> for PullError {
    fn from(error: OpsError) -> Self {
        match error {
            OpsError::Fetch(failure) => Self::Fetch(failure),
            error => Self::Other(Box::new(error)),
        }
    }
}

impl Engine {
    /// Pulls an image, whether it is here or not; layers that are here are not fetched again.
    pub fn pull_image(
        &self,
        reference: &ImageReference,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Image, OpsError> {
        let pulled = self.puller().pull(reference, None, progress);
        pulled.map_err(|error| OpsError::Pull { image: reference.familiar(), reason: error.reason() })
    }

    pub(super) fn puller(&self) -> Puller<'_> {
        Puller { layout: &self.layout, config: &self.config }
    }
}

/// What a pull needs of an engine; several threads may have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Puller<'a> {
    layout: &'a Layout,
    config: &'a Config,
}

impl Puller<'_> {
    /// Pulls an image, with the credentials of a secret (`credentialsParameter`) if one is named.
    pub(super) fn pull(
        self,
        reference: &ImageReference,
        parameter: Option<&str>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Image, PullError> {
        let sources = Sources::new(self.layout, self.config);
        let own = parameter.map(|parameter| secret(&sources, &self.layout.secrets(), parameter)).transpose();
        let environment = Environment::of_caller();
        let registries = Registries::new(&self.config.image, &environment)?;
        let mut request = registries.request(reference, own.map_err(PullError::Secret)?)?;
        let images = ImageStore::open(&self.layout.images()).map_err(OpsError::from)?;
        let here = images.resolve(reference).map_err(OpsError::from)?;
        request.known = here.as_ref().and_then(|image| match image.origin {
            Origin::Import => None,
            Origin::Registry { digest } => Some(digest),
        });
        let fetched = fetch(&images, &Job::Pull(request), progress)?;
        // One that was removed meanwhile is looked for again by whoever needs it.
        let image = fetched.into_iter().next().or(here);
        image.ok_or_else(|| OpsError::NotFetched { image: reference.familiar() }.into())
    }
}
