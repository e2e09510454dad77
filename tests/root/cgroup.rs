//! Control groups for real: limits hold, kills are counted where they belong, nothing stays behind. The same tests run
//! on cgroup v1 and, in a guest (`vagrant/guest-initramfs`), on cgroup v2.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use berth::plan::{CgroupPlan, ContainerLimits, TaskLimits};
use berth::runtime::cgroup::{CgroupError, Cgroups, hide};
use berth::runtime::devices::DEFAULT;
use berth::sys::loop_device::LoopDevice;
use nix::sys::stat::{major, minor};

const MIB: u64 = 1 << 20;

/// A task's groups with a name that nobody else has; removed at the end, also of a failed test.
struct Task {
    cgroups: Cgroups,
    plan: CgroupPlan,
}

impl Task {
    fn new(limits: TaskLimits) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let root = format!("berth-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let task = Self {
            cgroups: Cgroups::of_host().unwrap(),
            plan: CgroupPlan { root, task: "0123456789abcdef".into(), limits },
        };
        task.cgroups.create_task(&task.plan).unwrap();
        if let Some(cap) = task.cgroups.cpu_cap(&task.plan).unwrap() {
            cap.set().unwrap();
        }
        task
    }

    fn unlimited() -> Self {
        Self::new(TaskLimits::default())
    }

    fn container(&self, name: &str, limits: &ContainerLimits) {
        self.cgroups.create_container(&self.plan, name, limits, &DEFAULT).unwrap();
    }

    /// A shell in a container's group.
    fn shell(&self, name: &'static str, script: &str) -> Command {
        let (cgroups, plan) = (self.cgroups.clone(), self.plan.clone());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[expect(unsafe_code, reason = "a child must join before it runs the program")]
        // SAFETY: the closure runs in a forked child with one thread; glibc's allocator is usable after a fork.
        unsafe {
            command.pre_exec(move || cgroups.join(&plan, name).map_err(std::io::Error::other))
        };
        command
    }

    fn run(&self, name: &'static str, script: &str) -> Output {
        self.shell(name, script).output().unwrap()
    }

    /// A shell in a container's group that has said that it is ready, by a line.
    fn start(&self, name: &'static str, script: &str) -> Child {
        let mut child = self.shell(name, script).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut text = String::new();
            child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
            panic!("{name} did not start: {text}");
        }
        child
    }

    fn usage(&self, name: &str) -> berth::runtime::cgroup::Usage {
        self.cgroups.usage(&self.plan, Some(name)).unwrap()
    }

    /// The task's group in every hierarchy that has one.
    fn dirs(&self) -> Vec<PathBuf> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let points =
            mounts.lines().filter(|line| line.contains(" - cgroup")).map(|line| line.split(' ').nth(4).unwrap());
        let found = points.map(|point| Path::new(point).join(&self.plan.root).join(&self.plan.task));
        found.filter(|dir| dir.is_dir()).collect()
    }

    /// The content of a file of a container's group, by its name on v1 or on v2.
    fn file(&self, container: &str, v1: &str, v2: &str) -> String {
        let name = if self.cgroups.is_v2() { v2 } else { v1 };
        let found = self.dirs().into_iter().map(|dir| dir.join(container).join(name)).find(|path| path.exists());
        fs::read_to_string(found.unwrap_or_else(|| panic!("no {name}"))).unwrap().trim().to_owned()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let removed = self.cgroups.remove_task(&self.plan);
        if !std::thread::panicking() {
            removed.unwrap();
            assert_eq!(self.dirs(), Vec::<PathBuf>::new());
        }
    }
}

fn limits() -> ContainerLimits {
    ContainerLimits { cpu_shares: 128, memory: None, memory_reservation: None, pids: 512, ..Default::default() }
}

fn with_memory(bytes: u64) -> ContainerLimits {
    ContainerLimits { memory: Some(bytes), ..limits() }
}

