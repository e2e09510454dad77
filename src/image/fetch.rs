//! A fetch: from a job to layers in the staging directory, and to what there is to know about the image. Runs in a
//! process that may do next to nothing but this, because all that comes in is a stranger's; what it leaves behind is
//! checked again when it is published. Called by `worker`.

mod error;
mod layers;
mod naming;

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::error::FetchError;
use self::layers::Layers;
use super::layer::LayerBlob;
use super::manifest::{Found, images};
use super::request::{FailureKind, Job, LayerSize, Progress, Staged};
use super::rules::Limits;
use super::source::Source;
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
    /// A file or directory, opened.
    File { file: File, path: PathBuf, name: Option<super::reference::ImageReference> },
}

impl Fetch {
    /// Opens what a job needs. `images` is the store's directory, `source` what is imported.
    pub fn open(job: Job, source: Option<File>, images: &Path, tell: Tell) -> Result<Self, FetchError> {
        let staging = Staging::open(images).map_err(|source| FetchError::Staging {
            act: "make directories",
            path: images.into(),
            source,
        })?;
        let from = match job {
            Job::Pull(_) => todo!(),
            Job::Import { path, name } => {
                let missing =
                    || super::source::SourceError::Open { path: path.clone(), source: io::ErrorKind::NotFound.into() };
                From::File { file: source.ok_or_else(missing)?, path, name }
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
        }
    }

    /// Brings every layer into the staging directory and says what the images are.
    pub fn run(self) -> Result<Vec<Staged>, FetchError> {
        match self.from {
            From::File { file, path, name } => {
                let source = Source::of(file, &path, || self.staging.nameless())?;
                let what = format!("import {}", path.display());
                let found = images(&source).map_err(|source| FetchError::Manifest { what: what.clone(), source })?;
                let names = naming::imported(&path, &found, name.as_ref())?;
                let parallel = std::thread::available_parallelism().map_or(1, usize::from);
                let open = |layer: &LayerBlob| source.blob(&layer.name).map_err(io::Error::other);
                let layers = Layers {
                    what: &what,
                    staging: &self.staging,
                    parallel,
                    limits: Limits::default(),
                    tell: &*self.tell,
                };
                let staged = found.into_iter().zip(names).map(|(image, names)| {
                    told(&*self.tell, &image);
                    layers.fetch(&image.layers, &open)?;
                    staged(&what, names, image)
                });
                staged.collect()
            }
        }
    }
}

fn told(tell: &(dyn Fn(Progress) + Sync), image: &Found) {
    let layers = image.layers.iter().map(|layer| LayerSize { digest: layer.digest, size: layer.size }).collect();
    tell(Progress::Image { digest: image.digest, layers });
}

fn staged(what: &str, names: Vec<super::reference::ImageReference>, image: Found) -> Result<Staged, FetchError> {
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

/// What kind of failure it is that a blob could not be read.
fn read_kind(_error: &io::Error) -> FailureKind {
    FailureKind::Source
}
