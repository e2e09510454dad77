//! Where redirects lead, and what goes along.

use super::*;

/// A registry with Basic authentication whose blobs are elsewhere.
fn redirecting(status: u16, location: impl Fn(&Request) -> String + Send + Sync + 'static) -> Server {
    server(move |request| match request.header("authorization") {
        Some("Basic bWU6c2VjcmV0") => {
            request.asks("/v2/a/b/blobs/").then(|| Reply::redirect(status, &location(request)))
        }
        _ => Some(Reply::challenge("Basic")),
    })
}

/// A client with credentials that may go to `localhost`.
fn client(registry: &Server) -> Client {
    let mut request = request(vec![Endpoint { credentials: Some(basic()), ..endpoint(&registry.url()) }]);
    request.local_hosts = vec!["localhost".into()];
    Client::of(&request)
}

fn file(request: &Request) -> &str {
    request.target.rsplit('/').next().unwrap()
}

#[test]
fn a_blob_is_fetched_from_where_it_is_and_no_credential_goes_there() {
    for status in [301, 302, 303, 307, 308] {
        let store = server(|_| None);
        let elsewhere = store.other_url();
        let registry = redirecting(status, move |request| format!("{elsewhere}/blobs/{}", file(request)));
        client(&registry).pulls();
        assert!(!store.requests().is_empty());
        assert!(store.requests().iter().all(|request| request.header("authorization").is_none()));
        assert!(registry.requests().iter().filter(|request| request.header("authorization").is_some()).count() >= 2);
    }
}

#[test]
fn a_resumption_asks_the_registry_again() {
    let store = altered(|request, reply| if request.number == 0 { reply.cut_after(50_000) } else { reply });
    let elsewhere = store.other_url();
    let registry = redirecting(307, move |request| format!("{elsewhere}/blobs/{}?signature=secret", file(request)));
    client(&registry).pulls();
    assert_eq!(store.requests()[1].header("range"), Some("bytes=50000-"));
    assert_eq!(registry.requests().iter().filter(|request| request.asks("/blobs/")).count(), 2);
}

#[test]
fn credentials_do_not_come_back_with_a_redirect_that_comes_back() {
    let store = Server::start(|request| Reply::redirect(302, request.target.split_once("?to=").unwrap().1));
    let elsewhere = store.other_url();
    let registry = server(move |request| match (request.asks("/back/"), request.header("authorization")) {
        (true, None) => Some(Reply::ok(layer())),
        (true, Some(_)) => Some(Reply::status(400)),
        (false, None) => Some(Reply::challenge("Basic")),
        (false, Some(_)) => {
            let host = request.header("host").unwrap();
            Some(Reply::redirect(302, &format!("{elsewhere}/?to=http://{host}/back/")))
        }
    });
    assert!(client(&registry).pull_layer().unwrap() == layer());
}

#[test]
fn a_redirect_within_the_registry_keeps_the_credentials() {
    let registry = server(|request| match request.header("authorization") {
        None => Some(Reply::challenge("Basic")),
        Some(_) => {
            request.asks("/v2/a/b/blobs/").then(|| Reply::redirect(307, &format!("/other/blobs/{}", file(request))))
        }
    });
    Client::with(&registry, basic()).pulls();
}

#[test]
fn forbidden_addresses_are_not_asked() {
    let victim = server(|_| None);
    let places = [
        ("http://169.254.169.254/latest/meta-data/", "a link-local address (169.254.169.254)"),
        ("http://[fe80::1]/", "a link-local address"),
        ("http://0.0.0.0/", "an unspecified address"),
        ("http://[::ffff:127.0.0.1]/", "a loopback address"),
        ("http://[::1]/", "a loopback address"),
        ("http://224.0.0.1/", "a multicast address"),
        (&format!("{}/blobs/x", victim.url()), "a loopback address (127.0.0.1)"),
        (&format!("{}/blobs/x", victim.other_url()), "a loopback address"),
    ];
    for (place, words) in places {
        let place = place.to_owned();
        let registry = redirecting(307, move |_| place.clone());
        let client = Client::with(&registry, basic());
        fails(client.pull_layer(), FailureKind::Content, words);
        assert_eq!(registry.requests().len(), 2);
    }
    assert!(victim.requests().is_empty());
}

#[test]
fn a_name_is_checked_after_it_was_resolved() {
    // `localhost` stands in for a name of a stranger that DNS takes to this host.
    let reach =
        super::super::address::Reach::new(&super::super::target::Target::parse("http://x.example").unwrap(), &[]);
    let resolver =
        super::super::resolve::Addresses { names: super::super::resolve::Names::new().unwrap(), reach: Some(reach) };
    let agent = ureq::Agent::with_parts(
        ureq::config::Config::default(),
        ureq::unversioned::transport::DefaultConnector::default(),
        resolver,
    );
    let victim = server(|_| None);
    let error = agent.get(victim.other_url()).call().unwrap_err();
    assert!(error.to_string().contains("a loopback address"), "{error}");
    assert!(victim.requests().is_empty());
}

#[test]
fn redirects_end() {
    let circle = redirecting(302, |request| request.target.clone());
    fails(client(&circle).pull_layer(), FailureKind::Content, "redirect: more than 5");
    assert_eq!(circle.requests().iter().filter(|request| request.header("authorization").is_some()).count(), 6);
    let registry = redirecting(302, |_| String::from("/1"));
    fails(client(&registry).pull_layer(), COPY, "not found");
    let nowhere = server(|request| request.asks("/blobs/").then(|| Reply::status(302)));
    fails(Client::to(&nowhere).pull_layer(), FailureKind::Content, "redirect: no location");
    let odd = redirecting(302, |_| String::from("gopher://x/"));
    fails(client(&odd).pull_layer(), FailureKind::Content, "is not an http: or https: address");
}

#[test]
fn a_401_from_elsewhere_is_not_answered() {
    let store = Server::start(|_| Reply::challenge("Basic"));
    let elsewhere = store.other_url();
    let registry = redirecting(307, move |_| elsewhere.clone());
    fails(client(&registry).pull_layer(), COPY, "401 Unauthorized");
    assert_eq!(store.requests().len(), 1);
}

#[test]
fn a_token_request_takes_its_password_to_no_other_host() {
    let thief = Server::start(|_| Reply::ok(r#"{"token":"t1"}"#));
    let elsewhere = thief.other_url();
    let registry = server(move |request| match (request.asks("/token"), request.header("authorization")) {
        (true, _) => Some(Reply::redirect(307, &elsewhere)),
        (false, Some("Bearer t1")) => None,
        (false, _) => {
            Some(Reply::challenge(&format!(r#"Bearer realm="http://{}/token""#, request.header("host").unwrap())))
        }
    });
    client(&registry).pulls();
    assert!(thief.requests().iter().all(|request| request.header("authorization").is_none()));
    let mut request = request(vec![endpoint(&registry.url())]);
    request.endpoints[0].credentials = Some(Credentials::Identity("secret".into()));
    request.local_hosts = vec!["localhost".into()];
    let asked = thief.requests().len();
    fails(Client::of(&request).manifest(), FailureKind::Content, "with credentials in its body is not redirected");
    assert_eq!(thief.requests().len(), asked);
}
