//! One connection: one request, bounded in bytes and time, and its answer; then it is closed.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use nix::poll::PollFlags;

use super::answer::Reply;

/// The largest head, in bytes.
const HEAD: usize = 8 << 10;
/// The most headers.
const HEADERS: usize = 64;
/// The largest body, in bytes.
const BODY: usize = 16 << 10;
/// How long a request may take to come, and its answer to be taken, in milliseconds.
const PATIENCE: u64 = 5000;
/// How long an answer may take to be had: credentials come from far away.
const CREDENTIALS: u64 = 60_000;

/// A whole request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) body: Vec<u8>,
}

/// Where a connection is.
#[derive(Debug)]
enum State {
    Reading(Vec<u8>),
    Waiting,
    Writing(Vec<u8>, usize),
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    state: State,
    deadline: u64,
}

/// What has come of it.
#[derive(Debug)]
pub(super) enum Progress {
    Unfinished,
    Asked(Request),
    Refused(Reply),
    Over,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, now: u64) -> Self {
        Self { stream, state: State::Reading(Vec::new()), deadline: now + PATIENCE }
    }

    /// When it is given up, in milliseconds since boot.
    pub(super) fn deadline(&self) -> u64 {
        self.deadline
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub(super) fn waits_for(&self) -> PollFlags {
        match self.state {
            State::Reading(_) => PollFlags::POLLIN,
            State::Waiting => PollFlags::empty(), // its end is noticed all the same
            State::Writing(..) => PollFlags::POLLOUT,
        }
    }

    /// Whether its answer is still to be had.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting)
    }

    /// Waits for credentials.
    pub(super) fn wait(&mut self, now: u64) {
        self.state = State::Waiting;
        self.deadline = now + CREDENTIALS;
    }

    /// Begins to answer; what does not go at once goes when there is room.
    pub(super) fn reply(&mut self, reply: &Reply, now: u64) {
        self.state = State::Writing(reply.bytes(), 0);
        self.deadline = now + PATIENCE;
    }

    /// Reads or writes what can be.
    pub(super) fn run(&mut self, _now: u64) -> Progress {
        match &mut self.state {
            State::Reading(bytes) => match fill(&mut self.stream, bytes) {
                Ok(()) => parse(bytes),
                Err(_) => Progress::Over,
            },
            State::Waiting => Progress::Over, // only its end can be ready
            State::Writing(bytes, sent) => match drain(&mut self.stream, bytes, sent) {
                Ok(false) => Progress::Unfinished,
                Ok(true) => {
                    // The peer may be gone; then nobody waits for the end.
                    let _ = self.stream.shutdown(Shutdown::Write);
                    Progress::Over
                }
                Err(_) => Progress::Over,
            },
        }
    }
}

/// Reads what there is, up to the most that a request may have.
fn fill(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 4096];
    while bytes.len() <= HEAD + BODY {
        match stream.read(&mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        // A whole request is answered before more is read.
        if matches!(parse(bytes), Progress::Asked(_) | Progress::Refused(_)) {
            return Ok(());
        }
    }
    Ok(())
}

