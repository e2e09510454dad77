//! Blobs that are cut, slow, too short, too long, or answered with what was not asked for.

use super::*;

/// Alters the answers for the layer.
fn of_layer(alter: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static) -> Server {
    altered(move |request, reply| if request.asks("/blobs/") { alter(request, reply) } else { reply })
}

#[test]
fn a_blob_that_is_cut_goes_on_where_it_was() {
    let server = of_layer(|_, reply| reply.cut_after(30_000));
    let client = Client::to(&server);
    client.pulls();
    let ranges: Vec<_> =
        server.requests().iter().filter_map(|asked| asked.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, ["bytes=30000-", "bytes=60000-", "bytes=90000-"]);
    assert_eq!(client.retries_told(), 3);
}

#[test]
fn progress_begins_the_count_anew_but_not_for_ever() {
    Client::to(&of_layer(|_, reply| reply.cut_after(5_000))).pulls();
    let often = of_layer(|_, reply| reply.cut_after(4_000));
    fails(Client::to(&often).pull_layer(), FailureKind::Copy { retries: 20 }, "failed to copy sha256:");
    let little = of_layer(|_, reply| reply.cut_after(100));
    fails(Client::to(&little).pull_layer(), FailureKind::Copy { retries: 3 }, "failed to read");
}

#[test]
fn a_blob_that_is_cut_before_its_first_byte_ends() {
    let server = of_layer(|_, reply| reply.cut_after(0));
    fails(Client::to(&server).pull_layer(), FailureKind::Copy { retries: 3 }, "failed to read");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_stall_is_a_cut() {
    let server = of_layer(|request, reply| if request.number == 0 { reply.stall_after(50_000) } else { reply });
    Client::to(&server).pulls();
    let always = of_layer(|_, reply| reply.stall_after(100));
    fails(Client::to(&always).pull_layer(), FailureKind::Copy { retries: 3 }, "i/o timeout");
}

#[test]
fn one_byte_at_a_time_is_no_progress() {
    let server = of_layer(|_, reply| reply.slowly(1, Duration::from_millis(20)));
    fails(Client::to(&server).pull_layer(), FailureKind::Copy { retries: 3 }, "the server sent only");
    Client::to(&of_layer(|_, reply| reply.slowly(5_000, Duration::from_millis(10)))).pulls();
}

#[test]
fn a_reader_that_takes_its_time_is_not_the_servers_fault() {
    let server = server(|_| None);
    let client = Client::to(&server);
    let mut blob = client.blob(&Digest::of(&layer()), 100_000).unwrap();
    let mut bytes = [0; 20_000];
    for _ in 0..5 {
        blob.read_exact(&mut bytes).unwrap();
        std::thread::sleep(timing().window / 2); // time that must not count, not a condition that is waited for
    }
    assert_eq!(blob.read(&mut bytes).unwrap(), 0);
    assert_eq!(client.retries_told(), 0);
}

#[test]
fn a_length_that_is_not_the_descriptors_is_a_lie() {
    for server in [of_layer(|_, reply| reply.zeros(1)), of_layer(|_, reply| reply.with(&layer()[1..]))] {
        fails(Client::to(&server).pull_layer(), FailureKind::Content, "does not have 100000 bytes but");
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn a_body_without_a_length_must_end_where_the_blob_does() {
    for server in [of_layer(|_, reply| reply.zeros(1).chunked()), of_layer(|_, reply| reply.zeros(1).until_close())] {
        fails(Client::to(&server).pull_layer(), FailureKind::Content, "more than 100000");
    }
    // An early end may be a cut: it is resumed, and only then given up.
    let short = of_layer(|_, reply| reply.with(&layer()[..1_000]).chunked());
    fails(Client::to(&short).pull_layer(), FailureKind::Copy { retries: 3 }, "unexpected end of file");
    Client::to(&of_layer(|_, reply| reply.chunked())).pulls();
    Client::to(&of_layer(|_, reply| reply.until_close())).pulls();
    let endless = of_layer(|_, reply| reply.zeros(u64::MAX / 2).until_close());
    fails(Client::to(&endless).pull_layer(), FailureKind::Content, "more than 100000");
}

#[test]
fn a_server_that_ignores_ranges_is_read_from_the_start() {
    let server = of_layer(|request, _| {
        let reply = Reply::ok(layer());
        if request.number == 0 { reply.cut_after(60_000) } else { reply }
    });
    Client::to(&server).pulls();
    let never_further = of_layer(|_, _| Reply::ok(layer()).cut_after(60_000));
    fails(Client::to(&never_further).pull_layer(), FailureKind::Copy { retries: 3 }, "failed to read");
}

#[test]
fn a_range_that_was_not_asked_for_is_a_lie() {
    let lies =
        ["bytes 0-99999/100000", "bytes 50000-99999/100001", "bytes 50000-99998/100000", "bytes */100000", "", "x"];
    for lie in lies {
        let server = of_layer(move |request, reply| match request.header("range") {
            Some(_) => reply.header("Content-Range", lie),
            None => reply.cut_after(50_000),
        });
        fails(Client::to(&server).pull_layer(), FailureKind::Content, "were asked for");
    }
    let star = of_layer(|request, reply| match request.header("range") {
        Some(_) => reply.header("Content-Range", "bytes 50000-99999/*"),
        None => reply.cut_after(50_000),
    });
    Client::to(&star).pulls();
}

#[test]
fn a_blob_that_is_not_there_is_not_tried_again() {
    let server = server(|_| None);
    let missing = Digest::of(b"missing");
    fails(
        Client::to(&server).blob(&missing, 7).map(drop),
        COPY,
        &format!("failed to copy {missing}: {missing}: not found"),
    );
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_empty_blob_is_a_blob() {
    let server = of_layer(|_, _| Reply::ok(""));
    let client = Client::to(&server);
    assert_eq!(client.blob(&Digest::of(b""), 0).unwrap().read(&mut [0; 8]).unwrap(), 0);
    let more = of_layer(|_, _| Reply::ok("x").chunked());
    assert!(Client::to(&more).blob(&Digest::of(b""), 0).unwrap().read(&mut [0; 8]).is_err());
}

#[test]
fn several_threads_read_at_once_over_connections_that_are_used_again() {
    let server = server(|_| None);
    let client = Client::to(&server);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(client.pull_layer().unwrap() == layer()));
        }
    });
    assert_eq!(client.retries_told(), 0);
}

#[test]
fn memory_does_not_grow_with_the_blob() {
    const SIZE: u64 = 128 << 20;
    let server = Server::start(|_| Reply::ok("").zeros(SIZE));
    let client = Client::to(&server);
    let before = resident();
    let mut blob = client.blob(&Digest::of(b""), SIZE).unwrap();
    let (mut buffer, mut read, mut most) = (vec![0; 1 << 16], 0, 0);
    loop {
        let length = blob.read(&mut buffer).unwrap();
        read += length as u64;
        if read % (1 << 22) < length as u64 {
            most = most.max(resident());
        }
        if length == 0 {
            break;
        }
    }
    assert_eq!(read, SIZE);
    // Other tests of the process allocate too: the bound is far from exact, and far from the blob's size.
    assert!(most < before + (64 << 20), "{before} bytes before, {most} while a blob of {SIZE} was read");
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
