//! Values that nobody may read by chance: the local secret store (parameters and secrets as SSM and Secrets Manager keep
//! them, encrypted at rest), and the file that carries a task's values from whoever resolved them to the workers that
//! start its processes; and the access keys of the endpoint. Nothing here prints a value, and none stands in an error.
//!
//! Called by `ops` and by workers, never by a supervisor's loop.

mod access;
mod content;
mod error;
mod key;
mod seal;
mod store;
mod values;

pub use access::{Access, AccessKey, AccessKeyStore, NewAccessKey};
pub use content::{Found, Kind, Name, NameError, Selector, Summary, VersionSummary};
pub use error::SecretError;
pub use store::{SecretStore, Snapshot, StorePaths};
pub use values::{ROLE_VALUES, TaskValues, ValuesError, complete, log_options, log_values, role_values};
