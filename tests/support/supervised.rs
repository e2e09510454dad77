//! A task's processes seen from outside: its supervisor's two, its workers, its containers' first ones; and killing them.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use berth::sys::pidfd::{self, ExitInfo};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::root::{Root, Task};
use super::{definition, eventually};

/// How long anything may take here, with much to spare.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A container that a stop signal does not impress, and that is killed a second later.
pub(crate) fn sleeper() -> Value {
    let mut task = definition(&[("web", &["sleep"])]);
    task["containerDefinitions"][0]["stopTimeout"] = json!(1);
    task
}

/// The two processes of a task's supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) holder: Pid,
    pub(crate) looping: Pid,
}

impl Pair {
    /// Kills both, the holder first so that no new loop comes, and waits until the kernel has ended them: until then they
    /// hold the task's lock.
    pub(crate) fn end(self) {
        for pid in [self.holder, self.looping] {
            strike(pid);
            eventually(PATIENCE, "it is gone", || (!exists(pid)).then_some(()));
        }
    }
}

/// The processes whose command line has these words, and their parents.
pub(crate) fn processes(words: &[&str]) -> Vec<(Pid, Pid)> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let line: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        let has = words.iter().all(|word| line.contains(&word.as_bytes()));
        let parent = has.then(|| parent(pid))??;
        Some((Pid::from_raw(pid), parent))
    })
    .collect()
}

fn parent(pid: i32) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit(')').next()?.split_ascii_whitespace();
    let alive = fields.next()? != "Z";
    alive.then(|| fields.next()?.parse().ok().map(Pid::from_raw))?
}

/// Holder and loop of a task, if both live.
pub(crate) fn pair(task: &str) -> Option<Pair> {
    let all = processes(&["supervise", task]);
    let looping = all.iter().find(|(_, parent)| all.iter().any(|(pid, _)| pid == parent))?;
    Some(Pair { holder: looping.1, looping: looping.0 })
}

pub(crate) fn workers(task: &str) -> Vec<Pid> {
    processes(&["worker", task]).into_iter().map(|(pid, _)| pid).collect()
}

pub(crate) fn ended(task: &Task, root: &Root) -> Value {
    eventually(PATIENCE, "it is STOPPED", || {
        let record = root.describe(task);
        (record["lastStatus"] == "STOPPED").then_some(record)
    })
}

pub(crate) fn exit_code(record: &Value) -> &Value {
    &record["containers"][0]["exitCode"]
}

/// Whether a record may have this for the exit code of a container that outlived both its supervisors. Before Linux 6.15 the
/// kernel tells it to the parent alone, and others know it only if they look before the parent does.
pub(crate) fn is_told_to_strangers(found: &Value, code: i32) -> bool {
    let mut child = Command::new("true").spawn().expect("true runs");
    let stranger =
        pidfd::open(Pid::from_raw(child.id().try_into().expect("a pid fits"))).expect("it is not reaped yet");
    child.wait().expect("it is ours");
    match pidfd::exit_info(stranger).expect("the kernel answers") {
        ExitInfo::Ended(_) => *found == code,
        ExitInfo::NotYet | ExitInfo::Unknown => *found == code || found.is_null(),
    }
}

/// The pid of a task's only container on the host.
pub(crate) fn init(root: &Root, task: &Task) -> Pid {
    let text = fs::read(root.path().join(format!("run/tasks/{}/c/web/init.json", task.id))).unwrap();
    let file: Value = serde_json::from_slice(&text).unwrap();
    Pid::from_raw(i32::try_from(file["pid"].as_i64().unwrap()).unwrap())
}

pub(crate) fn exists(pid: Pid) -> bool {
    parent(pid.as_raw()).is_some()
}

pub(crate) fn strike(pid: Pid) {
    kill(pid, Signal::SIGKILL).ok();
}

/// Kills the loop and waits for the next one that listens; how long that took.
pub(crate) fn kill_loop(root: &Root, task: &Task) -> Duration {
    kill_loop_while(root, task, || true).expect("it is there again")
}

/// The same as long as something holds, of a container that ends some time: nothing if it does not hold any more.
pub(crate) fn kill_loop_while(root: &Root, task: &Task, holds: impl Fn() -> bool) -> Option<Duration> {
    let unless_over = |found: bool| (found || !holds()).then_some(found);
    let old = eventually(PATIENCE, "a loop is there", || match pair(&task.id) {
        None if holds() => None,
        found => Some(found),
    })?;
    let since = Instant::now();
    strike(old.looping);
    let is_new = || pair(&task.id).is_some_and(|new| new.looping != old.looping);
    let control = root.path().join(format!("run/tasks/{}/control.sock", task.id));
    let listens = || std::os::unix::net::UnixStream::connect(&control).is_ok();
    let is_back = eventually_soon("supervision is back", || unless_over(is_new()))
        && eventually_soon("it listens", || unless_over(listens()));
    is_back.then(|| since.elapsed())
}

/// As [`eventually`], looking all the time.
pub(crate) fn eventually_soon<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "still not: {what}");
        thread::yield_now();
    }
}

pub(crate) fn plain_log(root: &Root, task: &Task) -> String {
    let directory = root.path().join(format!("tasks/{}/logs", task.id));
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path()).collect();
    // web.log is the newest, web.log.1 the one before
    files.sort_by_key(|path| std::cmp::Reverse(path.extension().and_then(|end| end.to_str()?.parse::<u32>().ok())));
    let mut text = String::new();
    for line in
        files.iter().flat_map(|path| fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
    {
        let mut parts = line.splitn(4, ' ');
        let [_, stream, tag, message] = [(); 4].map(|()| parts.next().unwrap_or_default());
        if stream == "stdout" {
            text.push_str(message);
            text.push_str(if tag == "F" { "\n" } else { "" });
        }
    }
    text
}

/// The first processes of containers of a task: those with pid 1 in a namespace of their own.
pub(crate) fn copies(id: &str) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let inside = |pid: &i32| {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let first = read("status")
            .lines()
            .any(|line| line.starts_with("NSpid:") && line.ends_with("\t1") && line.matches('\t').count() > 1);
        first && read("cgroup").contains(id) && !read("stat").contains(") Z ")
    };
    pids.filter(inside).map(Pid::from_raw).collect()
}

pub(crate) fn tries(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
