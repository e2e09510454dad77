//! A slow link: bytes go on to a registry at a rate, and are counted. It is an HTTP proxy too, with one site behind it: a
//! CONNECT is agreed to, and a server takes requests with a whole address in them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// How many bytes are passed on at once.
const PIECE: usize = 16 << 10;

/// A relay that runs until it is dropped.
pub(crate) struct Relay {
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
    state: Arc<State>,
}

struct State {
    /// Where it goes on to.
    to: String,
    /// How long a piece takes.
    pace: Duration,
    connections: AtomicUsize,
    /// Bytes that came back.
    passed: AtomicUsize,
    /// How often all connections were cut.
    cuts: AtomicUsize,
    ended: AtomicBool,
}

impl Relay {
    /// To an address, at so many KiB a second.
    pub(crate) fn to(address: &str, rate: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let pace = Duration::from_secs(1) * u32::try_from(PIECE >> 10).expect("it is small") / rate;
        let [connections, passed, cuts] = [0; 3].map(AtomicUsize::new);
        let state = State { to: address.to_owned(), pace, connections, passed, cuts, ended: AtomicBool::new(false) };
        let relay = Self { address: listener.local_addr().expect("it listens").to_string(), state: Arc::new(state) };
        let state = Arc::clone(&relay.state);
        thread::spawn(move || state.serve(&listener));
        relay
    }

    /// How many bytes have come back.
    pub(crate) fn passed(&self) -> usize {
        self.state.passed.load(Ordering::SeqCst)
    }

    /// Cuts all connections, with what is still on its way in them: the kernel delivers it even if whoever sent it is dead.
    pub(crate) fn cut(&self) {
        self.state.cuts.fetch_add(1, Ordering::SeqCst);
    }

    /// How often somebody connected.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        TcpStream::connect(&self.address).ok(); // so that it looks
    }
}

impl State {
    fn serve(self: Arc<Self>, listener: &TcpListener) {
        for near in listener.incoming().flatten() {
            if self.ended.load(Ordering::SeqCst) {
                return;
            }
            self.connections.fetch_add(1, Ordering::SeqCst);
            let Ok(far) = TcpStream::connect(&self.to) else { continue };
            if connect(&near).is_err() {
                continue;
            }
            let (Ok(requests), Ok(back)) = (near.try_clone(), far.try_clone()) else { continue };
            let state = Arc::clone(&self);
            let cuts = state.cuts.load(Ordering::SeqCst);
            thread::spawn(move || pass(requests, back, |_| true));
            thread::spawn(move || {
                pass(far, near, |count| {
                    state.passed.fetch_add(count, Ordering::SeqCst);
                    thread::sleep(state.pace);
                    state.cuts.load(Ordering::SeqCst) == cuts
                });
            });
        }
    }
}

/// Agrees to a CONNECT, if that is what comes first.
fn connect(mut near: &TcpStream) -> io::Result<()> {
    let (mut begin, mut head) = ([0; 8], Vec::new());
    if near.peek(&mut begin)? < begin.len() || begin != *b"CONNECT " {
        return Ok(());
    }
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        near.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    near.write_all(b"HTTP/1.1 200 OK\r\n\r\n")
}

/// Passes bytes on until one side is closed, or `more` says that it is enough, and then closes the other.
fn pass(mut from: TcpStream, mut to: TcpStream, more: impl Fn(usize) -> bool) {
    let mut piece = [0; PIECE];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..count]).is_err() || !more(count) {
            break;
        }
    }
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}
