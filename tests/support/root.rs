//! A private root for one test: a state directory that nobody else uses, images in it, and the leak check at its end.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use berth::plan::Layout;
use berth::runtime::cgroup::delegated;
use serde_json::Value;

use super::command::{Finished, Running};
use super::leaks::Leaks;
use super::{binary, eventually, fixture};

/// How long one call of the program may take.
const CALL: Duration = Duration::from_secs(60);
/// How long the kernel may take to finish what was left to it: it frees network namespaces in batches.
const CLEANUP: Duration = Duration::from_secs(10);
/// What stands between a host and its registries.
const PROXIES: [&str; 3] = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

/// A private root. At its end what still runs is stopped, and nothing may be left of it on the host.
pub(crate) struct Root {
    directory: tempfile::TempDir,
    leaks: Leaks,
}

impl Root {
    /// An empty root. Panics without root's rights: a test that cannot run has not passed.
    pub(crate) fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// An empty root in a directory.
    pub(crate) fn below(parent: &Path) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "this suite needs root (`make test` leaves it out without)");
        let directory = tempfile::Builder::new().prefix("berth-test-").tempdir_in(parent).expect("make a directory");
        let leaks = Leaks::of(&directory.path().canonicalize().expect("it is there"));
        Self { directory, leaks }
    }

    /// A root with images of `rootfs-fixtures/`.
    pub(crate) fn with_images(images: &[&str]) -> Self {
        let root = Self::new();
        for image in images {
            root.import(&fixture(image));
        }
        root
    }

    /// Imports an image.
    pub(crate) fn import(&self, layout: &Path) {
        self.berth([OsStr::new("image"), OsStr::new("import"), layout.as_os_str()]).ok();
    }

    /// Writes the root's `config.toml`.
    pub(crate) fn configure(&self, text: &str) {
        std::fs::write(self.path().join("config.toml"), text).expect("write config.toml");
    }

    /// The state directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// `berth --root DIR` with arguments, not yet started.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(binary());
        command.arg("--root").arg(self.path()).args(args);
        // no credentials and no proxies but the test's own
        for name in PROXIES.iter().chain(&["REGISTRY_AUTH_FILE"]) {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        command.env("DOCKER_CONFIG", self.path().join("docker")).env("XDG_RUNTIME_DIR", self.path().join("run-user"));
        command
    }

    /// Runs `berth --root DIR` with arguments to its end.
    pub(crate) fn berth<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Finished {
        self.start(args).wait(CALL)
    }

    /// Starts `berth --root DIR` with arguments.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Running {
        Running::start(self.command(args))
    }

    /// Writes a task definition to a file (outside the state directory's own tree) and gives back its path.
    pub(crate) fn file(&self, definition: &Value) -> PathBuf {
        let family = definition["family"].as_str().unwrap_or("task");
        let path = self.path().join(format!("{family}.definition.json"));
        std::fs::write(&path, definition.to_string()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// `berth run` in the foreground, to its end.
    pub(crate) fn run(&self, definition: &Value) -> Finished {
        self.berth([OsStr::new("run"), self.file(definition).as_os_str()])
    }

    /// `berth run -d`: the ECS Task as it was answered. The probes of it that wait for signals do so when this returns: a
    /// signal that comes earlier is lost, because the first process of a PID namespace has no default actions (kill(2)).
    pub(crate) fn run_detached(&self, definition: &Value) -> Task {
        let task = self.run_file(&self.file(definition));
        for container in definition["containerDefinitions"].as_array().into_iter().flatten() {
            if ["trap", "ignore"].iter().any(|verb| container["command"][0] == *verb) {
                let name = container["name"].as_str().expect("a container has a name");
                self.until_written(&task, name, "ready");
            }
        }
        task
    }

    /// `berth run -d` of a file.
    pub(crate) fn run_file(&self, file: &Path) -> Task {
        let args = [OsStr::new("--format"), OsStr::new("json"), OsStr::new("run"), OsStr::new("-d"), file.as_os_str()];
        let answer = self.berth(args).json();
        let id = ids(&answer).first().unwrap_or_else(|| panic!("no taskArn in {answer:#}")).clone();
        Task { id, answer }
    }

    /// `berth ps` (with `-a` for the stopped ones): the ECS Tasks.
    pub(crate) fn list(&self, more: &[&str]) -> Vec<Value> {
        let answer = self.berth(["--format", "json", "ps"].iter().chain(more)).json();
        let tasks = if answer.is_array() { &answer } else { &answer["tasks"] };
        tasks.as_array().unwrap_or_else(|| panic!("no tasks in {answer:#}")).clone()
    }

    /// `berth describe`: the ECS Task.
    pub(crate) fn describe(&self, task: &Task) -> Value {
        find_task(&self.berth(["--format", "json", "describe", &task.id]).json(), &task.id)
    }

    /// Waits until the task's `lastStatus` is this one; the ECS Task then.
    pub(crate) fn until(&self, task: &Task, status: &str) -> Value {
        let patience = Duration::from_secs(30);
        eventually(patience, &format!("{} is {status}", task.id), || {
            let record = self.describe(task);
            (record["lastStatus"] == status).then_some(record)
        })
    }

    /// What a container has written so far.
    pub(crate) fn logs(&self, task: &Task, container: &str) -> String {
        let finished = self.berth(["logs", "-c", container, &task.id]);
        finished.stdout.clone() + &finished.stderr
    }

    /// Waits until a container has written something; all that it has written then.
    pub(crate) fn until_written(&self, task: &Task, container: &str, text: &str) -> String {
        eventually(Duration::from_secs(15), &format!("{container} writes {text:?}"), || {
            Some(self.logs(task, container)).filter(|all| all.contains(text))
        })
    }

    /// `berth exec` of a command in a container.
    pub(crate) fn exec(&self, task: &Task, container: &str, command: &[&str]) -> Finished {
        self.berth(["exec", "-c", container, &task.id].iter().chain(command))
    }

    /// A file of the group of a task, or of a container in it; `None` if it is not there.
    pub(crate) fn group(&self, task: &Task, container: Option<&str>, controller: &str, file: &str) -> Option<String> {
        let root = self.directory.path().canonicalize().expect("it is there");
        let group = Path::new(delegated()).join(format!("berth-{}", Layout::below(&root).tag())).join(&task.id);
        let group = container.map_or(group.clone(), |name| group.join(name)).join(file);
        let mounts = [Path::new("/sys/fs/cgroup").join(controller), "/sys/fs/cgroup".into()];
        mounts.iter().find_map(|mount| std::fs::read_to_string(mount.join(&group)).ok())
    }

    /// The CPU time that a task, or a container of it, has used.
    pub(crate) fn cpu_time(&self, task: &Task, container: Option<&str>) -> Duration {
        if let Some(nanoseconds) = self.group(task, container, "cpuacct", "cpuacct.usage") {
            return Duration::from_nanos(nanoseconds.trim().parse().expect("a number"));
        }
        let stat = self.group(task, container, "", "cpu.stat").expect("its group is there");
        let microseconds = stat.lines().find_map(|line| line.strip_prefix("usage_usec ")).expect("cpu.stat has it");
        Duration::from_micros(microseconds.parse().expect("a number"))
    }

    /// `berth stop`, to the task's end.
    pub(crate) fn stop(&self, task: &Task) {
        self.berth(["stop", &task.id]).ok();
    }

    /// What is there of this root on the host now, one line each; nothing when no task runs.
    pub(crate) fn present(&self) -> Vec<String> {
        self.leaks.present()
    }

    fn stop_all(&self) {
        let listed = self.berth(["--format", "json", "ps"]);
        if let Ok(tasks) = serde_json::from_str(&listed.stdout) {
            for id in ids(&tasks) {
                self.berth(["stop", &id]);
            }
        }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // the test has its reason already: leave nothing to the others, and say what was there
            let present = self.present();
            let (files, others): (Vec<_>, Vec<_>) = present.into_iter().partition(|line| line.starts_with("file: "));
            eprintln!("when the test failed there were {} files and {others:#?}", files.len());
            self.leaks.remove();
            return;
        }
        self.stop_all();
        let left = self.leaks.after(CLEANUP);
        if !left.is_empty() {
            self.leaks.remove();
            panic!("left behind:\n{}", left.join("\n"));
        }
    }
}

