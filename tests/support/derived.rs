//! Images derived from those of `rootfs-fixtures/`: one more layer on top, for what no honest image holds.

use std::fs;
use std::path::Path;

use berth::image::Digest;
use serde_json::{Value, json};

use super::fixture;

/// A layer under construction.
pub(crate) struct Layer(tar::Builder<Vec<u8>>);

impl Layer {
    pub(crate) fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    /// A regular file.
    pub(crate) fn file(mut self, name: &str, mode: u32, content: &str) -> Self {
        let mut header = header(tar::EntryType::Regular, mode);
        header.set_size(content.len() as u64);
        self.0.append_data(&mut header, name, content.as_bytes()).unwrap();
        self
    }

    /// A directory of a user's.
    pub(crate) fn directory(mut self, name: &str, mode: u32, uid: u64) -> Self {
        let mut header = header(tar::EntryType::Directory, mode);
        header.set_uid(uid);
        self.0.append_data(&mut header, name, &[][..]).unwrap();
        self
    }

    /// A FIFO.
    pub(crate) fn fifo(mut self, name: &str) -> Self {
        self.0.append_data(&mut header(tar::EntryType::Fifo, 0o644), name, std::io::empty()).unwrap();
        self
    }

    /// A symbolic link.
    pub(crate) fn link(mut self, name: &str, target: &Path) -> Self {
        self.0.append_link(&mut header(tar::EntryType::Symlink, 0o777), name, target).unwrap();
        self
    }
}

fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(0);
    header
}

/// Writes an OCI layout at `out`: the fixture `base` with a layer on top, under a name of its own.
pub(crate) fn image(out: &Path, base: &str, name: &str, layer: Layer) {
    let from = fixture(base);
    let blobs = out.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    for blob in fs::read_dir(from.join("blobs/sha256")).unwrap().flatten() {
        fs::copy(blob.path(), blobs.join(blob.file_name())).unwrap();
    }
    fs::copy(from.join("oci-layout"), out.join("oci-layout")).unwrap();
    let put = |bytes: &[u8]| {
        let digest = Digest::of(bytes).to_string();
        fs::write(blobs.join(digest.trim_start_matches("sha256:")), bytes).unwrap();
        (json!(digest), json!(bytes.len()))
    };
    let blob = |descriptor: &Value| -> Value {
        let digest = descriptor["digest"].as_str().unwrap().trim_start_matches("sha256:");
        read(&blobs.join(digest))
    };

    let mut index = read(&from.join("index.json"));
    let mut manifest = blob(&index["manifests"][0]);
    let mut config = blob(&manifest["config"]);
    let (digest, size) = put(&layer.0.into_inner().unwrap());
    config["rootfs"]["diff_ids"].as_array_mut().unwrap().push(digest.clone());
    let layers = manifest["layers"].as_array_mut().unwrap();
    layers.push(json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": size }));
    (manifest["config"]["digest"], manifest["config"]["size"]) = put(config.to_string().as_bytes());
    let entry = &mut index["manifests"][0];
    (entry["digest"], entry["size"]) = put(manifest.to_string().as_bytes());
    entry["annotations"]["org.opencontainers.image.ref.name"] = json!(name);
    fs::write(out.join("index.json"), index.to_string()).unwrap();
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}
