//! The plan of a task: every choice made, as data. Made once, committed, and then carried out by processes that have
//! no choice left; undoing needs nothing but the plan. Pure.

pub mod agent;
pub mod connect;
mod container;
mod ebs;
pub mod env_file;
mod environment;
mod facts;
pub mod gpus;
pub mod grants;
pub mod isolation;
mod life;
pub mod log;
pub mod make;
mod network;
mod paths;
pub mod ports;
mod rights;
mod service;
pub mod spec;
mod task;
pub mod user;
pub mod volume;
pub mod volumes;
pub mod vpc;

pub use agent::AgentPlan;
pub use container::{
    CgroupPlan, ContainerLimits, ContainerPlan, HealthPlan, ListedContainer, PrivateEnvironment, ProcessPlan,
    RestartPlan, Rlimit, RootfsPlan, Shown, ShownContainer, TaskLimits,
};
pub use ebs::check_at_launch;
pub use log::{CloudWatchPlan, LogPlan, LogSettings, LogSource, Retention, StreamPlan};
pub use network::{Cidr, ContainerNetwork, EniPlan, LinkKind, LinkPlan, NetworkPlan, RootNetwork};
pub use paths::{ContainerPaths, Layout, TaskPaths};
pub use rights::ALL_CAPABILITIES;
pub use service::{SchedulerPlan, ServiceLink};
pub use task::{Asked, TaskPlan};
pub use volume::VolumePlan;
