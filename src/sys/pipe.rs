//! What waits in a pipe or a socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// How many bytes have been written to a pipe and not been read (FIONREAD, pipe(7)).
pub fn waiting(pipe: impl AsFd) -> io::Result<u64> {
    count(pipe, libc::FIONREAD)
}

/// How much memory is taken by what has been written to a Unix socket and not been read at its other end, in bytes (SIOCOUTQ,
/// `unix_outq_len` in net/unix/af_unix.c): 0 when all has been read.
pub fn unread(socket: impl AsFd) -> io::Result<u64> {
    count(socket, libc::TIOCOUTQ)
}

fn count(of: impl AsFd, request: libc::c_ulong) -> io::Result<u64> {
    let mut count: libc::c_int = 0;
    // SAFETY: the pointer is to a live int, which is what both requests fill.
    match unsafe { libc::ioctl(of.as_fd().as_raw_fd(), request, &raw mut count) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(u64::try_from(count).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_was_written_and_not_read_waits() {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        assert_eq!(waiting(&reader).unwrap(), 0);
        nix::unistd::write(&writer, b"four").unwrap();
        nix::unistd::read(&reader, &mut [0; 1]).unwrap();
        assert_eq!(waiting(&reader).unwrap(), 3);
    }

    #[test]
    fn what_the_other_end_has_read_is_not_unread() {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        assert_eq!(unread(&one).unwrap(), 0);
        one.write_all(b"four").unwrap();
        assert!(unread(&one).unwrap() > 0);
        assert_eq!(unread(&other).unwrap(), 0);
        other.read_exact(&mut [0; 4]).unwrap();
        assert_eq!(unread(&one).unwrap(), 0);
    }
}
