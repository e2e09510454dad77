//! Images as a registry serves them, right or with one thing changed, and layers for them.

use std::sync::Arc;

use berth::image::Digest;
use serde_json::{Value, json};

use crate::support::scripted::{Contents, Reply, Request};

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

pub(super) type Script = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

pub(super) fn sha(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

pub(super) fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": sha(bytes), "size": bytes.len() })
}

/// A tar entry of any type, its header filled by hand so that it can lie.
pub(super) fn entry(kind: u8, name: &str, target: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_000_000);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = [header.as_bytes(), content].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

pub(crate) fn layer(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 1024]].concat()
}

pub(crate) fn file(name: &str, content: &str) -> Vec<u8> {
    entry(b'0', name, "", content.as_bytes())
}

/// An image that is right as long as nobody changes it.
#[derive(Clone)]
pub(crate) struct Image {
    pub(super) blobs: Vec<Vec<u8>>,
    pub(crate) config: Vec<u8>,
    pub(super) manifest: Value,
}

impl Image {
    pub(super) fn new(layers: &[Vec<u8>]) -> Self {
        Self::packed(layers, layers)
    }

    /// An image of layers, and the blobs that they are served as.
    pub(crate) fn packed(layers: &[Vec<u8>], blobs: &[Vec<u8>]) -> Self {
        let ids: Vec<_> = layers.iter().map(|layer| sha(layer)).collect();
        Self::configured(&config(&ids), blobs)
    }

    pub(super) fn configured(config: &[u8], blobs: &[Vec<u8>]) -> Self {
        let layers: Vec<_> = blobs.iter().map(|blob| descriptor(LAYER, blob)).collect();
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, config),
            "layers": layers });
        Self { blobs: blobs.to_vec(), config: config.to_vec(), manifest }
    }

    /// Two small layers.
    pub(super) fn small() -> Self {
        Self::new(&[layer(&[file("a", "first")]), layer(&[file("b", "second")])])
    }

    pub(super) fn manifest(&self) -> Vec<u8> {
        self.manifest.to_string().into_bytes()
    }

    /// The image with something else in its manifest.
    pub(crate) fn changed(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.manifest);
        self
    }

    /// Its blobs alone.
    pub(super) fn blobs(&self) -> Contents {
        let contents = Contents::default().blob(&sha(&self.config), &self.config);
        self.blobs.iter().fold(contents, |contents, blob| contents.blob(&sha(blob), blob))
    }

    /// The registry that has it under the tag `1`.
    pub(crate) fn contents(&self) -> Contents {
        let bytes = self.manifest();
        self.blobs().manifest(Some("1"), MANIFEST, &sha(&bytes), &bytes)
    }

    /// The registry that has other bytes under the tag `1`, and this image by its digest.
    pub(super) fn behind(&self, media_type: &str, bytes: &[u8]) -> Contents {
        self.contents().manifest(Some("1"), media_type, &sha(bytes), bytes)
    }

    pub(super) fn served(&self) -> Script {
        serve(self.contents())
    }

    /// Served by a registry that answers some requests in its own way.
    pub(super) fn except(&self, answer: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static) -> Script {
        let contents = self.contents();
        Arc::new(move |request| answer(request, contents.answer(request)))
    }
}

pub(super) fn serve(contents: Contents) -> Script {
    Arc::new(move |request| contents.answer(request))
}

/// A configuration for this host.
pub(super) fn config(ids: &[String]) -> Vec<u8> {
    json!({ "architecture": architecture(), "os": "linux", "config": { "Cmd": ["/a"] },
        "rootfs": { "type": "layers", "diff_ids": ids } })
    .to_string()
    .into_bytes()
}

pub(super) fn architecture() -> &'static str {
    if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("memory can be written to");
    encoder.finish().expect("memory can be written to")
}
