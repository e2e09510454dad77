//! Opening below a directory descriptor and nowhere else, and the extended attributes of what was opened. What `image`
//! uses to work inside trees that a stranger filled. No policy here: one call per function.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;

/// How often a path is looked at again.
const ATTEMPTS: usize = 1000;

/// Opens a path by openat2(2), again where the kernel cannot tell (`EAGAIN`): when something on the host is renamed or mounted
/// while it follows a `..`, it does not know whether that leads out.
pub fn until_settled(open: impl Fn() -> nix::Result<OwnedFd>) -> nix::Result<OwnedFd> {
    for _ in 1..ATTEMPTS {
        match open() {
            Err(Errno::EAGAIN) => {}
            opened => return opened,
        }
    }
    open()
}

/// Opens `path` below `dir`, close-on-exec. No symbolic link is followed in any component, no mount point is crossed,
/// and `..` or an absolute path cannot leave `dir` (openat2(2), Linux 5.6). A symbolic link as the last component opens
/// only with `O_PATH | O_NOFOLLOW`, as itself; otherwise it is `ELOOP`.
pub fn open_beneath<P: ?Sized + NixPath>(dir: BorrowedFd<'_>, path: &P, flags: OFlag) -> nix::Result<OwnedFd> {
    open_how(dir, path, flags, Mode::empty())
}

/// Makes the file `name` below `dir` and opens it for writing; `EEXIST` if anything has that name. Its mode is `mode` as
/// far as the umask lets it.
pub fn create_beneath<P: ?Sized + NixPath>(dir: BorrowedFd<'_>, name: &P, mode: Mode) -> nix::Result<OwnedFd> {
    open_how(dir, name, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL, mode)
}

fn open_how<P: ?Sized + NixPath>(dir: BorrowedFd<'_>, path: &P, flags: OFlag, mode: Mode) -> nix::Result<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV;
    until_settled(|| openat2(dir, path, OpenHow::new().flags(flags | OFlag::O_CLOEXEC).mode(mode).resolve(resolve)))
}

/// Sets an extended attribute (fsetxattr(2)).
pub fn set_xattr(fd: impl AsFd, name: &CStr, value: &[u8]) -> nix::Result<()> {
    // SAFETY: both pointers are to memory that outlives the call, and the length is the value's own.
    let result =
        unsafe { libc::fsetxattr(fd.as_fd().as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    Errno::result(result).map(drop)
}

/// Reads an extended attribute (fgetxattr(2)) into `buffer` and gives back the part that was filled; `ENODATA` if it is
/// not there, `ERANGE` if it is longer than the buffer.
pub fn xattr<'b>(fd: impl AsFd, name: &CStr, buffer: &'b mut [u8]) -> nix::Result<&'b [u8]> {
    // SAFETY: both pointers are to memory that outlives the call, and the length is the buffer's own.
    let length =
        unsafe { libc::fgetxattr(fd.as_fd().as_raw_fd(), name.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    let length = Errno::result(length)?;
    Ok(&buffer[..usize::try_from(length).expect("a length that is not an error is not negative")])
}

/// The names of all extended attributes that the caller may see (flistxattr(2)), in the file system's order.
pub fn xattr_names(fd: impl AsFd) -> nix::Result<Vec<CString>> {
    // The kernel's XATTR_LIST_MAX: no list is longer.
    let mut buffer = vec![0_u8; 65536];
    // SAFETY: the pointer is to a buffer of the length that is given.
    let length = unsafe { libc::flistxattr(fd.as_fd().as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
    let length = match Errno::result(length) {
        Err(Errno::ENOTSUP) => 0, // a file system without attributes
        length => usize::try_from(length?).expect("a length that is not an error is not negative"),
    };
    let names = buffer[..length].split_inclusive(|byte| *byte == 0);
    Ok(names.filter_map(|name| CStr::from_bytes_with_nul(name).ok()).map(CStr::to_owned).collect())
}
