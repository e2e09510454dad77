//! How a loop begins: with a new task, one that is adopted, or one that an earlier loop has left; and what it tells of itself if
//! it cannot. Called by the holder, in the child that it has forked.

use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use nix::errno::Errno;

use super::effects::remove_run_directory;
use super::event_loop::Loop;
use super::holder::{Base, Reaped};
use super::launch::{Answer, Beginning};
use super::lost;
use super::recover::{self, Network};
use crate::sys::failpoint::pass;

/// How this loop comes to the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// First of a new task.
    New,
    /// First of an adopted one.
    Adopted,
    /// After one that died.
    Again,
}

impl From<Beginning> for Start {
    fn from(beginning: Beginning) -> Self {
        match beginning {
            Beginning::New => Self::New,
            Beginning::Adopted => Self::Adopted,
        }
    }
}

/// Why a loop ended too soon; the holder begins another one.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoopError {
    /// Before it had begun.
    #[error(transparent)]
    NotBegun(io::Error),
    /// Later.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// Runs the task to its end; an error is for the holder, which then begins again. Every loop answers the caller, who hears
/// the first one.
pub(super) fn run(
    base: &Base,
    start: Start,
    answer: &fs::File,
    exits: &[Reaped],
    exits_in: OwnedFd,
) -> Result<(), LoopError> {
    let network = match start {
        Start::New => None,
        Start::Adopted => Some(Network::MayBeNew),
        Start::Again => Some(Network::TheSame),
    };
    let begun = match network {
        None => Loop::begin_new(base, exits, exits_in).map(Some),
        Some(network) => recover::record(base)
            .and_then(|task| task.map_or_else(|| lost::state(base), |task| Ok(Some(task))))
            .map_err(io::Error::other)
            .and_then(|task| task.map(|task| Loop::resume(base, task, network, exits, exits_in)).transpose()),
    };
    let Some(mut this) = begun.map_err(LoopError::NotBegun)? else {
        ready(answer)?;
        return Ok(remove_run_directory(base)?);
    };
    pass("loop: before its answer");
    ready(answer)?;
    pass("loop: it has answered");
    this.settle();
    while !this.finishing {
        this.round()?;
    }
    Ok(this.finish()?)
}

fn ready(mut answer: &fs::File) -> io::Result<()> {
    match answer.write_all(&[Answer::Ready as u8]) {
        Err(error) if error.raw_os_error() != Some(Errno::EPIPE as i32) => Err(error),
        _ => Ok(()), // the caller has heard it, or did not wait
    }
}
