//! Containers: cgroups, bundles, libcontainer, and the security floor of every process in a container.

pub mod bundle;
pub mod cgroup;
pub mod container;
pub mod devices;
pub mod exec;
pub mod process;
mod profile;
pub mod rootfs;
pub mod seccomp;
