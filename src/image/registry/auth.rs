//! Who we are at one endpoint: the answer to its 401, kept for all threads and made anew when it no longer counts.

use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::challenge::{Challenge, choose};
use super::error::RequestError;
use super::follow::{Answer, follow};
use super::http::{Ask, Http, Limit, Verb};
use super::limits::TOKEN_MAX;
use super::target::{Scheme, Target};
use crate::image::request::Credentials;

/// What OAuth2 servers know us as.
const CLIENT: &str = "berth";

/// The credentials of an endpoint and what they last became.
pub(super) struct Auth {
    credentials: Option<Credentials>,
    /// `repository:library/nginx:pull`, where a challenge names no scope; none for the registry itself.
    scope: Option<String>,
    /// The `Authorization` that the registry took last. Held while a token is fetched, so that one thread does it for all.
    authorization: Mutex<Option<String>>,
}

impl Auth {
    pub(super) fn new(credentials: Option<Credentials>, repository: Option<&str>) -> Self {
        let known = match &credentials {
            Some(Credentials::Bearer(token)) => Some(format!("Bearer {token}")),
            Some(Credentials::Basic { .. } | Credentials::Identity(_)) | None => None,
        };
        let scope = repository.map(|repository| format!("repository:{repository}:pull"));
        Self { credentials, scope, authorization: Mutex::new(known) }
    }

    /// What to send.
    pub(super) fn current(&self) -> Option<String> {
        self.lock().clone()
    }

    /// What to send instead of `refused`, which the registry answered with these challenges.
    pub(super) fn renewed(
        &self,
        http: &Http,
        base: &Target,
        refused: Option<&str>,
        challenges: &[String],
        limit: Limit,
    ) -> Result<String, RequestError> {
        let mut current = self.lock();
        if let Some(known) = current.as_ref().filter(|known| Some(known.as_str()) != refused) {
            return Ok(known.clone()); // another thread was faster
        }
        let new = match choose(challenges)? {
            Challenge::Basic => match &self.credentials {
                Some(Credentials::Basic { username, password }) => basic(username, password),
                Some(Credentials::Identity(_) | Credentials::Bearer(_)) | None => {
                    return Err(RequestError::NoCredentials);
                }
            },
            Challenge::Bearer { realm, service, scope } => {
                let realm = allowed(http, base, &realm)?;
                let scope = scope.as_deref().or(self.scope.as_deref());
                format!("Bearer {}", self.token(http, &realm, service.as_deref(), scope, limit)?)
            }
        };
        *current = Some(new.clone());
        Ok(new)
    }

    fn token(
        &self,
        http: &Http,
        realm: &Target,
        service: Option<&str>,
        scope: Option<&str>,
        limit: Limit,
    ) -> Result<String, RequestError> {
        let service = service.map(|service| ("service", service));
        let asked = [scope.map(|scope| ("scope", scope)), service];
        let (kind, target, verb, authorization) = match &self.credentials {
            Some(Credentials::Identity(refresh)) => {
                let own = [("grant_type", "refresh_token"), ("client_id", CLIENT), ("refresh_token", refresh)];
                let form = encoded(own.into_iter().chain(asked.into_iter().flatten()));
                ("oauth", realm.clone(), Verb::Form(form), None)
            }
            credentials => {
                let target = with_query(realm, &encoded(asked.into_iter().flatten()))?;
                match credentials {
                    Some(Credentials::Basic { username, password }) => {
                        ("oauth", target, Verb::Get, Some(basic(username, password)))
                    }
                    _ => ("anonymous", target, Verb::Get, None),
                }
            }
        };
        let wrapped = |source| RequestError::Token { kind, source: Box::new(source) };
        let ask = Ask { verb, headers: vec![("accept", "application/json".into())], limit };
        let answer = follow(http, &target, &ask, authorization.as_deref()).map_err(wrapped)?;
        if answer.status() != 200 {
            return Err(wrapped(answer.unexpected()));
        }
        read_token(answer)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.authorization.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The token server that an endpoint names, if it may: encrypted; or not, where the endpoint itself is not and the token
/// server is the same host or one that is configured to be local.
fn allowed(http: &Http, base: &Target, realm: &str) -> Result<Target, RequestError> {
    let refused = |realm: String| RequestError::Realm(realm, base.to_string());
    let target = Target::parse(realm).map_err(|error| refused(error.to_string()))?;
    let near = target.host() == base.host() || http.reach().is_configured(target.host(), target.port());
    match (target.scheme(), base.scheme()) {
        (Scheme::Https, _) => Ok(target),
        (Scheme::Http, Scheme::Http) if near => Ok(target),
        (Scheme::Http, _) => Err(refused(target.to_string())),
    }
}

/// What a token server answers (distribution, "Token Response Fields").
#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

fn read_token(answer: Answer) -> Result<String, RequestError> {
    let bytes = answer.whole("the token server's answer", TOKEN_MAX)?;
    let answer: TokenAnswer = serde_json::from_slice(&bytes).map_err(|error| RequestError::TokenAnswer(Some(error)))?;
    let token = answer.token.filter(|token| !token.is_empty()).or(answer.access_token).unwrap_or_default();
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if is_token { Ok(token) } else { Err(RequestError::TokenAnswer(None)) }
}

fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

fn with_query(realm: &Target, query: &str) -> Result<Target, RequestError> {
    let uri = realm.uri().to_string();
    let joint = if uri.contains('?') { '&' } else { '?' };
    Target::parse(&format!("{uri}{joint}{query}")).map_err(|error| RequestError::Realm(error.to_string(), uri))
}

/// Pairs as a form or a query (WHATWG URL, "application/x-www-form-urlencoded").
fn encoded<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let escape = |text: &str| {
        text.bytes().fold(String::new(), |mut out, byte| {
            match byte {
                byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => out.push(char::from(byte)),
                byte => out.push_str(&format!("%{byte:02X}")),
            }
            out
        })
    };
    pairs.into_iter().map(|(key, value)| format!("{key}={}", escape(value))).collect::<Vec<_>>().join("&")
}
