//! The commands that only berth itself uses: the ways into the processes that it starts.

use std::process::ExitCode;

use nix::unistd::Pid;

use super::waiting;
use crate::runtime::{exec, init};
use crate::supervisor::launch::{self, Beginning};
use crate::worker;

/// Runs this process as a supervisor or a worker if it was started as one. They answer on their own descriptors; what they say
/// on standard error is for somebody who starts them by hand.
pub fn hidden_command() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let command = args.next()?;
    let result = match command.to_str()? {
        launch::COMMAND => {
            let word = args.next()?;
            crate::supervisor::supervise(Beginning::from_word(word.to_str()?)?, worker::run)
        }
        waiting::COMMAND => {
            let args: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
            return Some(said(waiting::run(&args)));
        }
        worker::fetch::COMMAND => worker::fetch::run(),
        worker::protocol::SHIP_COMMAND => worker::ship::run(),
        worker::protocol::ENDPOINT_COMMAND => worker::endpoint::run(),
        worker::terminal::COMMAND => worker::terminal::run(),
        worker::exec::COMMAND => return Some(code(worker::exec::run().map_err(|error| error.to_string()))),
        exec::COMMAND => exec::run(),
        init::COMMAND => {
            let program = args.next()?.to_str()?.parse().ok()?;
            return Some(code(init::run(Some(Pid::from_raw(program))).map_err(|error| error.to_string())));
        }
        init::PAUSE => return Some(code(init::run(None).map_err(|error| error.to_string()))),
        _ => return None,
    };
    Some(said(result.map_err(|error| error.to_string())))
}

fn said(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The code of another program, passed on.
fn code(result: Result<i32, String>) -> ExitCode {
    match result {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
