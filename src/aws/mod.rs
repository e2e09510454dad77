//! AWS's services, or whatever answers like them: signed requests to SSM, Secrets Manager, CloudWatch Logs and S3,
//! blocking, one at a time. Nothing here decides that AWS is asked at all: that is the configuration's word, and without
//! it no [`Client`] is made. What a service says is bounded in size and time, and a value that it answers with stands in
//! no error.
//!
//! Called from `ops` and from short-lived processes, never from a supervisor's loop.
//!
//! STS is called by AWS's own SDK; the signatures of other calls are made by AWS's own crate (`aws-sigv4`); credentials are looked for where AWS's SDKs look
//! (environment, shared files, `credential_process`), endpoints as well.

mod client;
mod command;
mod credentials;
mod error;
mod http;
mod object;
mod profile;
mod resolve;
mod role;
mod settings;
mod sign;
mod variables;

#[cfg(test)]
mod tests;

pub use client::Client;
pub use credentials::{CredentialsError, Secret};
pub use error::AwsError;
pub use role::Keys;
pub use settings::{Service, Settings};
pub use variables::Variables;
