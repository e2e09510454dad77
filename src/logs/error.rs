//! What can go wrong with a log file.

use std::io;
use std::path::PathBuf;

/// A log could not be written, rotated or read. A full disk is `Write` with `StorageFull` as its source's kind.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directory, the file or its successor could not be made.
    #[error("create {path}", path = path.display())]
    Create {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A batch could not be written; nothing of it is in the file.
    #[error("write to {path}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file could not be cut to a length.
    #[error("truncate {path}", path = path.display())]
    Truncate {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file could not be renamed to its older name.
    #[error("rename {from} to {to}", from = from.display(), to = to.display())]
    Rotate {
        /// The name before.
        from: PathBuf,
        /// The name after.
        to: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file, or the directory that holds it, could not be read.
    #[error("read {path}", path = path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel gave no inotify instance, or would not read one.
    #[error("watch for changes of logs (see fs.inotify.max_user_instances)")]
    Inotify {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The directory could not be watched for changes.
    #[error("watch {path}", path = path.display())]
    Watch {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}
