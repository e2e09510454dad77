//! The `berth` program: parse, run, exit code. Everything else is the library's.

use std::process::ExitCode;

fn main() -> ExitCode {
    let serve = |options: &berth::ops::ServeOptions| Ok(berth::api::serve(options)?);
    berth::schedule::hidden_command().unwrap_or_else(|| berth::cli::main(serve))
}
