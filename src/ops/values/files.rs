//! Environment files: from the directory that stands for the bucket, or from S3. Each is fetched once for a task.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::super::config::{EnvironmentFileSettings, Source};
use super::error::{FileError, Unavailable};
use super::source::Sources;
use crate::aws::AwsError;
use crate::ecs::value_from::ObjectArn;

/// The largest file, in bytes: more does not fit a process's environment anyway.
const FILE_MAX: u64 = 1 << 20;

/// The files of one task.
pub(super) struct Files<'a> {
    sources: &'a Sources<'a>,
    fetched: HashMap<String, String>,
}

impl<'a> Files<'a> {
    pub(super) fn new(sources: &'a Sources<'a>) -> Self {
        Self { sources, fetched: HashMap::new() }
    }

    /// The text of a file.
    pub(super) fn text(&mut self, arn: &str) -> Result<String, Unavailable> {
        if let Some(text) = self.fetched.get(arn) {
            return Ok(text.clone());
        }
        let fetched = self.fetch(arn).map_err(|source| Unavailable::File { arn: arn.to_owned(), source })?;
        self.fetched.insert(arn.to_owned(), fetched.clone());
        Ok(fetched)
    }

    fn fetch(&self, arn: &str) -> Result<String, FileError> {
        let object: ObjectArn = arn.parse()?;
        let settings = &self.sources.config.environment_files;
        let bytes = match (settings.buckets.get(&object.bucket), settings.source) {
            (Some(directory), _) => read(&path(directory, &object.key)?)?,
            (None, Source::Local) => return Err(FileError::NoBucket { bucket: object.bucket }),
            (None, Source::Aws) => {
                let found =
                    self.sources.client().and_then(|client| client.object(&object.bucket, &object.key, FILE_MAX));
                found
                    .map_err(|error: AwsError| FileError::Call { retries: error.retries(), source: Box::new(error) })?
            }
        };
        let text = String::from_utf8(bytes).map_err(|_| FileError::NotText)?;
        if text.contains('\0') { Err(FileError::NotText) } else { Ok(text) }
    }
}

/// Whether S3 is asked for a file.
pub(super) fn is_at_s3(settings: &EnvironmentFileSettings, arn: &str) -> bool {
    let bucket = arn.parse::<ObjectArn>().map(|object| object.bucket);
    settings.source == Source::Aws && bucket.is_ok_and(|bucket| !settings.buckets.contains_key(&bucket))
}

/// Where an object is below the directory of its bucket, and nowhere else.
fn path(directory: &Path, key: &str) -> Result<PathBuf, FileError> {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    if key.split('/').all(plain) { Ok(directory.join(key)) } else { Err(FileError::Key(key.to_owned())) }
}

fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    // What is no file must not keep us waiting for somebody at its other end.
    let flags = OFlag::O_NONBLOCK.bits();
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is not a file")));
    }
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_MAX { Err(FileError::TooLarge(FILE_MAX)) } else { Ok(bytes) }
}
