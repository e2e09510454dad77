//! The probe: one static program whose verbs are all that most tests need inside a container. Every verb writes plain
//! lines to standard output; a failure goes to standard error with exit code 1, a wrong command line with 64.

mod attack;
mod inspect;
mod kernel;
mod life;
mod load;
mod net;
mod packet;
mod resolve;
mod router;
mod signal;
mod stamp;
mod text;
mod watch;

use std::error::Error;
use std::process::ExitCode;
use std::str::FromStr;

/// What a verb ends with: the exit code, or why it could not do its work.
type Outcome = Result<u8, Box<dyn Error>>;

/// One verb: its name, its arguments for the help, and what does it.
type Verb = (&'static str, &'static str, fn(&[String]) -> Outcome);

/// The command line is wrong: exit code 64 (EX_USAGE of sysexits.h).
#[derive(Debug)]
struct Usage;

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("wrong arguments")
    }
}

impl Error for Usage {}

const VERBS: &[Verb] = &[
    ("exit", "N", life::exit),
    ("sleep", "[SECONDS]", life::sleep),
    ("trap", "SIGNAL... [-- N]", life::trap),
    ("ignore", "SIGNAL...", life::ignore),
    ("forks", "N", life::forks),
    ("zombies", "N", life::zombies),
    ("alloc", "MIB [hold]", load::alloc),
    ("spawn-alloc", "MIB", load::spawn_alloc),
    ("spin", "[THREADS] [SECONDS]", load::spin),
    ("print", "TEXT...", text::print),
    ("flood", "BYTES [LINE_LENGTH]", text::flood),
    ("lines", "N [DELAY_MS]", text::lines),
    ("env", "", text::env),
    ("write", "FILE TEXT", text::write),
    ("cat", "FILE", text::cat),
    ("id", "", inspect::id),
    ("fds", "", inspect::fds),
    ("mounts", "", inspect::mounts),
    ("addresses", "", inspect::addresses),
    ("listen", "PORT [TEXT]", net::listen),
    ("connect", "HOST PORT", net::connect),
    ("spoof", "SOURCE DESTINATION PORT", net::spoof),
    ("frame", "HEX...", packet::frame),
    ("sniff", "", packet::sniff),
    ("resolve", "NAME", resolve::verb),
    ("router", "SOCKET", router::router),
    ("mknod", "MAJOR MINOR PATH", kernel::mknod),
    ("open", "PATH", kernel::open),
    ("syscalls", "FROM TO", kernel::syscalls),
    ("watch", "MARKER...", watch::watch),
    ("attack", "[MARKER]", attack::attack),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    if args.first().is_some_and(|verb| verb == "stamp") {
        stamp::print();
        return ExitCode::SUCCESS;
    }
    signal::die_of_closed_pipe();
    let Some((name, usage, run)) = args.first().and_then(|name| VERBS.iter().find(|verb| verb.0 == name)) else {
        return help();
    };
    match run(&args[1..]) {
        Ok(code) => ExitCode::from(code),
        Err(error) if error.is::<Usage>() => {
            eprintln!("usage: probe {name} {usage}");
            ExitCode::from(64)
        }
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn help() -> ExitCode {
    eprintln!("usage: probe VERB [ARGUMENT...]; the verbs are:\n  stamp");
    for (name, usage, _) in VERBS {
        eprintln!("  {name} {usage}");
    }
    ExitCode::from(64)
}

/// The argument at `index`, if it is there.
fn optional<T: FromStr>(args: &[String], index: usize) -> Result<Option<T>, Usage> {
    args.get(index).map(|text| text.parse().map_err(|_| Usage)).transpose()
}

/// The argument at `index`.
fn required<T: FromStr>(args: &[String], index: usize) -> Result<T, Usage> {
    optional(args, index)?.ok_or(Usage)
}
