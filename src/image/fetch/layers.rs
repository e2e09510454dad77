//! The layers of one image, several at once and the lowest first: each is built by one fetch alone, whoever else wants it
//! waits, and the first failure ends the others. Called by `fetch`.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use nix::unistd::syncfs;

use super::super::digest::Digest;
use super::super::layer::{LayerBlob, Position, Unpacked, unpack_layer};
use super::super::manifest::Found;
use super::super::request::{LayerSize, Progress};
use super::super::rules::Limits;
use super::super::staging::{Claim, LayerRecord, StagedLayer, Staging};
use super::FetchError;
use super::bytes::Blobs;

/// How long until a layer that somebody else works on is looked at again. Waiting on the lock itself could not be ended
/// when another layer fails.
const PAUSE: Duration = Duration::from_millis(20);

/// After how many bytes of blobs what was unpacked is written to the disk while more is on its way: before an image is
/// published all of it must be there, and to wait for it then takes as long as the disk does.
const FLUSH: u64 = 32 << 20;

/// What all layers of a fetch have in common.
pub(super) struct Layers<'a> {
    /// What is fetched, for messages.
    pub(super) what: &'a str,
    pub(super) staging: &'a Staging,
    pub(super) blobs: Blobs<'a>,
    /// How many at once.
    pub(super) parallel: usize,
    pub(super) limits: Limits,
    pub(super) tell: &'a (dyn Fn(Progress) + Sync),
}

/// The layers of one image on their way.
struct Batch<'a> {
    all: &'a Layers<'a>,
    layers: &'a [LayerBlob],
    chains: Vec<Digest>,
    next: AtomicUsize,
    cancelled: AtomicBool,
    failed: Mutex<Option<FetchError>>,
    /// Bytes of blobs that were read since the last flush.
    unflushed: AtomicU64,
}

impl Layers<'_> {
    /// Sees to it that every layer is complete in the staging directory, or in the store.
    pub(super) fn fetch(&self, image: &Found) -> Result<(), FetchError> {
        let layers = &image.layers;
        let sizes = layers.iter().map(|layer| LayerSize { digest: layer.digest, size: layer.size }).collect();
        (self.tell)(Progress::Image { digest: image.digest, layers: sizes });
        let batch = Batch {
            all: self,
            layers,
            chains: Digest::chains(layers.iter().map(|layer| &layer.diff_id)),
            next: AtomicUsize::new(0),
            cancelled: AtomicBool::new(false),
            failed: Mutex::new(None),
            unflushed: AtomicU64::new(0),
        };
        thread::scope(|scope| {
            let (flush, asked) = channel();
            scope.spawn(move || flush_when_asked(self.staging.dir(), &asked));
            for _ in 0..self.parallel.clamp(1, layers.len().max(1)) {
                let (batch, flush) = (&batch, flush.clone());
                scope.spawn(move || batch.work(&flush));
            }
        });
        let failed = batch.failed.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        failed.map_or(Ok(()), Err)
    }
}

