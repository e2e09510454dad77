//! Layers and images made in code, for the tests of this folder. Headers are filled by hand, so that they can lie.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::config::Platform;
use super::digest::Digest;
use super::fetch::{Fetch, FetchError, Tell};
use super::reference::ImageReference;
use super::request::{Job, Progress};
use super::store::{Image, ImageStore};

/// A tar stream under construction.
#[derive(Default, Clone)]
pub(super) struct Tar(Vec<u8>);

impl Tar {
    /// A header of this type and name, owned by whoever runs the test.
    pub(super) fn header(kind: u8, name: &[u8]) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(if kind == b'5' { 0o755 } else { 0o644 });
        header.set_uid(nix::unistd::getuid().as_raw().into());
        header.set_gid(nix::unistd::getgid().as_raw().into());
        header.set_mtime(1_000_000);
        header.set_size(0);
        header
    }

    /// Appends a header, its checksum put right, and content.
    pub(super) fn entry(mut self, mut header: tar::Header, content: &[u8]) -> Self {
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// An entry whose size is that of its content.
    pub(super) fn sized(self, kind: u8, name: &[u8], content: &[u8]) -> Self {
        let mut header = Self::header(kind, name);
        header.set_size(content.len() as u64);
        self.entry(header, content)
    }

    pub(super) fn file(self, name: &str, content: &str) -> Self {
        self.sized(b'0', name.as_bytes(), content.as_bytes())
    }

    pub(super) fn dir(self, name: &str) -> Self {
        self.sized(b'5', name.as_bytes(), b"")
    }

    pub(super) fn of(self, kind: u8, name: &str) -> Self {
        self.sized(kind, name.as_bytes(), b"")
    }

    fn link(self, kind: u8, name: &str, target: &str) -> Self {
        let mut header = Self::header(kind, name.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        self.entry(header, b"")
    }

    pub(super) fn symlink(self, name: &str, target: &str) -> Self {
        if target.len() < 100 {
            return self.link(b'2', name, target);
        }
        self.sized(b'K', b"long", target.as_bytes()).link(b'2', name, "")
    }

    pub(super) fn hardlink(self, name: &str, target: &str) -> Self {
        self.link(b'1', name, target)
    }

    /// A PAX header for the next entry.
    pub(super) fn pax(self, key: &str, value: &[u8]) -> Self {
        let rest = key.len() + value.len() + 3;
        let length = (1..6).map(|digits| rest + digits).find(|all| all.to_string().len() == all - rest).unwrap();
        let record = [format!("{length} {key}=").as_bytes(), value, b"\n"].concat();
        self.sized(b'x', b"pax", &record)
    }

    /// A GNU long name for the next entry.
    pub(super) fn long(self, name: &str) -> Self {
        self.sized(b'L', b"long", name.as_bytes())
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The stream so far, without an end.
    pub(super) fn open(self) -> Vec<u8> {
        self.0
    }

    /// The whole stream.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// A configuration with these uncompressed layers.
pub(super) fn config(layers: &[Vec<u8>]) -> Value {
    let ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    json!({"architecture": Platform::host().architecture, "os": "linux", "created": "2024-05-06T07:08:09Z",
        "config": {"Cmd": ["/bin/true"], "Env": ["A=b"]}, "rootfs": {"type": "layers", "diff_ids": ids}})
}

/// An OCI image layout under construction.
pub(super) struct Layout {
    pub(super) dir: PathBuf,
    manifests: Vec<Value>,
}

impl Layout {
    pub(super) fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
        fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self { dir: dir.to_owned(), manifests: Vec::new() }
    }

    /// Writes a blob and gives its descriptor.
    pub(super) fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        fs::write(self.path(&digest), bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
    }

    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs/sha256").join(digest.hex())
    }

    /// Writes an image of blobs and a configuration and gives the manifest's descriptor.
    pub(super) fn manifest(&self, config: &Value, blobs: &[Vec<u8>]) -> Value {
        let config = self.blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        let layers: Vec<_> =
            blobs.iter().map(|blob| self.blob("application/vnd.oci.image.layer.v1.tar", blob)).collect();
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers});
        self.blob(media_type, manifest.to_string().as_bytes())
    }

    /// Adds a descriptor to the index, with a name or without.
    pub(super) fn add(mut self, mut descriptor: Value, name: Option<&str>) -> Self {
        if let Some(name) = name {
            descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        }
        self.manifests.push(descriptor);
        let index = json!({"schemaVersion": 2, "manifests": self.manifests});
        fs::write(self.dir.join("index.json"), index.to_string()).unwrap();
        self
    }

    /// Adds an image of uncompressed layers.
    pub(super) fn image(self, layers: &[Vec<u8>], name: Option<&str>) -> Self {
        let descriptor = self.manifest(&config(layers), layers);
        self.add(descriptor, name)
    }
}

/// A docker archive of uncompressed layers.
pub(super) fn docker_archive(layers: &[Vec<u8>], tags: &[&str]) -> Vec<u8> {
    let names: Vec<_> = (0..layers.len()).map(|at| format!("{at}/layer.tar")).collect();
    let manifest = json!([{"Config": "config.json", "RepoTags": tags, "Layers": names}]);
    let tar =
        Tar::default().file("config.json", &config(layers).to_string()).file("manifest.json", &manifest.to_string());
    let add = |tar: Tar, (name, layer): (&String, &Vec<u8>)| tar.sized(b'0', name.as_bytes(), layer);
    names.iter().zip(layers).fold(tar, add).end()
}

/// Fetches and publishes in one process, as often as removals make it necessary.
pub(super) fn import(
    store: &ImageStore,
    path: &Path,
    name: Option<&ImageReference>,
    tell: impl Fn(Progress) + Send + Sync + 'static,
) -> Result<Vec<Image>, FetchError> {
    let job = Job::Import { path: path.to_owned(), name: name.cloned() };
    let tell: Tell = Arc::new(tell);
    loop {
        store.clean().unwrap();
        let source = File::open(path).ok();
        let fetch = Fetch::open(job.clone(), source, store.dir(), Arc::clone(&tell))?;
        let staged = match fetch.run() {
            Ok(staged) => staged,
            Err(error) => {
                store.clean().unwrap();
                return Err(error);
            }
        };
        if let Some(images) = store.publish(&job, &staged).unwrap() {
            return Ok(images);
        }
    }
}
