//! The surface of the command line: every command, option and help text, parsed into plain data. What a command does
//! is not here. The hidden commands, by which berth starts itself, are not here either: they are recognised before.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

pub use self::check::{Fields, Lint};
pub use self::ecs::{Actions, Ecs, kebab};
pub use self::follow::{Logs, Look, Why};
pub use self::image::{Image, Import, Login, Prune, Pull, Save};
pub use self::secret::{Kind as SecretKind, PutSecret, RemoveSecrets, Secret, SecretTarget};
pub use self::serve::{CreateKey, FollowEvents, Keys, Serve, Where};
pub use self::service::{
    Clusters, CreateService, DeleteService, Events, InCluster, OneService, Protect, Register, Rollout, Services,
    TaskDefinitions, UpdateService, Wait,
};
pub use self::view::{By, Order, Stats, Top, Usage};
use super::input::{Assignment, Input, Json, TaskName};

mod check;
mod ecs;
pub mod faults;
mod follow;
mod image;
mod secret;
mod serve;
mod service;
mod view;

/// The heading of the options that every command has.
const GLOBAL: &str = "Global options";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "berth",
    version,
    about = "Run ECS task definitions on this host, without a daemon",
    long_about = "Run ECS task definitions on this host, without a daemon.\n\n\
        Each task has a network namespace with its own address, its CPU and memory limits, and one small process that \
        watches it. No process of berth is left when no task runs.",
    after_help = "Examples:\n  \
        berth run examples/webserver.json   run a task, show its output, stop it with Ctrl-C\n  \
        berth run -d webserver.json         run it in the background\n  \
        berth ps                            see what runs, and at which address\n  \
        berth logs -f 3f2a                  follow a task's output; any unique beginning of its id will do\n  \
        berth exec -it 3f2a sh              look around in it\n  \
        berth image pull nginx              fetch an image before it is needed\n  \
        berth image login ghcr.io           be known to a registry\n\n\
        Exit codes: 0 done; 1 failed; 2 wrong usage, which a file that cannot be read or run is too. `run` and `exec` end \
        with the container's own exit code.\n\n\
        Files: /etc/berth/config.toml (settings), /var/lib/berth (state), /run/berth (what runs).",
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    /// Keep all state below this directory: a world of its own, which shares nothing with /var/lib/berth
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub root: Option<PathBuf>,

    /// How to print results [default: table on a terminal, json when piped]; json makes output of containers JSON lines
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "table|json", hide_possible_values = true)]
    pub format: Option<Format>,

    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a task from a task definition, a file or a registered one
    Run(Run),
    /// List tasks
    Ps(Ps),
    /// Show tasks as ECS describes them, in JSON
    #[command(
        after_help = "The answer is that of DescribeTasks: {\"tasks\": [...], \"failures\": [...]}. A task that is not known \
        is a failure with the reason MISSING, and the exit code is 1.\n\n\
        Examples:\n  \
        berth describe 3f2a | jq -r '.tasks[].containers[] | .name, .lastStatus'\n  \
        berth describe $(berth ps -qa)"
    )]
    Describe(Tasks),
    /// Say in one paragraph why a task ended, or what is wrong with it
    Why(Why),
    /// Show the output of a task's containers
    Logs(Logs),
    /// Stop tasks: SIGTERM, and SIGKILL after the container's stopTimeout
    Stop(Stop),
    /// Run a command in a container of a task
    Exec(Exec),
    /// Show what tasks use of CPU, memory and processes
    Stats(Stats),
    /// Watch tasks on the whole terminal: sorted, filtered, one key to their logs
    Top(Top),
    /// Sum up what tasks have used, as Fargate would bill it
    Usage(Usage),
    /// Inject a fault into the network of a task
    Fault(faults::Fault),
    /// Stop tasks as an interruption of Fargate Spot does
    Interrupt(faults::Interrupt),
    /// Remove stopped tasks with their logs and writable layers
    Rm(Rm),
    /// Register a task definition, and print its revision
    Register(Register),
    /// List, show and deregister task definitions
    #[command(subcommand)]
    TaskDefinition(TaskDefinitions),
    /// Keep tasks running: services, their deployments and events
    #[command(subcommand)]
    Service(Services),
    /// Make, list and delete clusters
    #[command(subcommand)]
    Cluster(Clusters),
    /// After a boot or a crash: take up all tasks and services that should run
    Resume,
    /// Pull, list, remove and keep images
    #[command(subcommand)]
    Image(Image),
    /// Keep the values that task definitions name in secrets and repositoryCredentials
    #[command(subcommand)]
    Secret(Secret),
    /// Check task definitions without running anything
    Lint(Lint),
    /// Show what berth does with each member of a task definition, and what Fargate does
    Fields(Fields),
    /// Do what an action of the ECS API does, JSON in and JSON out, without a server
    Ecs(Ecs),
    /// Show which actions of the ECS API berth answers, and how much of each it does
    Actions(Actions),
    /// Answer AWS's clients: the ECS API over HTTP
    Serve(Serve),
    /// Make, list and remove access keys for `berth serve`
    #[command(subcommand)]
    Key(Keys),
    /// Print what happens as events of EventBridge, a line of JSON each
    Events(FollowEvents),
    /// Check this host, and say how to mend what it lacks
    #[command(after_help = "Exit codes: 0 tasks can run here, 1 something that tasks need is missing.")]
    Doctor,
    /// Write the manual pages of all commands into a directory
    #[command(hide = true)]
    Man {
        /// The directory
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        directory: PathBuf,
    },
    /// Print a completion script for a shell
    #[command(after_help = "Examples:\n  \
        berth completions bash > /etc/bash_completion.d/berth\n  \
        berth completions zsh > \"${fpath[1]}/_berth\"\n  \
        berth completions fish > ~/.config/fish/completions/berth.fish")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// `berth run`.
