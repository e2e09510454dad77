//! `[exec]`: sessions of ECS Exec.

use serde::Deserialize;

/// `[exec]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExecConfig {
    /// As whom their commands run.
    pub user: ExecUser,
}

/// A user of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExecUser {
    /// Its root, as with ECS.
    #[default]
    Root,
    /// The one that the container's own process has.
    Container,
}
