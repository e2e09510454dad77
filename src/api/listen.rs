//! Where the endpoint listens: sockets that systemd has opened, TCP addresses, a Unix socket that is root's alone.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::socket::{AddressFamily, SockaddrLike, SockaddrStorage, getsockname};

use crate::ops::host;
use crate::ops::{Authentication, Place, ServeOptions};

/// Where it listens by default.
const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7070);

/// Why the endpoint cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// An address is taken, or not this host's.
    #[error("listen on {address}")]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// The Unix socket cannot be made.
    #[error("listen on {path}")]
    Unix {
        /// Its path.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Another endpoint has the Unix socket.
    #[error("another process listens on {0}: stop it, or name another socket with --socket")]
    Taken(PathBuf),
    /// What systemd handed over is no socket.
    #[error("use the sockets that were handed over")]
    Inherited {
        /// The system's answer.
        source: io::Error,
    },
    /// Nobody could call.
    #[error("nothing to listen on: name an address with --listen or a socket with --socket")]
    Nothing,
    /// Everybody could call.
    #[error("--insecure-no-auth is for loopback addresses only, and {0} is none")]
    Open(SocketAddr),
}

/// A TCP socket that listens, and where.
#[derive(Debug)]
pub(super) struct Tcp {
    pub(super) listener: std::net::TcpListener,
    pub(super) address: SocketAddr,
}

/// All sockets. The Unix socket that was made here is removed at the end.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    pub(super) tcp: Vec<Tcp>,
    pub(super) unix: Vec<UnixListener>,
    pub(super) made: Option<PathBuf>,
}

impl Drop for Sockets {
    fn drop(&mut self) {
        if let Some(path) = &self.made {
            let _ = fs::remove_file(path); // the next endpoint removes it, if this one cannot
        }
    }
}

/// Opens all sockets.
pub(super) fn open(options: &ServeOptions, default_socket: &Path) -> Result<Sockets, ListenError> {
    let mut sockets = inherited()?;
    let handed_over = !sockets.tcp.is_empty() || !sockets.unix.is_empty();
    let addresses = match &options.listen {
        Place::Default if handed_over => Vec::new(),
        Place::Default => vec![DEFAULT],
        Place::Off => Vec::new(),
        Place::At(addresses) => addresses.clone(),
    };
    for address in addresses {
        let fail = |source| ListenError::Tcp { address, source };
        let listener = std::net::TcpListener::bind(address).map_err(fail)?;
        listener.set_nonblocking(true).map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        sockets.tcp.push(Tcp { listener, address });
    }
    let path = match &options.socket {
        Place::Default if handed_over => None,
        Place::Default => Some(default_socket),
        Place::Off => None,
        Place::At(path) => Some(path.as_path()),
    };
    if let Some(path) = path {
        sockets.unix.push(unix(path)?);
        sockets.made = Some(path.to_owned());
    }
    let open = sockets.tcp.iter().find(|one| !one.address.ip().to_canonical().is_loopback());
    match open {
        Some(open) if options.authentication == Authentication::Nobody => Err(ListenError::Open(open.address)),
        _ if sockets.tcp.is_empty() && sockets.unix.is_empty() => Err(ListenError::Nothing),
        _ => Ok(sockets),
    }
}

/// The sockets that systemd, or a program like it, has opened for this very process.
fn inherited() -> Result<Sockets, ListenError> {
    let fail = |source| ListenError::Inherited { source };
    let mut sockets = Sockets::default();
    for number in sd_notify::listen_fds().map_err(fail)? {
        let [fd]: [OwnedFd; 1] = host::inherited([number]);
        let family = getsockname::<SockaddrStorage>(fd.as_raw_fd()).map_err(|errno| fail(errno.into()))?.family();
        match family {
            Some(AddressFamily::Unix) => {
                let listener = UnixListener::from(fd);
                listener.set_nonblocking(true).map_err(fail)?;
                sockets.unix.push(listener);
            }
            _ => {
                let listener = std::net::TcpListener::from(fd);
                listener.set_nonblocking(true).map_err(fail)?;
                let address = listener.local_addr().map_err(fail)?;
                sockets.tcp.push(Tcp { listener, address });
            }
        }
    }
    Ok(sockets)
}

/// A socket that root alone can connect to: the process's umask sees to that.
fn unix(path: &Path) -> Result<UnixListener, ListenError> {
    let fail = |source| ListenError::Unix { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(fail)?;
    }
    match host::short(path, |short| UnixStream::connect(short)) {
        Ok(_) => return Err(ListenError::Taken(path.to_owned())),
        // Somebody was killed who had it.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(fail)?,
        Err(_) => {}
    }
    let listener = host::short(path, |short| UnixListener::bind(short)).map_err(fail)?;
    listener.set_nonblocking(true).map_err(fail)?;
    Ok(listener)
}
