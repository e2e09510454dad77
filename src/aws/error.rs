//! Why AWS gave no answer, in the words of AWS's SDK for Go: they are what ECS quotes in `stoppedReason`, and what people
//! search for.

use std::error::Error;

use ureq::Timeout;

use super::credentials::CredentialsError;
use super::resolve::LookupError;

/// A call that came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// We are nobody there.
    #[error("operation error {operation}: get credentials")]
    Credentials {
        /// The service and the operation, `SSM: GetParameters`.
        operation: String,
        /// Why.
        source: CredentialsError,
    },
    /// The endpoint, or what is asked of it, is no address.
    #[error("operation error {operation}: {url:?} is not the address of a service")]
    Address {
        /// The service and the operation.
        operation: String,
        /// The address.
        url: String,
    },
    /// There was no answer.
    #[error("operation error {operation}, https response error StatusCode: 0, RequestID: , request send failed, {url}")]
    Send {
        /// The service and the operation.
        operation: String,
        /// Who was asked.
        url: String,
        /// Whether there may be one later.
        transient: Transient,
        /// What happened.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The service refused.
    #[error(
        "operation error {operation}, https response error StatusCode: {status}, RequestID: {request}, \
         {code}: {message}"
    )]
    Service {
        /// The service and the operation.
        operation: String,
        /// The answer's status.
        status: u16,
        /// The request's id, which AWS's support asks for.
        request: String,
        /// The exception's name, `ResourceNotFoundException`.
        code: String,
        /// What the service says about it.
        message: String,
    },
    /// The answer is none.
    #[error("operation error {operation}, deserialization failed: {reason}")]
    Answer {
        /// The service and the operation.
        operation: String,
        /// What is wrong with it. No content.
        reason: String,
    },
    /// The request cannot be signed.
    #[error("operation error {operation}: sign the request")]
    Sign {
        /// The service and the operation.
        operation: String,
        /// The signer's answer.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The host's part of a client.
    #[error("prepare the AWS client")]
    Prepare(#[source] Box<dyn Error + Send + Sync>),
}

/// Whether something may be otherwise in a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transient {
    /// It may.
    Yes,
    /// It will not.
    No,
}

/// The exceptions that ask for a slower pace (AWS SDKs reference guide, "Retry behavior").
const THROTTLED: [&str; 14] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottledException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "RequestThrottled",
    "SlowDown",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
];

impl AwsError {
    /// The exception's name, if the service answered with one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Service { code, .. } => Some(code),
            _ => None,
        }
    }

    /// How often the call was made again before it was given up.
    pub fn retries(&self) -> u32 {
        if self.is_transient() { super::client::ATTEMPTS - 1 } else { 0 }
    }

    /// Whether the service wants fewer requests.
    pub fn is_throttled(&self) -> bool {
        self.code().is_some_and(|code| THROTTLED.contains(&code)) || matches!(self, Self::Service { status: 429, .. })
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Send { transient, .. } => *transient == Transient::Yes,
            Self::Service { status, code, .. } => {
                self.is_throttled()
                    || matches!(status, 500 | 502 | 503 | 504)
                    || matches!(code.as_str(), "RequestTimeout" | "RequestTimeoutException")
            }
            _ => false,
        }
    }
}

/// A timeout of any phase.
#[derive(Debug, thiserror::Error)]
#[error("i/o timeout")]
struct IoTimeout;

/// The cause in a failure of ureq that is worth showing, and whether it may pass.
pub(super) fn cause(error: ureq::Error) -> (Transient, Box<dyn Error + Send + Sync>) {
    match error {
        // What rustls does not like comes as such.
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => (Transient::No, error.into()),
        ureq::Error::Io(error) => (Transient::Yes, error.into()),
        ureq::Error::Timeout(Timeout::Global) => (Transient::No, IoTimeout.into()),
        ureq::Error::Timeout(_) => (Transient::Yes, IoTimeout.into()),
        ureq::Error::Other(error) => match error.downcast_ref() {
            Some(LookupError::NoSuchHost(_)) | None => (Transient::No, error),
            Some(LookupError::Timeout(_) | LookupError::Failed { .. }) => (Transient::Yes, error),
        },
        ureq::Error::ConnectProxyFailed(_) | ureq::Error::ConnectionFailed => (Transient::Yes, error.into()),
        error => (Transient::No, error.into()),
    }
}
