//! Where things are: every path that berth makes, derived from the root and the task's id, so that any process can
//! find (and remove) what another one made.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::SchedulerPlan;

/// Longer names of containers are shortened in files' names, which the kernel ends at 255 bytes.
const LONGEST_STEM: usize = 200;

/// The directories of one berth root. Two roots share nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// What outlives a reboot: store, images, logs, writable layers.
    pub state: PathBuf,
    /// What does not: locks, sockets, FIFOs, caches. A tmpfs on the default root.
    pub run: PathBuf,
}

impl Layout {
    /// The default root: `/var/lib/berth` and `/run/berth`.
    pub fn system() -> Self {
        Self { state: "/var/lib/berth".into(), run: "/run/berth".into() }
    }

    /// A private, complete state below one absolute directory.
    pub fn below(root: &Path) -> Self {
        Self { state: root.to_owned(), run: root.join("run") }
    }

    /// The store's file.
    pub fn store(&self) -> PathBuf {
        self.state.join("store.db")
    }

    /// The image store's directory.
    pub fn images(&self) -> PathBuf {
        self.state.join("images")
    }

    /// Registry credentials in plain files, one for each secret: what was there before the secret store.
    pub fn secrets(&self) -> PathBuf {
        self.state.join("secrets")
    }

    /// The secret store, encrypted.
    pub fn secret_store(&self) -> PathBuf {
        self.state.join("secrets.enc")
    }

    /// The endpoint's access keys, encrypted with the key of the secrets.
    pub fn access_keys(&self) -> PathBuf {
        self.state.join("access-keys.enc")
    }

    /// Where the endpoint listens for those who are on this host.
    pub fn endpoint_socket(&self) -> PathBuf {
        self.run.join("ecs.sock")
    }

    /// The secret store's key, unless the configuration names another file.
    pub fn secret_key(&self) -> PathBuf {
        self.state.join("secrets.key")
    }

    /// What its writers lock.
    pub fn secret_lock(&self) -> PathBuf {
        self.state.join("secrets.lock")
    }

    /// Templates of the tasks' own file systems.
    pub fn templates(&self) -> PathBuf {
        self.state.join("templates")
    }

    /// Volumes that outlive their tasks: shared Docker volumes, and EBS volumes that are kept.
    pub fn volumes(&self) -> PathBuf {
        self.state.join("volumes")
    }

    /// The groups and streams of `awslogs`.
    pub fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    /// The directory of one stream. No two streams have the same one; names are as long as files' may be.
    pub fn log_stream(&self, region: &str, group: &str, stream: &str) -> PathBuf {
        self.log_group(region, group).join(file_name(stream))
    }

    /// The directory of one group.
    pub fn log_group(&self, region: &str, group: &str) -> PathBuf {
        self.logs().join(file_name(region)).join(file_name(group))
    }

    /// Held shared while a task's network is made, alone while the last one's is unmade.
    pub fn network_lock(&self) -> PathBuf {
        self.run.join("network.lock")
    }

    /// Compiled seccomp filters.
    pub fn filters(&self) -> PathBuf {
        self.run.join("seccomp")
    }

    /// Where the tasks' directories for locks and sockets are, by their ids.
    pub fn tasks_run(&self) -> PathBuf {
        self.run.join("tasks")
    }

    /// Where the tasks' directories for storage and logs are, by their ids.
    pub fn tasks_state(&self) -> PathBuf {
        self.state.join("tasks")
    }

    /// The process that holds the counts of this root's services.
    pub fn scheduler(&self) -> SchedulerPlan {
        let private = *self != Self::system();
        SchedulerPlan {
            root: private.then(|| self.state.clone()),
            lock: self.run.join("schedule.lock"),
            control: self.run.join("schedule.sock"),
        }
    }

    /// All that belongs to one task.
    pub fn task(&self, id: &str) -> TaskPaths {
        TaskPaths { state: self.tasks_state().join(id), run: self.tasks_run().join(id) }
    }

    /// Eight hexadecimal digits that tell this root from every other one on the host: they stand in the names of its
    /// cgroup, its nftables table and its interface group. FNV-1a of the state directory's path.
    pub fn tag(&self) -> String {
        let hash = self.state.as_os_str().as_encoded_bytes().iter();
        format!("{:08x}", hash.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)))
    }
}

/// A text as the name of a file: what a name cannot have is `%` and two digits, and of a long text the end is a hash.
fn file_name(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut name = String::new();
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'#' => name.push(char::from(byte)),
            b'.' if place > 0 => name.push('.'),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    if name.len() > LONGEST {
        let hash =
            |seed: u64| text.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        name.truncate(LONGEST);
        name.push_str(&format!("%{:016x}{:016x}", hash(0xcbf2_9ce4_8422_2325), hash(0x9e37_79b9_7f4a_7c15)));
    }
    name
}

/// The directories of one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPaths {
    /// Logs and writable layers.
    pub state: PathBuf,
    /// Lock, control socket, bundles, FIFOs; gone when the task has stopped.
    pub run: PathBuf,
}

impl TaskPaths {
    /// The file whose lock the task's supervisor holds: its liveness.
    pub fn lock(&self) -> PathBuf {
        self.run.join("lock")
    }

