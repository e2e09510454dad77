//! The leak check: what a root has on the host. Everything that berth makes carries the root's directory or its tag in
//! its name, so that tests with other roots, and other programs, may run beside it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use berth::plan::{Layout, RootNetwork};
use berth::runtime::cgroup::delegated;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::nft;

/// Why a process is listed that may be a stranger: a namespace can be a copy of the host's.
const MOUNTED: &str = "has it mounted in a namespace of its own";

/// Where leaks of one root would be.
pub(crate) struct Leaks {
    /// The root, canonical.
    directory: PathBuf,
    layout: Layout,
    /// `berth-TAG`: the name of the root's cgroup, and of its first nftables table.
    name: String,
    /// The names of the root's tables, and the groups of its links.
    network: RootNetwork,
    /// What was under `/run` before the root was used.
    run: BTreeSet<PathBuf>,
}

impl Leaks {
    /// Remembers what is there before the root is used.
    pub(crate) fn of(directory: &Path) -> Self {
        let layout = Layout::below(directory);
        let name = format!("berth-{}", layout.tag());
        let network = RootNetwork::of(&layout.tag());
        Self { directory: directory.to_owned(), layout, name, network, run: berths_in_run() }
    }

    /// What is there now, one line each.
    pub(crate) fn present(&self) -> Vec<String> {
        let mut found = Vec::new();
        found.extend(self.processes().into_iter().map(|(_, line)| line));
        found.extend(self.mounts().into_iter().map(|line| format!("mount: {line}")));
        found.extend(self.cgroups().into_iter().map(|path| format!("cgroup: {}", path.display())));
        found.extend(self.links().into_iter().map(|name| format!("link: {name}")));
        let tables = nft::tables().into_iter().filter(|(_, name)| self.network.tables().contains(&name.as_str()));
        found.extend(tables.map(|(family, name)| format!("nftables table: family {family} {name}")));
        found.extend(self.loop_devices().into_iter().map(|(device, file)| format!("loop device: {device} has {file}")));
        found.extend(self.files().into_iter().map(|path| format!("file: {}", path.display())));
        found
    }

