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
    /// Programs cannot be run.
    pub const NOEXEC: u32 = 0x08;
    /// Access times are not kept.
    pub const NOATIME: u32 = 0x10;
    /// Access times are kept at every access.
    pub const STRICTATIME: u32 = 0x20;
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

/// Sets a parameter of a context that has no value.
pub fn fsconfig_flag(context: impl AsFd, key: &CStr) -> nix::Result<()> {
    const FSCONFIG_SET_FLAG: libc::c_uint = 0;
    fsconfig(context, FSCONFIG_SET_FLAG, key.as_ptr(), ptr::null())
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
    // SAFETY: the pointers come from the functions above: strings that outlive the call, or null where none is due.
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

/// A copy of the mount (with those below it) that a descriptor of a file or directory leads to, cut to that file or
/// directory, in no namespace (open_tree(2)). The original must stand in the caller's namespace.
pub fn clone_tree(place: impl AsFd) -> nix::Result<OwnedFd> {
    const OPEN_TREE_CLONE: libc::c_uint = 1;
    let flags =
        OPEN_TREE_CLONE | libc::O_CLOEXEC.unsigned_abs() | (libc::AT_EMPTY_PATH | libc::AT_RECURSIVE).unsigned_abs();
    // SAFETY: the pointer is to an empty string constant.
    descriptor(unsafe { libc::syscall(libc::SYS_open_tree, place.as_fd().as_raw_fd(), c"".as_ptr(), flags) })
}

/// Mounts what stands in no namespace yet on a file or directory (move_mount(2)). Neither is named by a path, so that
/// nobody can exchange them on the way.
pub fn attach(mount: impl AsFd, place: impl AsFd) -> nix::Result<()> {
    const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x04;
    const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;
    let (from, to) = (mount.as_fd().as_raw_fd(), place.as_fd().as_raw_fd());
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: both pointers are to an empty string constant.
    let result = unsafe { libc::syscall(libc::SYS_move_mount, from, c"".as_ptr(), to, c"".as_ptr(), flags) };
    Errno::result(result).map(drop)
}

/// Sets attributes (of [`attribute`]) of a mount and of those below it (mount_setattr(2), Linux 5.12).
pub fn set_attributes(mount: impl AsFd, attributes: u32) -> nix::Result<()> {
    change(mount, libc::mount_attr { attr_set: attributes.into(), attr_clr: 0, propagation: 0, userns_fd: 0 })
}

/// Makes a mount that stands in no namespace one that maps owners: an id that the file system knows, and that the user
/// namespace calls by this number, is seen as the id that this number has outside the namespace (mount_setattr(2)).
/// `EINVAL` if the file system cannot do that.
pub fn map_owners(mount: impl AsFd, namespace: impl AsFd) -> nix::Result<()> {
    const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
    let userns_fd = u64::from(namespace.as_fd().as_raw_fd().unsigned_abs());
    change(mount, libc::mount_attr { attr_set: MOUNT_ATTR_IDMAP, attr_clr: 0, propagation: 0, userns_fd })
}

fn change(mount: impl AsFd, attributes: libc::mount_attr) -> nix::Result<()> {
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    // SAFETY: the pointers are to an empty string constant and to a structure that outlives the call, whose size is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(result).map(drop)
}

fn descriptor(result: libc::c_long) -> nix::Result<OwnedFd> {
    let fd = i32::try_from(Errno::result(result)?).expect("a descriptor is an int");
    // SAFETY: the kernel has just made this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