#[derive(Debug, Args)]
#[command(
    after_help = "FILE is what RegisterTaskDefinition takes, or what `aws ecs describe-task-definition` gave, with or \
    without its wrapping. Every mistake in it is listed at once; `berth lint FILE` lists them without running.\n\n\
    Examples:\n  \
    berth run webserver.json\n  \
    berth run -d webserver.json\n  \
    aws ecs describe-task-definition --task-definition web | berth run -d -\n  \
    berth run --overrides '{\"containerOverrides\": [{\"name\": \"web\", \"command\": [\"nginx\", \"-T\"]}]}' webserver.json\n  \
    berth run --overrides @larger.json webserver.json\n\n\
    Overrides are cpu, memory, ephemeralStorage, taskRoleArn and executionRoleArn of the task, and of a container command, \
    environment, environmentFiles, cpu, memory, memoryReservation and resourceRequirements (`berth fields overrides`). The \
    registered definition stays as it is.\n\n\
    Images that are not on this host are pulled first; [image] pull-behavior in config.toml says when those that are here \
    are asked for again. In the foreground the task ends with the command: Ctrl-C stops it. With -d the command ends when \
    the task runs, and prints what RunTask answers.\n\n\
    Exit codes: that of the essential container that ended the task; 1 if the task could not be started, 2 if FILE cannot \
    be read or has mistakes."
)]
pub struct Run {
    /// Print the task and leave it running in the background
    #[arg(short, long)]
    pub detach: bool,
    /// Say on standard error when each step of the launch was reached, in ms
    #[arg(long)]
    pub timing: bool,
    /// Who or what starts the task, as ECS reports it
    #[arg(long, value_name = "TEXT")]
    pub started_by: Option<String>,
    /// What this run replaces in the task definition, as RunTask's `overrides`
    #[arg(long, value_name = "JSON|@FILE")]
    pub overrides: Option<Json>,
    /// The volume that is configured at launch, as RunTask's `volumeConfigurations`
    #[arg(long, value_name = "JSON|@FILE")]
    pub volume_configurations: Option<Json>,
    /// How its output looks.
    #[command(flatten)]
    pub look: Look,
    /// The task definition, - for standard input; or a registered one, FAMILY or FAMILY:REVISION
    #[arg(value_name = "FILE|FAMILY[:REVISION]", value_hint = ValueHint::FilePath)]
    pub file: Input,
}

