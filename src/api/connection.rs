//! One connection: HTTP/1.1 or HTTP/2, bounded in what it may send and in how long it may take. How many there may be in all,
//! and from one peer, is counted here too.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::front::Peer;
use super::request::respond;
use super::server::Shared;

/// Connections in all.
const CONNECTIONS: usize = 1024;
/// Connections of one peer behind the network, and of this host's own programs, which all have one address.
const OF_ONE_PEER: usize = 128;
const OF_THIS_HOST: usize = 768;
/// How long the first request may take to begin, TLS included.
pub(super) const FIRST: Duration = Duration::from_secs(10);
/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(20);
/// How long a connection may lie idle.
const IDLE: Duration = Duration::from_secs(75);
/// How long one may take to end that was asked to.
const END: Duration = Duration::from_secs(5);
/// The largest head, in bytes, and in fields.
const HEAD_MAX: usize = 32 << 10;
const FIELDS_MAX: usize = 64;
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 32;

/// The places that connections take.
#[derive(Debug, Default)]
pub(super) struct Places {
    all: AtomicUsize,
    peers: Mutex<HashMap<IpAddr, usize>>,
}

/// A place; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    peer: Option<IpAddr>,
}

impl Places {
    /// How many connections there are.
    pub(super) fn taken(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    /// A place for a connection, if one is free for its peer.
    pub(super) fn take(self: &Arc<Self>, peer: Peer) -> Option<Place> {
        let address = match peer {
            Peer::Network(address) => Some(network(address)),
            Peer::Root | Peer::Local => None,
        };
        if self.all.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
            self.all.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let mut place = Place { places: Arc::clone(self), peer: None };
        if let Some(address) = address {
            let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
            let count = peers.entry(address).or_default();
            if *count >= if address.is_loopback() { OF_THIS_HOST } else { OF_ONE_PEER } {
                drop(peers);
                return None; // the place among all is given back
            }
            *count += 1;
            place.peer = Some(address);
        }
        Some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.all.fetch_sub(1, Ordering::Relaxed);
        let Some(peer) = self.peer else { return };
        let mut peers = self.places.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = peers.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                peers.remove(&peer);
            }
        }
    }
}

/// Who has one address of IPv6 has a whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) if !six.is_loopback() => {
            IpAddr::V6(std::net::Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX)))
        }
        other => other,
    }
}

/// When something last happened on a connection, and how many requests are under way.
#[derive(Debug)]
struct Activity {
    began: Instant,
    under_way: AtomicUsize,
    requests: AtomicU64,
    last: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self { began: Instant::now(), under_way: AtomicUsize::new(0), requests: zero(), last: zero() }
    }

    fn note(&self) {
        let since = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(since, Ordering::Relaxed);
    }

    /// When the connection has been silent for too long; `None` as long as it is not silent.
    fn silent_at(&self) -> Option<Instant> {
        if self.under_way.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let patience = if self.requests.load(Ordering::Relaxed) == 0 { FIRST } else { IDLE };
        Some(self.began + Duration::from_millis(self.last.load(Ordering::Relaxed)) + patience)
    }
}

/// A request that is under way, its body included.
struct UnderWay(Arc<Activity>);

impl UnderWay {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.under_way.fetch_add(1, Ordering::Relaxed);
        activity.requests.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
        self.0.note();
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_MAX).max_headers(FIELDS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(HEAD_MAX).unwrap_or(u32::MAX))
        .initial_stream_window_size(64 << 10)
        .initial_connection_window_size(256 << 10)
        .max_send_buf_size(64 << 10)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

/// Serves a connection to its end, or until the endpoint stops.
pub(super) async fn serve<S>(stream: S, peer: Peer, shared: Arc<Shared>, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::new());
    let service = {
        let (activity, stop) = (Arc::clone(&activity), stop.clone());
        service_fn(move |request| {
            let (shared, under_way) = (Arc::clone(&shared), UnderWay::begin(&activity));
            let stop = stop.clone();
            async move {
                let response = respond(&shared, peer, request, &stop).await;
                drop(under_way);
                Ok::<_, std::convert::Infallible>(response)
            }
        })
    };
    let builder = builder();
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let mut end: Option<Instant> = None;
    loop {
        // Requests that are under way are looked at again when they are over.
        let next = end.unwrap_or_else(|| activity.silent_at().unwrap_or_else(|| Instant::now() + FIRST));
        tokio::select! {
            _ = connection.as_mut() => return, // how it ended is the peer's business
            _ = stop.changed(), if end.is_none() => {}
            () = tokio::time::sleep_until(next.into()) => {}
        }
        let now = Instant::now();
        let silent = activity.silent_at().is_some_and(|at| at <= now);
        match end {
            Some(at) if at <= now && activity.silent_at().is_some() => return,
            Some(at) if at <= now => end = Some(now + END), // an operation is not cut short
            Some(_) => {}
            None if silent || *stop.borrow() => {
                connection.as_mut().graceful_shutdown();
                end = Some(now + END);
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_cannot_take_all_places_and_gives_them_back() {
        let places = Arc::new(Places::default());
        let peer = |text: &str| Peer::Network(text.parse().unwrap());
        let taken: Vec<Place> = std::iter::from_fn(|| places.take(peer("192.0.2.1"))).take(2000).collect();
        assert_eq!((taken.len(), places.taken()), (OF_ONE_PEER, OF_ONE_PEER));
        let six: Vec<Place> = (0..2000).map_while(|n| places.take(peer(&format!("2001:db8::{n:x}")))).collect();
        assert_eq!(six.len(), OF_ONE_PEER, "a /64 is one peer");
        let own: Vec<Place> = std::iter::from_fn(|| places.take(peer("127.0.0.1"))).take(2000).collect();
        assert_eq!(own.len(), OF_THIS_HOST);
        assert!(places.take(Peer::Root).is_none(), "1,024 in all");
        drop((taken, six, own));
        assert_eq!(places.taken(), 0);
        assert!(places.take(peer("192.0.2.1")).is_some());
    }
}
