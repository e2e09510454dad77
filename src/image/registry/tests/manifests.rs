//! Manifests that are late, too large, or not what they are said to be.

use super::*;

const MANIFEST_MAX: u64 = 4 << 20;

#[test]
fn a_server_error_is_tried_again_three_times_and_told() {
    for status in [500, 502, 503, 504, 408, 429] {
        let server = server(move |request| (request.number < 3).then(|| Reply::status(status)));
        let client = Client::to(&server);
        client.pulls();
        assert_eq!(client.retries_told(), 3, "{status}");
    }
    let down = server(|_| Some(Reply::error(503, "UNAVAILABLE", "later\\u001b[31m")));
    let text = format!(
        "failed to resolve ref registry.example/a/b:1: unexpected status from GET request to \
         {}/v2/a/b/manifests/1: 503 Service Unavailable: later\\u{{1b}}[31m",
        down.url()
    );
    fails(Client::to(&down).manifest(), FailureKind::Resolve { retries: 3 }, &text);
    assert_eq!(down.requests().len(), 4);
}

#[test]
fn a_refusal_is_not_tried_again() {
    for (status, words) in [(400, ": 400 Bad Request"), (401, ": 401 Unauthorized"), (403, ": 403 Forbidden: no")] {
        let server = server(move |_| Some(Reply::error(status, "DENIED", "no")));
        fails(Client::to(&server).manifest(), RESOLVE, words);
        assert_eq!(server.requests().len(), 1);
    }
    let server = server(|_| None);
    let mut request = request(vec![endpoint(&server.url())]);
    request.reference = "registry.example/a/b:2".parse().unwrap();
    fails(Client::of(&request).manifest(), RESOLVE, "ref registry.example/a/b:2: registry.example/a/b:2: not found");
    fails(Client::of(&request).head(), RESOLVE, "not found");
}

#[test]
fn a_server_can_ask_for_a_wait_but_not_for_any_wait() {
    let server = server(|request| (request.number < 2).then(|| Reply::status(429).header("Retry-After", "86400")));
    let client = Client::to(&server);
    client.pulls();
    let told = client.told.lock().unwrap().clone();
    let waits =
        told.iter().filter_map(|told| if let Progress::Retrying { wait, .. } = told { Some(*wait) } else { None });
    assert_eq!(waits.collect::<Vec<_>>(), [40, 40]);
}

#[test]
fn one_byte_at_a_time_ends() {
    let drip = altered(
        |request, reply| {
            if request.asks("manifests") { reply.slowly(1, Duration::from_millis(25)) } else { reply }
        },
    );
    fails(Client::to(&drip).manifest(), FailureKind::Resolve { retries: 3 }, "the server sent only");
    // Fast enough for its pace, and too long for a document.
    let long = altered(|_, reply| reply.with(vec![b' '; 1 << 20]).slowly(2000, Duration::from_millis(50)));
    fails(Client::to(&long).manifest(), RESOLVE, "i/o timeout");
    let short = altered(|_, reply| reply.slowly(60, Duration::from_millis(1)));
    Client::to(&short).manifest().unwrap();
}

#[test]
fn a_server_that_says_nothing_is_left() {
    let silent = altered(|_, reply| reply.stall_after(10));
    fails(Client::to(&silent).manifest(), FailureKind::Resolve { retries: 3 }, "i/o timeout");
}

#[test]
fn a_manifest_larger_than_four_mebibytes_is_not_read() {
    let large = |reply: Reply| reply.with(manifest()).header("Docker-Content-Digest", "sha512:00");
    let said = altered(move |_, reply| large(reply).zeros(MANIFEST_MAX));
    let unsaid = altered(move |_, reply| large(reply).zeros(MANIFEST_MAX).chunked());
    let endless = altered(move |_, reply| large(reply).zeros(u64::MAX / 2).until_close());
    for server in [said, unsaid, endless] {
        fails(Client::to(&server).manifest(), FailureKind::Content, "is larger than 4194304 bytes");
    }
    let bytes = [manifest(), vec![b' '; MANIFEST_MAX as usize - manifest().len()]].concat();
    let digest = Digest::of(&bytes).to_string();
    let spaces = altered(move |_, reply| reply.with(bytes.clone()).header("Docker-Content-Digest", &digest));
    assert_eq!(Client::to(&spaces).manifest().unwrap().bytes.len() as u64, MANIFEST_MAX);
}

