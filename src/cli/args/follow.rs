//! Commands that look at one task: why it ended, and its output.

use clap::Args;

use super::super::input::{Since, TaskName};

/// How container output looks.
#[derive(Debug, Args)]
pub struct Look {
    /// Put the time before each line
    #[arg(long)]
    pub timestamps: bool,
    /// Print control characters as they are on a terminal too: the container can then recolour, retitle or rewrite it
    #[arg(long)]
    pub raw: bool,
}

/// `berth why`.
#[derive(Debug, Args)]
#[command(
    after_help = "What ended it, with exit code, signal and memory, the last lines of the containers that it is due to, \
    and what their last failed health check wrote.\n\n\
    Examples:\n  \
    berth why 3f2a\n  \
    berth why --format json 3f2a | jq '.containers[] | select(.culprit)'"
)]
pub struct Why {
    /// The task's id, ARN, or a unique beginning of its id
    #[arg(value_name = "TASK")]
    pub task: TaskName,
}

/// `berth logs`.
#[derive(Debug, Args)]
#[command(
    after_help = "On a terminal, control characters are made visible (\\x1b), so that output of a container cannot change it; \
    in a pipe every byte passes. Standard error of the containers goes to standard error.\n\n\
    With --group the local store of awslogs is read: the streams of all tasks, also of removed ones, as far as [log] \
    retention-days and retention-mib keep them.\n\n\
    Examples:\n  \
    berth logs 3f2a\n  \
    berth logs -f --tail 20 3f2a\n  \
    berth logs --since 10m -c web 3f2a\n  \
    berth logs --since 2026-11-21T12:00:00Z --timestamps 3f2a\n  \
    berth logs --format json 3f2a | jq -r .message\n  \
    berth logs --group /ecs/web --stream prod/app -f\n  \
    berth logs --group /ecs/web --create   make it, where [log] create-groups = false wants that\n  \
    berth logs --status 3f2a               what was sent, what was dropped, and why"
)]
pub struct Logs {
    /// Go on until the task stops
    #[arg(short, long)]
    pub follow: bool,
    /// At most so many of the last lines, for each container
    #[arg(short = 'n', long, value_name = "N")]
    pub tail: Option<u64>,
    /// Not older than this: 10m, 2h30m, 2026-11-21, 2026-11-21T12:00:00Z (UTC where no offset is given)
    #[arg(long, value_name = "TIME")]
    pub since: Option<Since>,
    /// One container only
    #[arg(short, long, value_name = "NAME")]
    pub container: Option<String>,
    /// How lines look.
    #[command(flatten)]
    pub look: Look,
    /// Streams of this group of awslogs instead of a task
    #[arg(short, long, value_name = "GROUP", conflicts_with = "container")]
    pub group: Option<String>,
    /// Only streams whose names begin so (PREFIX/CONTAINER/TASK)
    #[arg(long, value_name = "PREFIX", requires = "group")]
    pub stream: Option<String>,
    /// Make the group, so that it is there before a task writes to it ([log] create-groups = false asks for that)
    #[arg(long, requires = "group", conflicts_with_all = ["follow", "tail", "since", "stream"])]
    pub create: bool,
    /// What became of the output: lines sent and dropped by each log driver, and why
    #[arg(long, conflicts_with_all = ["follow", "tail", "since", "group"])]
    pub status: bool,
    /// The task's id, ARN, or a unique beginning of its id
    #[arg(value_name = "TASK", required_unless_present = "group", conflicts_with = "group")]
    pub task: Option<TaskName>,
}
