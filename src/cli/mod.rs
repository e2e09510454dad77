//! The command line: arguments to operations, results to tables or JSON.

pub mod age;
pub mod args;
pub mod completions;
mod definition;
mod deployment;
mod doctor;
mod ecs;
pub mod error;
mod events;
mod exec;
mod fault;
mod fields;
mod images;
pub mod input;
mod interrupt;
mod key;
mod logs;
pub mod output;
pub mod placement;
pub mod plain;
pub mod problems;
mod progress;
mod prompt;
mod registered;
mod request;
mod run;
mod secret;
mod serve;
mod service;
pub mod size;
mod stats;
pub mod table;
mod tasks;
pub mod terminal;
mod timing;
mod top;
mod usage;
mod volumes;
mod why;

use std::process::ExitCode;

use clap::Parser;

use self::args::{Cli, Command};
use self::error::Failure;
use self::output::Output;
pub use self::serve::Endpoint;
use crate::ops::{self, Engine};

/// What a caller without root's rights is told.
const NOT_ROOT: &str = "berth needs root for namespaces and control groups: try again with sudo";

/// Parses the command line, runs it, and says how it ended. `endpoint` is what `berth serve` runs.
pub fn main(endpoint: Endpoint) -> ExitCode {
    if let Some(code) = ops::hidden_command() {
        return code;
    }
    match run(Cli::parse(), endpoint) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli, endpoint: Endpoint) -> Result<(), Failure> {
    let output = Output::new(cli.format);
    let is_root = || match nix::unistd::geteuid().is_root() {
        true => Ok(()),
        false => Err(Failure::Failed(NOT_ROOT.into())),
    };
    let engine = || {
        is_root()?;
        let engine = Engine::open(cli.root.as_deref())?;
        // Whoever comes by notices that nobody holds the counts. It is no reason not to do what was asked.
        let _ = engine.keep_scheduled();
        Ok(engine)
    };
    match cli.command {
        Command::Run(args) if args.file.registered().is_some() => {
            let mut engine = engine()?;
            let name = args.file.registered().unwrap_or_default();
            let (definition, revision) = engine.registered(name)?;
            let overrides =
                args.overrides.as_ref().map(|json| definition::read_overrides(json, &definition)).transpose()?;
            let what = run::What { definition: &definition, revision: Some(revision) };
            let overrides = overrides.unwrap_or_default();
            timing::timed(args.timing, || run::run(&mut engine, what, overrides, &args, cli.format, output))
        }
        Command::Run(args) => {
            // What is wrong with a file is said to everybody.
            let definition = definition::read(&args.file)?;
            let overrides =
                args.overrides.as_ref().map(|json| definition::read_overrides(json, &definition)).transpose()?;
            let what = run::What { definition: &definition, revision: None };
            let (mut engine, overrides) = (engine()?, overrides.unwrap_or_default());
            timing::timed(args.timing, || run::run(&mut engine, what, overrides, &args, cli.format, output))
        }
        Command::Register(args) => {
            let definition = registered::read(&args)?;
            registered::register(&mut engine()?, &definition, output)
        }
        Command::TaskDefinition(command) => registered::task_definitions(&mut engine()?, command, output),
        Command::Cluster(command) => registered::clusters(&mut engine()?, command, output),
        Command::Service(command) => service::service(&mut engine()?, command, output),
        Command::Resume => registered::resume(&mut engine()?),
        Command::Ps(args) => tasks::ps(&mut engine()?, &args, output),
        Command::Describe(args) => tasks::describe(&mut engine()?, &args, output),
        Command::Why(args) => why::why(&mut engine()?, &args, output),
        Command::Logs(args) => logs::logs(&mut engine()?, &args, cli.format),
        Command::Stop(args) => tasks::stop(&mut engine()?, &args),
        Command::Exec(args) => exec::exec(&mut engine()?, &args),
        Command::Fault(args) => fault::fault(&mut engine()?, &args),
        Command::Interrupt(args) => fault::interrupt(&mut engine()?, &args),
        Command::Stats(args) => stats::stats(&mut engine()?, &args, output),
        Command::Top(args) => top::top(&mut engine()?, &args),
        Command::Usage(args) => usage::usage(&mut engine()?, &args, output),
        Command::Rm(args) => tasks::rm(&mut engine()?, &args),
        Command::Image(command) => images::image(&mut engine()?, command, cli.format, output),
        Command::Ecs(args) => ecs::ecs(engine, &args, output),
        Command::Actions(args) => ecs::actions(&args, output),
        Command::Fields(args) => fields::fields(&args, output),
        Command::Secret(command) => secret::secret(&engine()?, command, output),
        Command::Lint(args) => definition::lint(&args, output),
        Command::Serve(args) => {
            is_root()?;
            serve::serve(cli.root.as_deref(), args, endpoint)
        }
        Command::Key(command) => key::key(&engine()?, command, output),
        Command::Events(args) => events::events(&mut engine()?, &args),
        Command::Doctor => doctor::doctor(cli.root.as_deref(), output),
        Command::Man { directory } => Ok(completions::write_manual(&directory)?),
        Command::Completions { shell } => Ok(completions::write(shell, &mut std::io::stdout())?),
    }
}
