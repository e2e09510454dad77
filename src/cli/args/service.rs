//! Commands on services, clusters and registered task definitions.

use clap::{Args, Subcommand, ValueHint};

use super::super::input::Input;
use crate::ops::TimeScale;

/// `berth register`.
#[derive(Debug, Args)]
#[command(after_help = "Always makes a new revision, and prints FAMILY:REVISION.\n\n\
    Examples:\n  \
    berth register webserver.json\n  \
    berth service update web --task-definition $(berth register webserver.json)")]
pub struct Register {
    /// The task definition, - for standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Input,
}

/// `berth task-definition`.
#[derive(Debug, Subcommand)]
pub enum TaskDefinitions {
    /// List revisions
    Ls {
        /// Of this family only
        #[arg(value_name = "FAMILY")]
        family: Option<String>,
        /// Those that are deregistered
        #[arg(long)]
        inactive: bool,
    },
    /// Show a revision as ECS describes it, in JSON
    Describe {
        /// FAMILY (its latest revision), FAMILY:REVISION or an ARN
        name: String,
    },
    /// Take a revision out of use; what runs of it goes on
    Deregister {
        /// FAMILY:REVISION or an ARN
        name: String,
    },
}

/// `berth cluster`.
#[derive(Debug, Subcommand)]
pub enum Clusters {
    /// Make a cluster: a name under which services and tasks are kept apart
    Create {
        /// Its name
        name: String,
    },
    /// List clusters
    Ls,
    /// Delete a cluster in which nothing runs
    Delete {
        /// Its name
        name: String,
    },
}

/// `berth service`.
#[derive(Debug, Subcommand)]
pub enum Services {
    /// Keep so many tasks of a definition running, whatever dies
    Create(CreateService),
    /// Change a service; tells first what that does
    Update(UpdateService),
    /// List services
    Ls(InCluster),
    /// Show a service as ECS describes it, in JSON
    Describe(OneService),
    /// Stop a service and its tasks
    Delete(DeleteService),
    /// Show what a service has told of itself
    Events(Events),
    /// Show the deployments of a service, those that are over too
    Deployments(OneService),
    /// Go back to the last deployment that was completed
    Rollback(OneService),
    /// Wait until a service is steady: one deployment, all tasks healthy
    Wait(Wait),
}

/// A cluster's name.
#[derive(Debug, Args)]
pub struct InCluster {
    /// The cluster
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
}

/// A service's name.
#[derive(Debug, Args)]
pub struct OneService {
    /// Its cluster
    #[command(flatten)]
    pub within: InCluster,
    /// The service's name or ARN
    #[arg(value_name = "SERVICE")]
    pub service: String,
}

/// How deployments go.
#[derive(Debug, Args)]
pub struct Rollout {
    /// Never choose to have fewer healthy tasks than this part of the count [default: 100]
    #[arg(long, value_name = "PERCENT")]
    pub minimum_healthy_percent: Option<i32>,
    /// Never have more tasks than this part of the count [default: 200]
    #[arg(long, value_name = "PERCENT")]
    pub maximum_percent: Option<i32>,
    /// Give a deployment up when its tasks fail, and with `rollback` go back to the last good one
    #[arg(long, value_name = "off|on|rollback", value_parser = ["off", "on", "rollback"], hide_possible_values = true)]
    pub circuit_breaker: Option<String>,
    /// For so long ignore the health checks of a new task
    #[arg(long, value_name = "SECONDS")]
    pub health_check_grace_period: Option<i32>,
    /// Make all of ECS's clocks so much quicker, from 0.0001 to 1: for tests
    #[arg(long, value_name = "FACTOR")]
    pub time_scale: Option<TimeScale>,
}

/// `berth service create`.
#[derive(Debug, Args)]
#[command(
    after_help = "The task definition is one that is registered (`berth register FILE`). Its tasks are in all subnets.\n\n\
    Examples:\n  \
    berth service create web --task-definition webserver --desired-count 3\n  \
    berth service create web --task-definition webserver:7 --desired-count 3 --circuit-breaker rollback"
)]
pub struct CreateService {
    /// Its cluster
    #[command(flatten)]
    pub within: InCluster,
    /// FAMILY (its latest revision), FAMILY:REVISION or an ARN
    #[arg(long, value_name = "FAMILY[:REVISION]")]
    pub task_definition: String,
    /// How many tasks
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub desired_count: i32,
    /// How deployments go.
    #[command(flatten)]
    pub rollout: Rollout,
    /// Return at once instead of when the service is steady
    #[arg(short, long)]
    pub detach: bool,
    /// The service's name
    #[arg(value_name = "SERVICE")]
    pub service: String,
}

/// `berth service update`.
#[derive(Debug, Args)]
#[command(
    after_help = "Another task definition makes a new deployment, which replaces the tasks; another count or other limits \
    do not.\n\n\
    Examples:\n  \
    berth service update web --task-definition webserver --dry-run\n  \
    berth service update web --desired-count 5\n  \
    berth service update web --force-new-deployment"
)]
pub struct UpdateService {
    /// Its cluster
    #[command(flatten)]
    pub within: InCluster,
    /// FAMILY (its latest revision), FAMILY:REVISION or an ARN
    #[arg(long, value_name = "FAMILY[:REVISION]")]
    pub task_definition: Option<String>,
    /// How many tasks
    #[arg(long, value_name = "N")]
    pub desired_count: Option<i32>,
    /// Replace all tasks though nothing has changed; tags of images are looked up anew
    #[arg(long)]
    pub force_new_deployment: bool,
    /// How deployments go.
    #[command(flatten)]
    pub rollout: Rollout,
    /// Only tell what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Return at once instead of when the service is steady
    #[arg(short, long)]
    pub detach: bool,
    /// The service's name or ARN
    #[arg(value_name = "SERVICE")]
    pub service: String,
}

/// `berth service delete`.
#[derive(Debug, Args)]
pub struct DeleteService {
    /// Its cluster
    #[command(flatten)]
    pub within: InCluster,
    /// Though its count is above 0
    #[arg(short, long)]
    pub force: bool,
    /// Return at once instead of when its tasks have stopped
    #[arg(short, long)]
    pub detach: bool,
    /// The service's name or ARN
    #[arg(value_name = "SERVICE")]
    pub service: String,
}

/// `berth service events`.
#[derive(Debug, Args)]
pub struct Events {
    /// The service.
    #[command(flatten)]
    pub one: OneService,
    /// Go on until the service is gone
    #[arg(short, long)]
    pub follow: bool,
}

/// `berth service wait`.
#[derive(Debug, Args)]
pub struct Wait {
    /// The service.
    #[command(flatten)]
    pub one: OneService,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub timeout: u64,
}
