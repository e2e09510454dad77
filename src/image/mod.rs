//! Images: references, the content store, import, and the unpacking of layers. Everything that comes in is a stranger's:
//! it is bounded before it is read, verified before it is visible, and unpacked below a descriptor. Called by `ops`.

mod compress;
mod config;
mod digest;
mod document;
mod fetch;
mod gc;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod importing;
mod index;
mod inspect;
mod layer;
mod lookup;
mod manifest;
mod pipe;
mod publish;
#[cfg(test)]
mod publishing;
mod pulled;
mod reference;
mod registry;
mod removed;
mod request;
mod rules;
mod save;
#[cfg(test)]
mod saving;
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
mod usage;

pub use config::{ConfigError, ImageConfig, Platform};
pub use digest::{Digest, DigestError};
pub use fetch::{Fetch, FetchError, Tell};
pub use gc::{Prune, Pruned, Removing, Using};
pub use index::{IndexError, Origin};
pub use inspect::{ImageDetail, LayerDetail};
pub use layer::LayerError;
pub use lookup::LookupError;
pub use manifest::ManifestError;
pub use publish::PublishError;
pub use pulled::Unavailable;
pub use reference::{ImageReference, ReferenceError};
pub use registry::{LoginError, check_login};
pub use request::{
    Certificates, Credentials, Endpoint, Failure, FailureKind, Job, LayerSize, Progress, Proxies, PullRequest, Staged,
};
pub use rules::Rule;
pub use save::SaveError;
pub use settle::SettleError;
pub use settle_list::ListError;
pub use source::SourceError;
pub use store::{Image, ImageStore, StoreError};
pub use tarball::TarError;
pub use unpack::UnpackError;
pub use usage::{ImageUsage, Usage};
