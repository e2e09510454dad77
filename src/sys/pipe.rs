//! What waits in a pipe.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// How many bytes have been written to a pipe and not been read (FIONREAD, pipe(7)).
pub fn waiting(pipe: impl AsFd) -> io::Result<u64> {
    let mut count: libc::c_int = 0;
    // SAFETY: the pointer is to a live int, which is what the request fills.
    match unsafe { libc::ioctl(pipe.as_fd().as_raw_fd(), libc::FIONREAD, &raw mut count) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(u64::try_from(count).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_and_not_read_waits() {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        assert_eq!(waiting(&reader).unwrap(), 0);
        nix::unistd::write(&writer, b"four").unwrap();
        nix::unistd::read(&reader, &mut [0; 1]).unwrap();
        assert_eq!(waiting(&reader).unwrap(), 3);
    }
}
