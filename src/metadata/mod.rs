//! What the endpoint at 169.254.170.2 understands and says: paths, documents, statistics, errors, and its rate. Pure: sockets,
//! files and clocks are the endpoint process's (`worker::endpoint`), which alone calls this.
//!
//! The forms are those of ECS's agent: metadata versions 2, 3 and 4, Docker's statistics, task protection, faults.

mod document;
mod fault;
mod pace;
mod path;
mod protection;
mod stats;

pub use document::{Clock, Facts, Storage, Tag, Tagged, Version, container_document, task_document, task_with_tags};
pub use fault::{Fault, FaultError, FaultKind, Impairment, PortFault, Traffic, parse_fault};
pub use pace::{BURST, Pace, STEADY};
pub use path::{FaultAction, Metadata, Path, parse};
pub use protection::{Protection, ProtectionError, parse_protection};
pub use stats::{Counters, Cpu, Io, Link, Memory, Sample, stats_document};
