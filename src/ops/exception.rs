//! The one place where an error becomes what the ECS API answers: an exception and its text.

use std::error::Error;

use super::OpsError;
use crate::ecs::error::{EcsError, Exception};

impl OpsError {
    /// The exception that stands for this error.
    pub fn exception(&self) -> EcsError {
        match self {
            Self::Ecs(error) => error.clone(),
            Self::NoTask(_) => EcsError::invalid_parameter("The referenced task was not found."),
            Self::Overrides { .. }
            | Self::NoService { .. }
            | Self::Stops { .. }
            | Self::WhichContainer { .. }
            | Self::NoContainer { .. }
            | Self::Ambiguous { .. } => EcsError::invalid_parameter(self.to_string()),
            Self::Plan(_)
            | Self::Reference { .. }
            | Self::NoRoom { .. }
            | Self::NotStopped(_)
            | Self::StopsAlready(_) => EcsError::client(text(self)),
            // What is left is this host's: its disk, its processes, its network.
            _ => EcsError::new(Exception::ServerException, text(self)),
        }
    }
}

/// The error with its causes.
fn text(error: &OpsError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        // One that only hands on another has its text.
        if !text.ends_with(&next_text) {
            text = format!("{text}: {next_text}");
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ecs_has_words_for_keeps_them_and_the_rest_is_the_servers() {
        let absent = OpsError::from(EcsError::service_not_found()).exception();
        assert_eq!((absent.code, absent.message.as_str()), (Exception::ServiceNotFoundException, "Service not found."));
        let source = std::io::Error::from_raw_os_error(28);
        let full = OpsError::File { verb: "write", path: "/x".into(), source }.exception();
        assert_eq!(full.code, Exception::ServerException);
        assert!(full.message.starts_with("write /x: No space left on device"), "{}", full.message);
    }
}
