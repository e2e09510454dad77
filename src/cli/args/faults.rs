//! The arguments of `berth fault` and `berth interrupt`.

use clap::{Args, ValueEnum};

use super::TaskName;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Packets to a port are lost
    NetworkBlackholePort,
    /// Packets are late (needs netem in the kernel)
    NetworkLatency,
    /// Some packets are lost
    NetworkPacketLoss,
}

/// What to do with a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Action {
    /// Begin
    Start,
    /// End
    Stop,
    /// Tell whether it is there
    Status,
}

/// `berth fault`.
#[derive(Debug, Args)]
#[command(
    after_help = "The faults are those that a task with enableFaultInjection may inject itself by ECS_AGENT_URI; this command \
    needs no such leave. They are made in the network namespace of the task, end with it, and never touch 169.254.170.2. \
    Prints running, stopped or not-running.\n\n\
    Examples:\n  \
    berth fault 3f2a network-blackhole-port start --port 5432 --protocol tcp --traffic-type egress\n  \
    berth fault 3f2a network-packet-loss start --loss-percent 20 --source 10.0.0.0/8\n  \
    berth fault 3f2a network-latency start --delay-milliseconds 200 --jitter-milliseconds 20 --source 0.0.0.0/0\n  \
    berth fault 3f2a network-packet-loss stop"
)]
pub struct Fault {
    /// The task's id, ARN, or a unique beginning of its id
    #[arg(value_name = "TASK")]
    pub task: TaskName,
    /// What goes wrong
    #[arg(value_name = "FAULT")]
    pub kind: Kind,
    /// What to do
    #[arg(value_name = "ACTION")]
    pub action: Action,
    /// The port, for network-blackhole-port
    #[arg(long)]
    pub port: Option<u16>,
    /// tcp or udp
    #[arg(long)]
    pub protocol: Option<String>,
    /// ingress (what comes) or egress (what goes)
    #[arg(long)]
    pub traffic_type: Option<String>,
    /// How late packets are
    #[arg(long, value_name = "MS")]
    pub delay_milliseconds: Option<u64>,
    /// How much that varies
    #[arg(long, value_name = "MS")]
    pub jitter_milliseconds: Option<u64>,
    /// How many of a hundred packets are lost
    #[arg(long, value_name = "N")]
    pub loss_percent: Option<u8>,
    /// To whom packets are late or lost: an address or a block; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    pub source: Vec<String>,
    /// Whom the fault spares; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    pub sources_to_filter: Vec<String>,
}

/// `berth interrupt`.
#[derive(Debug, Args)]
#[command(
    after_help = "As when Fargate Spot takes its capacity back. The warning is a task state change event (`berth events`): \
    lastStatus RUNNING, desiredStatus STOPPED, stopCode SpotInterruption. At the same moment the containers get their stop \
    signal, and a service starts another task in place of this one. SIGKILL follows after a container's stopTimeout (30 \
    seconds, if it says nothing), and at the end of the warning for all that still runs.\n\n\
    Examples:\n  \
    berth interrupt 3f2a\n  \
    berth interrupt --warning 5 3f2a     the capacity is gone after five seconds"
)]
pub struct Interrupt {
    /// Task ids, ARNs, or unique beginnings of ids
    #[arg(required = true, value_name = "TASK")]
    pub tasks: Vec<TaskName>,
    /// How long before its end the task is warned; Fargate's two minutes are the most
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u8).range(..=120))]
    pub warning: u8,
}
