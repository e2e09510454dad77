//! A fetch: from a job to layers in the staging directory, and to what there is to know about the image. Runs in a
//! process that may do next to nothing but this, because all that comes in is a stranger's; what it leaves behind is
//! checked again when it is published. Called by `worker`.

mod bytes;
mod error;
mod layers;
mod naming;

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use self::bytes::Blobs;
pub use self::error::FetchError;
use self::layers::Layers;
use super::manifest::{Found, ManifestError, images};
use super::pulled::pulled;
use super::reference::ImageReference;
use super::registry::Repository;
use super::request::{Job, Progress, PullRequest, Staged};
use super::rules::Limits;
use super::source::{Source, SourceError};
use super::staging::Staging;

/// Told of progress, from any thread.
pub type Tell = Arc<dyn Fn(Progress) + Send + Sync>;

/// A fetch with everything open that it needs, before it has read anything of a stranger's.
pub struct Fetch {
    staging: Staging,
    from: From,
    tell: Tell,
}

/// Where it comes from.
enum From {
    Registry {
        repository: Box<Repository>,
        request: PullRequest,
    },
    /// A file or directory.
    File {
        file: File,
        path: PathBuf,
        name: Option<ImageReference>,
    },
}

impl Fetch {
    /// Opens what a job needs. `images` is the store's directory, `source` what is imported.
    pub fn open(job: Job, source: Option<File>, images: &Path, tell: Tell) -> Result<Self, FetchError> {
        let staging = Staging::open(images).map_err(|source| FetchError::Staging {
            act: "make directories",
            path: images.into(),
            source,
        })?;
        let from = match (job, source) {
            (Job::Pull(request), _) => {
                let tell = Arc::clone(&tell);
                let repository = Repository::new(&request, move |progress| tell(progress))?.into();
                From::Registry { repository, request }
            }
            (Job::Import { path, name }, Some(file)) => From::File { file, path, name },
            (Job::Import { path, .. }, None) => {
                return Err(SourceError::Open { path, source: io::ErrorKind::NotFound.into() }.into());
            }
        };
        Ok(Self { staging, from, tell })
    }

    /// The directory below which this fetch writes.
    pub fn staging(&self) -> BorrowedFd<'_> {
        self.staging.dir()
    }

    /// The file or directory that it reads, if it reads one.
    pub fn source(&self) -> Option<&File> {
        match &self.from {
            From::File { file, .. } => Some(file),
            From::Registry { .. } => None,
        }
    }

    /// Brings every layer into the staging directory and says what the images are; none if the registry has what it had.
    pub fn run(self) -> Result<Vec<Staged>, FetchError> {
        let Self { staging, from, tell } = self;
        let layers = |what: &str, images: &[Found], blobs, parallel| {
            let limits = Limits::default();
            let layers = Layers { what, staging: &staging, blobs, parallel, limits, tell: &*tell };
            images.iter().try_for_each(|image| layers.fetch(image))
        };
        match from {
            From::Registry { repository, request } => {
                if request.known.is_some() && Some(repository.head()?) == request.known {
                    return Ok(Vec::new());
                }
                let what = request.reference.to_string();
                let found = [pulled(&repository).map_err(in_documents(&what))?];
                layers(&what, &found, Blobs::Registry(&repository), request.parallel)?;
                found.into_iter().map(|image| staged(&what, vec![request.recorded(image.digest)], image)).collect()
            }
            From::File { file, path, name } => {
                let what = format!("import {}", path.display());
                let source = Source::of(file, &path, || staging.nameless())?;
                let mut found = images(&source).map_err(in_documents(&what))?;
                let names = naming::imported(&path, &found, name.as_ref())?;
                found.truncate(names.len());
                let parallel = thread::available_parallelism().map_or(1, usize::from);
                layers(&what, &found, Blobs::Source(&source), parallel)?;
                found.into_iter().zip(names).map(|(image, names)| staged(&what, names, image)).collect()
            }
        }
    }
}

/// What is wrong with an image's documents. A registry speaks for itself.
fn in_documents(what: &str) -> impl FnOnce(ManifestError) -> FetchError {
    move |source| match source {
        ManifestError::Registry(unavailable) => unavailable.into(),
        source => FetchError::Manifest { what: what.to_owned(), source },
    }
}

fn staged(what: &str, names: Vec<ImageReference>, image: Found) -> Result<Staged, FetchError> {
    let text = |bytes: Vec<u8>, digest| {
        String::from_utf8(bytes).map_err(|_| FetchError::NotText { what: what.to_owned(), digest })
    };
    Ok(Staged {
        names,
        index: image.index.map(|index| text(index, image.digest)).transpose()?,
        manifest: text(image.manifest, image.digest)?,
        config: text(image.config, image.config_digest)?,
    })
}
