//! Hostile registries, through the real program: each ends in time and in little memory, with an error that says why, and leaves no
//! image, no process, and no file outside the store. Each has a control: the same pull from the same registry when it
//! behaves in that point brings the image.

mod answers;
mod contents;
pub(crate) mod served;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine;
use serde_json::json;

use crate::support::command::{Finished, Running};
use crate::support::root::Root;
use crate::support::scripted::{Reply, Server};
use crate::support::{attack, say};
use served::{Image, Script};

/// How long one pull may take, whatever the registry does.
const PATIENCE: Duration = Duration::from_secs(150);
/// How much memory one process may have, in KiB.
const MEMORY: u64 = 64 << 10;

/// A registry that does something wrong.
struct Behaviour {
    name: &'static str,
    hostile: Script,
    /// The control.
    good: Script,
    /// What the error says.
    says: &'static str,
    credentials: bool,
}

impl Behaviour {
    fn new(name: &'static str, hostile: Script, good: Script, says: &'static str) -> Self {
        Self { name, hostile, good, says, credentials: false }
    }

    /// The pull has credentials for the registry, which nobody else may get.
    fn with_credentials(self) -> Self {
        Self { credentials: true, ..self }
    }
}

/// One store for some behaviours, one after the other, and what must not change around it.
struct Ground {
    dir: tempfile::TempDir,
    root: Root,
}

impl Ground {
    fn new() -> Self {
        let ground = Self { dir: tempfile::tempdir().expect("make a directory"), root: Root::new() };
        assert_eq!(ground.images(), 0);
        ground
    }

    /// Runs `berth image pull` and gives back its end and the most memory of a process of it, in KiB.
    fn pull(&self, server: &str, credentials: bool) -> (Finished, u64) {
        let auth = base64::engine::general_purpose::STANDARD.encode("somebody:secret");
        let auths = if credentials { json!({ server: { "auth": auth } }) } else { json!({}) };
        fs::write(self.dir.path().join("config.json"), json!({ "auths": auths }).to_string()).expect("write a file");
        let mut command = self.root.command(["image", "pull", &format!("{server}/web:1")]);
        command.env("DOCKER_CONFIG", self.dir.path());
        let running = Running::start(command);
        let (pid, ended, most) = (running.pid().as_raw(), AtomicBool::new(false), AtomicU64::new(0));
        let finished = thread::scope(|scope| {
            scope.spawn(|| {
                // also when waiting for it panics: it is killed then
                while !ended.load(Ordering::Relaxed) && Path::new(&format!("/proc/{pid}")).exists() {
                    most.fetch_max(memory(pid), Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(5));
                }
            });
            let finished = running.wait(PATIENCE);
            ended.store(true, Ordering::Relaxed);
            finished
        });
        (finished, most.into_inner())
    }

    fn images(&self) -> usize {
        let listed = self.root.berth(["--format", "json", "image", "ls"]).json();
        listed.as_array().map_or(usize::MAX, Vec::len)
    }

    /// What is left of the pull in the store that nobody will use: layers without an image, half-made ones.
    fn litter(&self) -> Vec<PathBuf> {
        let images = self.root.path().join("images");
        let entries =
            |dir: &str| fs::read_dir(images.join(dir)).into_iter().flatten().flatten().map(|entry| entry.path());
        let half = |path: &PathBuf| !path.join("unpacked.json").is_file();
        entries("layers").chain(entries("blobs/sha256")).chain(entries("staging/layers").filter(half)).collect()
    }

    fn refused(&self, behaviour: &Behaviour, server: &str) -> Result<(), String> {
        let (finished, memory) = self.pull(server, behaviour.credentials);
        let said = &finished.stderr;
        if finished.status.code() != Some(1) {
            return Err(format!("it ended with {}: {said}", finished.status));
        }
        if !said.contains("error: pull ")
            || !said.contains(": CannotPullContainerError: ")
            || !said.contains(behaviour.says)
        {
            return Err(format!("it says: {said}"));
        }
        if said.bytes().any(|byte| byte < b' ' && byte != b'\n' && byte != b'\t') || said.contains("secret") {
            return Err(format!("it says what must not be shown: {said:?}"));
        }
        if memory > MEMORY {
            return Err(format!("it took {memory} KiB"));
        }
        let (images, litter, present) = (self.images(), self.litter(), self.root.present());
        if images > 0 || !litter.is_empty() || !present.is_empty() {
            return Err(format!("it leaves {images} images, {litter:?}, {present:?}"));
        }
        Ok(())
    }

    /// The control: from the registry that behaves the image comes. It is removed again.
    fn pulled(&self, credentials: bool, server: &str) -> Result<(), String> {
        let (finished, _) = self.pull(server, credentials);
        let images = self.images();
        if !finished.status.success() || images != 1 {
            return Err(format!("the control: {images} images, {}", finished.stderr));
        }
        self.root.berth(["image", "rm", &format!("{server}/web:1")]).ok();
        self.root.berth(["image", "prune"]).ok();
        Ok(())
    }

