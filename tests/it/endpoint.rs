//! The endpoint against those who mean it harm, in process and over its sockets: `make fuzz-api` does a million of each, `make
//! test` a few.

#[path = "../support/malformed.rs"]
mod malformed;
mod signer;
mod sockets;
mod wire;

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime};

use berth::api::{Call, Front, Peer, Service, perform};
use berth::ops::actions::{Access, Caller};
use berth::ops::{AccessKey, Authentication, Engine, KeyAccess, NewAccessKey};

use malformed::Malformed;
use signer::Signer;

/// How many requests one root sees: what they have made is to be looked through by few of them.
const ROUND: usize = 5000;

/// How many times, if the environment says nothing else.
fn times(name: &str, short: usize) -> usize {
    std::env::var(name).ok().map_or(short, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn resident_kib(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

fn engine(directory: &Path) -> Engine {
    Engine::open(Some(directory)).unwrap()
}

fn access_key(engine: &Engine) -> AccessKey {
    let new = NewAccessKey { name: "me".into(), access: KeyAccess::Full, clusters: Vec::new(), expires_at: None };
    engine.create_access_key(new).unwrap()
}

/// A service can be made that has no tasks. Whoever wakes its scheduler finds one that listens, and starts none.
fn scheduler(engine: &Engine) -> UnixDatagram {
    let control = engine.layout().scheduler().control;
    std::fs::create_dir_all(control.parent().unwrap()).unwrap();
    UnixDatagram::bind(&control).unwrap()
}

/// Requests on a root of their own; how many were refused.
fn round(malformed: &mut Malformed, count: usize) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let mut engine = engine(directory.path());
    let _scheduler = scheduler(&engine);
    let mut refused = 0;
    for number in 0..count {
        let (action, body) = malformed.request();
        let access = if number % 4 == 0 { Access::ReadOnly } else { Access::Full };
        let caller = Caller { access, ..Caller::root() };
        let call = Call { service: Service::Ecs, action, caller, key: String::new() };
        let answer = perform(&mut engine, &call, &body, "id");
        let shown = || {
            let text: String = String::from_utf8_lossy(&body).chars().take(2000).collect();
            format!("{number} {}: {text}", call.action)
        };
        assert!(answer.status < 500, "{}\n{}", shown(), String::from_utf8_lossy(&answer.body));
        let value: serde_json::Value =
            serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", shown()));
        assert_eq!(answer.error.is_some(), value["__type"].is_string(), "{}", shown());
        refused += usize::from(answer.error.is_some());
    }
    refused
}

#[test]
fn no_malformed_request_makes_it_panic_fail_or_grow() {
    let (count, seed) = (times("FUZZ_REQUESTS", 4000), times("FUZZ_SEED", 1) as u64);
    let (rounds, began) = (count.div_ceil(ROUND), Instant::now());
    let malformed = Malformed::new(seed);
    assert_eq!(malformed.actions.len(), 88);
    let (next, refused, before) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= rounds {
                return;
            }
            if number == rounds / 2 {
                before.store(resident_kib("self") as usize, Ordering::Relaxed);
            }
            let mut malformed = malformed.with(seed << 32 | number as u64);
            refused.fetch_add(round(&mut malformed, ROUND.min(count - number * ROUND)), Ordering::Relaxed);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let (refused, before) = (refused.into_inner(), before.into_inner() as u64);
    let (after, took) = (resident_kib("self"), began.elapsed().as_secs());
    println!(
        "{count} malformed requests (seed {seed}) in {took} s: {refused} refused, the others answered; {before} KiB resident at half \
         time, {after} KiB at the end"
    );
    assert!(refused > count / 3, "they are malformed");
    assert!(after < before + (32 << 10), "from {before} to {after} KiB");
}

#[test]
fn no_forged_stale_or_altered_signature_is_accepted_and_no_good_one_is_refused() {
    let (count, began) = (times("FUZZ_SIGNATURES", 300), Instant::now());
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(directory.path());
    let mut signer = Signer::new(access_key(&engine));
    let front = Front::new(engine.access_keys(), Authentication::Signatures, None);
    let peer = Peer::Network("127.0.0.1".parse().unwrap());
    for number in 0..count {
        let now = SystemTime::now();
        let (mut parts, mut body) = signer.good(now);
        let call = front.admit(&parts, &body, peer, now);
        assert_eq!(call.map(|call| call.key).ok().as_ref(), Some(&signer.key.id), "{number}: {parts:?}");
        let how = signer.altered(&mut parts, &mut body, now);
        let accepted = front.admit(&parts, &body, peer, now);
        assert!(accepted.is_err(), "{number}: {how}: {parts:?}");
    }
    let took = began.elapsed().as_secs();
    println!(
        "{count} good signatures, none refused; {count} forged, stale or altered ones, none accepted; in {took} s"
    );
}
