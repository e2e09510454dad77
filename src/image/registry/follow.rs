//! A request with its redirects, followed by hand: every hop is checked, credentials stay with the first host, and what
//! is encrypted stays encrypted.

use std::io::Read;

use serde::Deserialize;
use ureq::http::{Response, StatusCode};
use ureq::{Body, BodyReader};

use super::error::{RedirectError, RequestError, classify};
use super::http::{Ask, Http, Verb};
use super::limits::{ERROR_MAX, MESSAGE_MAX, REDIRECTS_MAX};
use super::target::{Scheme, Target};

/// The answer at the end of the redirects.
pub(super) struct Answer {
    /// Who gave it.
    pub(super) target: Target,
    /// Whether that is whom the request was for.
    pub(super) direct: Direct,
    method: &'static str,
    response: Response<Body>,
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direct {
    FromTheServer,
    FromElsewhere,
}

/// Asks, and goes where the answers lead.
pub(super) fn follow(
    http: &Http,
    start: &Target,
    ask: &Ask,
    authorization: Option<&str>,
) -> Result<Answer, RequestError> {
    let mut target = start.clone();
    let mut direct = Direct::FromTheServer;
    for _ in 0..=REDIRECTS_MAX {
        let shown = authorization.filter(|_| direct == Direct::FromTheServer);
        let response = http.send(&target, ask, shown)?;
        let method = match ask.verb {
            Verb::Get => "GET",
            Verb::Head => "HEAD",
            Verb::Form(_) => "POST",
        };
        let answer = Answer { target, direct, method, response };
        if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(answer);
        }
        let next =
            answer.next(ask).map_err(|source| RequestError::Redirect { url: answer.target.to_string(), source })?;
        // Once elsewhere, always elsewhere: what comes back to the first host was sent there by another one.
        if !next.same_origin(&answer.target) {
            direct = Direct::FromElsewhere;
        }
        answer.drain();
        target = next;
    }
    Err(RequestError::Redirect { url: start.to_string(), source: RedirectError::TooMany(REDIRECTS_MAX) })
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// A header that is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// All headers of a name that are text.
    pub(super) fn headers(&self, name: &str) -> Vec<String> {
        let values = self.response.headers().get_all(name).iter();
        values.filter_map(|value| value.to_str().ok().map(str::to_owned)).collect()
    }

    /// The length that the answer says that it has.
    pub(super) fn length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// Where it redirects to.
    fn next(&self, ask: &Ask) -> Result<Target, RedirectError> {
        if matches!(ask.verb, Verb::Form(_)) {
            return Err(RedirectError::Secret);
        }
        let next = self.target.join(self.header("location").ok_or(RedirectError::Nowhere)?)?;
        if (self.target.scheme(), next.scheme()) == (Scheme::Https, Scheme::Http) {
            return Err(RedirectError::Unencrypted(next.to_string()));
        }
        Ok(next)
    }

    /// Its body as it was sent.
    pub(super) fn body(self) -> Result<BodyReader<'static>, RequestError> {
        match self.header("content-encoding") {
            None | Some("identity") | Some("") => Ok(self.response.into_body().into_reader()),
            Some(encoding) => {
                Err(RequestError::Encoding { url: self.target.to_string(), encoding: shown(encoding, MESSAGE_MAX) })
            }
        }
    }

    /// Its whole body, at most `limit` bytes.
    pub(super) fn whole(self, what: &str, limit: u64) -> Result<Vec<u8>, RequestError> {
        let too_large = || RequestError::TooLarge { what: what.into(), limit };
        if self.length().is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let url = self.target.to_string();
        let mut bytes = Vec::new();
        let read = self.body()?.take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|error| unread(&url, error))?;
        if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
    }

    /// The error that an answer is that was not expected.
    pub(super) fn unexpected(self) -> RequestError {
        let after = self.header("retry-after").and_then(|seconds| seconds.trim().parse().ok());
        let (method, url, status) = (self.method, self.target.to_string(), self.status());
        let message = self.message().map(|message| format!(": {message}")).unwrap_or_default();
        RequestError::Status { method, url, status, message, after }
    }

    /// Reads what there is, so that the connection can be used again.
    pub(super) fn drain(self) {
        let body = self.response.into_body().into_reader();
        let _ = std::io::copy(&mut body.take(ERROR_MAX), &mut std::io::sink()); // the next request will say what is wrong
    }

    /// What the server says about an error (distribution-spec, "Error Codes"; token servers have `details`).
    fn message(self) -> Option<String> {
        let mut bytes = Vec::new();
        let read = self.response.into_body().into_reader().take(ERROR_MAX).read_to_end(&mut bytes);
        read.ok()?;
        let said: Said = serde_json::from_slice(&bytes).ok()?;
        let texts = said.errors.into_iter().filter_map(|error| error.message.or(error.code)).chain(said.details);
        let text = texts.collect::<Vec<_>>().join(", ");
        (!text.is_empty()).then(|| shown(&text, MESSAGE_MAX))
    }
}

/// The body of an error.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    errors: Vec<SaidError>,
    details: Option<String>,
}

#[derive(Deserialize)]
struct SaidError {
    code: Option<String>,
    message: Option<String>,
}

/// A body that could not be read to its end.
pub(super) fn unread(url: &str, error: std::io::Error) -> RequestError {
    let (class, source) = classify(ureq::Error::from(error));
    RequestError::Read { url: url.into(), class, source }
}

/// A stranger's text for a terminal: no control characters, and not too long.
pub(super) fn shown(text: &str, most: usize) -> String {
    text.chars().take(most).flat_map(char::escape_debug).collect()
}
