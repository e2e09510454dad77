//! HTTP/1.1 over a socket, as plainly as it can be done, for requests that no client would send.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use hyper::http::request::Parts;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{Shutdown, shutdown};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long bytes are left that may be only a part of a request, in ms.
const SOON: u16 = 300;

/// Where an endpoint listens.
#[derive(Debug, Clone)]
pub(super) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    fn connect(&self) -> File {
        let socket: OwnedFd = match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.into()
            }
            Self::Unix(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.into()
            }
        };
        socket.into()
    }

    /// Sends bytes on a connection of their own, and reads whatever comes until the other side closes it. Who says that there
    /// will be no more is not answered any more: that is said when an answer has begun, or none comes soon.
    pub(super) fn throw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        let mut answer = Vec::new();
        // It may close before it has everything: then these fail, and what came before is looked at.
        let sent = stream.write_all(bytes).is_ok();
        let mut readable = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut readable, SOON);
        let _ = shutdown(stream.as_raw_fd(), Shutdown::Write);
        let read = stream.read_to_end(&mut answer);
        let late = read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!late, "sent: {sent}; no end of {}", String::from_utf8_lossy(bytes));
        answer
    }
}

/// A connection that is kept.
pub(super) struct Wire {
    address: Address,
    stream: BufReader<File>,
}

impl Wire {
    pub(super) fn new(address: Address) -> Self {
        let stream = BufReader::new(address.connect());
        Self { address, stream }
    }

    /// Status and body of the answer; `None` if the connection was closed without one. Then there is a new one.
    pub(super) fn call(&mut self, request: &[u8]) -> Option<(u16, Vec<u8>)> {
        let _ = self.stream.get_mut().write_all(request); // what was refused early is answered nevertheless
        let answer = self.answer();
        let closes = answer.as_ref().is_none_or(|(status, _)| matches!(status, 408 | 413));
        if closes {
            self.stream = BufReader::new(self.address.connect());
        }
        answer
    }

    fn answer(&mut self) -> Option<(u16, Vec<u8>)> {
        let (mut line, mut length) = (String::new(), 0);
        self.stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        loop {
            line.clear();
            self.stream.read_line(&mut line).ok()?;
            match line.trim().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().ok()?,
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).ok()?;
        Some((status, body))
    }
}

/// A request as it is sent.
pub(super) fn bytes(parts: &Parts, body: &[u8]) -> Vec<u8> {
    let mut all = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n", body.len()).into_bytes();
    for (name, value) in &parts.headers {
        all.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    [all.as_slice(), b"\r\n", body].concat()
}
