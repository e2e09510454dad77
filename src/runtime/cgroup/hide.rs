//! Keeps libcontainer away from the control groups: in a mount namespace where none is mounted, libcgroups 0.7.0 writes
//! nothing. The worker calls it, after it has joined the container's group and before it mounts anything.
//!
//! `get_cgroup_setup_with_root` takes a tmpfs at /sys/fs/cgroup for a v1 host, also on a v2 one; the v1 manager then
//! keeps only those hierarchies that mountinfo lists, which are none, so that adding a process, removing and (with no
//! `resources` in the spec) applying are loops over nothing. A tmpfs alone would not do: a mount that is covered by
//! another one is still listed in mountinfo, and the manager would make directories in the tmpfs and fail to write
//! `cgroup.procs` there.

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use super::error::read;
use super::{CgroupError, layout};

const ROOT: &str = "/sys/fs/cgroup";
const NOTHING: Option<&str> = None;

/// Why the control groups could not be hidden.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum HideError {
    #[error("enter a mount namespace of its own")]
    Unshare { source: Errno },
    #[error("keep mounts from spreading to the host")]
    Private { source: Errno },
    #[error("find out what is mounted")]
    Mounts(#[source] CgroupError),
    #[error("unmount {path}")]
    Unmount { path: PathBuf, source: Errno },
    #[error("mount an empty tmpfs over {ROOT}")]
    Mount { source: Errno },
}

/// Moves the calling process (if single-threaded, else the thread) to a mount namespace of its own, whose mounts do not
/// spread, and unmounts every cgroup file system in it; an empty tmpfs takes their place.
///
/// It makes the namespace itself, so that no mistake of a caller can unmount the host's groups.
pub fn hide() -> Result<(), HideError> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(|source| HideError::Unshare { source })?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(NOTHING, "/", NOTHING, private, NOTHING).map_err(|source| HideError::Private { source })?;
    detach(ROOT)?; // usually all of them at once, with what is mounted below
    let mounts = read(Path::new("/proc/thread-self/mountinfo")).map_err(HideError::Mounts)?;
    for elsewhere in mounts.lines().filter_map(layout::mount) {
        detach(elsewhere.point)?;
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
    let tmpfs = Some("tmpfs");
    mount(tmpfs, ROOT, tmpfs, flags, Some("size=4k,mode=755")).map_err(|source| HideError::Mount { source })
}

/// EINVAL: nothing is mounted there (any more); ENOENT: there is no such directory.
fn detach(path: &str) -> Result<(), HideError> {
    match umount2(path, MntFlags::MNT_DETACH) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
        Err(source) => Err(HideError::Unmount { path: path.into(), source }),
    }
}
