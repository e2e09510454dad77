//! Checks of the disk: overlay mounts on it, and room.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statvfs::statvfs;
use nix::unistd::chdir;

use super::{Caller, Check, aside, not_seen};
use crate::ops::config::StorageLimit;
use crate::ops::storage::{Unheld, lacks};
use crate::plan::Layout;

const GIB: u64 = 1 << 30;

pub(super) fn checks(layout: &Layout, wanted: StorageLimit, caller: Caller) -> Vec<Check> {
    let directory = existing(&layout.state);
    vec![overlay(&directory, caller), limit(wanted, lacks()), room(&layout.state, &directory)]
}

/// The nearest directory that is there: the state directory is made by the first task.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

fn overlay(directory: &Path, caller: Caller) -> Check {
    let name = "overlayfs";
    if caller == Caller::Other {
        return not_seen(name);
    }
    let place = directory.display();
    match try_overlay(directory) {
        Ok(()) => Check::ok(name, format!("works on {place}")),
        Err(error) => Check::fail(name, format!("an overlay mount on {place} failed: {error}")).remedy(
            "modprobe overlay; if the directory is itself on an overlay, or on NFS, use --root on a disk (ext4, xfs, btrfs)",
        ),
    }
}

/// Mounts an overlay in a mount namespace of its own, with all its layers where tasks have theirs.
fn try_overlay(directory: &Path) -> io::Result<()> {
    let base = directory.join(format!(".berth-doctor-{}", std::process::id()));
    let result = aside(|| {
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount::<str, str, str, str>(None, "/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)?;
        for part in ["lower", "upper", "work", "merged"] {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(base.join(part))?;
        }
        // The working directory went with the namespace: it is this thread's own. Relative names need no escaping.
        chdir(&base)?;
        let options = "lowerdir=lower,upperdir=upper,workdir=work";
        mount(Some("overlay"), "merged", Some("overlay"), MsFlags::empty(), Some(options))?;
        let written = std::fs::write("merged/file", "");
        umount2("merged", MntFlags::MNT_DETACH)?;
        written
    });
    match std::fs::remove_dir_all(&base) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => result.and(Err(error)),
        _ => result,
    }
}

/// Whether tasks are held to their ephemeral storage, as the configuration wants it and the host can do it.
fn limit(wanted: StorageLimit, lacks: Option<Unheld>) -> Check {
    let name = "ephemeral storage";
    match (wanted, lacks) {
        (StorageLimit::Never, _) => Check::ok(name, "tasks are not held to their size: [storage] limit is \"never\""),
        (StorageLimit::Auto | StorageLimit::Always, None) => {
            Check::ok(name, "tasks are held to their size, on loop devices")
        }
        (StorageLimit::Auto, Some(unheld)) => {
            Check::warn(name, format!("tasks are not held to their size: {}", unheld.reason())).remedy(unheld.remedy())
        }
        (StorageLimit::Always, Some(unheld)) => Check::fail(
            name,
            format!("tasks cannot be held to their size, as [storage] limit demands: {}", unheld.reason()),
        )
        .remedy(unheld.remedy()),
    }
}

fn room(state: &Path, directory: &Path) -> Check {
    let name = "disk";
    let place = state.display();
    let remedy = "make room: berth rm --stopped, berth image rm IMAGE; or use --root on a larger disk";
    let Ok(stat) = statvfs(directory) else {
        return Check::warn(name, format!("the free space for {place} is not known")).remedy(format!("df {place}"));
    };
    let free = stat.blocks_available() * stat.fragment_size();
    let found = format!("{:.1} GiB free for {place}", free as f64 / GIB as f64);
    match (free, stat.files(), stat.files_available()) {
        (_, files, 0..1000) if files > 0 => Check::warn(name, format!("no more inodes for {place}")).remedy(remedy),
        (0..GIB, ..) => Check::warn(name, found).remedy(remedy),
        _ => Check::ok(name, found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::State;

    #[test]
    fn a_directory_that_is_not_there_yet_is_judged_by_the_one_above() {
        assert_eq!(existing(Path::new("/proc/no/such/dir")), Path::new("/proc"));
        assert_eq!(existing(Path::new("relative")), Path::new("/"));
    }

    #[test]
    fn what_the_configuration_demands_and_the_host_cannot_do_lets_no_task_run() {
        let state = |wanted| limit(wanted, Some(Unheld::NoLoop)).state;
        assert_eq!(state(StorageLimit::Always), State::Fail);
        assert_eq!(state(StorageLimit::Auto), State::Warn);
        assert_eq!(state(StorageLimit::Never), State::Ok);
    }
}