/// A task that was started.
#[derive(Debug)]
pub(crate) struct Task {
    /// The last part of its ARN.
    pub(crate) id: String,
    /// What `berth run -d` answered.
    pub(crate) answer: Value,
}

impl Task {
    /// The address of its network interface.
    pub(crate) fn address(&self) -> String {
        self.interface("privateIPv4Address")
    }

    /// A detail of its network interface.
    pub(crate) fn interface(&self, name: &str) -> String {
        let details = members(&self.answer, "details").into_iter().flat_map(|list| list.as_array()).flatten();
        let value = details.filter(|detail| detail["name"] == name).find_map(|detail| detail["value"].as_str());
        value.unwrap_or_else(|| panic!("no {name} in {:#}", self.answer)).to_owned()
    }
}

/// Every member of that name, at any depth: what is asked for does not depend on the envelope around it.
fn members<'a>(value: &'a Value, name: &str) -> Vec<&'a Value> {
    match value {
        Value::Object(map) => {
            let own = map.get(name).into_iter();
            own.chain(map.values().flat_map(|value| members(value, name))).collect()
        }
        Value::Array(list) => list.iter().flat_map(|value| members(value, name)).collect(),
        _ => Vec::new(),
    }
}

/// The ids of all tasks in an answer, each once.
fn ids(answer: &Value) -> Vec<String> {
    let arns = members(answer, "taskArn").into_iter().filter_map(Value::as_str);
    let mut ids: Vec<String> = arns.filter_map(|arn| Some(arn.rsplit('/').next()?.to_owned())).collect();
    ids.sort();
    ids.dedup();
    ids
}

/// The task itself, out of whatever it was wrapped in.
fn find_task(answer: &Value, id: &str) -> Value {
    let is = |value: &Value| value["taskArn"].as_str().is_some_and(|arn| arn.ends_with(id));
    if is(answer) {
        return answer.clone();
    }
    let tasks = members(answer, "tasks").into_iter().flat_map(|list| list.as_array()).flatten();
    tasks.chain(answer.as_array().into_iter().flatten()).find(|task| is(task)).cloned().unwrap_or_else(|| {
        panic!("task {id} is not in {answer:#}");
    })
}