    fn both(&self, behaviour: &Behaviour) -> Result<(), String> {
        // One server for both, so that nothing but its behaviour differs.
        let (hostile, good) = (Arc::clone(&behaviour.hostile), Arc::clone(&behaviour.good));
        let behaves = Arc::new(AtomicBool::new(false));
        let now = Arc::clone(&behaves);
        let server = Server::start(move |request| match now.load(Ordering::Relaxed) {
            true => good(request),
            false => hostile(request),
        });
        self.refused(behaviour, &server.authority())?;
        behaves.store(true, Ordering::Relaxed);
        self.pulled(behaviour.credentials, &server.authority())
    }
}

/// The most memory that a process, or one that it started, has had so far, in KiB.
fn memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    // before it has executed its program it is a copy of this test, with all the memory of it
    let is_ours = status.starts_with("Name:\tberth\n");
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    let most = most.filter(|_| is_ours);
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<_> = children.flat_map(|all| all.split(' ').flat_map(str::parse).collect::<Vec<i32>>()).collect();
    children.into_iter().map(memory).chain(most).max().unwrap_or(0)
}

/// Names, inodes, modes, owners, times and contents.
fn tree(path: &Path, all: &mut BTreeMap<PathBuf, String>) {
    let m = path.symlink_metadata().expect("it is there");
    let content = if m.is_file() { fs::read(path).unwrap_or_default() } else { Vec::new() };
    let times = (m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
    all.insert(
        path.into(),
        format!("{} {:o} {} {} {} {times:?} {content:?}", m.ino(), m.mode(), m.uid(), m.gid(), m.nlink()),
    );
    if m.is_dir() {
        fs::read_dir(path).expect("it can be read").for_each(|entry| tree(&entry.expect("it is there").path(), all));
    }
}

fn snapshot(path: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    tree(path, &mut all);
    all
}

/// Runs them all, some at a time, and gives back what went wrong.
fn run(behaviours: Vec<Behaviour>) -> Vec<String> {
    let (waiting, failed) = (Mutex::new(behaviours), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let ground = Ground::new();
                loop {
                    let Some(behaviour) = waiting.lock().expect("nobody panics with it").pop() else { return };
                    match ground.both(&behaviour) {
                        Ok(()) => attack(behaviour.name, "refused, nothing left", "the image is pulled"),
                        Err(why) => {
                            failed.lock().expect("nobody panics with it").push(format!("{}: {why}", behaviour.name))
                        }
                    }
                }
            });
        }
    });
    failed.into_inner().expect("nobody panics with it")
}

#[test]
fn no_registry_gets_anything_out_of_the_store_or_into_it() {
    let dir = tempfile::tempdir().unwrap();
    let canary = dir.path().join("canary");
    fs::create_dir_all(canary.join("dir")).unwrap();
    fs::write(canary.join("file"), "canary").unwrap();
    fs::write(canary.join("dir/file"), "canary").unwrap();
    let before = snapshot(dir.path());
    let other = Server::start(|_| Reply::ok("{}"));
    let mut behaviours = answers::behaviours(&other.url());
    behaviours.extend(contents::behaviours(&canary, &other.url()));
    let count = behaviours.len();
    let names: std::collections::BTreeSet<_> = behaviours.iter().map(|behaviour| behaviour.name).collect();
    assert_eq!(names.len(), count, "two have the same name");
    let failed = run(behaviours);
    say(&format!("registry behaviours: {count}, of which {} got further than they should", failed.len()));
    assert!(failed.is_empty(), "{} of {count}:\n{}", failed.len(), failed.join("\n"));
    assert!(count >= 40, "{count}");
    assert_eq!(snapshot(dir.path()), before, "the canary is not as it was");
    assert!(other.requests().is_empty(), "{:?}", other.requests());
}

#[test]
fn a_registry_that_is_down_is_named() {
    let ground = Ground::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap().to_string();
    drop(listener);
    let down = Behaviour::new("down", Image::small().served(), Image::small().served(), "refused");
    ground.refused(&down, &server).unwrap();
    let server = Server::start(|request| Image::small().contents().answer(request));
    ground.pulled(false, &server.authority()).unwrap();
}

/// One byte each second keeps every time-out of a single read happy: there is one for all of it.
#[test]
fn a_registry_that_sends_a_byte_each_second_is_given_up() {
    let ground = Ground::new();
    let contents = Image::small().contents();
    let slow = contents.clone();
    let server = Server::start(move |request| slow.answer(request).slowly(1, Duration::from_secs(1)));
    let (finished, memory) = ground.pull(&server.authority(), false);
    assert_eq!((finished.code(), ground.images()), (1, 0), "{finished:#?}");
    assert!(finished.stderr.contains("error: pull ") && memory <= MEMORY, "{finished:#?}");
    assert!(ground.litter().is_empty(), "{:?}", ground.litter());
    let server = Server::start(move |request| contents.answer(request));
    ground.pulled(false, &server.authority()).unwrap();
}
