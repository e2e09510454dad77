//! Who we are at a registry: docker's and podman's files, credential helpers, and the secrets that task definitions name.
//! Nothing here prints or keeps a secret. Called by `ops::registries` for pulls, and for `login` and `logout`.

mod file;
mod helper;
mod keep;
mod key;
mod secret;

use std::io;
use std::path::{Path, PathBuf};

use self::file::File;
use self::helper::{Helper, HelperError};
pub use self::keep::Kept;
pub(super) use self::keep::{erase, keep};
pub(super) use self::secret::secret;
use super::environment::Environment;
use super::values::LookupError;
use crate::image::Credentials;

/// Amazon's own helper; it calls GetAuthorizationToken.
const ECR_HELPER: &str = "ecr-login";
/// Amazon's registry of public images.
const ECR_PUBLIC: &str = "public.ecr.aws";

/// Why credentials cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A file cannot be read or written.
    #[error("{verb} {path}")]
    Io {
        /// What was tried.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {reason}")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong with it. No content.
        reason: String,
    },
    /// A credential helper.
    #[error("docker-credential-{name}")]
    Helper {
        /// The end of its name.
        name: String,
        /// What it did.
        source: HelperError,
    },
    /// The secret's name is none.
    #[error("{0:?} is not the name or the ARN of a secret")]
    SecretName(String),
    /// The secret cannot be had.
    #[error("the secret {name}")]
    Secret {
        /// Its name.
        name: String,
        /// Why not.
        source: Box<LookupError>,
    },
    /// It is something else.
    #[error("the secret {0} is not {{\"username\": ..., \"password\": ...}}")]
    NotCredentials(String),
}

fn wrong(path: &Path, reason: impl Into<String>) -> CredentialError {
    CredentialError::Wrong { path: path.to_owned(), reason: reason.into() }
}

/// All that the caller's files and helpers know.
#[derive(Debug)]
pub(super) struct Keyring {
    environment: Environment,
    files: Vec<File>,
}

impl Keyring {
    /// That of an environment. Files that are not there hold nothing.
    pub(super) fn open(environment: &Environment) -> Result<Self, CredentialError> {
        let files = environment.credential_files();
        let files = files.iter().filter_map(|path| File::read(path).transpose()).collect::<Result<_, _>>()?;
        Ok(Self { environment: environment.clone(), files })
    }

    /// Who we are at a registry (`docker.io`, `registry.lan:5000`) for a repository of it. Of each file, the helper counts
    /// before what stands in the file, as docker has it.
    pub(super) fn find(&self, registry: &str, repository: &str) -> Result<Option<Credentials>, CredentialError> {
        for file in &self.files {
            if let Some(name) = file.helper(registry)
                && let Some(found) = self.ask(name, registry)?
            {
                return Ok(Some(found));
            }
            if let Some(found) = file.credentials(registry, repository)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Who we are at Amazon's registry, where nothing is configured and Amazon's helper is installed. Public images can be
    /// had by anybody, so its helper may fail there.
    pub(super) fn ecr(&self, registry: &str) -> Result<Option<Credentials>, CredentialError> {
        if !(is_ecr(registry) || registry == ECR_PUBLIC) || Helper::find(&self.environment, ECR_HELPER).is_err() {
            return Ok(None);
        }
        let found = self.ask(ECR_HELPER, registry);
        if registry == ECR_PUBLIC { Ok(found.unwrap_or_default()) } else { found }
    }

    fn ask(&self, name: &str, registry: &str) -> Result<Option<Credentials>, CredentialError> {
        let found = Helper::find(&self.environment, name).and_then(|helper| helper.get(key::of(registry)));
        found.map_err(|source| CredentialError::Helper { name: name.to_owned(), source })
    }
}

/// Whether a registry is a private one of Amazon's (Amazon ECR user guide, "Private registry": `ACCOUNT.dkr.ecr.REGION.
/// amazonaws.com`, its FIPS, dual-stack and China forms).
pub(super) fn is_ecr(registry: &str) -> bool {
    let Some((account, rest)) = registry.split_once('.') else { return false };
    let service = ["dkr.ecr.", "dkr.ecr-fips.", "dkr-ecr.", "dkr-ecr-fips."];
    let domain = [".amazonaws.com", ".amazonaws.com.cn", ".on.aws", ".on.amazonwebservices.com.cn"];
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    is_account
        && service.iter().any(|service| rest.starts_with(service))
        && domain.iter().any(|domain| rest.ends_with(domain))
}

#[cfg(test)]
mod tests;
