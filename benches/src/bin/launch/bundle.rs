//! The probe as an OCI bundle, for the runtimes that know no images: one root file system, one configuration with a new
//! network namespace and the same limits as the task's (0.25 CPU, 512 MiB), no seccomp filter (which is in their
//! favour).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use bench::Failure;
use bench::host::{CGROUP, run};

/// What `CMD` is in every image and bundle.
pub const STAMP: [&str; 2] = ["/probe", "stamp"];

/// The capabilities of Docker's default.
const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// The unpacked probe.
pub struct Bundle {
    /// `config.json` and `rootfs` of each runtime are below it.
    pub path: PathBuf,
    /// The image's one layer, a tar.gz.
    pub layer: PathBuf,
}

impl Bundle {
    /// Unpacks the layer of the probe's layout.
    pub fn new(layout: &Path, scratch: &Path) -> Result<Self, Failure> {
        let layer = layer(layout).map_err(|error| format!("{}: {error}: run `make fixtures`", layout.display()))?;
        let path = scratch.join("bundle");
        let rootfs = path.join("rootfs");
        for directory in ["proc", "sys", "dev"] {
            fs::create_dir_all(rootfs.join(directory))?;
        }
        run(Command::new("tar").arg("-xzf").arg(&layer).arg("-C").arg(&rootfs))?;
        Ok(Self { path, layer })
    }

    /// Bundles for one runtime, each in a cgroup of its own, for runs at the same time.
    pub fn of(&self, runtime: &str, count: usize) -> Result<Vec<PathBuf>, Failure> {
        let bundle = |number: usize| -> Result<PathBuf, Failure> {
            let name = format!("{runtime}-{number}");
            let path = self.path.join(&name);
            fs::create_dir(&path)?;
            fs::write(path.join("config.json"), config(&self.path.join("rootfs"), &name).to_string())?;
            Ok(path)
        };
        (0..count).map(bundle).collect()
    }
}

/// The first layer of a layout's first image.
fn layer(layout: &Path) -> Result<PathBuf, Failure> {
    let blob = |digest: &Value| -> Result<PathBuf, Failure> {
        Ok(layout.join("blobs").join(digest.as_str().ok_or("no digest")?.replace(':', "/")))
    };
    let read = |path: PathBuf| -> Result<Value, Failure> { Ok(serde_json::from_slice(&fs::read(path)?)?) };
    let manifest = read(blob(&read(layout.join("index.json"))?["manifests"][0]["digest"])?)?;
    blob(&manifest["layers"][0]["digest"])
}

fn config(rootfs: &Path, name: &str) -> Value {
    let namespaces: Vec<Value> =
        ["pid", "ipc", "uts", "mount", "cgroup", "network"].map(|kind| json!({ "type": kind })).into();
    let mount = |to: &str, kind: &str, options: &[&str]| json!({ "destination": to, "type": kind, "source": kind, "options": options });
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": STAMP,
            "env": ["PATH=/"],
            "cwd": "/",
            "capabilities": { "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES },
            "noNewPrivileges": true,
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
        },
        "root": { "path": rootfs, "readonly": true },
        "hostname": "bench",
        "mounts": [
            mount("/proc", "proc", &[]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        ],
        "linux": {
            "cgroupsPath": format!("/{CGROUP}/{name}"),
            "namespaces": namespaces,
            "resources": {
                "devices": [{ "allow": false, "access": "rwm" }],
                "cpu": { "quota": 25_000, "period": 100_000, "shares": 256 },
                "memory": { "limit": 512 << 20 },
            },
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}
