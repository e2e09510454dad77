//! `berth exec`: a command in a container.

use super::args::Exec;
use super::error::Failure;
use super::terminal::{RawMode, is_interactive};
use crate::ops::{Engine, ExecOptions};

pub(super) fn exec(engine: &mut Engine, args: &Exec) -> Result<(), Failure> {
    let record = engine.find(args.task.as_str())?;
    let place = record.container(args.container.as_deref())?;
    let options = ExecOptions {
        command: args.command.clone(),
        user: args.user.clone(),
        cwd: args.workdir.clone(),
        env: args.env.iter().map(|variable| (variable.key.clone(), variable.value.clone())).collect(),
        interactive: args.interactive,
        terminal: args.tty,
    };
    let raw = if args.tty && args.interactive && is_interactive() { Some(RawMode::enter()?) } else { None };
    let code = engine.exec(&record, place, &options)?;
    drop(raw);
    match code {
        0 => Ok(()),
        code => Err(Failure::Exit(u8::try_from(code).unwrap_or(u8::MAX))),
    }
}
