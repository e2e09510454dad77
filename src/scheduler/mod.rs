//! The life of one service: what should be, what is, and what the clock says in; which tasks to start and to stop out.
//! Pure: time is an argument, and so are the ids of new tasks. Called by `ops`, which commits the result as one
//! transaction; nothing here knows of processes.
//!
//! ```text
//!  service + tasks as they are -- absorb --> standings, failures -- breaker --> perhaps a roll-back
//!          -- settle --> drained, completed -- decide --> stops, then starts -- settle --> steady, when to look again
//! ```
//!
//! A deployment's number is its revision's too. The first deployment of the list is PRIMARY, the others drain.

mod absorb;
mod bounds;
mod breaker;
mod change;
mod decide;
mod deployment;
mod events;
mod gone;
mod placement;
mod rollout;
mod service;
mod settle;
mod share;
mod task_sets;

pub use absorb::{Health, Observed};
pub use bounds::{Bounds, breaker_threshold, start_delay};
pub use breaker::roll_back;
pub use change::{Deploy, add_task_set, begin};
pub use decide::Change;
pub use deployment::{Backoff, Deployment, Member, RolloutState, Standing};
pub use events::ServiceEvent;
pub use gone::Gone;
pub use placement::{Attribute, Constraint, Instance, Lack, Requirements, Shortage, Strategy, place};
pub use rollout::{Rollback, Rollout, RolloutStatus};
pub use service::{
    Breaker, Cleanup, DeploymentConfig, EarlySuccess, PlacementRules, Service, ServiceStatus, Threshold, Working,
};
pub use share::{Share, distribute, next_provider};
pub use task_sets::{Controller, Role, TaskSet};

use crate::lifecycle::Now;
pub use crate::validate::{Expression, ExpressionError};

/// What [`reconcile`] comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What is to be done, in this order. The service counts on it already.
    pub changes: Vec<Change>,
    /// When to look again though nothing has happened, in milliseconds since boot.
    pub wake: Option<u64>,
}

/// Brings a service one step nearer to what it should be. `tasks` are the service's tasks as they are now (one that is
/// missing is gone), `instances` what there is room on, `fresh` gives an id that no task has had.
///
/// Applied to its own result it changes nothing.
pub fn reconcile(
    service: &mut Service,
    tasks: &[Observed],
    instances: &[Instance],
    now: Now,
    fresh: &mut dyn FnMut() -> String,
) -> Outcome {
    absorb::absorb(service, tasks, now);
    absorb::evict(service, instances);
    if service.controller.is_outside() {
        return task_sets::reconcile(service, instances, now, fresh);
    }
    breaker::check(service, now);
    settle::progress(service, instances, now);
    let decided = decide::decide(service, instances, now, fresh);
    settle::tell(service, instances, now);
    let wake = settle::deadline(service, decided.starved, now);
    Outcome { changes: decided.changes, wake }
}

#[cfg(test)]
mod drain_tests;
#[cfg(test)]
mod rule_tests;
#[cfg(test)]
mod tests;
