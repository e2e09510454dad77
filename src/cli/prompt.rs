//! Asking a person on the terminal: for a word, for a password that is not shown, for a yes.

use std::io::{self, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::error::Failure;
use super::interrupt::Interrupts;
use crate::ops::tty;

/// The longest answer, in bytes.
const ANSWER_MAX: usize = 64 << 10;
/// The exit code of what Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Whether what is typed is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Echo {
    /// It is.
    Shown,
    /// It is not: a password.
    Hidden,
}

/// Asks on standard error, and reads one line from the terminal on standard input.
pub(super) fn ask(question: &str, echo: Echo) -> Result<String, Failure> {
    // With the echo off, the terminal must be put back before a signal ends us.
    let interrupts = Interrupts::begin()?;
    write(question);
    let before = match echo {
        Echo::Shown => None,
        Echo::Hidden => Some(tty::settings(io::stdin())?),
    };
    if let Some(before) = &before {
        tty::set_settings(io::stdin(), &before.silent())?;
    }
    let answer = line(&interrupts);
    if let Some(before) = &before {
        tty::set_settings(io::stdin(), before)?;
    }
    if before.is_some() || answer.is_err() {
        write("\n"); // what ended the answer was not shown
    }
    answer
}

/// Asks for a yes; everything else is a no.
pub(super) fn agreed(question: &str) -> Result<bool, Failure> {
    let answer = ask(&format!("{question} [y/N] "), Echo::Shown)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Nobody can be told that nobody listens.
fn write(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Reads to the end of the line and no further.
fn line(interrupts: &Interrupts) -> Result<String, Failure> {
    let stdin = io::stdin();
    let mut answer = Vec::new();
    loop {
        let mut fds =
            [PollFd::new(stdin.as_fd(), PollFlags::POLLIN), PollFd::new(interrupts.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => continue,
            polled => polled?,
        };
        if fds[1].any() == Some(true) {
            return Err(Failure::Exit(INTERRUPTED));
        }
        let mut byte = [0];
        // Not through a buffer: it would take what the poll waits for.
        match nix::unistd::read(stdin.as_fd(), &mut byte)? {
            0 => break,
            _ if byte[0] == b'\n' => break,
            _ => answer.push(byte[0]),
        }
        if answer.len() > ANSWER_MAX {
            return Err(Failure::Failed("the answer is too long".into()));
        }
    }
    Ok(String::from_utf8(answer)?)
}
