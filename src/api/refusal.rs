//! What the endpoint says no with: an exception's name, its text, and the status that goes with them, in AWS's words.

use crate::ecs::error::{EcsError, Exception};

/// A request that is not performed, or that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The exception's name.
    pub code: String,
    /// The text.
    pub message: String,
    /// The whole answer, if the exception has members of its own.
    pub body: Option<Vec<u8>>,
}

impl Refusal {
    /// A refusal with status 400, as nearly all are.
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.to_owned(), message: message.into(), body: None }
    }

    pub(super) fn with_status(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, ..Self::new(code, message) }
    }

    /// Nobody has signed it.
    pub(super) fn no_authentication() -> Self {
        Self::new("MissingAuthenticationTokenException", "Missing Authentication Token")
    }

    /// The signature lacks a part.
    pub(super) fn incomplete_signature(message: impl Into<String>) -> Self {
        Self::new("IncompleteSignatureException", message)
    }

    /// The signature is none of this request.
    pub(super) fn invalid_signature(message: impl Into<String>) -> Self {
        Self::new("InvalidSignatureException", message)
    }

    /// The key, or its token, is not known.
    pub(super) fn unknown_key() -> Self {
        Self::new("UnrecognizedClientException", "The security token included in the request is invalid.")
    }

    /// The key has had its time.
    pub(super) fn expired_key() -> Self {
        Self::new("ExpiredTokenException", "The security token included in the request is expired")
    }

    /// Too many requests.
    pub(super) fn throttled() -> Self {
        Self::new("ThrottlingException", "Rate exceeded")
    }

    /// This server cannot.
    pub(super) fn server(message: impl Into<String>) -> Self {
        Self::with_status(500, &Exception::ServerException.to_string(), message)
    }
}

impl From<EcsError> for Refusal {
    fn from(error: EcsError) -> Self {
        let body = serde_json::to_vec(&error).ok();
        Self { status: error.code.status(), code: error.code.to_string(), message: error.message, body }
    }
}
