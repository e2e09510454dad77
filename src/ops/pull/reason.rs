//! Why an image could not be pulled, in the words in which ECS tells it (Amazon ECS developer guide, "Troubleshoot
//! CannotPullContainerError"; the names of the errors are those of the ECS agent).

use std::error::Error;

use super::PullError;
use crate::image::{Failure, FailureKind, Platform};

/// ECS's longest reason, in characters.
const LONGEST: usize = 1024;
/// How much of a longer one is kept of its beginning; the rest is its end, where the cause stands.
const BEGINNING: usize = 256;
const CUT: &str = " [...] ";

/// The reason of a container.
pub(super) fn reason(error: &PullError) -> String {
    let text = match error {
        PullError::Fetch(failure) => format!("CannotPullContainerError: {}", of_fetch(failure)),
        PullError::Registry(_) if error.is_ecr() => format!("CannotPullECRContainerError: {}", chain(error)),
        PullError::Secret(_) | PullError::Registry(_) => format!("CannotPullContainerAuthError: {}", chain(error)),
        PullError::Other(_) => format!("CannotPullContainerError: {}", chain(error)),
    };
    shortened(&text)
}

/// What failed stands in the message: `failed to resolve ref REF: ...`, `failed to copy DIGEST: ...`.
fn of_fetch(failure: &Failure) -> String {
    let Failure { kind, message } = failure;
    match kind {
        FailureKind::Resolve { retries } => {
            format!("pull image manifest has been retried {retries} time(s): {message}")
        }
        FailureKind::Platform => format!(
            "pull image manifest has been retried 0 time(s): image Manifest does not contain descriptor matching platform \
             '{}': {message}",
            Platform::host()
        ),
        FailureKind::Copy { retries } => format!("ref pull has been retried {retries} time(s): {message}"),
        FailureKind::Content | FailureKind::Space => format!("ref pull has been retried 0 time(s): {message}"),
        FailureKind::Source | FailureKind::Store => message.clone(),
    }
}

/// An error and its causes. One that only hands on another has its text.
pub(in crate::ops) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut parts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        parts.push(error.to_string());
        cause = error.source();
    }
    parts.dedup();
    parts.join(": ")
}

/// A reason as long as ECS's may be.
pub(in crate::ops) fn shortened(text: &str) -> String {
    let count = text.chars().count();
    if count <= LONGEST {
        return text.to_owned();
    }
    let end = count - (LONGEST - BEGINNING - CUT.len());
    text.chars().take(BEGINNING).chain(CUT.chars()).chain(text.chars().skip(end)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::credentials::CredentialError;
    use super::super::super::registries::RegistryError;
    use super::*;

    fn of(error: impl Into<PullError>) -> String {
        error.into().reason()
    }

    fn failure(kind: FailureKind, message: &str) -> Failure {
        Failure { kind, message: message.to_owned() }
    }

    #[test]
    fn a_failed_fetch_is_told_as_ecs_tells_it() {
        let cases = [
            (
                failure(
                    FailureKind::Resolve { retries: 3 },
                    "failed to resolve ref docker.io/library/nginx:1: refused",
                ),
                "CannotPullContainerError: pull image manifest has been retried 3 time(s): failed to resolve ref \
                 docker.io/library/nginx:1: refused",
            ),
            (
                failure(FailureKind::Copy { retries: 5 }, "failed to copy sha256:1: connection reset"),
                "CannotPullContainerError: ref pull has been retried 5 time(s): failed to copy sha256:1: connection reset",
            ),
            (
                failure(FailureKind::Space, "layer sha256:1: no space left on device"),
                "CannotPullContainerError: ref pull has been retried 0 time(s): layer sha256:1: no space left on device",
            ),
        ];
        for (failure, text) in cases {
            assert_eq!(of(failure), text);
        }
    }

    #[test]
    fn an_image_for_other_platforms_is_told_as_ecs_tells_it() {
        let text = of(failure(FailureKind::Platform, "nginx:1: no image for it, only for windows/amd64"));
        let start = "CannotPullContainerError: pull image manifest has been retried 0 time(s): image Manifest does not \
             contain descriptor matching platform 'linux/";
        assert!(
            text.starts_with(start) && text.ends_with("': nginx:1: no image for it, only for windows/amd64"),
            "{text}"
        );
    }

    #[test]
    fn who_we_are_is_an_error_of_its_own() {
        let secret = PullError::Secret(CredentialError::SecretName("a b".into()));
        let text = "CannotPullContainerAuthError: private registry credentials: \"a b\" is not the name or the ARN of a secret";
        assert_eq!(of(secret), text);
        let helper = |registry: &str| RegistryError::Credentials {
            registry: registry.into(),
            source: CredentialError::Wrong { path: "/x.json".into(), reason: "not a file".into() },
        };
        let amazon = of(helper("123456789012.dkr.ecr.eu-west-1.amazonaws.com"));
        assert!(amazon.starts_with("CannotPullECRContainerError: the credentials for 123456789012"), "{amazon}");
        assert!(amazon.ends_with("amazonaws.com: /x.json: not a file"), "{amazon}");
        assert!(of(helper("ghcr.io")).starts_with("CannotPullContainerAuthError: "));
    }

    #[test]
    fn a_long_reason_keeps_its_beginning_and_the_cause_at_its_end() {
        let text = of(failure(FailureKind::Resolve { retries: 0 }, &format!("{}: the cause", "\u{e4}".repeat(5000))));
        assert_eq!(text.chars().count(), LONGEST);
        assert!(text.starts_with("CannotPullContainerError: pull image manifest") && text.ends_with(": the cause"));
        let short = of(failure(FailureKind::Store, "x"));
        assert_eq!(short, "CannotPullContainerError: x");
    }
}
