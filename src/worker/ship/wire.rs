//! A connection to a receiver, of whatever kind: made when it is needed, given up when it fails, with a limit on every wait.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::names::Names;
use super::tls::{Tls, TlsStream};
use crate::logging::Address;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a write or an answer may take.
const STALL: Duration = Duration::from_secs(10);

/// Where to, and how.
pub(super) struct Wire {
    to: Target,
    names: Names,
    limits: Limits,
    open: Option<Open>,
}

/// How long a stream's write and an answer may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) write: Duration,
    pub(super) read: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { write: STALL, read: STALL }
    }
}

/// What is connected to.
pub(super) enum Target {
    /// By its address.
    Address(Address, Option<Tls>),
    /// A socket in a directory that a container can write to: never through a link.
    Container(std::path::PathBuf),
}

enum Open {
    Tcp(TcpStream),
    Tls(Box<TlsStream>),
    Unix(UnixStream),
    Udp(UdpSocket),
    Datagrams(UnixDatagram),
}

/// Whether messages keep their limits by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// They do.
    Datagrams,
    /// They are one row of bytes.
    Stream,
}

impl Wire {
    pub(super) fn new(to: Target) -> io::Result<Self> {
        Self::with_limits(to, Limits::default())
    }

    pub(super) fn with_limits(to: Target, limits: Limits) -> io::Result<Self> {
        Ok(Self { to, names: Names::new()?, limits, open: None })
    }

    /// Connects if need be, and says how messages go.
    pub(super) fn connect(&mut self) -> io::Result<Kind> {
        if self.open.as_ref().is_some_and(Open::is_closed) {
            self.open = None; // what is written to it would be lost without a word
        }
        if self.open.is_none() {
            self.open = Some(match &self.to {
                Target::Container(path) => Open::Unix(container_socket(path)?),
                Target::Address(address, tls) => dial(address, tls.as_ref(), &self.names, self.limits)?,
            });
        }
        Ok(match self.open {
            Some(Open::Udp(_) | Open::Datagrams(_)) => Kind::Datagrams,
            _ => Kind::Stream,
        })
    }

    /// Sends bytes: one datagram, or a part of the stream. After an error the connection is made anew.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = match &mut self.open {
            None => Err(io::ErrorKind::NotConnected.into()),
            Some(Open::Tcp(stream)) => stream.write_all(bytes),
            Some(Open::Unix(stream)) => stream.write_all(bytes),
            Some(Open::Tls(stream)) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Some(Open::Udp(socket)) => match socket.send(bytes) {
                // The refusal of an earlier datagram: nobody was there then.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => socket.send(bytes).map(drop),
                sent => sent.map(drop),
            },
            Some(Open::Datagrams(socket)) => socket.send(bytes).map(drop),
        };
        if sent.is_err() {
            self.open = None;
        }
        sent
    }

    /// Reads what a stream's receiver answers.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.open {
            Some(Open::Tcp(stream)) => stream.read(buffer),
            Some(Open::Unix(stream)) => stream.read(buffer),
            Some(Open::Tls(stream)) => stream.read(buffer),
            Some(Open::Udp(_) | Open::Datagrams(_)) | None => Err(io::ErrorKind::NotConnected.into()),
        };
        if !matches!(read, Ok(1..)) {
            self.open = None;
        }
        read
    }
}

impl Open {
    /// Whether the receiver has closed its end, as far as one can see without asking.
    fn is_closed(&self) -> bool {
        let fd = match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
            Self::Tls(_) | Self::Udp(_) | Self::Datagrams(_) => return false,
        };
        !matches!(recv(fd, &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT), Ok(1..) | Err(Errno::EAGAIN))
    }
}

fn dial(address: &Address, tls: Option<&Tls>, names: &Names, limits: Limits) -> io::Result<Open> {
    match address {
        Address::Unix(path) => unix(Path::new(path), limits),
        Address::Udp { host, port } => {
            let to = first(names, host, *port, |to| {
                let from: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
                let socket = UdpSocket::bind(from)?;
                socket.connect(to)?;
                Ok(socket)
            })?;
            to.set_write_timeout(Some(STALL))?;
            Ok(Open::Udp(to))
        }
        Address::Tcp { host, port } => Ok(Open::Tcp(tcp(names, host, *port, limits)?)),
        Address::Tls { host, port } => {
            let stream = tcp(names, host, *port, limits)?;
            let tls = tls.ok_or(io::ErrorKind::Unsupported)?;
            Ok(Open::Tls(Box::new(tls.connect(host, stream)?)))
        }
    }
}

fn tcp(names: &Names, host: &str, port: u16, limits: Limits) -> io::Result<TcpStream> {
    let stream = first(names, host, port, |to| TcpStream::connect_timeout(&to, CONNECT))?;
    stream.set_write_timeout(Some(limits.write))?;
    stream.set_read_timeout(Some(limits.read))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The first of a name's addresses that can be connected to.
fn first<T>(names: &Names, host: &str, port: u16, connect: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut last = None;
    for address in names.lookup(host, CONNECT)? {
        match connect((address, port).into()) {
            Ok(connected) => return Ok(connected),
            Err(error) => last = Some(error),
        }
    }
    let error = last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into());
    Err(io::Error::new(error.kind(), format!("connect to {host}:{port}: {error}")))
}

fn unix(path: &Path, limits: Limits) -> io::Result<Open> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("connect to {}: {error}", path.display()));
    match UnixStream::connect(path) {
        Ok(stream) => limited(stream, limits).map(Open::Unix),
        Err(error) if error.raw_os_error() == Some(Errno::EPROTOTYPE as i32) => {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path).map_err(named)?;
            socket.set_write_timeout(Some(STALL))?;
            Ok(Open::Datagrams(socket))
        }
        Err(error) => Err(named(error)),
    }
}

/// The container may have put anything in its place: the socket is taken by a descriptor that no link can lead astray.
fn container_socket(path: &Path) -> io::Result<UnixStream> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("the router's socket: {error}"));
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(named)?;
    if !file.metadata()?.file_type().is_socket() {
        return Err(named(io::Error::other("there is something else in its place")));
    }
    let direct = format!("/proc/self/fd/{}", file.as_raw_fd());
    limited(UnixStream::connect(direct).map_err(named)?, Limits::default())
}

fn limited(stream: UnixStream, limits: Limits) -> io::Result<UnixStream> {
    stream.set_write_timeout(Some(limits.write))?;
    stream.set_read_timeout(Some(limits.read))?;
    Ok(stream)
}
