//! The small init of a container (`initProcessEnabled`): its first process, which reaps what its program leaves behind, passes
//! signals on to it, and ends as it ends.
//!
//! It is berth's own program, executed from the sealed file by `entry` with the rights of the container's user and none
//! besides: who gets hold of it has won nothing. It knows the pid of the program and has no descriptor but the standard
//! streams. All signals are blocked when it begins, so that none is lost on the way here.

use std::io;

use nix::sys::prctl;
use nix::unistd::Pid;

use crate::sys::child::{self, Otherwise, Which};
use crate::sys::process::{send_signal, wait_for_signal};

/// The name that starts the program as such an init; the pid of the container's program follows.
pub const COMMAND: &str = "container-init";
/// The name that starts it with no program: process 1 of the namespace of a whole task (`worker::pause`); the task's id follows.
pub const PAUSE: &str = "pause";

/// Does its work; the code is the program's, or 128 + n for signal n. Without a program there is no end.
pub fn run(program: Option<Pid>) -> io::Result<i32> {
    // Its memory is nobody's business, its orphans are also its own where it is not process 1.
    prctl::set_dumpable(false)?;
    prctl::set_child_subreaper(true)?;
    loop {
        if let Some(code) = reap(program)? {
            return Ok(code);
        }
        match wait_for_signal()? {
            libc::SIGCHLD => {}
            // That the program is gone, or another user's since, is no error: its end is on the way, or it has it from others.
            signal => drop(program.map(|program| send_signal(program, signal))),
        }
    }
}

/// Reaps all that have ended; the program's code, if it is among them.
fn reap(program: Option<Pid>) -> io::Result<Option<i32>> {
    loop {
        match child::ended(Which::Any, Otherwise::Return) {
            Ok(Some(ended)) if Some(ended.pid) == program => return Ok(Some(ended.exit.code())),
            Ok(Some(ended)) => drop(child::reap(ended.pid)?),
            Ok(None) => return Ok(None),
            Err(error) if program.is_none() && error.raw_os_error() == Some(libc::ECHILD) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}