impl Batch<'_> {
    /// Takes one layer after the other until there is none, or one has failed.
    fn work(&self, flush: &Sender<()>) {
        while !self.cancelled.load(Ordering::Relaxed) {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            if at >= self.layers.len() {
                return;
            }
            if let Err(error) = self.layer(at, flush) {
                self.cancelled.store(true, Ordering::Relaxed);
                // Of several failures the first one is the cause of the others.
                self.failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(error);
            }
        }
    }

    fn layer(&self, at: usize, flush: &Sender<()>) -> Result<(), FetchError> {
        let Some(staged) = self.claim(at)? else {
            (self.all.tell)(Progress::Present { layer: at });
            return Ok(());
        };
        let unpacked = self.space(at).and_then(|()| self.unpack(at, &staged, flush));
        match unpacked {
            Ok(Unpacked { size, devices, .. }) => (self.all.tell)(Progress::Unpacked { layer: at, size, devices }),
            Err(error) => {
                // A disk that is full should not stay so. What cannot be removed is found by the next one.
                let _ = staged.remove();
                return Err(error);
            }
        }
        Ok(())
    }

    /// The layer's directory, locked; `None` if there is nothing left to do.
    fn claim(&self, at: usize) -> Result<Option<StagedLayer>, FetchError> {
        let mut waited = false;
        loop {
            let claim = self.all.staging.claim(&self.chains[at]).map_err(self.staging("take a layer"))?;
            let staged = match claim {
                Claim::Published => return Ok(None),
                Claim::Free(staged) => staged,
                Claim::Taken if self.cancelled.load(Ordering::Relaxed) => return Err(FetchError::Cancelled),
                Claim::Taken => {
                    if !waited {
                        (self.all.tell)(Progress::Waiting { layer: at });
                    }
                    waited = true;
                    thread::sleep(PAUSE);
                    continue;
                }
            };
            // What cannot be read is as good as nothing.
            let record = staged.record().ok().flatten();
            let complete = record.is_some_and(|record| record.diff_id == self.layers[at].diff_id);
            return Ok((!complete).then_some(staged));
        }
    }

    /// Sees whether there is room for the layer at all: uncompressed it is hardly ever smaller than its blob.
    fn space(&self, at: usize) -> Result<(), FetchError> {
        let free = self.all.staging.free().map_err(self.staging("look for free space"))?;
        let LayerBlob { digest, size: needed, .. } = self.layers[at];
        if needed <= free {
            return Ok(());
        }
        let (what, path) = (self.all.what.to_owned(), self.all.staging.path().to_owned());
        Err(FetchError::Space { what, number: at + 1, of: self.layers.len(), digest, needed, free, path })
    }

    fn unpack(&self, at: usize, staged: &StagedLayer, flush: &Sender<()>) -> Result<Unpacked, FetchError> {
        let layer = &self.layers[at];
        let (root, settle) = staged.begin().map_err(self.staging("begin a layer"))?;
        let before = AtomicU64::new(0);
        let progress = |done| {
            (self.all.tell)(Progress::Layer { layer: at, done });
            let more = done - before.swap(done, Ordering::Relaxed);
            if self.unflushed.fetch_add(more, Ordering::Relaxed) + more >= FLUSH {
                self.unflushed.store(0, Ordering::Relaxed);
                // If nobody is there to flush, publishing does.
                let _ = flush.send(());
            }
        };
        progress(0);
        let position = if at == 0 { Position::Lowest } else { Position::Above };
        let mut blob = self.all.blobs.open(layer, &self.cancelled)?;
        let unpacked = unpack_layer(&mut blob, layer, position, root, settle, &self.all.limits, &progress);
        let unpacked = unpacked.map_err(|source| match blob.failure() {
            Some(failure) => failure.into(),
            None => FetchError::Layer {
                what: self.all.what.to_owned(),
                number: at + 1,
                of: self.layers.len(),
                digest: layer.digest,
                source: Box::new(source),
            },
        })?;
        let Unpacked { size, entries, devices } = unpacked;
        let record = LayerRecord { diff_id: layer.diff_id, size, entries, devices };
        staged.complete(&record).map_err(self.staging("complete a layer"))?;
        Ok(unpacked)
    }

    fn staging(&self, act: &'static str) -> impl FnOnce(io::Error) -> FetchError {
        let path = self.all.staging.path().to_owned();
        move |source| FetchError::Staging { act, path, source }
    }
}

/// Writes the file system's changes to the disk whenever it is asked to, until nobody can ask any more.
fn flush_when_asked(staging: BorrowedFd<'_>, asked: &Receiver<()>) {
    while asked.recv().is_ok() {
        while asked.try_recv().is_ok() {} // once for all who have asked by now
        // What cannot be written is found out when the image is published.
        let _ = syncfs(staging);
    }
}
