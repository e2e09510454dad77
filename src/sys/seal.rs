//! Our own program as a descriptor that a container cannot write through.
//!
//! A process that enters a container can be reached from inside by `/proc/PID/exe`; opened for writing when the process
//! has gone, that is the host's program file (CVE-2019-5736). So the supervisor and all workers are started from what
//! [`own_program`] gives. It is, in this order:
//!
//! - what the caller runs from already, if that is sealed;
//! - the program seen through a read-only overlay that stands in no mount namespace (runc's way): nothing is copied,
//!   and all processes share the page cache of the one file;
//! - a copy in memory under seals (memfd_create(2)).

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use std::ffi::CString;

use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl, open, openat};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::{FileStat, Mode, fstat};
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, fstatfs};
use nix::sys::statvfs::FsFlags;

use super::mount::{attribute, fsconfig_create, fsconfig_string, fsmount, fsopen};

const OWN: &str = "/proc/self/exe";
const SEALS: SealFlag =
    SealFlag::F_SEAL_SEAL.union(SealFlag::F_SEAL_SHRINK).union(SealFlag::F_SEAL_GROW).union(SealFlag::F_SEAL_WRITE);

/// The flags of our overlay mount. More than the seal needs (that is read-only): together they are also what tells it
/// from a host whose root is a read-only overlay.
const MOUNT_FLAGS: FsFlags = FsFlags::ST_RDONLY
    .union(FsFlags::ST_NOSUID)
    .union(FsFlags::ST_NODEV)
    .union(FsFlags::ST_NOATIME)
    .union(FsFlags::ST_NODIRATIME);

/// Opens our own program, sealed, close-on-exec: for `execveat` or `/proc/self/fd/N`.
pub fn own_program() -> io::Result<OwnedFd> {
    let own = File::open(OWN)?;
    if is_sealed(&own)? {
        return Ok(own.into());
    }
    through_overlay(&own).or_else(|_| copy(own))
}

/// Whether a program file cannot be written through its descriptor's path: an in-memory file under all seals, or a
/// file of an overlay that is mounted as ours is.
pub fn is_sealed(program: &File) -> io::Result<bool> {
    // Files that know no seals answer EINVAL.
    if fcntl(program, FcntlArg::F_GET_SEALS).is_ok_and(|seals| SealFlag::from_bits_truncate(seals).contains(SEALS)) {
        return Ok(true);
    }
    let filesystem = fstatfs(program)?;
    Ok(filesystem.filesystem_type() == OVERLAYFS_SUPER_MAGIC && filesystem.flags().contains(MOUNT_FLAGS))
}

/// An overlay without an upper layer has to have two lower ones. The other is /sys, which every host has (/proc cannot be
/// stacked upon); it comes second, so that no name in it hides the program.
fn through_overlay(own: &File) -> io::Result<OwnedFd> {
    let path = fs::read_link(OWN)?;
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::other("the program has no path"));
    };
    let directory = open(directory, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    // By descriptor: a path may be longer than the 255 bytes of an option, or have a colon in it.
    let layers = text(format!("/proc/self/fd/{}:/sys", directory.as_raw_fd()).into_bytes())?;
    let context = fsopen(c"overlay")?;
    fsconfig_string(&context, c"lowerdir", &layers)?;
    fsconfig_create(&context)?;
    let flags = attribute::RDONLY | attribute::NOSUID | attribute::NODEV | attribute::NOATIME | attribute::NODIRATIME;
    let mount = fsmount(&context, flags)?;
    let sealed =
        openat(&mount, Path::new(name), OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
    // The path may name another file than the one that we run from: the program was replaced since.
    if identity(&fstat(own)?) != identity(&fstat(&sealed)?) {
        return Err(io::Error::other("the program file was replaced"));
    }
    Ok(sealed)
}

/// An overlay changes the device and may change the inode number, but neither size nor times; no one sets a ctime.
fn identity(stat: &FileStat) -> [i64; 5] {
    [stat.st_size, stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec]
}

fn copy(mut own: File) -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    // Where executable memory files must be asked for (Linux 6.3), that is asked first.
    let executable = MFdFlags::from_bits_retain(libc::MFD_EXEC);
    let mut copy: File = memfd_create(c"berth", flags | executable).or_else(|_| memfd_create(c"berth", flags))?.into();
    io::copy(&mut own, &mut copy)?;
    if copy.metadata()?.size() != own.metadata()?.size() {
        return Err(io::Error::other("the program file changed while it was copied"));
    }
    fcntl(&copy, FcntlArg::F_ADD_SEALS(SEALS))?;
    // A file that somebody has open for writing cannot be executed: open it again, and let the first one go.
    Ok(File::open(format!("/proc/self/fd/{}", copy.as_fd().as_raw_fd()))?.into())
}

fn text(bytes: Vec<u8>) -> io::Result<CString> {
    CString::new(bytes).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn an_ordinary_file_is_not_sealed_and_a_copy_is() {
        let own = File::open(OWN).unwrap();
        assert!(!is_sealed(&own).unwrap());
        let sealed = File::from(copy(own).unwrap());
        assert!(is_sealed(&sealed).unwrap());
        let path = format!("/proc/self/fd/{}", sealed.as_raw_fd());
        let written = File::options().write(true).open(path).and_then(|mut file| file.write(b"x"));
        assert_eq!(written.unwrap_err().raw_os_error(), Some(libc::EPERM));
    }
}
