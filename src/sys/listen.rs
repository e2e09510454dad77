//! A listening TCP socket that one interface alone leads to, at an address that need not be there yet.

use std::ffi::CStr;
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Listens, without blocking in `accept`; close-on-exec.
pub fn listen(address: SocketAddrV4, interface: &CStr, backlog: i32) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointer is passed.
    let fd = match unsafe { libc::socket(libc::AF_INET, kind, 0) } {
        -1 => return Err(io::Error::last_os_error()),
        // SAFETY: the kernel has just made this descriptor, and nothing else owns it.
        fd => unsafe { OwnedFd::from_raw_fd(fd) },
    };
    let yes = 1_i32.to_ne_bytes();
    option(&fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, &yes)?;
    option(&fd, libc::IPPROTO_IP, libc::IP_FREEBIND, &yes)?;
    option(&fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, interface.to_bytes_with_nul())?;
    let place = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
        sin_zero: [0; 8],
    };
    let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    // SAFETY: the pointer is to a live value of the length that is told.
    checked(unsafe { libc::bind(fd.as_raw_fd(), (&raw const place).cast(), length) })?;
    // SAFETY: no pointer is passed.
    checked(unsafe { libc::listen(fd.as_raw_fd(), backlog) })?;
    Ok(fd)
}

fn option(fd: &OwnedFd, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    let length = value.len() as libc::socklen_t;
    // SAFETY: the pointer is to a live slice of the length that is told.
    checked(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), length) })
}

fn checked(result: i32) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn an_address_that_is_not_there_can_be_listened_on() {
        listen(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 9), 0), c"lo", 1).unwrap();
        let fd = listen(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), c"lo", 1).unwrap();
        let listener = TcpListener::from(fd);
        TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(listener.accept().is_ok());
    }
}
