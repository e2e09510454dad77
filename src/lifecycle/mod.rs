//! The life of one task: state and event in, actions out. Pure: time is an argument, nothing is started here.
//!
//! ```text
//!  PROVISIONING --prepared--> PENDING --all containers started--> RUNNING
//!       |                        |                                   |
//!       +---- a failed step, a stop request, an essential exit: all take the same road ----+
//!                                                                                          v
//!                        STOPPED <--cleaned up-- DEPROVISIONING <--all containers gone-- STOPPING
//! ```
//!
//! Containers start when those that they depend on have come to what they wait for ([`order`]), are checked ([`health`]) and
//! perhaps started again while the task runs, and are asked to stop when those that depend on them have stopped. A container
//! that is started again keeps everything: its identity, the task's network, its writable layer. Called by the supervisor's
//! loop only; `plan` makes the first state.

mod health;
mod order;
mod state;
mod step;

pub use health::{CheckEnd, Checked, Health, HealthRule, LONGEST_OUTPUT, Probe};
pub use order::Dependency;
pub use state::{
    Began, Container, ContainerPhase, Exit, LastStatus, Now, OutOfMemory, Preparation, Starter, Stop, StopCode,
    TaskState, Times, Timestamp,
};
pub use step::{Action, Event, deadline, step};
