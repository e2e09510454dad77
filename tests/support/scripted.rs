//! An HTTP server on loopback that does what a script says, rightly or wrongly, and keeps every request that it got; and
//! a registry's contents for scripts that only want to interfere with some answers. Plain `std`. Used by the unit tests
//! of the registry client and, through the real program, by the root tests.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// How many came before it.
    pub(crate) number: usize,
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    /// A header by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the path (and query) has this in it.
    pub(crate) fn asks(&self, part: &str) -> bool {
        self.target.contains(part)
    }
}

/// What the body of an answer is said to be.
#[derive(Debug, Clone, Copy)]
enum Length {
    True,
    Says(u64),
    Chunked,
    UntilClose,
}

/// What happens when the body has come so far.
#[derive(Debug, Clone, Copy)]
enum End {
    Whole,
    /// The connection is closed after so many bytes.
    Cut(u64),
    /// Nothing more comes after so many bytes, and the connection stays.
    Stall(u64),
}

/// An answer, and how it is given.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Zeros behind the body.
    zeros: u64,
    length: Length,
    end: End,
    /// So many bytes at a time, with a pause after each.
    pace: Option<(usize, Duration)>,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        let (headers, body) = (Vec::new(), Vec::new());
        Self { status, headers, body, zeros: 0, length: Length::True, end: End::Whole, pace: None }
    }

    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::status(200) }
    }

    pub(crate) fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).header("Location", location)
    }

    pub(crate) fn challenge(challenge: &str) -> Self {
        Self::error(401, "UNAUTHORIZED", "authentication required").header("WWW-Authenticate", challenge)
    }

    /// An error as the distribution-spec has it.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
        Self { status, ..Self::ok(body) }
    }

    /// Sets a header, instead of those of the same name.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same answer with another body.
    pub(crate) fn with(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// So many zeros behind the body.
    pub(crate) fn zeros(self, zeros: u64) -> Self {
        Self { zeros, ..self }
    }

    /// `Content-Length` with this number, whatever the body is.
    pub(crate) fn saying(self, length: u64) -> Self {
        Self { length: Length::Says(length), ..self }
    }

    pub(crate) fn chunked(self) -> Self {
        Self { length: Length::Chunked, ..self }
    }

    /// No length: the end of the connection is the end of the body.
    pub(crate) fn until_close(self) -> Self {
        Self { length: Length::UntilClose, ..self }
    }

    pub(crate) fn cut_after(self, bytes: u64) -> Self {
        Self { end: End::Cut(bytes), ..self }
    }

    pub(crate) fn stall_after(self, bytes: u64) -> Self {
        Self { end: End::Stall(bytes), ..self }
    }

    pub(crate) fn slowly(self, bytes: usize, pause: Duration) -> Self {
        Self { pace: Some((bytes, pause)), ..self }
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let all = self.body.len() as u64 + self.zeros;
        head += &match self.length {
            Length::True => format!("Content-Length: {all}\r\n"),
            Length::Says(length) => format!("Content-Length: {length}\r\n"),
            Length::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
            Length::UntilClose => "Connection: close\r\n".to_owned(),
        };
        head + "\r\n"
    }

    /// The next bytes of the body, from `at`.
    fn piece(&self, at: u64, most: usize) -> Vec<u8> {
        let body = usize::try_from(at).ok().and_then(|at| self.body.get(at..)).unwrap_or_default();
        let left = (self.body.len() as u64).saturating_add(self.zeros).saturating_sub(at);
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(most);
        let mut piece = vec![0; most];
        let length = body.len().min(most);
        piece[..length].copy_from_slice(&body[..length]);
        piece
    }

    /// Gives the answer; whether the connection can be used again.
    fn give(&self, stream: &mut TcpStream, stopped: &AtomicBool, head_only: bool) -> std::io::Result<bool> {
        stream.write_all(self.head().as_bytes())?;
        if head_only {
            return Ok(!matches!(self.length, Length::UntilClose));
        }
        let end = match self.end {
            End::Whole => u64::MAX,
            End::Cut(bytes) | End::Stall(bytes) => bytes,
        };
        let (size, pause) = self.pace.unwrap_or((64 << 10, Duration::ZERO));
        let mut at = 0;
        while at < end && !stopped.load(Ordering::Relaxed) {
            let piece = self.piece(at, usize::try_from(end - at).unwrap_or(usize::MAX).min(size));
            if piece.is_empty() {
                break;
            }
            at += piece.len() as u64;
            match self.length {
                Length::Chunked => {
                    let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat();
                    stream.write_all(&chunk)?;
                }
                _ => stream.write_all(&piece)?,
            }
            if !pause.is_zero() {
                thread::sleep(pause);
            }
        }
        match (self.end, self.length) {
            (End::Cut(_), _) | (_, Length::UntilClose) => Ok(false),
            (End::Stall(_), _) => {
                // Until the client has had enough.
                stream.set_read_timeout(Some(Duration::from_millis(10)))?;
                while !stopped.load(Ordering::Relaxed) && !matches!(stream.read(&mut [0; 64]), Ok(0)) {}
                Ok(false)
            }
            (End::Whole, Length::Chunked) => stream.write_all(b"0\r\n\r\n").map(|()| true),
            (End::Whole, Length::True | Length::Says(_)) => Ok(true),
        }
    }
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;

/// The server. Its threads end when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    stopped: Arc<AtomicBool>,
}

