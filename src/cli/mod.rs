//! The command line: arguments to operations, results to tables or JSON.

use std::process::ExitCode;

/// Parses the command line, runs it, and says how it ended.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
