//! A container that misuses its endpoint harms nobody but itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::json;

use super::{one, v4};
use crate::support::eventually;
use crate::support::inside::ask;
use crate::support::root::Root;

fn agent() -> SocketAddr {
    "169.254.170.2:80".parse().unwrap()
}

#[test]
fn forty_requests_a_second_are_answered_and_sixty_at_once() {
    let root = Root::with_images(&["probe"]);
    let (_task, inside) = one(&root, &json!({}));
    let url = v4(&inside, "");
    inside.get(&url);
    let statuses = inside.there(|| -> Vec<u16> {
        let mut left: Vec<TcpStream> = (0..300).filter_map(|_| TcpStream::connect(agent()).ok()).collect();
        // All at once: a request is counted when it is whole.
        left.drain(..).filter_map(|_| ask("GET", &url, "").ok()).map(|answer| answer.status).collect()
    });
    let count = |status: u16| statuses.iter().filter(|one| **one == status).count();
    assert!(count(200) >= 59, "{statuses:?}");
    assert_eq!(count(200) + count(429), statuses.len(), "{statuses:?}");
    eventually(Duration::from_secs(10), "it is answered again", || (inside.get(&url).status == 200).then_some(()));
}

#[test]
fn a_flood_delays_neither_the_supervisor_nor_another_task() {
    let root = Root::with_images(&["probe"]);
    let (flooding, inside) = one(&root, &json!({}));
    let (other, calm) = one(&root, &json!({ "family": "calm" }));
    inside.get(&v4(&inside, ""));
    let half = inside.there(|| {
        let half = |text: &[u8]| {
            let mut stream = TcpStream::connect(agent()).ok()?;
            stream.write_all(text).ok()?;
            Some(stream)
        };
        // half requests, rubbish, and heads without an end, all held open
        let mut all: Vec<TcpStream> = (0..200).filter_map(|_| half(b"GET /v4/x HTTP/1.1\r\nHost: ")).collect();
        all.extend((0..100).filter_map(|_| half(&[0x16; 600])));
        all.extend((0..100).filter_map(|_| half(&[b'a'; 12_000])));
        // ten thousand connections, of which nothing is said
        for _ in 0..10_000 {
            let _ = TcpStream::connect_timeout(&agent(), Duration::from_millis(200));
        }
        all
    });
    assert!(!half.is_empty());
    assert_eq!(calm.get(&v4(&calm, "")).json()["Name"], "app", "another task's is untouched");
    // What answers stands in the task's own group, within its limits.
    let procs = root.group(&flooding, Some("berth.own"), "pids", "cgroup.procs");
    let procs =
        procs.or_else(|| root.group(&flooding, Some("berth.own"), "", "cgroup.procs")).expect("its group is there");
    assert_eq!(procs.lines().count(), 1, "one process answers: {procs}");
    // Its own is there again when it stops, and a stop is heard at once, flood or not.
    let own = inside.there(|| {
        eventually(Duration::from_secs(20), "it is answered again", || {
            ask("GET", &v4(&inside, ""), "").ok().filter(|answer| answer.status == 200)
        })
    });
    assert!(own.body.contains("app"));
    root.stop(&flooding);
    drop(half);
    assert_eq!(root.describe(&flooding)["lastStatus"], "STOPPED");
    root.stop(&other);
}

#[test]
fn an_answer_that_nobody_takes_and_a_request_that_does_not_end_are_given_up() {
    let root = Root::with_images(&["probe"]);
    let (_task, inside) = one(&root, &json!({}));
    inside.get(&v4(&inside, ""));
    inside.there(|| {
        let mut stream = TcpStream::connect(agent()).unwrap();
        stream.write_all(b"GET /").unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        assert!(ended.is_ok() && rest.is_empty(), "the endpoint closes it: {ended:?}");
    });
}
