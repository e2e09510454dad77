//! Commands on services, clusters and registered task definitions.

use clap::{Args, Subcommand, ValueHint};

use super::super::input::{Input, Json, TaskName};
use super::super::placement::{Constraint, EarlySuccess, Strategy};
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
    /// Keep scale-in and deployments from stopping tasks, for a while
    Protect(Protect),
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
    /// For so long a deployment must have been good before it is complete, and can still go back
    #[arg(long, value_name = "MINUTES")]
    pub bake_time: Option<i32>,
    /// A deployment is good when this part of the count is healthy [default: all]; `,deferred` completes it before the old
    /// tasks are gone
    #[arg(long, value_name = "PERCENT[,blocking|deferred]")]
    pub early_success: Option<EarlySuccess>,
    /// For so long ignore the health checks of a new task
    #[arg(long, value_name = "SECONDS")]
    pub health_check_grace_period: Option<i32>,
    /// Where tasks may be: `distinctInstance`, or `memberOf=EXPRESSION`; may be given several times
    #[arg(long, value_name = "CONSTRAINT")]
    pub placement_constraint: Vec<Constraint>,
    /// Where tasks had best be: `random`, `spread=FIELD`, `binpack=cpu` or `binpack=memory`; the first counts most
    #[arg(long, value_name = "STRATEGY")]
    pub placement_strategy: Vec<Strategy>,
    /// The whole request as ECS takes it; what other options say is in its place
    #[arg(long, value_name = "JSON|@FILE")]
    pub json: Option<Json>,
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
    berth service create web --task-definition webserver:7 --desired-count 3 --circuit-breaker rollback\n  \
    berth service create agent --task-definition agent --scheduling-strategy DAEMON\n  \
    berth service create web --task-definition web --placement-constraint 'memberOf=attribute:ecs.os-type == linux'\n  \
    berth service create web --json @create-service.json"
)]
pub struct CreateService {
    /// Its cluster
    #[command(flatten)]
    pub within: InCluster,
    /// FAMILY (its latest revision), FAMILY:REVISION or an ARN
    #[arg(long, value_name = "FAMILY[:REVISION]", required_unless_present = "json")]
    pub task_definition: Option<String>,
    /// How many tasks [default: 1]
    #[arg(long, value_name = "N")]
    pub desired_count: Option<i32>,
    /// REPLICA is a count; DAEMON is one task on each container instance, for definitions that are not for Fargate
    #[arg(long, value_name = "REPLICA|DAEMON", value_parser = ["REPLICA", "DAEMON"], ignore_case = true,
        hide_possible_values = true)]
    pub scheduling_strategy: Option<String>,
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

/// `berth service protect`.
#[derive(Debug, Args)]
#[command(after_help = "A task that is stopped by its user, or that ends by itself, is not kept.\n\n\
    Examples:\n  \
    berth service protect 3f2a --minutes 30\n  \
    berth service protect 3f2a --off")]
pub struct Protect {
    /// For so long
    #[arg(long, value_name = "MINUTES", default_value_t = 120, value_parser = clap::value_parser!(i64).range(1..=2880))]
    pub minutes: i64,
    /// No longer
    #[arg(long, conflicts_with = "minutes")]
    pub off: bool,
    /// Task ids, ARNs, or unique beginnings of ids
    #[arg(required = true, value_name = "TASK")]
    pub tasks: Vec<TaskName>,
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
