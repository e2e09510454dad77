//! Container output on disk: written in CRI format, rotated, read back and followed across rotation, and shown.
//!
//! The supervisor writes with [`encode`] and [`LogFile`]; `ops` reads with [`Reader`], [`Merge`] and [`Watch`]; the
//! command line shows lines with [`Show`].

mod chain;
mod error;
mod event;
mod file;
mod follow;
mod format;
mod join;
mod lines;
mod read;
mod sent;
mod show;
mod store;
mod tail;
mod tally;
mod tape;

pub use error::LogError;
pub use event::{Event, Gather, MAX_EVENT};
pub use file::LogFile;
pub use follow::{Merge, Watch};
pub use format::{MAX_MESSAGE, Malformed, Record, Stamp, Stream, Tag, encode};
pub use join::{Line, LineEnd, MAX_LINE};
pub use read::{Query, Reader};
pub use sent::{Count, Sent};
pub use show::{Bytes, Prefix, Show, Style, Times, escape};
pub use store::{StreamFile, create_group, describe, entries, prune, streams};
pub use tail::{Mark, Step, Tail};
pub use tally::{Place, Tally};
pub use tape::Until;
