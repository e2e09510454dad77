//! The endpoint from its start to its end: sockets, threads, connections, and what systemd is told. Everything that can be
//! wrong is found before the first connection is taken.

use std::io::{self, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::http::request::Parts;
use sd_notify::NotifyState;
use tokio::net::{TcpStream, UnixStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::connection::{self, FIRST, Places};
use super::front::{Front, Peer};
use super::keep::Keeper;
use super::listen::{self, ListenError, Sockets, Tcp};
use super::metrics::Metrics;
use super::pool::Pool;
use super::request_log::RequestLog;
use super::session::Sessions;
use super::tls::{self, TlsError};
use crate::ops::{self, Authentication, Engine, OpsError, ServeOptions, SessionOpener, host};

/// Threads for those who only read, and for the others: these mostly wait.
const READERS: usize = 4;
const WRITERS: usize = 12;
/// Threads that start the processes of sessions: in a container that has used up its CPU time that takes long.
const STARTERS: usize = 4;
/// Bodies of more than 64 KiB that are read at once.
const LARGE_BODIES: usize = 16;
/// How long requests that are under way may take when the endpoint is to end.
const END: Duration = Duration::from_secs(30);
/// The pause after a connection could not be taken: mostly for want of descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The root.
    #[error(transparent)]
    Ops(#[from] OpsError),
    /// The sockets.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system.
    #[error("{verb}")]
    System {
        /// What was tried.
        verb: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

/// What all requests share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) front: Front,
    pub(super) reads: Pool,
    pub(super) writes: Pool,
    pub(super) starts: Pool,
    pub(super) large: Semaphore,
    pub(super) places: Arc<Places>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) log: RequestLog,
    pub(super) sessions: Arc<Sessions>,
    tls: bool,
}

impl Shared {
    /// Where whoever has sent a request reaches streams: where they have reached this.
    pub(super) fn streams(&self, parts: &Parts, peer: Peer) -> Option<String> {
        let host = parts.headers.get("host").and_then(|host| host.to_str().ok());
        let host = host.or_else(|| parts.uri.authority().map(|authority| authority.as_str()))?;
        let scheme = if self.tls { "wss" } else { "ws" };
        matches!(peer, Peer::Network(_)).then(|| format!("{scheme}://{host}"))
    }
}

fn system(verb: &'static str) -> impl FnOnce(io::Error) -> ServeError {
    move |source| ServeError::System { verb, source }
}

/// Serves until SIGTERM or SIGINT. Descriptors that systemd has handed over are taken by this.
pub fn serve(options: &ServeOptions) -> Result<(), ServeError> {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    host::raise_open_files();
    host::keep_children();
    host::share_heaps();
    let root = options.root.as_deref();
    let mut engine = Engine::open(root)?;
    let tls = options.tls.as_ref().map(tls::acceptor).transpose()?;
    let sockets = listen::open(options, &engine.layout().endpoint_socket())?;
    let (log, writer) = match options.log {
        ops::RequestLog::Off => (RequestLog::off(), None),
        ops::RequestLog::Lines => {
            let (log, writer) = RequestLog::to_stdout().map_err(system("start the request log's thread"))?;
            (log, Some(writer))
        }
    };
    let metrics = Arc::new(Metrics::new());
    let sessions = Sessions::new(engine.exec_config());
    let opened = Arc::clone(&sessions);
    engine.open_sessions_with(SessionOpener::new(move |order| opened.open(order)));
    let shared = Arc::new(Shared {
        front: Front::new(engine.access_keys(), options.authentication, options.rate),
        reads: Pool::start("read", READERS, &engine)?,
        writes: Pool::start("write", WRITERS, &engine)?,
        starts: Pool::start("start", STARTERS, &engine)?,
        large: Semaphore::new(LARGE_BODIES),
        places: Arc::default(),
        metrics: Arc::clone(&metrics),
        log,
        sessions,
        tls: tls.is_some(),
    });
    let keeper = Keeper::start(engine, metrics).map_err(system("start the thread that looks after tasks"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(system("start the endpoint's threads"))?;
    announce(&sockets, options, tls.is_some());
    let served = runtime.block_on(take(sockets, tls, &shared));
    runtime.shutdown_timeout(Duration::from_secs(1));
    keeper.stop();
    drop(shared);
    if let Some(writer) = writer {
        // What is still in the queue is written; a panic there has said so.
        let _ = writer.join();
    }
    served
}

/// Tells a person where it listens, and what is dangerous about that. Whoever started it may have closed the other end of its
/// standard error by now: then there is nobody to tell.
fn announce(sockets: &Sockets, options: &ServeOptions, tls: bool) {
    let say = |line: &str| drop(writeln!(io::stderr(), "{line}"));
    let scheme = if tls { "https" } else { "http" };
    for Tcp { address, .. } in &sockets.tcp {
        say(&format!("listening on {scheme}://{address}"));
        if !tls && !address.ip().to_canonical().is_loopback() {
            let warning = "can be read on its way: use --tls-cert and --tls-key";
            say(&format!("warning: what goes to and from {address} {warning}"));
        }
    }
    for socket in &sockets.unix {
        let path = socket.local_addr().ok().and_then(|address| address.as_pathname().map(Path::to_owned));
        let path = sockets.made.clone().or(path).unwrap_or_default();
        say(&format!("listening on unix:{}", path.display()));
    }
    if options.authentication == Authentication::Nobody && !sockets.tcp.is_empty() {
        say("warning: --insecure-no-auth: every program on this host can do everything, without a signature");
    }
}

/// Takes connections until a signal comes, then waits for what is under way.
async fn take(mut sockets: Sockets, tls: Option<TlsAcceptor>, shared: &Arc<Shared>) -> Result<(), ServeError> {
    let (stop, stopped) = watch::channel(false);
    let mut loops = JoinSet::new();
    for Tcp { listener, .. } in std::mem::take(&mut sockets.tcp) {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(system("listen"))?;
        loops.spawn(take_tcp(listener, tls.clone(), Arc::clone(shared), stopped.clone()));
    }
    for listener in std::mem::take(&mut sockets.unix) {
        loops.spawn(take_unix(listener, Arc::clone(shared), stopped.clone()));
    }
    let mut ends = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    // That systemd does not listen is no reason not to serve.
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    wait(&mut ends).await?;
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    drop(sockets); // nobody finds the door any more
    // The loops have ended when the last receiver is gone.
    let _ = stop.send(true);
    drop(stopped);
    loops.join_all().await;
    let _ = tokio::time::timeout(END, stop.closed()).await;
    Ok(())
}

async fn wait(ends: &mut [io::Result<Signal>; 2]) -> Result<(), ServeError> {
    let [Ok(terminate), Ok(interrupt)] = ends else {
        return Err(system("listen for signals")(io::Error::other("no handler can be set")));
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

async fn take_tcp(
    listener: tokio::net::TcpListener,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let taken = tokio::select! {
            taken = listener.accept() => taken,
            _ = stop.changed() => return,
        };
        match taken {
            Ok((stream, from)) => {
                let peer = Peer::Network(from.ip());
                // Without a place the connection is closed: whoever has places left is served.
                if let Some(place) = shared.places.take(peer) {
                    let (tls, shared, stop) = (tls.clone(), Arc::clone(&shared), stop.clone());
                    tokio::spawn(async move {
                        serve_tcp(stream, peer, tls, shared, stop).await;
                        drop(place);
                    });
                }
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn serve_tcp(
    stream: TcpStream,
    peer: Peer,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
) {
    // Answers are written whole: there is nothing to wait for.
    let _ = stream.set_nodelay(true);
    match tls {
        None => connection::serve(stream, peer, shared, stop).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = tokio::time::timeout(FIRST, tls.accept(stream)).await {
                connection::serve(stream, peer, shared, stop).await;
            }
        }
    }
}

async fn take_unix(listener: UnixListener, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let Ok(listener) = tokio::net::UnixListener::from_std(listener) else { return };
    loop {
        let taken = tokio::select! {
            taken = listener.accept() => taken,
            _ = stop.changed() => return,
        };
        match taken {
            Ok((stream, _)) => {
                let peer = peer_of(&stream);
                if let Some(place) = shared.places.take(peer) {
                    let (shared, stop) = (Arc::clone(&shared), stop.clone());
                    tokio::spawn(async move {
                        connection::serve(stream, peer, shared, stop).await;
                        drop(place);
                    });
                }
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// The kernel's word for who has connected. Nobody is root whom it does not call so.
fn peer_of(stream: &UnixStream) -> Peer {
    match stream.peer_cred() {
        Ok(credentials) if credentials.uid() == 0 => Peer::Root,
        _ => Peer::Local,
    }
}
