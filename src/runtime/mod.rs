//! Containers: cgroups, bundles, libcontainer, and the security floor of every process in a container.

pub mod bundle;
pub mod cgroup;
pub mod container;
mod copy_up;
pub mod devices;
pub mod disk;
pub mod exec;
pub mod mkfs;
pub mod process;
mod profile;
pub mod rootfs;
pub mod seccomp;
mod sources;
pub mod storage;
pub mod volumes;
