//! A private host for the benchmark: own mount and network namespaces (bridges, firewall rules and mounts of all tools
//! end with the benchmark), a scratch directory, and what there is to say about the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use crate::Failure;

/// The cgroup that all neighbours work below.
pub const CGROUP: &str = "berth-bench";

/// Moves this process, and with it all that it starts, into a mount namespace of its own.
pub fn isolate_mounts() -> Result<(), Failure> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(|error| format!("unshare: {error}"))?;
    Ok(mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?)
}

/// The same, with a network namespace.
pub fn isolate() -> Result<(), Failure> {
    isolate_mounts()?;
    unshare(CloneFlags::CLONE_NEWNET).map_err(|error| format!("unshare: {error}"))?;
    // crun 1.8 refuses a host with both kinds of cgroups, so none of the tools sees the empty second one
    let hybrid = Path::new("/sys/fs/cgroup/unified");
    if hybrid.join("cgroup.procs").exists() {
        umount2(hybrid, MntFlags::MNT_DETACH).map_err(|error| format!("umount {}: {error}", hybrid.display()))?;
    }
    // podman names its namespaces here
    fs::create_dir_all("/run/netns")?;
    mount(Some("none"), "/run/netns", Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").map_err(|error| format!("ip_forward: {error}"))?;
    Ok(())
}

/// With FAVORDYNMODS=1, as long as `scratch` lives: a cgroup hierarchy without controllers is mounted with `favordynmods`, and the
/// first move of a process into a group in a while waits for nothing, whoever makes it (`berth doctor` says how a host has that).
pub fn favor_moves(scratch: &Scratch) -> Result<(), Failure> {
    if crate::setting("FAVORDYNMODS", 0)? == 0 {
        return Ok(());
    }
    let point = scratch.path.join(FAVOR);
    fs::create_dir(&point)?;
    let options = format!("none,name={CGROUP},{FAVOR}");
    mount(Some("cgroup"), &point, Some("cgroup"), MsFlags::empty(), Some(options.as_str()))
        .map_err(|error| format!("mount a cgroup hierarchy with {FAVOR}: {error}").into())
}

/// The option's name.
const FAVOR: &str = "favordynmods";

/// A directory for everything that the tools write, removed at the end with the mounts and cgroups that they left.
pub struct Scratch {
    pub path: PathBuf,
}

impl Scratch {
    pub fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("berth-bench-{}", std::process::id()));
        fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let points: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').nth(4)).collect();
        for point in points.iter().rev().filter(|point| Path::new(point).starts_with(&self.path)) {
            umount2(*point, MntFlags::MNT_DETACH).ok();
        }
        for hierarchy in
            mounts.lines().filter(|line| line.contains(" - cgroup")).filter_map(|line| line.split(' ').nth(4))
        {
            remove_groups(&Path::new(hierarchy).join(CGROUP));
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("{}: {error}", self.path.display());
        }
    }
}

fn remove_groups(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    fs::remove_dir(group).ok();
}

/// Whether a program is there to be run.
pub fn has(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').any(|directory| Path::new(directory).join(program).is_file())
}

/// Runs a command to its end; its standard output, or what it said instead.
pub fn run(command: &mut Command) -> Result<String, Failure> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
    if !output.status.success() {
        let (said, program) = (String::from_utf8_lossy(&output.stderr), command.get_program().to_string_lossy());
        return Err(format!("{program}: {}: {}", output.status, said.trim().lines().last().unwrap_or_default()).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Settings of podman, by environment, with which it keeps all that it has below a directory.
pub fn podman_settings(home: &Path) -> Result<[(&'static str, PathBuf); 2], Failure> {
    fs::create_dir_all(home)?;
    let at = |name: &str| home.join(name).display().to_string();
    // limits on open files that a small machine may grant; no journal; nothing outside the directory
    let config = format!(
        "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
         [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nruntime = \"crun\"\ntmp_dir = \"{}\"\n\
         [network]\nnetwork_backend = \"netavark\"\nnetwork_config_dir = \"{}\"\n",
        at("tmp"),
        at("networks"),
    );
    let storage =
        format!("[storage]\ndriver = \"overlay\"\nrunroot = \"{}\"\ngraphroot = \"{}\"\n", at("run"), at("graph"));
    let files = [("CONTAINERS_CONF", "containers.conf", config), ("CONTAINERS_STORAGE_CONF", "storage.conf", storage)];
    for (_, name, text) in &files {
        fs::write(home.join(name), text)?;
    }
    Ok(files.map(|(variable, name, _)| (variable, home.join(name))))
}

/// Prints them.
pub fn print(facts: &[(&str, String)]) {
    for (name, value) in facts {
        println!("{name:12} {value}");
    }
}

/// Date, machine and versions, as name and value.
pub fn machine() -> Vec<(&'static str, String)> {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let (cpus, memory, release) = (read("/proc/cpuinfo"), read("/proc/meminfo"), read("/proc/sys/kernel/osrelease"));
    let after = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or("?", |(_, value)| value.trim()).to_owned()
    };
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let layout = if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() { "v2" } else { "v1" };
    let version = |program: &str, args: &[&str]| {
        let text = run(Command::new(program).args(args)).ok()?;
        Some(text.lines().next()?.to_owned())
    };
    let mut facts = vec![
        ("date", jiff::Timestamp::now().strftime("%F %H:%M UTC").to_string()),
        ("cpu", format!("{cores} x {}", after(&cpus, "model name"))),
        ("memory", after(&memory, "MemTotal")),
        ("kernel", format!("{}, cgroup {layout}", release.trim())),
        (FAVOR, if read("/proc/self/mountinfo").contains(FAVOR) { "on" } else { "off" }.to_owned()),
        ("load", read("/proc/loadavg").trim().to_owned()),
    ];
    for tool in ["crun", "runc", "podman", "dockerd", "containerd", "skopeo"] {
        facts.extend(version(tool, &["--version"]).map(|version| (tool, version)));
    }
    facts
}