    /// The plan, as long as the task is not over: the store has it too.
    pub fn plan_file(&self) -> PathBuf {
        self.run.join("plan.json")
    }

    /// The supervisor's control socket.
    pub fn control(&self) -> PathBuf {
        self.run.join("control.sock")
    }

    /// The file whose lock is held by the process that fetches what the task is made of.
    pub fn order_lock(&self) -> PathBuf {
        self.run.join("order.lock")
    }

    /// Where that process listens for a change of mind.
    pub fn order_control(&self) -> PathBuf {
        self.run.join("order.sock")
    }

    /// The variables that may not stand in the plan, by container; gone with the directory.
    pub fn values(&self) -> PathBuf {
        self.run.join("values.json")
    }

    /// Pid and start time of the task's pause process.
    pub fn pause_file(&self) -> PathBuf {
        self.run.join("pause.json")
    }

    /// libcontainer's state directory, a cache.
    pub fn libcontainer(&self) -> PathBuf {
        self.run.join("lc")
    }

    /// The file that holds the task's own file system, if it is held to a size.
    pub fn disk(&self) -> PathBuf {
        self.state.join("disk")
    }

    /// Where a worker mounts that file system, in a mount namespace of its own.
    pub fn disk_mount(&self) -> PathBuf {
        self.run.join("disk")
    }

    /// The task's own storage where it is not held to a size: writable layers and empty volumes.
    pub fn upper(&self) -> PathBuf {
        self.state.join("upper")
    }

    /// Logs of the task's containers.
    pub fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    /// All that belongs to one container. `name` is valid ECS container name: no slash, no dot.
    pub fn container(&self, name: &str) -> ContainerPaths {
        ContainerPaths { run: self.run.join("c").join(name), log: self.logs().join(format!("{}.log", stem(name))) }
    }
}

/// A container's name, which may be as long as a file's, with room behind it for what a log's name ends with. A longer one
/// is told from others by FNV-1a of the whole.
fn stem(name: &str) -> Cow<'_, str> {
    match name.get(..LONGEST_STEM) {
        None => name.into(),
        Some(start) => {
            let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            format!("{start}-{:016x}", name.bytes().fold(0xcbf2_9ce4_8422_2325, hash)).into()
        }
    }
}

/// The directories and files of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerPaths {
    /// The bundle (`config.json`, `rootfs`), the FIFOs and the state file.
    pub run: PathBuf,
    /// The current log file; rotated ones carry `.1`, `.2` ... behind it.
    pub log: PathBuf,
}

impl ContainerPaths {
    /// The FIFO behind the standard input of a container that waits for input.
    pub fn stdin(&self) -> PathBuf {
        self.run.join("stdin")
    }

    /// The FIFO behind the container's standard output.
    pub fn stdout(&self) -> PathBuf {
        self.run.join("stdout")
    }

    /// The FIFO behind the container's standard error.
    pub fn stderr(&self) -> PathBuf {
        self.run.join("stderr")
    }

    /// Pid and start time of the process that carries the container's terminal.
    pub fn terminal_file(&self) -> PathBuf {
        self.run.join("terminal.json")
    }

    /// Pid and start time of the container's init, written before it may run.
    pub fn state_file(&self) -> PathBuf {
        self.run.join("init.json")
    }

    /// The host's side of the directory for sockets that the container shares with the host.
    pub fn sockets(&self) -> PathBuf {
        self.run.join("sockets")
    }

    /// The host's side of the plan's file of that index ([`super::ContainerPlan::files`]).
    pub fn file(&self, index: usize) -> PathBuf {
        self.run.join("files").join(index.to_string())
    }

    /// Where the worker mounts the root file system, in a mount namespace of its own.
    pub fn rootfs(&self) -> PathBuf {
        self.run.join("rootfs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_groups_and_streams_become_names_of_files() {
        let path = |group: &str, stream: &str| Layout::system().log_stream("r", group, stream);
        assert_eq!(path("/a", "b/c"), Path::new("/var/lib/berth/logs/r/%2Fa/b%2Fc"));
        assert_ne!(path("a/b", "c"), path("a", "b/c"));
        assert!(path("..", ".").ends_with("r/%2E./%2E"));
        let (one, two) = ("/".repeat(511) + "a", "/".repeat(511) + "b");
        assert_ne!(path(&one, "s"), path(&two, "s"));
        assert!(path(&one, "s").components().all(|part| part.as_os_str().len() < 255));
    }

    #[test]
    fn two_roots_have_two_tags() {
        assert_ne!(Layout::system().tag(), Layout::below(Path::new("/tmp/a")).tag());
        assert_eq!(Layout::system().tag().len(), 8);
    }

    #[test]
    fn the_longest_name_of_a_container_fits_into_a_files_name_and_stays_one_of_its_own() {
        let paths = Layout::below(Path::new("/x")).task("t");
        let name = |last: char| "n".repeat(254) + &last.to_string();
        let log = |name: &str| paths.container(name).log.file_name().expect("a file").to_owned();
        assert!(log(&name('a')).len() < 240);
        assert_ne!(log(&name('a')), log(&name('b')));
        assert_eq!(log("web"), "web.log");
    }
}
