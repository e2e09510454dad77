//! Mirrors, registries that are down, and proxies.

use super::*;

/// An address where nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn a_registry_that_is_down_is_tried_again_and_named() {
    let url = nobody();
    let client = Client::of(&request(vec![endpoint(&url)]));
    let words = format!(
        "ref registry.example/a/b:1: failed to do request: Get \"{url}/v2/a/b/manifests/1\": Connection refused"
    );
    fails(client.manifest(), FailureKind::Resolve { retries: 3 }, &words);
    assert_eq!(client.retries_told(), 3);
}

#[test]
fn a_mirror_that_is_down_or_lacks_the_image_gives_way() {
    let registry = server(|_| None);
    let pulls = |mirror: &str| Client::of(&request(vec![endpoint(mirror), endpoint(&registry.url())])).pulls();
    pulls(&nobody());
    for status in [404, 401, 403, 500, 503] {
        let mirror = server(move |_| Some(Reply::status(status)));
        pulls(&mirror.url());
        // Once for the manifest: who did not have it is not asked for its layers.
        assert_eq!(mirror.requests().len(), 1);
    }
    let without_blobs = server(|request| request.asks("/blobs/").then(|| Reply::status(404)));
    pulls(&without_blobs.url());
    let stuck = altered(|_, reply| reply.stall_after(0));
    pulls(&stuck.url());
    let before = registry.requests().len();
    pulls(&server(|_| None).url());
    assert_eq!(registry.requests().len(), before);
}

#[test]
fn a_layer_goes_on_from_the_registry_when_the_mirror_goes_away() {
    let registry = server(|_| None);
    let mirror = altered(|request, reply| match request.number {
        0 => reply,
        1 => reply.cut_after(50_000),
        _ => Reply::status(503),
    });
    Client::of(&request(vec![endpoint(&mirror.url()), endpoint(&registry.url())])).pulls();
    assert_eq!(registry.requests()[0].header("range"), Some("bytes=50000-"));
}

#[test]
fn a_mirror_that_lies_is_an_error() {
    let registry = server(|_| None);
    let mirror = altered(|_, reply| reply.with("{}"));
    let client = Client::of(&request(vec![endpoint(&mirror.url()), endpoint(&registry.url())]));
    fails(client.manifest(), FailureKind::Content, " instead of sha256:");
    assert!(registry.requests().is_empty());
}

#[test]
fn each_endpoint_sees_its_own_credentials_alone() {
    let registry = server(|request| request.header("authorization").is_none().then(|| Reply::challenge("Basic")));
    let mirror = server(|request| request.header("authorization").is_none().then(|| Reply::challenge("Basic")));
    let own = Endpoint { credentials: Some(basic()), ..endpoint(&registry.url()) };
    Client::of(&request(vec![endpoint(&mirror.url()), own])).pulls();
    assert!(mirror.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn the_unencrypted_twin_is_asked_only_if_tls_is_not_spoken() {
    // A server of plain HTTP is no TLS server.
    let plain = server(|_| None);
    let twins = |server: &Server| {
        let https =
            Endpoint { certificates: Certificates::Anybody, ..endpoint(&format!("https://{}", server.authority())) };
        Client::of(&request(vec![https, endpoint(&server.url())]))
    };
    twins(&plain).pulls();
    let denied = server(|_| Some(Reply::status(403)));
    fails(twins(&denied).manifest(), RESOLVE, "403 Forbidden");
    let alone = request(vec![endpoint(&format!("https://{}", plain.authority()))]);
    fails(Client::of(&alone).manifest(), FailureKind::Resolve { retries: 3 }, "failed to do request: Get \"https://");
}

#[test]
fn a_proxy_is_asked_for_the_name_and_forbidden_addresses_are_not_asked_through_it() {
    let proxy = Server::start(|_| Reply::status(403));
    let mut through = request(vec![endpoint("https://registry.invalid")]);
    through.proxies.https = Some(format!("http://me:secret@{}", proxy.authority()));
    fails(Client::of(&through).manifest(), FailureKind::Resolve { retries: 3 }, "CONNECT proxy failed");
    let asked = proxy.requests();
    assert_eq!((asked[0].method.as_str(), asked[0].target.as_str()), ("CONNECT", "registry.invalid:443"));
    assert_eq!(asked[0].header("proxy-authorization"), Some("Basic bWU6c2VjcmV0"));
    // What NO_PROXY names is asked directly, and so is this host.
    let server = server(|request| request.asks("/blobs/").then(|| Reply::redirect(307, "https://169.254.169.254/")));
    let mut direct = request(vec![endpoint(&server.url())]);
    direct.proxies = Proxies { http: through.proxies.https.clone(), ..through.proxies.clone() };
    let client = Client::of(&direct);
    client.manifest().unwrap();
    fails(client.pull_layer(), FailureKind::Content, "a link-local address");
    assert_eq!(proxy.requests().len(), asked.len());
}

#[test]
fn what_is_not_a_proxy_or_an_endpoint_is_refused_at_once() {
    let mut socks = request(vec![endpoint("https://registry.example")]);
    socks.proxies.https = Some("socks5://me:secret@proxy.example".into());
    fails(Repository::new(&socks, |_| ()).map(drop), RESOLVE, "the HTTPS proxy is not an http: or https: address");
    fails(Repository::new(&request(Vec::new()), |_| ()).map(drop), RESOLVE, "no registry endpoint");
    fails(Repository::new(&request(vec![endpoint("registry.example")]), |_| ()).map(drop), RESOLVE, "is not an http:");
}
