//! The process that a task belongs to.
//!
//! ```text
//! caller --spawn--> holder --fork--> loop --fork--> workers
//!                     |                 \--- init of container 1, 2, ... (its own children)
//!                     +-- holds the lock, the log FIFOs and the network namespace; reaps what is orphaned; starts
//!                         the loop again if it dies
//! ```
//!
//! The holder parses nothing and blocks in one system call; only a task whose loop cannot begin it brings to an end itself
//! ([`give_up`]). The loop is one thread around `lifecycle::step`: events come from
//! descriptors ([`event_loop`]), actions go to workers and to the store ([`effects`]). Both live in the task's network
//! namespace, which therefore needs no name and ends with them.

mod begin;
mod control;
mod effects;
mod endpoint;
mod event_loop;
mod exits;
mod give_up;
mod holder;
mod last_words;
pub mod launch;
mod lost;
mod pump;
mod recover;
mod retry;
mod shipper;
pub mod wake;
mod workers;

pub use control::{Asked, News, Watch, ask, follow, poke, short, watch};
pub use holder::{Work, supervise};
pub use lost::whole;
pub use wake::wake;
