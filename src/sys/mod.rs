//! Safe wrappers around system calls: the only place with `unsafe`. One file per subject, one call per function.
#![expect(unsafe_code, reason = "this is the module that makes raw system calls safe to use")]

pub mod beneath;
pub mod bpf;
pub mod capability;
pub mod child;
pub mod failpoint;
pub mod landlock;
pub mod listen;
pub mod lock;
pub mod loop_device;
pub mod mount;
#[cfg(test)]
#[path = "../../tests/support/mutate.rs"]
pub(crate) mod mutate;
pub mod netns;
pub mod passing;
pub mod pidfd;
pub mod pipe;
pub mod process;
pub mod seal;
pub mod shared;
pub mod spawn;
pub mod terminal;
pub mod time;
pub mod timing;
pub mod tree;
pub mod tty;
pub mod user_namespace;
