//! The client half of the OCI distribution protocol (distribution-spec, "Pull"), blocking, used by several threads at
//! once. A registry is a stranger: what it sends is bounded in bytes and time, where it leads is checked after the name
//! was resolved, and what it is told about us is told to nobody else. Nothing is written here and no layer is unpacked;
//! called by the fetch worker.

mod address;
mod auth;
mod blob;
mod challenge;
mod document;
mod error;
mod follow;
mod http;
mod limits;
mod login;
mod pace;
mod proxy;
mod repository;
mod resolve;
mod retry;
mod server;
mod target;
mod tls;

#[cfg(test)]
mod tests;

pub(crate) use blob::Blob;

pub(crate) use error::RegistryError;
pub use login::{LoginError, check_login};
pub(crate) use repository::Repository;
