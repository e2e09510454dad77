//! Pseudoterminals of another mount namespace: made from that namespace's own devpts, and from nothing that only looks
//! like it. Called by `runtime::exec`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, SFlag, fstat, major, minor};
use nix::sys::statfs::{DEVPTS_SUPER_MAGIC, fstatfs};

/// A new pseudoterminal: the end of whoever looks on, and the end of the program.
pub struct Terminal {
    /// What is read here was written by the program, and the other way round.
    pub master: OwnedFd,
    /// The program's standard streams.
    pub slave: OwnedFd,
}

/// Makes a terminal from `/dev/pts/ptmx` of the caller's mount namespace, both ends close-on-exec and neither the
/// controlling terminal of anybody. What is there must be the multiplexer of a devpts: `/dev` is the container's to
/// change.
pub fn open_terminal() -> io::Result<Terminal> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let master = open("/dev/pts/ptmx", flags, Mode::empty())?;
    let stat = fstat(&master)?;
    let is_character = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFCHR;
    let is_multiplexer = is_character && (major(stat.st_rdev), minor(stat.st_rdev)) == (5, 2);
    if !is_multiplexer || fstatfs(&master)?.filesystem_type() != DEVPTS_SUPER_MAGIC {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "/dev/pts/ptmx is not a terminal multiplexer"));
    }
    unlock(&master)?;
    let slave = peer(&master)?;
    Ok(Terminal { master, slave })
}

fn unlock(master: impl AsFd) -> io::Result<()> {
    let locked: libc::c_int = 0;
    // SAFETY: the request reads one int.
    match unsafe { libc::ioctl(master.as_fd().as_raw_fd(), libc::TIOCSPTLCK, &raw const locked) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// The program's end without a path (`TIOCGPTPEER`, Linux 4.13).
fn peer(master: impl AsFd) -> io::Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the request takes flags, and no pointer.
    match unsafe { libc::ioctl(master.as_fd().as_raw_fd(), libc::TIOCGPTPEER, flags) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the kernel has just made this descriptor, and nothing else owns it.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}
