//! Those who stall, those who send too much, and those who ask too often.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::root;
use crate::support::endpoint::Endpoint;

fn connect(endpoint: &Endpoint) -> TcpStream {
    let stream = TcpStream::connect(endpoint.url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    stream
}

/// Sends this and reads to the end of the connection.
fn exchange(endpoint: &Endpoint, request: &[u8]) -> String {
    let mut stream = connect(endpoint);
    // It may answer, and close, before it has everything.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

const HEAD: &str =
    "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Amz-Target: AmazonEC2ContainerServiceV20141113.ListTasks\r\n";

#[test]
fn connections_that_stall_delay_nobody_and_are_closed() {
    let (root, _) = root();
    let endpoint = Endpoint::start(&root);
    let starts: [&[u8]; 4] =
        [b"", b"POST / HT", HEAD.as_bytes(), b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{"];
    let stalled: Vec<TcpStream> = (0..64)
        .map(|number| {
            let mut stream = connect(&endpoint);
            stream.write_all(starts[number % starts.len()]).unwrap();
            stream
        })
        .collect();
    let began = Instant::now();
    let done = endpoint.python(
        endpoint.key(),
        "ecs = client('ecs')\nprint(json.dumps(sum(code(ecs.list_clusters) == 'done' for _ in range(50))))",
    );
    assert_eq!(done, 50);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?} beside 64 that stall", began.elapsed());
    // Each of them comes to its end, those with half a body with an answer.
    for (number, mut stream) in stalled.into_iter().enumerate() {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap_or_else(|error| panic!("{number} is still open: {error}"));
        assert!(number % 4 != 3 || rest.starts_with("HTTP/1.1 408"), "{number}: {rest}");
    }
}

#[test]
fn what_is_too_large_is_refused_before_it_is_read() {
    let (root, _) = root();
    let endpoint = Endpoint::start(&root);
    let announced = exchange(&endpoint, format!("{HEAD}Content-Length: 104857600\r\n\r\n{{").as_bytes());
    assert!(announced.starts_with("HTTP/1.1 413"), "{announced}");
    let mut chunked = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..40 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend_from_slice(&[b' '; 0x10000]);
        chunked.extend_from_slice(b"\r\n");
    }
    let flooded = exchange(&endpoint, &chunked);
    assert!(flooded.is_empty() || flooded.starts_with("HTTP/1.1 413"), "{flooded}");
    let header = exchange(&endpoint, format!("{HEAD}X: {}\r\n\r\n", "x".repeat(100_000)).as_bytes());
    assert!(header.is_empty() || header.starts_with("HTTP/1.1 431"), "{header}");
    let fields = exchange(&endpoint, format!("{HEAD}{}\r\n", "X: y\r\n".repeat(1000)).as_bytes());
    assert!(fields.is_empty() || fields.starts_with("HTTP/1.1 431"), "{fields}");
    let zipped = exchange(
        &endpoint,
        format!("{HEAD}Content-Encoding: gzip\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}").as_bytes(),
    );
    assert!(zipped.starts_with("HTTP/1.1 415"), "{zipped}");
    assert!(endpoint.get("/healthz").is_some());
}

#[test]
fn a_key_that_asks_too_often_is_throttled_and_no_other() {
    let (root, _) = root();
    let endpoint = Endpoint::with(&root, &["--rate", "1"]);
    let other = root.berth(["--format", "json", "key", "create", "other"]).json();
    let codes = endpoint
        .python(endpoint.key(), "ecs = client('ecs')\nprint(json.dumps([code(ecs.list_clusters) for _ in range(6)]))");
    let codes: Vec<&str> = codes.as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    assert_eq!(codes[..2], ["done", "done"]);
    assert!(codes.contains(&"ThrottlingException"), "{codes:?}");
    let key = (other["AccessKeyId"].as_str().unwrap(), other["SecretAccessKey"].as_str().unwrap());
    assert_eq!(endpoint.python(key, "print(json.dumps(code(client('ecs').list_clusters)))"), "done");
}
