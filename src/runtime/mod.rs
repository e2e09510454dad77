//! Containers: cgroups, bundles, libcontainer, and the security floor of every process in a container.

pub mod bundle;
pub mod cgroup;
pub mod container;
mod copy_up;
pub mod devices;
pub mod disk;
mod entry;
pub mod exec;
pub mod init;
pub mod mkfs;
pub mod nodes;
pub mod process;
mod profile;
pub mod rootfs;
pub mod seccomp;
mod sources;
pub mod storage;
pub mod volumes;
