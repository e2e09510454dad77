//! The plan of a task: every choice made, as data. Made once, committed, and then carried out by processes that have
//! no choice left; undoing needs nothing but the plan. Pure.

mod container;
pub mod make;
mod network;
mod paths;
pub mod spec;
mod task;
pub mod user;
pub mod vpc;

pub use container::{CgroupPlan, ContainerLimits, ContainerPlan, LogPlan, ProcessPlan, Rlimit, RootfsPlan, TaskLimits};
pub use network::{Cidr, NetworkPlan};
pub use paths::{ContainerPaths, Layout, TaskPaths};
pub use task::TaskPlan;
