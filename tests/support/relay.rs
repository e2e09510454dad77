//! A slow link: bytes go on to a registry at a rate, and are counted. As it does not look at them, it also stands for an HTTP
//! proxy with one site behind it: a server takes requests with a whole address in them.

use std::io::{Read, Write};
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
    ended: AtomicBool,
}

impl Relay {
    /// To an address, at so many KiB a second.
    pub(crate) fn to(address: &str, rate: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let pace = Duration::from_secs(1) * u32::try_from(PIECE >> 10).expect("it is small") / rate;
        let counts = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (connections, passed) = counts;
        let state = State { to: address.to_owned(), pace, connections, passed, ended: AtomicBool::new(false) };
        let relay = Self { address: listener.local_addr().expect("it listens").to_string(), state: Arc::new(state) };
        let state = Arc::clone(&relay.state);
        thread::spawn(move || state.serve(&listener));
        relay
    }

    /// How many bytes have come back.
    pub(crate) fn passed(&self) -> usize {
        self.state.passed.load(Ordering::SeqCst)
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
            let (Ok(requests), Ok(back)) = (near.try_clone(), far.try_clone()) else { continue };
            let state = Arc::clone(&self);
            thread::spawn(move || pass(requests, back, |_| ()));
            thread::spawn(move || {
                pass(far, near, |count| {
                    state.passed.fetch_add(count, Ordering::SeqCst);
                    thread::sleep(state.pace);
                });
            });
        }
    }
}

/// Passes bytes on until one side is closed, and then closes the other.
fn pass(mut from: TcpStream, mut to: TcpStream, each: impl Fn(usize)) {
    let mut piece = [0; PIECE];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..count]).is_err() {
            break;
        }
        each(count);
    }
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}
