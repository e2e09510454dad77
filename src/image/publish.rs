//! Publishing: from what a fetch says and has left in the staging directory to images that are named. The fetch may have
//! been taken over by what it read: all that it says is read and checked again, and its layers are settled through
//! descriptors. In what is on the disk the order is: files, then names, then the index, so that after a power cut the
//! index never names a layer with holes. Called by `store`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::unistd::syncfs;

use super::config::Configuration;
use super::digest::Digest;
use super::document::{DOCUMENT_MAX, Document, digest_of, is_image};
use super::index::{Index, Origin, Record};
use super::manifest::{ManifestError, check_platform};
use super::reference::ImageReference;
use super::removed::directory;
use super::request::{Job, Staged};
use super::rules::Limits;
use super::settle::{SettleError, settle};
use super::staging::{LayerRecord, PRIVATE, StagedLayer, Staging};
use super::store::{ImageStore, StoreError, io_error};
use crate::sys::beneath::create_beneath;
use crate::sys::failpoint::{pass, reach};

/// Why what was fetched is not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A document.
    #[error("the image's documents")]
    Manifest(#[from] ManifestError),
    /// What was fetched is not what was asked for.
    #[error("the fetch gave {found} for {wanted}")]
    Lie {
        /// What was asked for.
        wanted: String,
        /// What came.
        found: String,
    },
    /// A layer.
    #[error("settle the layer {chain}")]
    Settle {
        /// Its chain id.
        chain: Digest,
        /// Why it failed.
        #[source]
        source: SettleError,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An image, checked.
struct Checked<'a> {
    names: &'a [ImageReference],
    manifest: (Digest, &'a str),
    config: (Digest, &'a str),
    configuration: Configuration,
    origin: Origin,
    /// The chain ids of its layers, lowest first.
    chains: Vec<Digest>,
}

/// Publishes what a fetch for `job` says. `None` if a layer is neither staged nor in the store any more: somebody removed
/// it, and the fetch has to be done again.
pub(crate) fn publish(store: &ImageStore, job: &Job, staged: &[Staged]) -> Result<Option<Vec<Record>>, PublishError> {
    let images = staged.iter().map(|staged| check(job, staged)).collect::<Result<Vec<_>, _>>()?;
    let staging = Staging::open(store.dir()).map_err(io_error("open the staging directory of", store.dir()))?;
    // In one order for all who publish, so that no two wait for each other.
    let mut wanted: Vec<Digest> = images.iter().flat_map(|image| image.chains.iter().copied()).collect();
    wanted.sort();
    wanted.dedup();
    let mut layers = Vec::new();
    for chain in wanted {
        match find(&staging, &chain)? {
            Place::Published => {}
            Place::Staged(layer) => layers.push((chain, layer)),
            Place::Nowhere => return Ok(None),
        }
    }
    for image in &images {
        if settle_layers(store, &layers, image)?.is_none() {
            return Ok(None);
        }
    }
    if !layers.is_empty() {
        syncfs(staging.dir()).map_err(|errno| io_error("synchronise", staging.path())(errno.into()))?;
    }
    put_in_place(store, &layers, &images)
}

enum Place {
    Published,
    Staged(StagedLayer),
    Nowhere,
}

fn find(staging: &Staging, chain: &Digest) -> Result<Place, StoreError> {
    let failed = || io_error("look for a layer in", staging.path());
    if staging.is_published(chain).map_err(failed())? {
        return Ok(Place::Published);
    }
    let found = staging.find(chain).map_err(failed())?;
    // Whoever we waited for may have published it.
    match found {
        None if staging.is_published(chain).map_err(failed())? => Ok(Place::Published),
        None => Ok(Place::Nowhere),
        Some(layer) => match layer.record() {
            Ok(Some(_)) => Ok(Place::Staged(layer)),
            Ok(None) | Err(_) => Ok(Place::Nowhere),
        },
    }
}

/// Reads the documents of an image again.
fn check<'a>(job: &Job, staged: &'a Staged) -> Result<Checked<'a>, PublishError> {
    let lie = |wanted: &dyn ToString, found: &dyn ToString| PublishError::Lie {
        wanted: wanted.to_string(),
        found: found.to_string(),
    };
    let digest = Digest::of(staged.manifest.as_bytes());
    let name = digest.to_string();
    for text in [&staged.manifest, &staged.config].into_iter().chain(&staged.index) {
        if text.len() as u64 > DOCUMENT_MAX {
            return Err(ManifestError::TooLarge { name }.into());
        }
    }
    let Document::Manifest(manifest) = Document::read(&name, staged.manifest.as_bytes(), None)? else {
        return Err(ManifestError::Confused(name).into());
    };
    if !is_image(&manifest) {
        return Err(ManifestError::Confused(name).into());
    }
    let (config, wanted) = (Digest::of(staged.config.as_bytes()), digest_of(manifest.config())?);
    if config != wanted {
        return Err(lie(&wanted, &config));
    }
    let configuration = Configuration::parse(staged.config.as_bytes());
    let configuration = configuration.map_err(|source| ManifestError::Config(config, source))?;
    check_platform(&configuration.platform)?;
    let (layers, diff_ids) = (manifest.layers().len(), configuration.diff_ids.len());
    if layers != diff_ids {
        return Err(ManifestError::Layers { name, layers, diff_ids }.into());
    }
    let origin = match job {
        Job::Import { .. } => Origin::Import,
        Job::Pull(_) => Origin::Registry { digest: top(staged, &digest)? },
    };
    check_names(job, staged, &digest, &origin)?;
    let chains = Digest::chains(configuration.diff_ids.iter());
    let (manifest, config) = ((digest, &*staged.manifest), (config, &*staged.config));
    Ok(Checked { names: &staged.names, manifest, config, configuration, origin, chains })
}

/// The digest of the document that the registry gave for the name: the manifest, or the index that lists it.
fn top(staged: &Staged, manifest: &Digest) -> Result<Digest, PublishError> {
    let Some(index) = &staged.index else { return Ok(*manifest) };
    let digest = Digest::of(index.as_bytes());
    match Document::read(&digest.to_string(), index.as_bytes(), None)? {
        Document::Index(all) if all.iter().any(|one| digest_of(one).is_ok_and(|one| one == *manifest)) => Ok(digest),
        Document::Index(_) | Document::Manifest(_) => {
            Err(PublishError::Lie { wanted: format!("an image of the index {digest}"), found: manifest.to_string() })
        }
    }
}

/// Sees whether the image has the names that it was to have, and is what a digest among them says.
fn check_names(job: &Job, staged: &Staged, digest: &Digest, origin: &Origin) -> Result<(), PublishError> {
    let lie = |wanted: &ImageReference, found: String| Err(PublishError::Lie { wanted: wanted.to_string(), found });
    for name in &staged.names {
        if name.digest().is_some_and(|wanted| wanted != digest) {
            return lie(name, digest.to_string());
        }
    }
    let (wanted, recorded) = match job {
        Job::Pull(request) => (&request.reference, request.recorded(*digest)),
        Job::Import { name: Some(name), .. } => (name, name.by_tag().unwrap_or_else(|| name.clone())),
        Job::Import { name: None, .. } => return Ok(()),
    };
    if wanted.digest().is_some_and(|wanted| wanted != digest && origin.digest() != Some(wanted)) {
        return lie(wanted, digest.to_string());
    }
    match &*staged.names {
        [name] if *name == recorded => Ok(()),
        names => lie(wanted, names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// Settles the staged layers of an image, lowest first: a directory may be as it is in the layer below. `None` if one that
/// the store had is gone.
fn settle_layers(
    store: &ImageStore,
    staged: &[(Digest, StagedLayer)],
    image: &Checked<'_>,
) -> Result<Option<()>, PublishError> {
    let mut below: Vec<OwnedFd> = Vec::new();
    for (chain, diff_id) in image.chains.iter().zip(&image.configuration.diff_ids) {
        let path = store.layer(chain);
        let failed = |act| io_error(act, &path);
        let root = match staged.iter().find(|(other, _)| other == chain) {
            None => match File::open(path.join("fs")) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                root => root.map(OwnedFd::from).map_err(failed("open the layer")),
            },
            Some((_, layer)) => {
                let record = layer.record().map_err(failed("read the record of"))?;
                let Some(record) = record.filter(|record| record.diff_id == *diff_id) else {
                    let (wanted, found) = (diff_id.to_string(), format!("another layer as {chain}"));
                    return Err(PublishError::Lie { wanted, found });
                };
                let root = layer.root().map_err(failed("open the layer"))?;
                let list = layer.settle().map_err(failed("open the list of what is to be settled of"))?;
                settle(root.as_fd(), &below, io::BufReader::new(list), &Limits::default())
                    .map_err(|source| PublishError::Settle { chain: *chain, source })?;
                write_record(layer, &record).map_err(failed("write the record of"))?;
                Ok(root)
            }
        };
        below.insert(0, root?);
    }
    Ok(Some(()))
}

/// Writes a staged layer's `layer.json`, which the store goes by.
fn write_record(layer: &StagedLayer, record: &LayerRecord) -> io::Result<()> {
    crate::sys::tree::remove_tree(layer.dir(), "layer.json")?;
    let mut file = File::from(create_beneath(layer.dir(), "layer.json", PRIVATE)?);
    file.write_all(&serde_json::to_vec(record)?)
}

/// Under the store's lock: moves layers and documents to where they belong, then names the images.
fn put_in_place(
    store: &ImageStore,
    layers: &[(Digest, StagedLayer)],
    images: &[Checked<'_>],
) -> Result<Option<Vec<Record>>, PublishError> {
    let _lock = store.lock()?;
    pass("publish: the store is locked");
    let there = |chain: &Digest| {
        layers.iter().any(|(staged, _)| staged == chain) || store.layer(chain).join("layer.json").exists()
    };
    if !images.iter().flat_map(|image| &image.chains).all(there) {
        return Ok(None);
    }
    let dirs = ["layers", "blobs/sha256"].map(|name| store.dir().join(name));
    for dir in &dirs {
        directory(dir).map_err(io_error("make the directory", dir))?;
    }
    for (chain, layer) in layers {
        let to = store.layer(chain);
        let place = reach("publish: before a layer is put in place").and_then(|()| layer.publish(&to));
        place.map_err(io_error("put in place", &to))?;
    }
    for (digest, text) in images.iter().flat_map(|image| [image.manifest, image.config]) {
        let path = store.blob(&digest);
        let written = reach("publish: before a document is written").and_then(|()| write_blob(&path, text));
        written.map_err(io_error("write", &path))?;
    }
    for dir in &dirs {
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("synchronise", dir))?;
    }
    let mut index = Index::read(store.dir()).map_err(StoreError::from)?;
    let mut records = Vec::new();
    for image in images {
        records.extend(image.records(store)?);
    }
    records.iter().for_each(|record| index.put(record.clone()));
    pass("publish: before the index is written");
    index.write(store.dir()).map_err(StoreError::from)?;
    pass("publish: done");
    Ok(Some(records))
}

fn write_blob(path: &Path, text: &str) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let temporary: PathBuf = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

impl Checked<'_> {
    fn records(&self, store: &ImageStore) -> Result<Vec<Record>, StoreError> {
        let mut size = 0;
        for chain in &self.chains {
            size += store.layer_record(chain)?.size;
        }
        let record = |reference: &ImageReference| Record {
            reference: reference.clone(),
            digest: self.manifest.0,
            config: self.config.0,
            layers: self.chains.clone(),
            size,
            platform: self.configuration.platform.clone(),
            created: self.configuration.created,
            imported_at: Timestamp::now(),
            origin: self.origin.clone(),
        };
        Ok(self.names.iter().map(record).collect())
    }
}
