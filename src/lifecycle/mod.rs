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
//! Containers start when those that they depend on have started, and are asked to stop when those that depend on
//! them have stopped. Called by the supervisor's loop only; `plan` makes the first state.

mod state;
mod step;

pub use state::{
    Container, ContainerPhase, Exit, LastStatus, Now, Preparation, Stop, StopCode, TaskState, Times, Timestamp,
};
pub use step::{Action, Event, deadline, step};
