//! A client of one configuration: calls with retries. Several threads may use it at once.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use ureq::http::Request;

use super::credentials::{self, Credentials, CredentialsError, Told};
use super::error::AwsError;
use super::http::{Answer, Http};
use super::profile::Profile;
use super::settings::{Endpoint, Service, Settings, endpoint};
use super::sign::sign;
use super::variables::Variables;

/// How often a call is made, as in AWS's SDKs (`AWS_MAX_ATTEMPTS`).
pub(super) const ATTEMPTS: u32 = 3;
/// The wait before the first retry; it doubles from one to the next, and chance takes up to half of it.
const WAIT: Duration = Duration::from_millis(500);
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// The largest answer that is taken, in bytes: Secrets Manager's largest secret is 64 KiB, a page of log events 1 MiB.
const ANSWER_MAX: u64 = 16 << 20;

/// Calls AWS, or what stands in for it.
#[derive(Debug)]
pub struct Client {
    settings: Settings,
    variables: Variables,
    profile: Profile,
    pub(super) http: Http,
    credentials: Mutex<Option<Credentials>>,
    pub(super) wait: Duration,
}

/// A request before it is signed, and before its retries.
pub(super) struct Draft<'a> {
    pub(super) service: Service,
    /// The service and the operation, as errors name them.
    pub(super) operation: &'a str,
    pub(super) region: &'a str,
    pub(super) method: &'static str,
    pub(super) url: &'a str,
    pub(super) headers: &'a [(&'static str, String)],
    pub(super) body: &'a [u8],
    /// The largest answer, in bytes.
    pub(super) limit: u64,
}

impl Client {
    /// A client. Nobody is asked yet, and no credentials are looked for.
    pub fn new(settings: &Settings, variables: Variables) -> Result<Self, AwsError> {
        let profile = Profile::read(&variables, settings.profile.as_deref());
        let profile = profile.map_err(|error| AwsError::Prepare(error.into()))?;
        let http = Http::new(&variables)?;
        let settings = settings.clone();
        Ok(Self { settings, variables, profile, http, credentials: Mutex::new(None), wait: WAIT })
    }

    /// Calls an operation of a service that speaks JSON (`awsJson1_1`) in the configured region, and gives its answer.
    pub fn call(&self, service: Service, operation: &str, body: &Value) -> Result<Value, AwsError> {
        self.call_in(&self.settings.region, service, operation, body)
    }

    /// The same in a region.
    pub fn call_in(&self, region: &str, service: Service, operation: &str, body: &Value) -> Result<Value, AwsError> {
        self.call_with(region, service, operation, body, &[])
    }

    /// The same with more headers.
    pub fn call_with(
        &self,
        region: &str,
        service: Service,
        operation: &str,
        body: &Value,
        more: &[(&'static str, &str)],
    ) -> Result<Value, AwsError> {
        let name = format!("{}: {operation}", service.title());
        let url = format!("{}/", self.endpoint(service, region).url);
        let mut headers = vec![
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target", format!("{}.{operation}", service.target())),
        ];
        headers.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let body = body.to_string();
        let draft = Draft {
            service,
            operation: &name,
            region,
            method: "POST",
            url: &url,
            headers: &headers,
            body: body.as_bytes(),
            limit: ANSWER_MAX,
        };
        let answer = self.retried(&draft, |answer| match answer.status {
            200..=299 => Ok(answer),
            _ => Err(refusal(&draft, &answer)),
        })?;
        if answer.body.is_empty() {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        // A parser's message may quote what it read.
        let parsed = serde_json::from_slice(&answer.body);
        parsed.map_err(|_| AwsError::Answer { operation: name.clone(), reason: "it is not JSON".to_owned() })
    }

    /// The region that is asked where nothing else is said.
    pub fn region(&self) -> &str {
        &self.settings.region
    }

    pub(super) fn endpoint(&self, service: Service, region: &str) -> Endpoint {
        endpoint(&self.settings, &self.variables, &self.profile, service, region)
    }

    /// Sends a request, again if its failure may pass.
    pub(super) fn retried<T>(
        &self,
        draft: &Draft<'_>,
        judge: impl Fn(Answer) -> Result<T, AwsError>,
    ) -> Result<T, AwsError> {
        let mut attempt = 1;
        loop {
            match self.send(draft).and_then(&judge) {
                Err(error) if attempt < ATTEMPTS && error.is_transient() => {
                    let doubled = self.wait.saturating_mul(1 << (attempt - 1)).min(WAIT_MAX);
                    std::thread::sleep(doubled.mul_f64(rand::random_range(0.5..=1.0)));
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn send(&self, draft: &Draft<'_>) -> Result<Answer, AwsError> {
        let operation = || draft.operation.to_owned();
        let no_address = || AwsError::Address { operation: operation(), url: draft.url.to_owned() };
        let mut request = Request::builder().method(draft.method).uri(draft.url);
        for (name, value) in draft.headers {
            request = request.header(*name, value);
        }
        let mut request = request.body(draft.body.to_vec()).map_err(|_| no_address())?;
        if !matches!(request.uri().scheme_str(), Some("http" | "https")) {
            return Err(no_address());
        }
        let now = SystemTime::now();
        let credentials =
            self.credentials(now).map_err(|source| AwsError::Credentials { operation: operation(), source })?;
        sign(&mut request, &credentials, draft.service, draft.region, now)
            .map_err(|source| AwsError::Sign { operation: operation(), source })?;
        self.http.send(request, draft.limit).map_err(|failure| failure.of(draft.operation, draft.url))
    }

    /// The credentials, fetched anew when they are about to end.
    pub(super) fn credentials(&self, now: SystemTime) -> Result<Credentials, CredentialsError> {
        // What panicked while it held them has left the old ones.
        let mut held = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = held.as_ref().filter(|known| !known.are_stale(now)) {
            return Ok(known.clone());
        }
        let told = if self.settings.profile.is_some() { Told::Profile } else { Told::Nothing };
        let found = credentials::find(&self.variables, &self.profile, told)?;
        *held = Some(found.clone());
        Ok(found)
    }

    /// Does not wait as long between attempts.
    #[cfg(test)]
    pub(super) fn impatient(self) -> Self {
        Self { wait: Duration::from_millis(1), ..self }
    }
}

/// What a service says that speaks JSON and refuses.
fn refusal(draft: &Draft<'_>, answer: &Answer) -> AwsError {
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = |names: [&str; 2]| names.iter().find_map(|name| said.get(name)?.as_str());
    // `__type` may have a name space in front, the header an address behind.
    let code = text(["__type", "code"]).or_else(|| answer.header("x-amzn-errortype")).unwrap_or("UnknownError");
    let code = code.rsplit('#').next().unwrap_or(code);
    let code = code.split(':').next().unwrap_or(code);
    AwsError::Service {
        operation: draft.operation.to_owned(),
        status: answer.status,
        request: answer.header("x-amzn-requestid").unwrap_or_default().to_owned(),
        code: shown(code),
        message: shown(text(["message", "Message"]).unwrap_or("UnknownError")),
    }
}

/// The most of a service's own words that is shown, in characters.
const MESSAGE_MAX: usize = 512;

/// A service's text for a record: no control characters, and not too long.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MESSAGE_MAX).collect()
}
