//! The same against `berth serve`, over TCP with signatures and, for root, over the Unix socket without: what comes between the
//! socket and the operation is tried too.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime};

use hyper::http::request::Parts;
use serde_json::Value;

use super::malformed::Malformed;
use super::signer::Signer;
use super::wire::{Address, Wire, bytes};
use super::{access_key, engine, resident_kib, scheduler, times};

/// What says that a signature was not accepted.
const NOT_SIGNED: [&str; 6] = [
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch", // STS's word
];

/// `berth serve` on a root of its own.
struct Served {
    process: Child,
    tcp: Address,
    socket: PathBuf,
    said: Option<JoinHandle<String>>,
    key: berth::ops::AccessKey,
    _scheduler: UnixDatagram,
    _directory: tempfile::TempDir,
}

impl Served {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let engine = engine(directory.path());
        let (key, scheduler) = (access_key(&engine), scheduler(&engine));
        let mut serve = Command::new(env!("CARGO_BIN_EXE_berth"));
        serve.arg("--root").arg(directory.path()).args(["serve", "--listen", "127.0.0.1:0", "--no-request-log"]);
        serve.args(["--rate", "4000000000"]).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut process = serve.spawn().unwrap();
        let mut told = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        told.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line}"));
        let tcp = Address::Tcp(address.parse().unwrap());
        // The socket is there when it is told of.
        told.read_line(&mut line).unwrap();
        let said = std::thread::spawn(move || {
            let mut rest = String::new();
            told.read_to_string(&mut rest).unwrap();
            rest
        });
        let socket = engine.layout().endpoint_socket();
        Self { process, tcp, socket, said: Some(said), key, _scheduler: scheduler, _directory: directory }
    }

    fn resident_kib(&self) -> u64 {
        resident_kib(&self.process.id().to_string())
    }

    /// It answers, ends well when it is told to, and has said nothing of a panic.
    fn end(mut self) {
        let answer = self.tcp.throw(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
        let pid = nix::unistd::Pid::from_raw(self.process.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert!(self.process.wait().unwrap().success());
        assert_eq!(self.said.take().unwrap().join().unwrap(), "");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill().and_then(|()| self.process.wait()); // it has ended already, if all is well
    }
}

/// Requests of one client; how many of them were refused.
fn throw(served: &Served, mut malformed: Malformed, count: usize, is_root: bool) -> usize {
    let signer = Signer::new(served.key.clone());
    let address = if is_root { Address::Unix(served.socket.clone()) } else { served.tcp.clone() };
    let (mut wire, mut refused) = (Wire::new(address.clone()), 0);
    for number in 0..count {
        let (action, body) = malformed.request();
        let parts = signer.signed(&action, &body, (SystemTime::now(), "us-east-1"), &signer.key.secret);
        let mut request = bytes(&parts, &body);
        if number % 10 == 0 {
            malformed.change_bytes(&mut request);
            let answer = address.throw(&request);
            // There may be several: what is left of a body that was announced too short is a request of its own.
            let statuses = String::from_utf8_lossy(&answer).into_owned();
            let failed = ["HTTP/1.1 5", "HTTP/1.0 5"].iter().any(|status| statuses.contains(status));
            assert!(!failed, "{}", shown(&request, &answer));
            refused += usize::from(!statuses.contains(" 200 OK"));
            continue;
        }
        let Some((status, answer)) = wire.call(&request) else {
            assert!(body.len() > 1 << 20, "closed without an answer: {}", shown(&request, b""));
            continue;
        };
        assert!(status < 500, "{}", shown(&request, &answer));
        let value: Value = serde_json::from_slice(&answer).unwrap_or_else(|_| panic!("{}", shown(&request, &answer)));
        assert_eq!(value["__type"].is_string(), status != 200, "{}", shown(&request, &answer));
        refused += usize::from(status != 200);
    }
    refused
}

fn shown(request: &[u8], answer: &[u8]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(3000).collect::<String>();
    format!("{}\n-> {}", text(request), text(answer))
}

#[test]
fn no_malformed_request_over_a_socket_makes_the_server_panic_fail_or_grow() {
    let (count, seed) = (times("FUZZ_SOCKETS", 800), times("FUZZ_SEED", 1) as u64);
    let (served, malformed) = (Served::start(), Malformed::new(seed));
    let (began, mut refused, mut resident) = (Instant::now(), 0, Vec::new());
    for half in 0..2 {
        refused += std::thread::scope(|scope| {
            let client = |number: u64| {
                let malformed = malformed.with(seed << 32 | half << 8 | number);
                let is_root = number.is_multiple_of(2) && nix::unistd::getuid().is_root();
                let served = &served;
                scope.spawn(move || throw(served, malformed, count / 8, is_root))
            };
            let clients: Vec<_> = (0..4).map(client).collect();
            clients.into_iter().map(|client| client.join().unwrap()).sum::<usize>()
        });
        resident.push(served.resident_kib());
    }
    let took = began.elapsed().as_secs();
    println!(
        "{count} malformed requests over sockets (seed {seed}) in {took} s: {refused} refused, the others answered; the server \
         had {} KiB resident at half time, {} KiB at the end",
        resident[0], resident[1]
    );
    served.end();
    assert!(refused > count / 3, "they are malformed");
    assert!(resident[1] < resident[0] + (32 << 10), "{resident:?}");
}

/// Whether the server takes a request for one of who has the key.
fn is_accepted(wire: &mut Wire, parts: &Parts, body: &[u8]) -> bool {
    let (status, answer) = wire.call(&bytes(parts, body)).expect("an answer");
    // Another service of AWS answers in XML.
    let name = match serde_json::from_slice::<Value>(&answer) {
        Ok(answer) => answer["__type"].as_str().map(str::to_owned),
        Err(_) => {
            let text = String::from_utf8(answer).expect("XML is text");
            let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
            Some(code.unwrap_or_else(|| panic!("{status}: {text}")).0.to_owned())
        }
    };
    !name.is_some_and(|name| NOT_SIGNED.contains(&name.as_str()))
}

#[test]
fn over_a_socket_too_good_signatures_are_accepted_and_altered_ones_are_not() {
    let count = times("FUZZ_SOCKETS", 800) / 8;
    let served = Served::start();
    let mut signer = Signer::new(served.key.clone());
    let (mut wire, began) = (Wire::new(served.tcp.clone()), Instant::now());
    for number in 0..count {
        let now = SystemTime::now();
        let (mut parts, mut body) = signer.good(now);
        assert!(is_accepted(&mut wire, &parts, &body), "{number}: {parts:?}");
        let how = signer.altered(&mut parts, &mut body, now);
        assert!(!is_accepted(&mut wire, &parts, &body), "{number}: {how}: {parts:?}");
    }
    let took = began.elapsed().as_secs();
    println!("over a socket, {count} good signatures, none refused; {count} altered ones, none accepted; in {took} s");
    served.end();
}
