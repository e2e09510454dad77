//! A task's file systems in files: made, given a loop device, and mounted; in no namespace, for the caller to attach.
//! Called by workers, several of one task at once.
//!
//! Nobody takes such a file system down. The kernel does, when the last container that has it mounted is gone, and the
//! loop device lets go of its file then. A later worker of the same boot finds the file complete and mounts it again.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, Flock, FlockArg, OFlag, fallocate, openat};
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};

use super::mkfs::{self, MkfsError};
use crate::plan::volume::{DiskFormat, DiskPlan, FileSystemKind};
use crate::sys::loop_device::LoopDevice;
use crate::sys::mount::{attribute, fsconfig_create, fsconfig_flag, fsconfig_string, fsmount, fsopen};
use crate::sys::pidfd::boot_id;

/// The file system cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A file or directory of ours.
    #[error("{verb} {path}")]
    File {
        /// What was tried.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file system in it.
    #[error(transparent)]
    Mkfs(#[from] MkfsError),
    /// The loop device.
    #[error("get a loop device for {path} (is /dev/loop-control there? modprobe loop)")]
    Loop {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The images are larger than it.
    #[error("take the {images} bytes of the task's images from its ephemeral storage of {disk} bytes")]
    Images {
        /// Their bytes.
        images: u64,
        /// The disk's.
        disk: u64,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The kernel refused to mount it.
    #[error("mount {path} as {kind}")]
    Mount {
        /// The file.
        path: PathBuf,
        /// The kind of its file system.
        kind: &'static str,
        /// Why not.
        #[source]
        source: Errno,
    },
}

/// What workers of one boot tell each other.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    boot: String,
    device: u32,
}

/// The file system, mounted in no namespace yet. It lives as long as something has it mounted.
pub fn open(plan: &DiskPlan) -> Result<OwnedFd, DiskError> {
    let lock = plan.note.with_extension("lock");
    let _lock = locked(&lock).map_err(|source| DiskError::File { verb: "lock", path: lock, source })?;
    match mounted(plan) {
        // A template that a power cut has spoilt spoils every copy. It and they are worth nothing: once more, anew.
        Err(DiskError::Mount { .. }) if matches!(plan.format, DiskFormat::Scratch { .. }) && note(plan).is_none() => {
            discard_template(plan);
            mounted(plan)
        }
        result => result,
    }
}

fn mounted(plan: &DiskPlan) -> Result<OwnedFd, DiskError> {
    let known = note(plan);
    let is_there = match (&plan.format, &known) {
        // What an earlier boot left of it may be anything.
        (DiskFormat::Scratch { .. }, None) => false,
        (DiskFormat::Scratch { .. }, Some(_)) | (DiskFormat::New(_), _) => plan.file.exists(),
    };
    if !is_there {
        make(plan)?;
    }
    let failed = |source| DiskError::Loop { path: plan.file.clone(), source };
    let file = OpenOptions::new().read(true).write(true).open(&plan.file).map_err(failed)?;
    let attached = known.map_or(Ok(None), |note| LoopDevice::of(&file, note.device)).map_err(failed)?;
    let device = attached.map_or_else(|| LoopDevice::attach(&file), Ok).map_err(failed)?;
    let mount = mount(plan, &device)?;
    if plan.images > 0 && !is_there {
        take(&mount, plan.images).map_err(|source| DiskError::Images {
            images: plan.images,
            disk: plan.bytes,
            source,
        })?;
    }
    remember(plan, &device)?;
    Ok(mount)
}

fn mount(plan: &DiskPlan, device: &LoopDevice) -> Result<OwnedFd, DiskError> {
    let kind = kind(plan);
    let refused = |source| DiskError::Mount { path: plan.file.clone(), kind: kind.name(), source };
    let mounted = || {
        let name = std::ffi::CString::new(kind.name()).map_err(|_| Errno::EINVAL)?;
        let path = std::ffi::CString::new(device.path().as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
        let context = fsopen(&name)?;
        fsconfig_string(&context, c"source", &path)?;
        // Tables of inodes that a new file reads as zeros need not be zeroed; what is deleted goes back to the host.
        let more: &[_] = match (&plan.format, kind) {
            // Nothing in it outlives the boot: no write has to reach the host's disk at any time.
            (DiskFormat::Scratch { .. }, _) => &[c"noinit_itable", c"nobarrier", c"discard"],
            (DiskFormat::New(_), FileSystemKind::Ext3 | FileSystemKind::Ext4) => &[c"noinit_itable", c"discard"],
            (DiskFormat::New(_), FileSystemKind::Xfs) => &[c"discard", c"nouuid"],
        };
        more.iter().try_for_each(|option| fsconfig_flag(&context, option))?;
        fsconfig_create(&context)?;
        fsmount(&context, attribute::NODEV)
    };
    mounted().map_err(refused)
}

/// Takes room for what is not kept in it, by a file that no container sees and in which nothing is written.
fn take(mount: &OwnedFd, bytes: u64) -> io::Result<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_CLOEXEC;
    let file = openat(mount, "images", flags, Mode::from_bits_truncate(0o600))?;
    let bytes = i64::try_from(bytes).map_err(|_| Errno::ENOSPC)?;
    Ok(fallocate(file, FallocateFlags::empty(), 0, bytes)?)
}

/// Under another name until it is complete.
fn make(plan: &DiskPlan) -> Result<(), DiskError> {
    let failed = |source| DiskError::File { verb: "make", path: plan.file.clone(), source };
    let directory = plan.file.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    let unfinished = unfinished(&plan.file);
    let file = new_file(&unfinished).map_err(failed)?;
    file.set_len(plan.bytes).map_err(failed)?;
    match &plan.format {
        DiskFormat::Scratch { template } => {
            let template = self::template(template, plan.bytes)?;
            mkfs::copy_sparse(&template, &file).map_err(failed)?;
        }
        DiskFormat::New(kind) => mkfs::format(*kind, &unfinished)?,
    }
    fs::rename(&unfinished, &plan.file).map_err(failed)
}

/// The name of a disk's file while it is made.
pub fn unfinished(file: &Path) -> PathBuf {
    file.with_extension("new")
}

/// A file system as it is before anybody has used it. Made once; two that make it at once make the same.
fn template(path: &Path, bytes: u64) -> Result<File, DiskError> {
    let failed = |source| DiskError::File { verb: "make", path: path.to_owned(), source };
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened.map_err(failed),
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    let unfinished = path.with_extension(format!("{}.new", std::process::id()));
    let file = new_file(&unfinished).map_err(failed)?;
    let made = file.set_len(bytes).map_err(failed).and_then(|()| Ok(mkfs::scratch(&unfinished)?));
    // It outlives the boot, so it has to be whole before it has its name.
    let made = made.and_then(|()| file.sync_all().and_then(|()| fs::rename(&unfinished, path)).map_err(failed));
    if made.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    made.map(|()| file)
}

fn discard_template(plan: &DiskPlan) {
    if let DiskFormat::Scratch { template } = &plan.format {
        let _ = fs::remove_file(template);
    }
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn kind(plan: &DiskPlan) -> FileSystemKind {
    match &plan.format {
        DiskFormat::Scratch { .. } => FileSystemKind::Ext4,
        DiskFormat::New(kind) => *kind,
    }
}

/// What an earlier worker of this boot has written.
fn note(plan: &DiskPlan) -> Option<Note> {
    let note: Note = serde_json::from_slice(&fs::read(&plan.note).ok()?).ok()?;
    (boot_id().ok()? == note.boot).then_some(note)
}

fn remember(plan: &DiskPlan, device: &LoopDevice) -> Result<(), DiskError> {
    let written = || {
        let note = serde_json::to_vec(&Note { boot: boot_id()?, device: device.number })?;
        let temporary = plan.note.with_extension("new");
        fs::write(&temporary, note)?;
        fs::rename(&temporary, &plan.note)
    };
    written().map_err(|source| DiskError::File { verb: "write", path: plan.note.clone(), source })
}

/// Waits for a lock that other workers hold for a moment.
pub(super) fn locked(path: &Path) -> io::Result<Flock<File>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into())
}
