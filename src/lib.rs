//! berth: ECS task definitions, run directly on a Linux host.
//!
//! The modules stand in bands; each imports only from bands below its own (`tests/it/architecture.rs` holds this).
//!
//! - band 0, words and bare metal: [`ecs`], [`sys`]
//! - band 1, pure decisions (no file, socket, clock, randomness, process): [`logging`], [`validate`], [`plan`], [`lifecycle`],
//!   [`scheduler`], [`metadata`], [`session`]
//! - band 2, the world, one folder each: [`store`], [`image`], [`net`], [`runtime`], [`logs`], [`aws`],
//!   [`secrets`]
//! - band 3, processes: [`worker`], [`supervisor`]
//! - band 4, the one way in: [`ops`]
//! - band 5, callers: [`cli`], [`api`], [`schedule`]

// So that what all suites share can name the crate in this one too.
#[cfg(test)]
extern crate self as berth;

pub mod ecs;
pub mod sys;

pub mod lifecycle;
pub mod logging;
pub mod metadata;
pub mod plan;
pub mod scheduler;
pub mod session;
pub mod validate;

pub mod aws;
pub mod image;
pub mod logs;
pub mod net;
pub mod runtime;
pub mod secrets;
pub mod store;

pub mod supervisor;
pub mod worker;

pub mod ops;

pub mod api;
pub mod cli;
pub mod schedule;
