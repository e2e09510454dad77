//! What a store takes up on the disk, and whose it is. Nothing is measured here: layers are counted as they were when they
//! were unpacked. Called by `ops`.

use std::collections::{HashMap, HashSet};

use super::digest::Digest;
use super::index::Index;
use super::reference::ImageReference;
use super::staging::Staging;
use super::store::{ImageStore, StoreError, io_error};

/// What one image takes up, in bytes of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUsage {
    /// All names that it has.
    pub names: Vec<ImageReference>,
    /// The digest of its manifest.
    pub digest: Digest,
    /// Layers that other images have too.
    pub shared: u64,
    /// Layers that only this image has: what removing it would free.
    pub unique: u64,
    /// Whether a task that is not stopped runs it.
    pub in_use: bool,
}

/// What a store takes up, in bytes of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Each image.
    pub images: Vec<ImageUsage>,
    /// How many layers there are.
    pub layers: usize,
    /// All layers, each counted once.
    pub bytes: u64,
    /// Layers that no image in use has: what `prune` of all unused images would free.
    pub reclaimable: u64,
    /// Complete layers of fetches that did not end, waiting to be picked up.
    pub staged: u64,
}

impl ImageStore {
    /// Counts. `in_use` are the digests of the images that tasks run.
    pub fn usage(&self, in_use: &[Digest]) -> Result<Usage, StoreError> {
        let index = Index::read(self.dir())?;
        let mut sizes = HashMap::new();
        for chain in self.layers()? {
            // One that is not complete, or just went away, has no size.
            sizes.insert(chain, self.layer_record(&chain).map_or(0, |record| record.size));
        }
        let mut images: Vec<(ImageUsage, &[Digest])> = Vec::new();
        for record in &index.images {
            let (digest, in_use) = (record.digest, in_use.contains(&record.digest));
            match images.iter_mut().find(|(image, _)| image.digest == digest) {
                Some((image, _)) => image.names.push(record.reference.clone()),
                None => {
                    let names = vec![record.reference.clone()];
                    images.push((ImageUsage { names, digest, shared: 0, unique: 0, in_use }, &record.layers));
                }
            }
        }
        let mut owners: HashMap<&Digest, usize> = HashMap::new();
        images.iter().flat_map(|(_, layers)| *layers).for_each(|chain| *owners.entry(chain).or_default() += 1);
        let used: HashSet<&Digest> =
            images.iter().filter(|(image, _)| image.in_use).flat_map(|(_, layers)| *layers).collect();
        let (bytes, held) = (sizes.values().sum(), used.iter().filter_map(|chain| sizes.get(chain)).sum::<u64>());
        for (image, layers) in &mut images {
            for chain in *layers {
                let size = sizes.get(chain).copied().unwrap_or_default();
                let part = if owners[chain] > 1 { &mut image.shared } else { &mut image.unique };
                *part += size;
            }
        }
        let images = images.into_iter().map(|(image, _)| image).collect();
        Ok(Usage { images, layers: sizes.len(), bytes, reclaimable: bytes - held, staged: self.staged()? })
    }

    fn staged(&self) -> Result<u64, StoreError> {
        let idle = Staging::open(self.dir()).and_then(|staging| staging.idle());
        let idle = idle.map_err(io_error("look into the staging directory of", self.dir()))?;
        Ok(idle.iter().filter_map(|layer| layer.record().ok()?).map(|record| record.size).sum())
    }
}