/// Holds this many MiB in memory: `tail` keeps a last line, and zeros have no line end.
fn hold(mib: u64) -> String {
    format!("head -c {mib}m /dev/zero | tail >/dev/null")
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_task_gets_no_more_than_its_cpu_units() {
    let task = Task::new(TaskLimits { cpu_units: Some(256), ..TaskLimits::default() });
    task.container("a", &limits());
    let mut spin = task.start("a", "echo ready; while :; do :; done & while :; do :; done");
    let (start, used) = (Instant::now(), task.usage("a").cpu_ns);
    wait_until("2 s pass", || start.elapsed() > Duration::from_secs(2));
    let share = (task.usage("a").cpu_ns - used) as f64 / start.elapsed().as_nanos() as f64;
    task.cgroups.kill_task(&task.plan).unwrap();
    spin.wait().unwrap();
    assert!((0.15..0.30).contains(&share), "two spinning processes under 0.25 CPU used {share:.3}");
}

#[test]
fn a_container_over_its_memory_is_killed_and_the_kill_is_counted_in_its_group_alone() {
    let task = Task::new(TaskLimits { memory: Some(256 * MIB), ..TaskLimits::default() });
    task.container("greedy", &with_memory(24 * MIB));
    task.container("modest", &with_memory(24 * MIB));
    assert!(task.run("modest", &hold(4)).status.success());
    assert!(!task.run("greedy", &format!("{} && echo lived", hold(64))).status.success());
    let greedy = task.cgroups.oom_kills(&task.plan, "greedy").unwrap();
    let modest = task.cgroups.oom_kills(&task.plan, "modest").unwrap();
    assert!(greedy.container > 0);
    assert_eq!((modest.container, modest.task, greedy.task), (0, greedy.container, greedy.container));
    assert_eq!(task.usage("greedy").oom_kills, greedy.container);
}

#[test]
fn a_container_over_its_tasks_memory_is_killed_and_the_kill_is_counted_in_its_group() {
    let task = Task::new(TaskLimits { memory: Some(24 * MIB), ..TaskLimits::default() });
    task.container("greedy", &limits());
    task.container("modest", &limits());
    let mut modest = task.start("modest", "echo ready; read never");
    assert!(!task.run("greedy", &format!("{} && echo lived", hold(64))).status.success());
    let count = task.cgroups.oom_kills(&task.plan, "greedy").unwrap();
    assert!(count.container > 0 && count.task == count.container, "{count:?}");
    assert_eq!(task.cgroups.oom_kills(&task.plan, "modest").unwrap().container, 0);
    modest.wait().unwrap();
}

#[test]
fn on_v2_the_end_of_one_process_for_memory_is_the_end_of_its_whole_container() {
    let task = Task::unlimited();
    task.container("a", &with_memory(24 * MIB));
    let output = task.run("a", &format!("{}; echo lived", hold(64)));
    let lived = String::from_utf8_lossy(&output.stdout).contains("lived");
    assert_eq!(lived, !task.cgroups.is_v2());
    assert_eq!(output.status.signal() == Some(9), task.cgroups.is_v2());
}

#[test]
fn memory_limits_leave_no_room_for_swap() {
    let task = Task::new(TaskLimits { memory: Some(64 * MIB), ..TaskLimits::default() });
    task.container("a", &with_memory(32 * MIB));
    let swap = ["", "a"].map(|group| task.file(group, "memory.memsw.limit_in_bytes", "memory.swap.max"));
    let wanted = if task.cgroups.is_v2() { [0, 0] } else { [64 * MIB, 32 * MIB] };
    assert_eq!(swap, wanted.map(|bytes| bytes.to_string()));
}

#[test]
fn a_container_has_no_more_processes_than_its_limit() {
    let task = Task::unlimited();
    task.container("a", &ContainerLimits { pids: 8, ..limits() });
    let many = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.01 & done; wait";
    assert!(!task.run("a", many).stderr.is_empty(), "a fork failed");
    wait_until("they end", || task.usage("a").pids == 0);
    let few = task.run("a", "sleep 0.01 & sleep 0.01 & wait");
    assert!(few.stderr.is_empty(), "{few:?}");
}

#[test]
fn weights_and_soft_limits_are_what_the_plan_says() {
    let task = Task::new(TaskLimits { cpu_shares: Some(2048), ..TaskLimits::default() });
    let soft = ContainerLimits { cpu_shares: 512, memory_reservation: Some(16 * MIB), ..limits() };
    task.container("a", &soft);
    let [whole, part] = ["", "a"].map(|group| task.file(group, "cpu.shares", "cpu.weight"));
    assert_eq!([whole.as_str(), &part], if task.cgroups.is_v2() { ["200", "50"] } else { ["2048", "512"] });
    assert_eq!(task.file("a", "memory.soft_limit_in_bytes", "memory.low"), (16 * MIB).to_string());
}

#[test]
fn two_busy_containers_share_a_cpu_in_the_ratio_of_their_shares() {
    let task = Task::new(TaskLimits { cpu_units: Some(1024), ..TaskLimits::default() });
    task.container("a", &ContainerLimits { cpu_shares: 256, ..limits() });
    task.container("b", &ContainerLimits { cpu_shares: 768, ..limits() });
    // Both on one CPU, so that they are in each other's way.
    let spin = "taskset -p 1 $$ >/dev/null; echo ready; while :; do :; done";
    let mut children = [task.start("a", spin), task.start("b", spin)];
    let used = || ["a", "b"].map(|name| task.usage(name).cpu_ns as f64);
    let (start, before) = (Instant::now(), used());
    wait_until("3 s pass", || start.elapsed() > Duration::from_secs(3));
    let after = used();
    task.cgroups.kill_task(&task.plan).unwrap();
    for child in &mut children {
        child.wait().unwrap();
    }
    let ratio = (after[1] - before[1]) / (after[0] - before[0]);
    assert!((2.0..4.5).contains(&ratio), "768 to 256 shares gave {ratio:.2}");
}

#[test]
fn a_container_opens_only_the_devices_of_the_rules_and_a_process_outside_opens_more() {
    let task = Task::unlimited();
    task.container("a", &limits());
    // kmsg: not in the list, and every host has it.
    let script = "
        open() { if (: <$1) 2>/dev/null; then echo $1 yes; else echo $1 no; fi; }
        d=$(mktemp -d); mknod $d/kmsg c 1 11 && echo made; open $d/kmsg; rm -r $d
        for n in null zero full random urandom kmsg; do open /dev/$n; done
        (: >/dev/null) && echo written";
    let inside = task.run("a", script);
    let outside = Command::new("/bin/sh").args(["-c", script]).output().unwrap();
    let lines = |output: &Output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let answers = text.lines().map(|line| line.rsplit('/').next().unwrap().to_owned());
        answers.collect::<Vec<_>>()
    };
    let usual = ["null yes", "zero yes", "full yes", "random yes", "urandom yes"];
    let expected = |kmsg| [&["made", kmsg], usual.as_slice(), &[kmsg, "written"]].concat();
    assert_eq!(lines(&outside), expected("kmsg yes"));
    assert_eq!(lines(&inside), expected("kmsg no"));
}

