//! The end of a command that did not go well: its chain of causes as text, and the exit code.

use std::error::Error;
use std::fmt::Write;
use std::io;
use std::process::ExitCode;

use super::output::note;
use super::plain::{Colour, Tone, plain};
use crate::ops::OpsError;

/// Why a command ends without having done what was asked.
#[derive(Debug)]
pub enum Failure {
    /// The command was used wrongly: exit code 2.
    Usage(String),
    /// It could not be done: exit code 1.
    Failed(Box<dyn Error + Send + Sync>),
    /// It could not be done, and all was said already.
    Silent,
    /// A container's process ended so, and so does the command.
    Exit(u8),
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl Failure {
    /// Says what happened on standard error, and gives the exit code.
    pub fn report(&self) -> ExitCode {
        let colour = Colour::of(&io::stderr());
        match self {
            Self::Usage(message) => {
                note(&format!("{}: {}", colour.paint(Tone::Error, "error"), plain(message)));
                ExitCode::from(2)
            }
            // Whoever read our output has gone, as `head` does: what a program gets that does not ignore SIGPIPE.
            Self::Failed(error) if is_broken_pipe(error.as_ref()) => ExitCode::from(128 + 13),
            Self::Failed(error) => {
                note(chain(error.as_ref(), colour).trim_end());
                ExitCode::FAILURE
            }
            Self::Silent => ExitCode::FAILURE,
            Self::Exit(code) => ExitCode::from(*code),
        }
    }
}

/// The chain of causes: the error on one line, each cause on its own, and what to do where root was needed.
fn chain(error: &(dyn Error + 'static), colour: Colour) -> String {
    let mut last = error.to_string();
    let mut text = format!("{}: {}\n", colour.paint(Tone::Error, "error"), plain(&last));
    for cause in causes(error).skip(1) {
        let cause = cause.to_string();
        // An error that only hands on another one has its text.
        if cause != last {
            writeln!(text, "  {}: {}", colour.paint(Tone::Faint, "caused by"), plain(&cause))
                .expect("a string takes all");
            last = cause;
        }
    }
    if causes(error).any(is_permission) && !nix::unistd::geteuid().is_root() {
        text.push_str("berth needs root: try again with sudo\n");
    }
    text
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

fn is_permission(error: &(dyn Error + 'static)) -> bool {
    let denied = error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
    let errno = error.downcast_ref::<nix::Error>();
    denied || matches!(errno, Some(nix::Error::EPERM | nix::Error::EACCES))
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    // Further down in a chain it may be a pipe of ours.
    let output = match error.downcast_ref::<OpsError>() {
        Some(OpsError::Output { source }) => Some(source),
        _ => error.downcast_ref::<io::Error>(),
    };
    output.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("start task {task}")]
    struct Start {
        task: &'static str,
        #[source]
        source: Handed,
    }

    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct Handed(#[from] io::Error);

    fn start(task: &'static str) -> Start {
        Start { task, source: io::Error::other("no space\u{7}").into() }
    }

    #[test]
    fn causes_stand_below_their_error_and_none_comes_twice() {
        assert_eq!(chain(&start("3f2a"), Colour::Off), "error: start task 3f2a\n  caused by: no space\\u{7}\n");
    }

    #[test]
    fn an_operation_can_fail_with_any_error() {
        fn fail() -> Result<(), Failure> {
            Err(start("a"))?;
            Ok(())
        }
        assert!(matches!(fail(), Err(Failure::Failed(_))));
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure_to_speak_of() {
        let gone = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(format!("{:?}", gone.report()), format!("{:?}", ExitCode::from(141)));
        let gone = Failure::from(OpsError::Output { source: io::ErrorKind::BrokenPipe.into() });
        assert_eq!(format!("{:?}", gone.report()), format!("{:?}", ExitCode::from(141)));
    }
}
