//! Who we are, and who is told.

use super::*;

/// A registry that wants `Authorization: wanted`, and says so.
fn guarded(challenge: impl Fn() -> String + Send + Sync + 'static, wanted: &'static str) -> Server {
    server(move |request| {
        (!request.asks("/token") && request.header("authorization") != Some(wanted))
            .then(|| Reply::challenge(&challenge()))
    })
}

/// A token server and the challenge that names it (on the same host, another port).
fn token_server(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> (Server, String) {
    let server = Server::start(answer);
    let challenge =
        format!(r#"Bearer realm="{}/token?x=1",service="the registry",scope="repository:a/b:pull""#, server.url());
    (server, challenge)
}

/// A client that may ask the token server on its port of loopback.
fn client(registry: &Server, token: &Server, credentials: Option<Credentials>) -> Client {
    let mut request = request(vec![Endpoint { credentials, ..endpoint(&registry.url()) }]);
    request.local_hosts = vec![token.authority()];
    Client::of(&request)
}

#[test]
fn basic_credentials_are_sent_once_they_are_asked_for() {
    let registry = guarded(|| r#"Basic realm="x""#.into(), "Basic bWU6c2VjcmV0");
    Client::with(&registry, basic()).pulls();
    let sent: Vec<_> = registry.requests().iter().map(|request| request.header("authorization").is_some()).collect();
    assert_eq!(sent, [false, true, true]);
    fails(Client::to(&registry).manifest(), RESOLVE, "authorization failed: no basic auth credentials");
    let wrong = Credentials::Basic { username: "me".into(), password: "wrong".into() };
    fails(Client::with(&registry, wrong).manifest(), RESOLVE, ": 401 Unauthorized: authentication required");
}

#[test]
fn an_anonymous_token_is_fetched_once_for_all_requests() {
    let (token, challenge) = token_server(|_| Reply::ok(r#"{"token":"t1"}"#));
    let registry = guarded(move || challenge.clone(), "Bearer t1");
    client(&registry, &token, None).pulls();
    let asked = token.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].target, "/token?x=1&scope=repository%3Aa%2Fb%3Apull&service=the%20registry");
    assert_eq!(asked[0].header("authorization"), None);
}

#[test]
fn a_token_is_fetched_with_a_password_which_the_registry_does_not_see() {
    let (token, challenge) = token_server(|request| match request.header("authorization") {
        Some("Basic bWU6c2VjcmV0") => Reply::ok(r#"{"token":"","access_token":"t2"}"#),
        _ => Reply::status(401).with(r#"{"details":"incorrect username or password"}"#),
    });
    let registry = guarded(move || challenge.clone(), "Bearer t2");
    client(&registry, &token, Some(basic())).pulls();
    assert!(
        registry
            .requests()
            .iter()
            .all(|request| request.header("authorization").is_none_or(|sent| sent == "Bearer t2"))
    );
    let wrong = Credentials::Basic { username: "me".into(), password: "wrong".into() };
    let words = format!(
        "failed to authorize: failed to fetch oauth token: unexpected status from GET request to {}/token: \
         401 Unauthorized: incorrect username or password",
        token.url()
    );
    fails(client(&registry, &token, Some(wrong)).manifest(), RESOLVE, &words);
}

#[test]
fn a_refresh_token_is_posted() {
    let (token, challenge) = token_server(|request| match request.method.as_str() {
        "POST" => Reply::ok(r#"{"access_token":"t3","expires_in":300}"#),
        _ => Reply::status(405),
    });
    let registry = guarded(move || challenge.clone(), "Bearer t3");
    client(&registry, &token, Some(Credentials::Identity("se cret".into()))).pulls();
    let asked = &token.requests()[0];
    assert_eq!(asked.header("content-type"), Some("application/x-www-form-urlencoded"));
    let form = "grant_type=refresh_token&client_id=berth&refresh_token=se%20cret&scope=repository%3Aa%2Fb%3Apull\
                &service=the%20registry";
    assert_eq!(asked.body, form);
}

#[test]
fn a_registry_token_is_sent_as_it_is() {
    let registry = guarded(|| "Bearer".into(), "Bearer t4");
    Client::with(&registry, Credentials::Bearer("t4".into())).pulls();
    assert_eq!(registry.requests().len(), 2);
}

#[test]
fn a_token_that_ends_in_the_middle_of_a_pull_is_renewed() {
    let (token, challenge) = token_server(|request| Reply::ok(format!(r#"{{"token":"t{}"}}"#, request.number)));
    // The first token counts for the manifest and the first part of the layer.
    let registry = altered(move |request, reply| match (request.header("authorization"), request.header("range")) {
        (Some("Bearer t0"), None) => reply.cut_after(50_000),
        (Some("Bearer t1"), Some(_)) => reply,
        _ => Reply::challenge(&challenge),
    });
    let mut request = request(vec![endpoint(&registry.url())]);
    request.local_hosts = vec![token.authority()];
    let client = Client::of(&request);
    assert!(client.pull_layer().unwrap() == layer());
    assert_eq!(token.requests().len(), 2);
}

#[test]
fn a_registry_that_says_401_to_everything_is_asked_twice() {
    let (token, challenge) = token_server(|_| Reply::ok(r#"{"token":"t1"}"#));
    let registry = server(move |_| Some(Reply::challenge(&challenge)));
    fails(client(&registry, &token, None).manifest(), RESOLVE, ": 401 Unauthorized: authentication required");
    assert_eq!((registry.requests().len(), token.requests().len()), (2, 1));
    let blunt = server(|_| Some(Reply::challenge(r#"Basic realm="x""#)));
    fails(Client::with(&blunt, basic()).manifest(), RESOLVE, ": 401 Unauthorized");
    assert_eq!(blunt.requests().len(), 2);
}

#[test]
fn a_token_answer_that_is_too_large_or_not_a_token_is_refused() {
    let cases: [(Reply, &str); 6] = [
        (Reply::ok(r#"{"token":"t1"}"#).zeros(64 << 10), "larger than 65536 bytes"),
        (Reply::ok("").zeros(u64::MAX / 2).chunked(), "larger than 65536 bytes"),
        (Reply::ok(r#"{"token":"t1\r\nX-Evil: 1"}"#), "answer is not valid"),
        (Reply::ok("{}"), "answer is not valid"),
        (Reply::ok("<html>"), "answer is not valid: expected value"),
        (Reply::status(500), "failed to fetch anonymous token: unexpected status"),
    ];
    for (reply, words) in cases {
        let (token, challenge) = token_server(move |_| reply.clone());
        let registry = guarded(move || challenge.clone(), "Bearer t1");
        let error = client(&registry, &token, None).manifest().unwrap_err();
        assert!(chain(&error).contains(words), "{}", chain(&error));
    }
}

#[test]
fn a_token_server_may_not_be_a_foreign_local_one() {
    let token = Server::start(|_| Reply::ok(r#"{"token":"t1"}"#));
    let realms = [
        token.url(),
        token.other_url(),
        "http://169.254.169.254/latest/meta-data".into(),
        "http://token.example/".into(),
        "file:///etc/passwd".into(),
        "https://127.0.0.1:1/".into(),
    ];
    for realm in realms {
        let registry = guarded(move || format!(r#"Bearer realm="{realm}""#), "Bearer t1");
        let error = Client::with(&registry, basic()).manifest().unwrap_err();
        assert_eq!(error.kind(), FailureKind::Content, "{}", chain(&error));
    }
    assert!(token.requests().is_empty());
    // The control: the registry's own address and port.
    let registry = server(|request| match (request.asks("/token"), request.header("authorization")) {
        (true, _) => Some(Reply::ok(r#"{"token":"t1"}"#)),
        (false, Some("Bearer t1")) => None,
        (false, _) => {
            Some(Reply::challenge(&format!(r#"Bearer realm="http://{}/token""#, request.header("host").unwrap())))
        }
    });
    Client::with(&registry, basic()).pulls();
}

#[test]
fn threads_share_one_token() {
    let (token, challenge) = token_server(|_| Reply::ok(r#"{"token":"t1"}"#));
    let registry = guarded(move || challenge.clone(), "Bearer t1");
    let client = client(&registry, &token, None);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| client.pull_layer().unwrap());
        }
    });
    assert_eq!(token.requests().len(), 1);
}
