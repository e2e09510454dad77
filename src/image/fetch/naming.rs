//! What images are to be called: the given name, or the source's own.

use std::path::Path;

use super::super::digest::Digest;
use super::super::manifest::Found;
use super::super::reference::ImageReference;
use super::FetchError;

/// The names of each image of an import; of images that are all the same one, of the first.
pub(super) fn imported(
    path: &Path,
    found: &[Found],
    given: Option<&ImageReference>,
) -> Result<Vec<Vec<ImageReference>>, FetchError> {
    let Some(name) = given else {
        return found.iter().map(|image| own(path, image)).collect();
    };
    match found {
        [first, rest @ ..] if rest.iter().all(|other| other.digest == first.digest) => {
            Ok(vec![vec![recorded(path, name, &first.digest)?]])
        }
        _ => Err(FetchError::OneName { path: path.into(), count: found.len(), name: name.clone().into() }),
    }
}

fn own(path: &Path, image: &Found) -> Result<Vec<ImageReference>, FetchError> {
    if image.names.is_empty() {
        return Err(FetchError::NoName(path.into()));
    }
    let name = |name: &String| {
        let reference =
            name.parse().map_err(|source| FetchError::BadName { path: path.into(), name: name.clone(), source })?;
        recorded(path, &reference, &image.digest)
    };
    image.names.iter().map(name).collect()
}

/// The name that the index has for an imported image: by tag, and without a tag by its digest. A digest in the name must
/// be the image's own.
fn recorded(path: &Path, name: &ImageReference, digest: &Digest) -> Result<ImageReference, FetchError> {
    match name.digest() {
        Some(wanted) if wanted != digest => Err(FetchError::OtherDigest {
            what: format!("import {}", path.display()),
            name: name.clone().into(),
            found: *digest,
        }),
        _ => Ok(name.by_tag().unwrap_or_else(|| name.clone())),
    }
}
