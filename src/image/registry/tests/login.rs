//! Asking a registry whether it knows us.

use super::super::check_login;
use super::*;

/// A registry that wants `Authorization: wanted`, says so with `challenge`, and says yes to that.
fn registry(challenge: String, wanted: &'static str) -> Server {
    Server::start(move |request| match (request.target.as_str(), request.header("authorization")) {
        ("/v2/", Some(sent)) if sent == wanted => Reply::ok("{}"),
        ("/v2/", _) => Reply::challenge(&challenge),
        _ => Reply::status(404),
    })
}

fn login(server: &Server, password: &str, local_hosts: &[String]) -> Result<(), String> {
    let credentials = Credentials::Basic { username: "me".into(), password: password.into() };
    let endpoint = Endpoint { credentials: Some(credentials), ..endpoint(&server.url()) };
    check_login(&[endpoint], &Proxies::default(), local_hosts).map_err(|error| chain(&error))
}

#[test]
fn a_registry_that_wants_a_password_gets_it_and_says_yes_or_no() {
    let registry = registry(r#"Basic realm="x""#.into(), "Basic bWU6c2VjcmV0");
    assert_eq!(login(&registry, "secret", &[]), Ok(()));
    let error = login(&registry, "wrong", &[]).unwrap_err();
    assert!(error.contains("401 Unauthorized") && !error.contains("wrong"), "{error}");
}

#[test]
fn a_token_server_is_asked_for_no_repository() {
    let token = Server::start(|request| match request.header("authorization") {
        Some("Basic bWU6c2VjcmV0") => Reply::ok(r#"{"token":"t"}"#),
        _ => Reply::status(401),
    });
    let registry = registry(format!(r#"Bearer realm="{}/token",service="s""#, token.url()), "Bearer t");
    assert_eq!(login(&registry, "secret", &[token.authority()]), Ok(()));
    assert_eq!(token.requests()[0].target, "/token?service=s");
    let error = login(&registry, "wrong", &[token.authority()]).unwrap_err();
    assert!(error.contains("failed to fetch oauth token"), "{error}");
}

#[test]
fn nobody_to_ask_is_no_yes() {
    assert!(check_login(&[], &Proxies::default(), &[]).is_err());
}
