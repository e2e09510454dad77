//! Services: the operations of ECS on them, the turn that holds their counts, and what they look like.

mod config;
pub(super) mod create;
mod delete;
mod deployments;
mod fetch;
mod namespace;
mod outside;
mod record;
mod start;
mod task_sets;
mod turn;
mod update;
mod view;

pub use record::ServiceRecord;
pub use turn::{Fetches, Turn};
pub use update::{Preview, PreviewStep};

pub(super) use config::{check_network, subnets};
pub(super) use record::now;
