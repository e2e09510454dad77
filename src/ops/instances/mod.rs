//! Container instances: this host, which is one in every cluster, and those that somebody has registered. A registered instance is
//! a part of this host under a name of its own: tasks that are placed on it run here, and take of what it was registered with as
//! well as of what the host has.

mod agent;
mod attributes;
mod list;
mod place;
mod record;
mod register;
mod view;

pub(super) use record::InstanceRecord;
