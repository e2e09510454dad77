//! Why a task's values cannot be had, in the words in which ECS tells it (Amazon ECS developer guide, "Troubleshoot
//! ResourceInitializationError", and the ECS agent's own). No value stands in them.

use std::error::Error;

use crate::aws::AwsError;
use crate::ecs::value_from::{ObjectArnError, ValueFromError};
use crate::ops::pull::reason::{chain, shortened};
use crate::secrets::SecretError;

/// One of the values.
#[derive(Debug, thiserror::Error)]
pub(in crate::ops) enum Unavailable {
    /// A secret's name is none.
    #[error("unable to pull secrets or registry auth: execution resource retrieval failed")]
    Name(#[from] ValueFromError),
    /// Parameters of SSM.
    #[error(
        "unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secrets from ssm"
    )]
    Parameters(#[source] LookupError),
    /// A secret of Secrets Manager.
    #[error(
        "unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secret from asm"
    )]
    Secret(#[source] LookupError),
    /// An environment file.
    #[error("failed to download env files: {arn}")]
    File {
        /// Its ARN.
        arn: String,
        /// What is wrong with it.
        source: FileError,
    },
}

/// Why a secret, or parameters, cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// There are no such parameters.
    #[error("invalid ssm parameters: {names}{hint}")]
    Invalid {
        /// Their names, with commas.
        names: String,
        /// What to do about it.
        hint: String,
    },
    /// There is no such secret, or version of it.
    #[error("failed to fetch secret {arn} from secrets manager: {said}")]
    Missing {
        /// Its ARN.
        arn: String,
        /// Secrets Manager's words, and what to do about it.
        said: String,
    },
    /// AWS did not answer, or refused.
    #[error("service call has been retried {retries} time(s)")]
    Call {
        /// How often it was asked again.
        retries: u32,
        /// What it said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A secret of AWS's did not come.
    #[error("service call has been retried {retries} time(s): failed to fetch secret {arn} from secrets manager")]
    Fetch {
        /// How often it was asked again.
        retries: u32,
        /// Its ARN.
        arn: String,
        /// What was said.
        source: Box<AwsError>,
    },
    /// Its JSON object has no such member.
    #[error("retrieved secret from Secrets Manager did not contain json key {0}")]
    NoKey(String),
    /// It is no JSON object.
    #[error("retrieved secret from Secrets Manager is not a JSON object, and json key {0} was asked for")]
    NotJson(String),
    /// A secret that is no text.
    #[error("{0} has a binary value, which no variable can hold")]
    Binary(String),
    /// A value that no variable can hold.
    #[error("the value of {0} has a NUL byte in it, which no variable can hold")]
    Nul(String),
    /// The local store.
    #[error(transparent)]
    Store(#[from] SecretError),
}

impl LookupError {
    /// A failed call for parameters.
    pub(super) fn of_call(error: AwsError) -> Self {
        Self::Call { retries: error.retries(), source: error.into() }
    }

    /// A failed call for a secret.
    pub(super) fn of_secret(arn: &str, error: AwsError) -> Self {
        Self::Fetch { retries: error.retries(), arn: arn.to_owned(), source: Box::new(error) }
    }
}

/// Why an environment file cannot be had.
#[derive(Debug, thiserror::Error)]
pub(in crate::ops) enum FileError {
    /// Its ARN is none.
    #[error(transparent)]
    Arn(#[from] ObjectArnError),
    /// Nobody may be asked for it.
    #[error(
        "no directory stands for the bucket {bucket}: name one in config.toml, [environment-files.buckets] \
         {bucket} = \"/DIRECTORY\", or let S3 be asked, [environment-files] source = \"aws\""
    )]
    NoBucket {
        /// The bucket.
        bucket: String,
    },
    /// A key that leads out of the bucket's directory.
    #[error("the key {0:?} is no path below a directory")]
    Key(String),
    /// A file of this host.
    #[error("read {path}")]
    Read {
        /// The file.
        path: std::path::PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// It is too large to be one.
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
    /// It is no text.
    #[error("it is not UTF-8 text, or has a NUL byte in it")]
    NotText,
    /// S3 did not answer, or refused.
    #[error("service call has been retried {retries} time(s)")]
    Call {
        /// How often it was asked again.
        retries: u32,
        /// What it said.
        source: Box<AwsError>,
    },
}

impl Unavailable {
    /// The task's `stoppedReason`.
    pub(in crate::ops) fn reason(&self) -> String {
        shortened(&format!("ResourceInitializationError: {}", chain(self)))
    }
}
