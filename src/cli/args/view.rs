//! The arguments of the commands that show what tasks use.

use clap::{Args, ValueEnum};

use super::TaskName;

/// `berth stats`.
#[derive(Debug, Args)]
#[command(
    after_help = "CPU is in percent of one CPU. The line (task) is the task as a whole, with the limits of its task size. \
    WAITS is how much of the last ten seconds some process waited for want of CPU, memory or storage (cgroup v2).\n\n\
    Examples:\n  \
    berth stats\n  \
    berth stats --no-stream 3f2a\n  \
    berth stats --format json | jq '.[] | select(.container == null).memoryBytes'"
)]
pub struct Stats {
    /// Once, instead of again each second
    #[arg(long)]
    pub no_stream: bool,
    /// Task ids, ARNs, or unique beginnings of ids [default: all that run]
    #[arg(value_name = "TASK")]
    pub tasks: Vec<TaskName>,
}

/// `berth top`.
#[derive(Debug, Args)]
#[command(
    after_help = "Keys: c m n r a sort (CPU, memory, network, restarts, age), again to turn round; / filters by family, service, \
    status or id; up and down select; l or Enter shows the logs of a task; q ends.\n\n\
    Examples:\n  \
    berth top\n  \
    berth top --sort memory --filter web"
)]
pub struct Top {
    /// By what tasks are sorted at the beginning
    #[arg(long, value_enum, default_value = "cpu")]
    pub sort: Order,
    /// Only tasks whose family, service, status or id has this in it
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub filter: String,
}

/// By what tasks are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// The share of their CPU limit
    Cpu,
    /// The share of their memory limit
    Memory,
    /// Bytes a second
    Network,
    /// Restarts of their containers
    Restarts,
    /// Their age
    Age,
}

/// `berth usage`.
#[derive(Debug, Args)]
#[command(
    after_help = "Fargate's rules: a task counts from the start of its pull to its end, by the second, a minute at least, with \
    the CPU and memory of its size, whatever it used of them. With [prices] in config.toml, what that would have cost. CPU \
    is how many CPUs a task used on average in those tenths of a second in which it ran at all, and in how many of these its \
    limit held it back. FITS is the smallest size that Fargate has for the memory that the task had at most, and for that \
    CPU; a task that its limit held back in more than a hundredth of them needs the size that it has. The kernel counts both, \
    and nobody samples: a peak below the limit is not seen between tenths of a second with little work.\n\n\
    Examples:\n  \
    berth usage\n  \
    berth usage --by service --since 2026-11-01\n  \
    berth usage --by day --format json"
)]
pub struct Usage {
    /// What is summed up
    #[arg(long, value_enum, default_value = "task")]
    pub by: By,
    /// Not tasks that ended before this day, 2026-11-01
    #[arg(long, value_name = "DAY")]
    pub since: Option<jiff::civil::Date>,
}

/// What is summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// Each task
    Task,
    /// The tasks of each service, and of each family without one
    Service,
    /// What fell into each day (UTC)
    Day,
}
