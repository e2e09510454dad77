//! Container output on disk: written in CRI format, rotated, read back and followed across rotation, and shown.
//!
//! The supervisor writes with [`encode`] and [`LogFile`]; `ops` reads with [`Reader`], [`Merge`] and [`Watch`]; the
//! command line shows lines with [`Show`].

mod chain;
mod error;
mod file;
mod follow;
mod format;
mod join;
mod read;
mod show;
mod tape;

pub use error::LogError;
pub use file::LogFile;
pub use follow::{Merge, Watch};
pub use format::{MAX_MESSAGE, Malformed, Record, Stamp, Stream, Tag, encode};
pub use join::{Line, LineEnd, MAX_LINE};
pub use read::{Query, Reader};
pub use show::{Bytes, Prefix, Show, Style, Times, escape};
pub use tape::Until;
