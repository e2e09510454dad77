//! One container of a valid task definition: its members in the types and units that a plan is made of.

use crate::ecs::ContainerDefinition;
use crate::ecs::linux::{KernelCapabilities, Ulimit};

/// What ECS waits between the stop signal and SIGKILL if the definition does not say.
const STOP_TIMEOUT: u32 = 30;

/// A container of a [`ValidTaskDefinition`](super::ValidTaskDefinition).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidContainer<'a>(&'a ContainerDefinition);

impl<'a> ValidContainer<'a> {
    pub(super) fn new(definition: &'a ContainerDefinition) -> Self {
        Self(definition)
    }

    /// The definition as ECS describes it.
    pub fn definition(&self) -> &'a ContainerDefinition {
        self.0
    }

    /// The name, `[A-Za-z0-9_-]{1,255}`.
    pub fn name(&self) -> &'a str {
        &self.0.name
    }

    /// The image reference as it is written.
    pub fn image(&self) -> &'a str {
        &self.0.image
    }

    /// Whether its end is the task's end.
    pub fn is_essential(&self) -> bool {
        self.0.essential.unwrap_or(true)
    }

    /// Its weight as it is described, in CPU units, from 0.
    pub fn cpu_units(&self) -> u32 {
        unsigned(self.0.cpu).unwrap_or(0)
    }

    /// Its weight in CPU shares: 0, 1 and absent all mean 2 (the ECS agent's rule, and the kernel's least).
    pub fn cpu_shares(&self) -> u32 {
        self.cpu_units().max(2)
    }

    /// The hard memory limit in MiB.
    pub fn memory_mib(&self) -> Option<u32> {
        unsigned(self.0.memory)
    }

    /// The soft memory limit in MiB.
    pub fn memory_reservation_mib(&self) -> Option<u32> {
        unsigned(self.0.memory_reservation)
    }

    /// Replaces the image's ENTRYPOINT, and drops its CMD.
    pub fn entry_point(&self) -> Option<&'a [String]> {
        self.0.entry_point.as_deref().filter(|words| !words.is_empty())
    }

    /// Replaces the image's CMD.
    pub fn command(&self) -> Option<&'a [String]> {
        self.0.command.as_deref().filter(|words| !words.is_empty())
    }

    /// The working directory, absolute; absent: the image's.
    pub fn working_directory(&self) -> Option<&'a str> {
        self.0.working_directory.as_deref().filter(|directory| !directory.is_empty())
    }

    /// The user as it is written, `user`, `uid`, `user:group`, `uid:gid` or `:group`; absent: the image's.
    pub fn user(&self) -> Option<&'a str> {
        self.0.user.as_deref().filter(|user| !user.is_empty())
    }

    /// The variables in their order; of two with one name the last wins.
    pub fn environment(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let variables = self.0.environment.as_deref().unwrap_or_default();
        variables.iter().map(|one| (one.name.as_deref().unwrap_or_default(), one.value.as_deref().unwrap_or_default()))
    }

    /// The containers that must have started before it, by name.
    pub fn depends_on(&self) -> impl Iterator<Item = &'a str> {
        self.0.depends_on.as_deref().unwrap_or_default().iter().map(|dependency| dependency.container_name.as_str())
    }

    /// Seconds from the stop signal to SIGKILL.
    pub fn stop_timeout(&self) -> u32 {
        unsigned(self.0.stop_timeout).unwrap_or(STOP_TIMEOUT)
    }

    /// The resource limits, each name once; -1 is unlimited.
    pub fn ulimits(&self) -> &'a [Ulimit] {
        self.0.ulimits.as_deref().unwrap_or_default()
    }

    /// The capabilities that it gets beside the default ones, without `CAP_`.
    pub fn added_capabilities(&self) -> &'a [String] {
        self.capabilities().and_then(|capabilities| capabilities.add.as_deref()).unwrap_or_default()
    }

    /// The capabilities that it does not get, without `CAP_`; `ALL` is all of them. Dropped before others are added.
    pub fn dropped_capabilities(&self) -> &'a [String] {
        self.capabilities().and_then(|capabilities| capabilities.drop.as_deref()).unwrap_or_default()
    }

    /// Whether its root file system cannot be written.
    pub fn has_readonly_root(&self) -> bool {
        self.0.readonly_root_filesystem.unwrap_or(false)
    }

    fn capabilities(&self) -> Option<&'a KernelCapabilities> {
        self.0.linux_parameters.as_ref().and_then(|linux| linux.capabilities.as_ref())
    }
}

/// Rules keep these above zero.
fn unsigned(value: Option<i32>) -> Option<u32> {
    value.and_then(|value| u32::try_from(value).ok())
}