/// `berth ps`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    berth ps -a                      stopped tasks too, with the reason\n  \
    berth stop $(berth ps -q)        stop everything\n  \
    berth ps --format json | jq -r '.tasks[].taskArn'\n\n\
    JSON is what DescribeTasks answers: {\"tasks\": [...], \"failures\": []}.")]
pub struct Ps {
    /// Stopped tasks too
    #[arg(short, long)]
    pub all: bool,
    /// Ids only, one a line
    #[arg(short, long)]
    pub quiet: bool,
}

/// Commands that need nothing but tasks.
#[derive(Debug, Args)]
pub struct Tasks {
    /// Task ids, ARNs, or unique beginnings of ids
    #[arg(required = true, value_name = "TASK")]
    pub tasks: Vec<TaskName>,
}

/// `berth stop`.
#[derive(Debug, Args)]
#[command(
    after_help = "Waits until the tasks have stopped, and prints their ids. Containers are stopped in the reverse of their dependsOn order.\n\n\
    Examples:\n  \
    berth stop 3f2a\n  \
    berth stop --reason \"replaced by a new version\" 3f2a 77c0\n  \
    berth stop --started-by nightly"
)]
pub struct Stop {
    /// Why, as the task's stoppedReason will say
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// All tasks that were started with this word (`berth run --started-by`); there may be none
    #[arg(long, value_name = "TEXT", conflicts_with = "tasks")]
    pub started_by: Option<String>,
    /// Task ids, ARNs, or unique beginnings of ids
    #[arg(required_unless_present = "started_by", value_name = "TASK")]
    pub tasks: Vec<TaskName>,
}

/// `berth exec`.
#[derive(Debug, Args)]
#[command(
    after_help = "The command has the container's user, environment, limits, capabilities and seccomp filter, unless an \
    option says otherwise. It is started directly; for pipes and variables use sh -c.\n\n\
    Examples:\n  \
    berth exec -it 3f2a sh\n  \
    berth exec -c web 3f2a nginx -T\n  \
    berth exec -i 3f2a sh -c 'cat > /tmp/file' < file\n\n\
    Exit codes: that of the command; 128 and the signal's number if a signal killed it; 127 if the container has no such \
    command, 126 if it cannot be executed; 1 if the container does not run."
)]
pub struct Exec {
    /// Hand standard input to the command
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// As this user: NAME, UID, NAME:GROUP or UID:GID
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// In this container, where the task has several
    #[arg(short, long, value_name = "NAME")]
    pub container: Option<String>,
    /// In this directory
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// With this variable; may be given several times
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub env: Vec<Assignment>,
    /// The task's id, ARN, or a unique beginning of its id
    #[arg(value_name = "TASK")]
    pub task: TaskName,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `berth rm`.
#[derive(Debug, Args)]
#[command(
    after_help = "Prints the ids of what was removed.\n\nExamples:\n  berth rm 3f2a\n  berth rm --force 3f2a\n  berth rm --stopped"
)]
pub struct Rm {
    /// Kill tasks that still run
    #[arg(short, long)]
    pub force: bool,
    /// All stopped tasks
    #[arg(long, conflicts_with_all = ["tasks", "force"])]
    pub stopped: bool,
    /// Task ids, ARNs, or unique beginnings of ids
    #[arg(required_unless_present = "stopped", value_name = "TASK")]
    pub tasks: Vec<TaskName>,
}

#[cfg(test)]
mod tests;
