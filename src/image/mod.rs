//! Images: references, the content store, import, and the unpacking of layers. Everything that comes in is a stranger's:
//! it is bounded before it is read, verified before it is visible, and unpacked below a descriptor. Called by `ops`.

mod compress;
mod config;
mod digest;
#[cfg(test)]
mod hostile;
mod import;
#[cfg(test)]
mod importing;
mod index;
mod layer;
mod lookup;
mod manifest;
mod pipe;
mod reference;
#[cfg_attr(not(test), expect(dead_code, unused_imports, reason = "the fetch worker is not here yet"))]
mod registry;
mod request;
mod rules;
mod settle;
mod settle_list;
mod source;
mod staging;
mod store;
mod tarball;
#[cfg(test)]
mod testing;
mod trail;
mod unpack;

pub use config::{ConfigError, ImageConfig, Platform};
pub use digest::{Digest, DigestError};
pub use import::{ImportError, Progress};
pub use index::IndexError;
pub use layer::LayerError;
pub use lookup::LookupError;
pub use manifest::ManifestError;
pub use reference::{ImageReference, ReferenceError};
pub use request::{
    Certificates, Credentials, Endpoint, Failure, FailureKind, Job, LayerSize, Progress as FetchProgress, Proxies,
    PullRequest,
};
pub use rules::Rule;
pub use settle::SettleError;
pub use settle_list::ListError;
pub use source::SourceError;
pub use store::{Image, ImageStore, StoreError};
pub use tarball::TarError;
pub use unpack::UnpackError;
