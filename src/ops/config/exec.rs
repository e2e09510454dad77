//! `[exec]`: sessions of ECS Exec.

use std::num::NonZeroU32;

use serde::Deserialize;

/// `[exec]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExecConfig {
    /// As whom their commands run.
    pub user: ExecUser,
    /// How many there may be at once.
    pub sessions: NonZeroU32,
    /// How long nothing may be typed and nothing shown, in seconds.
    pub idle_seconds: NonZeroU32,
}

impl Default for ExecConfig {
    /// An end after twenty idle minutes is ECS's.
    fn default() -> Self {
        let number = |number| NonZeroU32::new(number).expect("it is not 0");
        Self { user: ExecUser::default(), sessions: number(64), idle_seconds: number(20 * 60) }
    }
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