/// Writes what can be; whether all is written.
fn drain(stream: &mut TcpStream, bytes: &[u8], sent: &mut usize) -> io::Result<bool> {
    while *sent < bytes.len() {
        match stream.write(&bytes[*sent..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => *sent += written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// The request that these bytes are. A body has a length: one in chunks is refused, and so is one with two lengths.
fn parse(bytes: &[u8]) -> Progress {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD => return Progress::Unfinished,
        Ok(_) => return Progress::Refused(Reply::text(431, "the request's head is too long")),
        Err(_) => return Progress::Refused(Reply::text(400, "400 Bad Request")),
    };
    let mut lengths = head.headers.iter().filter(|one| one.name.eq_ignore_ascii_case("content-length"));
    let chunked = head.headers.iter().any(|one| one.name.eq_ignore_ascii_case("transfer-encoding"));
    let body = match (lengths.next(), lengths.next()) {
        (None, _) if chunked => return Progress::Refused(Reply::text(411, "a body needs its content-length")),
        (None, _) => Some(0),
        (Some(one), None) if !chunked => std::str::from_utf8(one.value).ok().and_then(number),
        (Some(_), _) => None,
    };
    let Some(body) = body else { return Progress::Refused(Reply::text(400, "400 Bad Request")) };
    if body > BODY {
        return Progress::Refused(Reply::text(413, "the request's body is too long"));
    }
    match bytes.get(length..length + body) {
        None => Progress::Unfinished,
        Some(body) => Progress::Asked(Request {
            method: head.method.unwrap_or_default().to_owned(),
            target: head.path.unwrap_or_default().to_owned(),
            body: body.to_vec(),
        }),
    }
}

/// Digits and nothing else: `parse` would take a sign.
fn number(text: &str) -> Option<usize> {
    let text = text.trim();
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mutated_request_of_a_task_does_harm() {
        use crate::metadata::{FaultAction, FaultKind, parse as read_path, parse_fault};
        let put = |path: &str, body: &str| {
            format!("PUT {path} HTTP/1.1\r\nHost: 169.254.170.2\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                .into_bytes()
        };
        let fault = r#"{"Port": 80, "Protocol": "tcp", "TrafficType": "egress", "SourcesToFilter": ["10.0.0.1/16"]}"#;
        let good = [
            b"GET /v4/9d3a-1/task/stats?a=b HTTP/1.1\r\nHost: 169.254.170.2\r\nAccept: */*\r\n\r\n".to_vec(),
            put("/api/9d3a-1/fault/v1/network-blackhole-port/start", fault),
            put("/api/9d3a-1/task-protection/v1/state", r#"{"ProtectionEnabled": true, "ExpiresInMinutes": 60}"#),
        ];
        crate::sys::mutate::fuzz(&good, |bytes| {
            let Progress::Asked(request) = parse(bytes) else { return false };
            let _ = read_path(&request.target);
            let _ = parse_fault(FaultKind::BlackholePort, FaultAction::Start, &request.body);
            let _ = parse_fault(FaultKind::PacketLoss, FaultAction::Start, &request.body);
            request.body.len() < bytes.len()
        });
    }

    fn parsed(text: &str) -> String {
        match parse(text.as_bytes()) {
            Progress::Unfinished => "unfinished".to_owned(),
            Progress::Asked(request) => {
                format!("{} {} {}", request.method, request.target, String::from_utf8_lossy(&request.body))
            }
            Progress::Refused(reply) => reply.status.to_string(),
            Progress::Over => "over".to_owned(),
        }
    }

    #[test]
    fn a_request_is_read_when_it_is_whole() {
        let whole = "PUT /x?y HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
        assert_eq!(parsed(whole), "PUT /x?y body");
        for end in 0..whole.len() {
            assert_eq!(parsed(&whole[..end]), "unfinished", "{end} bytes");
        }
        assert_eq!(parsed("GET / HTTP/1.0\r\n\r\n"), "GET / ");
        assert_eq!(parsed("GET / HTTP/1.1\n\n"), "GET / ");
    }

    #[test]
    fn what_is_ambiguous_or_too_long_is_refused() {
        let long = "x".repeat(HEAD);
        for (text, status) in [
            ("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(), "400"),
            ("GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\nx".to_owned(), "400"),
            ("GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0".to_owned(), "400"),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), "411"),
            ("GET / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n".to_owned(), "413"),
            ("GET / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n".to_owned(), "400"),
            (format!("GET /{long} HTTP/1.1\r\n\r\n"), "431"),
            (format!("GET /{long}"), "431"),
            ("GET / HTTP/1.1\r\n\0: x\r\n\r\n".to_owned(), "400"),
            ("\u{16}\u{3}\u{1}".to_owned(), "400"),
            (format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS + 1)), "400"),
        ] {
            assert_eq!(parsed(&text), status, "{text:.60}");
        }
    }
}
