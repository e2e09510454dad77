//! Saving images to one archive: an OCI image layout that is a docker archive too, so that `skopeo`, `docker load` and
//! `berth image import` read it. The store keeps no blobs of layers; they are written anew, and uncompressed, from the
//! layers' trees. So the digests of layers, configuration and manifest are others than those of the image that was
//! pulled, but always the same for the same image. Called by `ops`.

mod tree;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

use serde_json::{Value, json};
use tar::Header;

use self::tree::write_tree;
use super::digest::{Digest, HashingWriter};
use super::index::{Index, Record};
use super::reference::ImageReference;
use super::store::{ImageStore, StoreError, io_error};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Why images were not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The configuration of an image in the store.
    #[error("the configuration of {image} is damaged")]
    Config {
        /// The image.
        image: Box<ImageReference>,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A layer's tree.
    #[error("archive the layer {chain}")]
    Layer {
        /// Its chain id.
        chain: Digest,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The archive.
    #[error("write the archive")]
    Write(#[from] io::Error),
}

/// A blob of the archive.
#[derive(Clone, Copy)]
struct Blob {
    digest: Digest,
    size: u64,
}

/// What the archive is to hold.
#[derive(Default)]
struct Archive {
    /// The layers, by their chain ids, in the order in which they are written.
    order: Vec<Digest>,
    layers: HashMap<Digest, Blob>,
    /// Configurations and manifests.
    documents: Vec<(Digest, Vec<u8>)>,
    /// The descriptors of `index.json`.
    descriptors: Vec<Value>,
    /// The images of `manifest.json`.
    saved: Vec<Value>,
}

impl ImageStore {
    /// Writes an archive of these images. An image that is not to go meanwhile needs [`ImageStore::using`].
    pub fn save(&self, images: &[ImageReference], out: &mut dyn Write) -> Result<(), SaveError> {
        let index = Index::read(self.dir()).map_err(StoreError::from)?;
        let mut archive = Archive::default();
        for reference in images {
            let record = index.find(reference).ok_or_else(|| StoreError::NotFound(reference.clone().into()))?;
            for chain in &record.layers {
                if !archive.layers.contains_key(chain) {
                    archive.layers.insert(*chain, self.measured(chain)?);
                    archive.order.push(*chain);
                }
            }
            self.describe(record, &mut archive)?;
        }
        self.write(&archive, out)
    }

    /// The digest and size that a layer's archive will have.
    fn measured(&self, chain: &Digest) -> Result<Blob, SaveError> {
        let mut sink = HashingWriter::new(io::sink());
        write_tree(self.tree(chain)?.as_fd(), &mut sink)
            .map_err(|source| SaveError::Layer { chain: *chain, source })?;
        Ok(Blob { digest: sink.digest(), size: sink.count() })
    }

    fn tree(&self, chain: &Digest) -> Result<OwnedFd, StoreError> {
        let path = self.layer(chain).join("fs");
        File::open(&path).map(OwnedFd::from).map_err(io_error("open", &path))
    }

    /// Makes the documents of an image: its own configuration, with the layers that it now has, and a manifest.
    fn describe(&self, record: &Record, archive: &mut Archive) -> Result<(), SaveError> {
        let path = self.blob(&record.config);
        let text = std::fs::read(&path).map_err(io_error("read", &path))?;
        let failed = |source| SaveError::Config { image: record.reference.clone().into(), source };
        let mut config: Value = serde_json::from_slice(&text).map_err(failed)?;
        let layers: Vec<Blob> = record.layers.iter().map(|chain| archive.layers[chain]).collect();
        let diff_ids: Vec<_> = layers.iter().map(|layer| layer.digest.to_string()).collect();
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        let config = archive.document(&config);
        let layers: Vec<_> = layers.iter().map(|layer| layer.described(LAYER)).collect();
        let manifest = archive.document(&json!({"schemaVersion": 2, "mediaType": MANIFEST,
            "config": config.described(CONFIG), "layers": layers}));
        let mut descriptor = manifest.described(MANIFEST);
        descriptor["platform"] = json!({"architecture": record.platform.architecture, "os": record.platform.os});
        let mut tags = Vec::new();
        if let Some(tag) = record.reference.tag() {
            descriptor["annotations"] = json!({"io.containerd.image.name": record.reference.full(),
                "org.opencontainers.image.ref.name": tag});
            tags.push(record.reference.familiar());
        }
        archive.descriptors.push(descriptor);
        let paths: Vec<_> = diff_ids.iter().map(|digest| format!("blobs/{}", digest.replace(':', "/"))).collect();
        archive.saved.push(json!({"Config": config.path(), "RepoTags": tags, "Layers": paths}));
        Ok(())
    }

    fn write(&self, archive: &Archive, out: &mut dyn Write) -> Result<(), SaveError> {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": archive.descriptors});
        file(out, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        file(out, "index.json", index.to_string().as_bytes())?;
        file(out, "manifest.json", Value::from(archive.saved.clone()).to_string().as_bytes())?;
        let mut written = Vec::new();
        for (digest, bytes) in &archive.documents {
            if !written.contains(digest) {
                file(out, &Blob { digest: *digest, size: 0 }.path(), bytes)?;
                written.push(*digest);
            }
        }
        for chain in &archive.order {
            let blob = archive.layers[chain];
            if written.contains(&blob.digest) {
                continue; // another chain's, but the same files
            }
            written.push(blob.digest);
            start(out, &blob.path(), blob.size)?;
            // A tree's archive is a whole number of blocks.
            write_tree(self.tree(chain)?.as_fd(), out).map_err(|source| SaveError::Layer { chain: *chain, source })?;
        }
        out.write_all(&[0; 1024])?;
        Ok(out.flush()?)
    }
}

impl Archive {
    fn document(&mut self, value: &Value) -> Blob {
        let bytes = value.to_string().into_bytes();
        let blob = Blob { digest: Digest::of(&bytes), size: bytes.len() as u64 };
        self.documents.push((blob.digest, bytes));
        blob
    }
}

impl Blob {
    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.digest.hex())
    }

    fn described(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": self.digest.to_string(), "size": self.size})
    }
}

/// Writes a small member of the archive.
fn file(out: &mut dyn Write, name: &str, content: &[u8]) -> io::Result<()> {
    start(out, name, content.len() as u64)?;
    out.write_all(content)?;
    out.write_all(&vec![0; content.len().next_multiple_of(512) - content.len()])
}

/// Writes the header of a member.
fn start(out: &mut dyn Write, name: &str, size: u64) -> io::Result<()> {
    let mut header = Header::new_gnu(); // GNU's, because layers may be larger than 8 GiB
    header.set_path(name)?;
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    out.write_all(header.as_bytes())
}
