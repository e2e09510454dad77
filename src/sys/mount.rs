//! Mounts: the calls of the newer mount API that have no wrapper elsewhere, and a mount namespace of one's own.
//! No policy here.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Flags of a mount made by [`fsmount`] (`MOUNT_ATTR_*` of `linux/mount.h`).
pub mod attribute {
    /// Nothing can be written through the mount.
    pub const RDONLY: u32 = 0x01;
    /// Set-user-id bits do nothing.
    pub const NOSUID: u32 = 0x02;
    /// Device files do nothing.
    pub const NODEV: u32 = 0x04;
    /// Access times are not kept.
    pub const NOATIME: u32 = 0x10;
    /// Access times of directories are not kept.
    pub const NODIRATIME: u32 = 0x80;
}

/// Moves the caller into a mount namespace of its own, from which no mount reaches the one it came from, nor back.
pub fn private_namespace() -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount::<str, str, str, str>(None, "/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)
}

/// A new file system context, close-on-exec (fsopen(2), Linux 5.2).
pub fn fsopen(kind: &CStr) -> nix::Result<OwnedFd> {
    const FSOPEN_CLOEXEC: libc::c_uint = 1;
    // SAFETY: the pointer is to a string that outlives the call.
    descriptor(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })
}

/// Sets a text parameter of a context (fsconfig(2)); the kernel takes at most 255 bytes.
pub fn fsconfig_string(context: impl AsFd, key: &CStr, value: &CStr) -> nix::Result<()> {
    const FSCONFIG_SET_STRING: libc::c_uint = 1;
    fsconfig(context, FSCONFIG_SET_STRING, key.as_ptr(), value.as_ptr())
}

/// Makes the file system that a context describes (fsconfig(2)).
pub fn fsconfig_create(context: impl AsFd) -> nix::Result<()> {
    const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
    fsconfig(context, FSCONFIG_CMD_CREATE, ptr::null(), ptr::null())
}

fn fsconfig(
    context: impl AsFd,
    command: libc::c_uint,
    key: *const libc::c_char,
    value: *const libc::c_char,
) -> nix::Result<()> {
    // SAFETY: the pointers come from the two functions above: strings that outlive the call, or null where none is due.
    let result = unsafe {
        libc::syscall(libc::SYS_fsconfig, context.as_fd().as_raw_fd(), command, key, value, 0 as libc::c_int)
    };
    Errno::result(result).map(drop)
}

/// A mount of a made file system that stands in no namespace, close-on-exec (fsmount(2)). `attributes` are of
/// [`attribute`].
pub fn fsmount(context: impl AsFd, attributes: u32) -> nix::Result<OwnedFd> {
    const FSMOUNT_CLOEXEC: libc::c_uint = 1;
    // SAFETY: no pointer is passed.
    descriptor(unsafe { libc::syscall(libc::SYS_fsmount, context.as_fd().as_raw_fd(), FSMOUNT_CLOEXEC, attributes) })
}

fn descriptor(result: libc::c_long) -> nix::Result<OwnedFd> {
    let fd = i32::try_from(Errno::result(result)?).expect("a descriptor is an int");
    // SAFETY: the kernel has just made this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