impl Server {
    /// Serves by that script on a free port of 127.0.0.1.
    pub(crate) fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let script: Arc<Script> = Arc::new(script);
        let server = Self { address, requests: Arc::clone(&requests), stopped: Arc::clone(&stopped) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (script, requests, stopped) = (Arc::clone(&script), Arc::clone(&requests), Arc::clone(&stopped));
                // What a client does to its connection is not the server's to complain of.
                thread::spawn(move || serve(stream, script.as_ref(), &requests, &stopped));
            }
        });
        server
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `http://localhost:PORT`: the same server as another host.
    pub(crate) fn other_url(&self) -> String {
        format!("http://localhost:{}", self.address.port())
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no test panics with the requests locked").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address); // so that the listening thread looks at it
    }
}

fn serve(stream: TcpStream, script: &Script, requests: &Mutex<Vec<Request>>, stopped: &AtomicBool) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = read_request(&mut reader)?;
        {
            let mut requests = requests.lock().ok()?;
            request.number = requests.len();
            requests.push(request.clone());
        }
        let reply = script(&request);
        if !reply.give(&mut writer, stopped, request.method == "HEAD").ok()? {
            return None;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let line = line()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { number: 0, method, target, headers, body: String::new() };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    reader.take(length).read_to_string(&mut request.body).ok()?;
    Some(request)
}

/// What a well-behaved registry has: one repository.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contents {
    manifests: HashMap<String, (String, String, Vec<u8>)>,
    blobs: HashMap<String, Vec<u8>>,
}

impl Contents {
    /// Adds a manifest under its digest and, if there is one, a tag.
    pub(crate) fn manifest(mut self, tag: Option<&str>, media_type: &str, digest: &str, bytes: &[u8]) -> Self {
        for name in tag.into_iter().chain([digest]) {
            self.manifests.insert(name.into(), (media_type.into(), digest.into(), bytes.into()));
        }
        self
    }

    /// Adds a blob.
    pub(crate) fn blob(mut self, digest: &str, bytes: &[u8]) -> Self {
        self.blobs.insert(digest.into(), bytes.into());
        self
    }

    /// What a registry answers: 200 or 206, or 404 in the words of the distribution-spec.
    pub(crate) fn answer(&self, request: &Request) -> Reply {
        let path = request.target.split('?').next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        if request.asks("/manifests/") {
            return match self.manifests.get(name) {
                Some((media_type, digest, bytes)) => {
                    Reply::ok(bytes.clone()).header("Content-Type", media_type).header("Docker-Content-Digest", digest)
                }
                None => Reply::error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
            };
        }
        let Some(bytes) = self.blobs.get(name).filter(|_| request.asks("/blobs/")) else {
            return Reply::error(404, "BLOB_UNKNOWN", "blob unknown to registry");
        };
        let from = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        match from.and_then(|from| from.parse::<usize>().ok()).filter(|from| *from < bytes.len()) {
            Some(from) => Reply { status: 206, ..Reply::ok(&bytes[from..]) }
                .header("Content-Range", &format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len())),
            None => Reply::ok(bytes.clone()),
        }
    }
}
