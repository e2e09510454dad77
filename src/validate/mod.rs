//! From a task definition as people have it to one that can run, or every violation at once. Pure.
//!
//! `parse` reads the form (JSON, shapes, wrappers), `validate` the sense (the table of fields, ECS's rules). Problems
//! carry their place in the JSON and in the text.

mod container_rules;
mod convert;
mod expression;
pub mod fields;
mod json;
pub(crate) mod kernel_rules;
mod log_rules;
mod mount_path;
mod names;
mod network_rules;
mod order;
mod overrides;
mod parse;
mod port_rules;
pub mod ports;
mod problem;
pub(crate) mod process_rules;
pub mod proxy;
mod report;
mod sizes;
mod suggest;
mod support;
mod task_definition;
mod task_rules;
mod valid_container;
mod value_rules;
mod volume_rules;

pub use expression::{AnyValue, Expression, ExpressionError, FACT, fact};
pub use mount_path::mount_path;
pub use overrides::{Overridden, ParsedOverrides, overridden, parse_overrides};
pub use parse::{Parsed, parse, parse_bytes};
pub use problem::{Problem, Severity};
pub use report::Strictness;
pub use sizes::smallest_size;
pub use task_definition::{ValidTaskDefinition, validate};
pub use valid_container::ValidContainer;
