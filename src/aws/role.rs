//! Credentials for somebody else: those of a profile of this host, or of a role that is taken on at STS. STS is spoken to by
//! AWS's SDK, with this module's endpoint and credentials, and over its connections (proxies, authorities, names).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::{BehaviorVersion, Credentials as Identity, Region, StalledStreamProtectionConfig};
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::RequestId;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use jiff::Timestamp;
use ureq::http::{Request, Response};

use super::client::{ATTEMPTS, Client, shown};
use super::credentials::{CredentialsError, Secret};
use super::error::AwsError;
use super::http::Http;
use super::settings::Service;

const OPERATION: &str = "STS: AssumeRole";
/// An answer has a few kilobytes.
const LIMIT: u64 = 64 << 10;

/// Credentials that are handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The key's id.
    pub key: String,
    /// The key.
    pub secret: Secret,
    /// What belongs to one that is good for some time only.
    pub token: Option<Secret>,
    /// Until when it is good, if it ends.
    pub expires: Option<Timestamp>,
}

impl Client {
    /// This client's own credentials.
    pub fn own_keys(&self) -> Result<Keys, CredentialsError> {
        let own = self.credentials(SystemTime::now())?;
        Ok(Keys { key: own.key, secret: own.secret, token: own.token, expires: own.expires })
    }

    /// Takes on a role for so many seconds; the session's name is what AWS's own records show. Not for a thread of tokio's.
    pub fn assume_role(&self, role: &str, session: &str, seconds: u32) -> Result<Keys, AwsError> {
        let operation = || OPERATION.to_owned();
        let region = self.region().to_owned();
        let url = self.endpoint(Service::Sts, &region).url;
        let own = self
            .credentials(SystemTime::now())
            .map_err(|source| AwsError::Credentials { operation: operation(), source })?;
        let token = own.token.map(|token| token.0);
        let wire = Wire { http: self.http.clone(), url: url.clone(), failure: Arc::default() };
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .endpoint_url(url)
            .credentials_provider(Identity::new(own.key, own.secret.0, token, None, "berth"))
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(self.wait))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(wire.clone())
            .build();
        let request = aws_sdk_sts::Client::from_conf(config)
            .assume_role()
            .role_arn(role)
            .role_session_name(session)
            .duration_seconds(i32::try_from(seconds).unwrap_or(i32::MAX));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| AwsError::Prepare(error.into()))?;
        let answer = runtime.block_on(request.send()).map_err(|error| wire.reason(&error))?;
        let found = answer.credentials.ok_or_else(|| wrong("it has no credentials"))?;
        Ok(Keys {
            key: found.access_key_id,
            secret: Secret(found.secret_access_key),
            token: Some(Secret(found.session_token)),
            expires: Some(timestamp(&found.expiration).ok_or_else(|| wrong("its expiration is no time"))?),
        })
    }
}

/// The SDK's way to the wire: one request, its whole answer. It blocks, since nothing else waits in its runtime.
#[derive(Debug, Clone)]
struct Wire {
    http: Http,
    url: String,
    /// Why the last request had no answer, in the words of all our calls.
    failure: Arc<Mutex<Option<AwsError>>>,
}

impl Wire {
    fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let (head, body) = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?.into_parts();
        let request = Request::from_parts(head, body.bytes().unwrap_or_default().to_vec());
        let answer = self.http.send(request, LIMIT).map_err(|failure| {
            let error = failure.of(OPERATION, &self.url);
            let seen = if error.is_transient() { ConnectorError::io } else { ConnectorError::user };
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            seen("no answer".into())
        })?;
        let (head, ()) = answer.head.into_parts();
        HttpResponse::try_from(Response::from_parts(head, SdkBody::from(answer.body)))
            .map_err(|error| ConnectorError::user(error.into()))
    }

    /// Why there are no credentials. What the SDK says itself may quote what it read.
    fn reason(&self, error: &SdkError<AssumeRoleError, HttpResponse>) -> AwsError {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (error.raw_response().map(|answer| answer.status().as_u16()), failure) {
            (None, Some(failure)) => failure,
            (Some(status), _) if !(200..300).contains(&status) => AwsError::Service {
                operation: OPERATION.to_owned(),
                status,
                request: shown(error.request_id().unwrap_or_default()),
                code: shown(error.code().unwrap_or("UnknownError")),
                message: shown(error.message().unwrap_or("UnknownError")),
            },
            (Some(_), _) => wrong("it is not STS's XML"),
            (None, None) => wrong("the SDK could not ask"),
        }
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(self.exchange(request))
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

fn wrong(reason: &str) -> AwsError {
    AwsError::Answer { operation: OPERATION.to_owned(), reason: reason.to_owned() }
}

fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}