#[test]
fn making_and_removing_what_is_there_or_not_there_succeeds() {
    let task = Task::new(TaskLimits { cpu_units: Some(512), memory: Some(64 * MIB), cpu_shares: None, swap: 0 });
    for _ in 0..3 {
        task.cgroups.create_task(&task.plan).unwrap();
        task.container("a", &with_memory(32 * MIB));
    }
    assert_eq!(task.cgroups.leaf_dir(&task.plan, "a").unwrap().is_some(), task.cgroups.is_v2());
    assert!(task.run("a", ":").status.success());
    task.cgroups.remove_task(&task.plan).unwrap();
    task.cgroups.remove_task(&task.plan).unwrap();
    task.cgroups.kill_container(&task.plan, "a").unwrap();
    let error = task.cgroups.usage(&task.plan, Some("a")).unwrap_err();
    assert!(matches!(error, CgroupError::NoGroup { .. }), "{error}");
}

#[test]
fn a_container_with_the_name_of_a_kernel_file_has_a_group() {
    let task = Task::unlimited();
    task.container("tasks", &limits());
    task.container("notify_on_release", &limits());
    assert!(task.run("tasks", ":").status.success());
}

#[test]
fn removal_kills_what_is_left_and_takes_groups_that_a_container_made() {
    let task = Task::unlimited();
    task.container("a", &limits());
    for dir in task.dirs() {
        fs::create_dir_all(dir.join("a/deep/er")).unwrap();
    }
    let mut child = task.start("a", "trap '' TERM; echo ready; sleep 1000");
    task.cgroups.remove_task(&task.plan).unwrap();
    assert_eq!(task.dirs(), Vec::<PathBuf>::new());
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

#[test]
fn a_fork_bomb_does_not_outrun_the_kill_and_its_neighbour_does_not_notice() {
    let task = Task::unlimited();
    task.container("bomb", &limits());
    task.container("calm", &limits());
    let mut calm = task.start("calm", "echo ready; sleep 1000");
    let mut bomb = task.start("bomb", "f() { f & f & }; echo ready; f; while :; do f; done");
    wait_until("the bomb grows", || task.usage("bomb").pids > 100);
    task.cgroups.kill_container(&task.plan, "bomb").unwrap();
    bomb.wait().unwrap();
    wait_until("the bomb is gone", || task.usage("bomb").pids == 0);
    assert!(calm.try_wait().unwrap().is_none());
    // A killed container can be started again.
    task.container("bomb", &limits());
    assert!(task.run("bomb", "sleep 0 & wait").status.success());
    calm.kill().unwrap();
    calm.wait().unwrap();
}

#[test]
fn two_tasks_of_a_root_do_not_lose_the_roots_group_to_each_other() {
    let first = Task::unlimited();
    let rounds = 50;
    std::thread::scope(|scope| {
        for number in 0..2 {
            let (cgroups, root) = (&first.cgroups, &first.plan.root);
            scope.spawn(move || {
                let limits = TaskLimits { memory: Some(64 * MIB), ..TaskLimits::default() };
                let plan = CgroupPlan { root: format!("{root}-b"), task: format!("t{number}"), limits };
                for _ in 0..rounds {
                    cgroups.create_task(&plan).unwrap();
                    cgroups.create_container(&plan, "a", &with_memory(32 * MIB), &DEFAULT).unwrap();
                    cgroups.remove_task(&plan).unwrap();
                }
            });
        }
    });
}

#[test]
fn figures_are_those_of_the_group() {
    let task = Task::new(TaskLimits { memory: Some(128 * MIB), ..TaskLimits::default() });
    task.container("a", &limits());
    task.container("b", &with_memory(64 * MIB));
    let held = "head -c 16m /dev/zero | { tail -c 17000000 >/dev/null; }; echo ready; read never";
    let mut child = task.shell("b", held).stdin(Stdio::piped()).spawn().unwrap();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
    let [idle, busy] = ["a", "b"].map(|name| task.usage(name));
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!((idle.memory_limit, busy.memory_limit), (Some(128 * MIB), Some(64 * MIB)));
    assert_eq!((idle.pids, idle.cpu_ns), (0, 0));
    assert_eq!(busy.pids, 1);
    assert!(busy.cpu_ns > 0 && busy.memory_bytes < 16 * MIB, "{busy:?}");
    assert!(busy.memory_peak.is_none_or(|peak| peak > 8 * MIB), "{busy:?}");
    let whole = task.cgroups.usage(&task.plan, None).unwrap();
    assert!(whole.cpu_ns >= busy.cpu_ns && whole.memory_limit == Some(128 * MIB), "{whole:?}");
}

#[test]
fn libcontainer_finds_no_control_group_to_write_to_where_they_are_hidden_and_the_host_sees_them_still() {
    let task = Task::unlimited();
    let hidden = std::thread::spawn(|| {
        hide().unwrap();
        fs::read_to_string("/proc/thread-self/mountinfo").unwrap()
    });
    let mounts = hidden.join().unwrap();
    assert!(!mounts.contains(" - cgroup"), "{mounts}");
    assert!(mounts.lines().any(|line| line.contains(" /sys/fs/cgroup ro,") && line.contains(" - tmpfs ")), "{mounts}");
    assert!(!task.dirs().is_empty());
}

/// On v1 the kernel counts them only where somebody has set a limit for the device.
#[test]
fn reads_of_a_disk_are_counted_on_v2() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(4 * MIB).unwrap();
    let disk = LoopDevice::attach(&file).unwrap();
    let task = Task::unlimited();
    task.container("web", &limits());
    let reading = fs::File::open(disk.path()).unwrap();
    let number = reading.metadata().unwrap().rdev();
    // Past the page cache: udev may have looked at the disk before. The shell and dd may come from a disk too.
    let mut command = task.shell("web", "dd iflag=direct bs=1M of=/dev/null");
    assert!(command.stdin(reading).output().unwrap().status.success());
    let counted = task.cgroups.counters(&task.plan, Some("web")).unwrap().io;
    let of_disk = counted.iter().filter(|io| io.device == (major(number), minor(number)));
    let read: Vec<u64> = of_disk.map(|io| io.bytes.0).collect();
    assert_eq!(read, if task.cgroups.is_v2() { vec![4 * MIB] } else { vec![] }, "{counted:?}");
}