    /// What is still there when the kernel has had `patience` to clean up.
    pub(crate) fn after(&self, patience: Duration) -> Vec<String> {
        let deadline = Instant::now() + patience;
        loop {
            let found = self.present();
            if found.is_empty() || Instant::now() > deadline {
                return found;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Removes what can be removed, so that one leak does not become another test's.
    pub(crate) fn remove(&self) {
        for (pid, _) in self.processes().into_iter().filter(|(_, line)| !line.contains(MOUNTED)) {
            kill(pid, Signal::SIGKILL).ok();
        }
        for line in self.mounts() {
            if let Some(point) = line.split(' ').nth(4) {
                nix::mount::umount2(point, nix::mount::MntFlags::MNT_DETACH).ok();
            }
        }
        for (device, _) in self.loop_devices() {
            let mut detach = std::process::Command::new("losetup");
            detach.args(["--detach", &device]).status().ok();
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline && self.cgroups().iter().rev().any(|group| fs::remove_dir(group).is_err()) {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.network.tables().into_iter().for_each(nft::delete_table);
    }

    /// Processes that name the root, stand in its cgroups, or hold something of it open.
    fn processes(&self) -> Vec<(Pid, String)> {
        let own = std::process::id();
        let Ok(entries) = fs::read_dir("/proc") else { panic!("/proc cannot be read") };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let others = pids.filter(|pid| pid.unsigned_abs() != own && *pid != 1);
        // supervisors and workers have the task's id on their command lines
        let tasks = fs::read_dir(self.layout.state.join("tasks")).into_iter().flatten().flatten();
        let tasks = tasks.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        others.filter_map(|pid| Some((Pid::from_raw(pid), self.process(pid, &tasks)?))).collect()
    }

    fn process(&self, pid: i32, tasks: &BTreeSet<String>) -> Option<String> {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        // whatever fails to be read has just ended
        let read = |file: &str| String::from_utf8_lossy(&fs::read(proc.join(file)).unwrap_or_default()).into_owned();
        let link = |file: &str| fs::read_link(proc.join(file)).unwrap_or_default();
        let (command, directory) = (read("cmdline").replace('\0', " "), self.directory.to_string_lossy());
        let held = || {
            let open = fs::read_dir(proc.join("fd")).into_iter().flatten().flatten();
            let mut paths = open.map(|entry| fs::read_link(entry.path()).unwrap_or_default());
            paths.any(|path| path.starts_with(&self.directory))
                || ["cwd", "exe", "root"].iter().any(|file| link(file).starts_with(&self.directory))
        };
        let mounted = || {
            // A mount of the host's own namespace is listed as such, whoever else sees it: under systemd many services do.
            let device = |line: &str| line.split(' ').nth(2).map(str::to_owned);
            let own: BTreeSet<_> = self.mounts().iter().map(|line| device(line)).collect();
            read("mountinfo").lines().any(|line| line.contains(&*directory) && !own.contains(&device(line)))
        };
        let why = if command.contains(&*directory) {
            "names the root"
        } else if command.split(' ').any(|word| tasks.contains(word)) {
            "names a task of the root"
        } else if read("cgroup").contains(&self.name) {
            "is in its cgroup"
        } else if held() {
            "holds a file of it"
        } else if mounted() {
            MOUNTED
        } else {
            return None;
        };
        // a zombie has no command line left and goes with its parent
        let alive = !read("stat").contains(") Z ");
        alive.then(|| format!("process: {pid} {why}: {command}({})", link("ns/net").display()))
    }

    fn mounts(&self) -> Vec<String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let directory = self.directory.to_string_lossy();
        mounts.lines().filter(|line| line.contains(&*directory)).map(str::to_owned).collect()
    }

    /// Loop devices that have a file of the root, removed or not.
    fn loop_devices(&self) -> Vec<(String, String)> {
        let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
        let with_files = devices.filter_map(|device| {
            let file = fs::read_to_string(device.path().join("loop/backing_file")).ok()?;
            let name = device.file_name().to_string_lossy().into_owned();
            file.contains(&*self.directory.to_string_lossy()).then(|| (format!("/dev/{name}"), file.trim().to_owned()))
        });
        with_files.collect()
    }

    /// The root's groups in every hierarchy, parents first.
    fn cgroups(&self) -> Vec<PathBuf> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let hierarchies = mounts.lines().filter(|line| line.contains(" - cgroup"));
        let mut found = Vec::new();
        for point in hierarchies.filter_map(|line| line.split(' ').nth(4)) {
            for parent in ["", delegated()] {
                let group = Path::new(point).join(parent).join(&self.name);
                if group.exists() && !found.contains(&group) {
                    tree(&group, true, &mut found);
                }
            }
        }
        found
    }

    /// Links of the host in the root's interface groups.
    fn links(&self) -> Vec<String> {
        let links = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
        let groups = [self.network.group, self.network.bridge_group];
        let of_root = links.filter(|link| {
            let text = fs::read_to_string(link.path().join("netdev_group")).unwrap_or_default();
            // the kernel prints it as a signed number
            let number = text.trim().parse::<i64>().ok().and_then(|number| u32::try_from(number & 0xffff_ffff).ok());
            number.is_some_and(|number| groups.contains(&number))
        });
        of_root.map(|link| link.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Run-time files and writable layers of tasks, and what is new under `/run`.
    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        tree(&self.layout.run.join("tasks"), false, &mut found);
        for task in fs::read_dir(self.layout.state.join("tasks")).into_iter().flatten().flatten() {
            let left = fs::read_dir(task.path()).into_iter().flatten().flatten().map(|entry| entry.path());
            // only its logs outlive a task
            for path in left.filter(|path| path.file_name().is_some_and(|name| name != "logs")) {
                let is_directory = !path.is_symlink() && path.is_dir();
                if is_directory {
                    tree(&path, false, &mut found);
                } else {
                    found.push(path);
                }
            }
        }
        found.extend(berths_in_run().difference(&self.run).cloned());
        found
    }
}

fn berths_in_run() -> BTreeSet<PathBuf> {
    let run = fs::read_dir("/run").into_iter().flatten().flatten();
    let ours = run.map(|entry| entry.path()).filter(|path| path.to_string_lossy().starts_with("/run/berth"));
    // one file for all roots of the host, which forgets those that are gone
    ours.filter(|path| path != Path::new("/run/berth-vpc.json")).collect()
}

/// Everything below a directory, parents first; directories only, with the first one, or all, without it.
fn tree(directory: &Path, groups: bool, found: &mut Vec<PathBuf>) {
    if groups {
        found.push(directory.to_owned());
    }
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => panic!("{}: {error}", directory.display()),
    };
    for entry in entries.flatten() {
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !groups {
            found.push(entry.path());
        }
        if is_directory {
            tree(&entry.path(), groups, found);
        }
    }
}