#[test]
fn a_head_that_never_ends_is_not_read() {
    let server = altered(|_, reply| reply.header("X-Long", &"x".repeat(60_000)));
    fails(Client::to(&server).manifest(), RESOLVE, "response header is too big");
    let many = altered(|_, reply| (0..200).fold(reply, |reply, at| reply.header(&format!("X-{at}"), "x")));
    fails(Client::to(&many).manifest(), RESOLVE, "too many headers");
    let some = altered(|_, reply| reply.header("X-Long", &"x".repeat(8_000)));
    Client::to(&some).manifest().unwrap();
}

#[test]
fn a_manifest_is_what_its_digest_says() {
    let other = altered(|_, reply| reply.with([&manifest()[..], b" "].concat()));
    fails(Client::to(&other).manifest(), FailureKind::Content, "registry.example/a/b:1 is sha256:");
    // By digest, with a promise that fits the wrong bytes.
    let bytes = [&manifest()[..], b" "].concat();
    let promise = Digest::of(&bytes).to_string();
    let liar = altered(move |_, reply| reply.with(bytes.clone()).header("Docker-Content-Digest", &promise));
    let honest = server(|_| None);
    for (server, right) in [(&liar, false), (&honest, true)] {
        let mut request = request(vec![endpoint(&server.url())]);
        request.reference = request.reference.by_digest(Digest::of(&manifest()));
        let client = Client::of(&request);
        assert_eq!(client.manifest().is_ok(), right);
        assert_eq!(client.head().is_ok(), right);
        assert_eq!(client.manifest_by_digest(&Digest::of(&manifest()), manifest().len() as u64).is_ok(), right);
        assert!(server.requests().iter().all(|request| request.asks("/manifests/sha256:")));
    }
    assert_eq!(Client::to(&liar).manifest().unwrap().digest, Digest::of(&[&manifest()[..], b" "].concat()));
}

#[test]
fn a_length_that_is_not_the_bodys_is_found_out() {
    let length = manifest().len() as u64;
    let long = altered(move |_, reply| reply.saying(length + 5).cut_after(length));
    fails(Client::to(&long).manifest(), FailureKind::Resolve { retries: 3 }, "failed to read");
    let short = altered(move |_, reply| reply.saying(length - 5));
    fails(Client::to(&short).manifest(), FailureKind::Content, " instead of sha256:");
    Client::to(&altered(move |_, reply| reply.saying(length))).manifest().unwrap();
}

#[test]
fn a_manifest_by_digest_has_the_size_of_its_descriptor() {
    let server = server(|_| None);
    let (digest, size) = (Digest::of(&manifest()), manifest().len() as u64);
    let client = Client::to(&server);
    fails(client.manifest_by_digest(&digest, size - 1), FailureKind::Content, "larger than");
    fails(client.manifest_by_digest(&digest, size + 1), FailureKind::Content, "does not have");
    fails(client.small_blob(&Digest::of(&layer()), 99_999), FailureKind::Content, "larger than");
    fails(client.manifest_by_digest(&digest, MANIFEST_MAX + 1), FailureKind::Content, "larger than 4194304");
    client.manifest_by_digest(&digest, size).unwrap();
}

#[test]
fn schema_1_is_refused_by_its_name_and_by_its_contents() {
    let said = altered(|_, reply| {
        reply.header("Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws; charset=utf-8")
    });
    let unsaid = altered(|_, reply| {
        let bytes = br#"{"schemaVersion":1,"fsLayers":[]}"#;
        reply.with(*bytes).header("Docker-Content-Digest", &Digest::of(bytes).to_string())
    });
    for server in [said, unsaid] {
        fails(Client::to(&server).manifest(), FailureKind::Content, "schema 1");
    }
}

#[test]
fn a_media_type_that_is_none_gives_way_to_the_document() {
    let server = altered(|_, reply| reply.header("Content-Type", "text/plain; charset=utf-8"));
    assert_eq!(Client::to(&server).manifest().unwrap().media_type, OCI_MANIFEST);
}

#[test]
fn an_encoding_that_was_not_asked_for_is_refused() {
    let server = altered(|_, reply| reply.header("Content-Encoding", "gzip"));
    fails(Client::to(&server).manifest(), FailureKind::Content, "content encoding \"gzip\"");
    fails(Client::to(&server).pull_layer(), FailureKind::Content, "content encoding \"gzip\"");
    Client::to(&altered(|_, reply| reply.header("Content-Encoding", "identity"))).pulls();
}

#[test]
fn head_asks_by_get_where_the_registry_does_not_say() {
    let silent = altered(|_, reply| reply.header("Docker-Content-Digest", ""));
    let without = server(|request| (request.method == "HEAD").then(|| Reply::status(405)));
    for server in [silent, without] {
        assert_eq!(Client::to(&server).head().unwrap(), Digest::of(&manifest()));
    }
}
