//! What is used up: inodes, descriptors, processes, memory of our own; a disk that answers late or not at all; a reader that
//! never reads. Who is short of it is told so and leaves nothing behind; a task that runs beside it does not notice.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};
use nix::unistd::Pid;
use serde_json::json;

use crate::bad_input::Disk;
use crate::support::command::{Finished, Running};
use crate::support::root::{Root, Task};
use crate::support::supervised::{PATIENCE, exists, exit_code, init, is_told_to_strangers, pair, strike};
use crate::support::{container, definition, eventually, fixture, of, say, task};

/// A task that ends with 3 when it is asked to, and must not notice what others are short of.
struct Bystander<'a> {
    root: &'a Root,
    task: Task,
    pid: Pid,
    /// What there is of it on the host.
    present: Vec<String>,
}

impl<'a> Bystander<'a> {
    fn new(root: &'a Root) -> Self {
        let task = root.run_detached(&definition(&[("web", &["trap", "TERM", "--", "3"])]));
        let pid = init(root, &task);
        let mut bystander = Self { root, task, pid, present: Vec::new() };
        bystander.present = root.present();
        bystander
    }

    /// Removes all other tasks; nothing may be left of them.
    fn alone(&self, what: &str) {
        let all = self.root.berth(["ps", "-a", "-q"]).ok();
        let others: Vec<&str> = all.lines().filter(|id| !self.task.id.starts_with(id)).collect();
        if !others.is_empty() {
            self.root.berth(["rm", "-f"].into_iter().chain(others)).ok();
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let present = self.root.present();
            if present == self.present {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: {present:#?}\ninstead of {:#?}", self.present);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// It runs as it did, and ends as it should.
    fn end(self) {
        assert!(exists(self.pid), "its process is the same");
        self.root.stop(&self.task);
        assert_eq!(exit_code(&self.root.describe(&self.task)), 3);
    }
}

/// `berth` with arguments, after a line of shell that takes something from it.
fn within(root: &Root, shell: &str, args: &[&OsStr]) -> Finished {
    let inner = root.command(args);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{shell}\nexec \"$@\""), "sh"]).arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Running::start(command).wait(PATIENCE)
}

/// Starts a task again and again with ever more of something, up to enough: each time it runs, or it is said why not.
fn starved(what: &str, shells: &[String], says: &[&str]) {
    let root = Root::with_images(&["probe"]);
    let bystander = Bystander::new(&root);
    let file = root.file(&definition(&[("web", &["sleep"])]));
    let (mut ran, mut refused) = (0, 0);
    for shell in shells {
        let finished = within(&root, shell, &[OsStr::new("run"), OsStr::new("-d"), file.as_os_str()]);
        let said = finished.stderr.clone() + &finished.stdout;
        assert!(!said.contains("panicked"), "{shell}: {said}");
        if finished.status.success() {
            ran += 1;
        } else {
            refused += 1;
            // One that does not get its first pages is killed by the kernel before it is a program.
            let is_told =
                finished.status.code().is_none() || says.iter().any(|words| said.to_lowercase().contains(words));
            assert!(is_told, "{shell}: {} says {said:?}", finished.status);
        }
        bystander.alone(shell);
    }
    bystander.end();
    say(&format!("{what}: of {} starts {refused} were refused with the reason, {ran} ran, nothing left", shells.len()));
    assert!(refused > 0 && ran > 0, "{what}: {refused} refused, {ran} ran");
}

#[test]
fn who_has_too_few_descriptors_is_told_so() {
    let most: Vec<String> = (3..32).chain([48, 64]).map(|count| format!("ulimit -n {count}")).collect();
    let says = ["too many open files", "no file descriptors available", "unable to open database file"];
    starved("descriptors", &[most, vec![":".to_owned()]].concat(), &says);
}

#[test]
fn who_has_too_little_address_space_is_told_so() {
    let limits = [8, 16, 24, 32, 40, 48, 64, 96, 128, 192, 256];
    let most: Vec<String> = limits.iter().map(|mib| format!("ulimit -v {}", mib << 10)).collect();
    starved("address space", &[most, vec![":".to_owned()]].concat(), &["memory"]);
}

/// A control group of the test's own, in which somebody has little.
struct Group(PathBuf);

impl Group {
    fn new(controller: &str) -> Self {
        let v1 = Path::new("/sys/fs/cgroup").join(controller);
        let parent = if v1.join("cgroup.procs").exists() { v1 } else { "/sys/fs/cgroup".into() };
        let group = parent.join(format!("exhausted-{}-{controller}", std::process::id()));
        fs::create_dir(&group).unwrap_or_else(|error| panic!("{}: {error}", group.display()));
        Self(group)
    }

    /// Sets the limit, by its name on v1 or on v2.
    fn limit(&self, names: [&str; 2], value: &str) {
        let file = names.map(|name| self.0.join(name)).into_iter().find(|file| file.exists());
        fs::write(file.expect("the controller is there"), value).expect("set the limit");
    }

    fn add(&self, pid: Pid) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).expect("move a process");
    }

    /// How many processes of it the kernel has killed for memory.
    fn kills(&self) -> u64 {
        let files = ["memory.oom_control", "memory.events"].map(|name| self.0.join(name));
        let text = files.iter().find_map(|file| fs::read_to_string(file).ok()).expect("one of them is there");
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.and_then(|count| count.parse().ok()).unwrap_or_default()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        eventually(PATIENCE, "its group is empty", || fs::remove_dir(&self.0).ok());
    }
}

#[test]
fn who_may_make_too_few_processes_is_told_so() {
    let group = Group::new("pids");
    let procs = group.0.join("cgroup.procs").display().to_string();
    let max = group.0.join("pids.max").display().to_string();
    // With three there is a supervisor and nobody to clean up for it, as long as the caller waits for just that.
    let most = [1, 2].into_iter().chain(4..=16).map(|count| format!("echo {count} >{max}; echo $$ >{procs}"));
    let enough = format!("echo 1000 >{max}; echo $$ >{procs}");
    starved("processes", &most.chain([enough]).collect::<Vec<_>>(), &["temporarily unavailable"]);
}

#[test]
fn where_no_file_can_be_made_it_is_said_and_when_one_can_again_all_goes_on() {
    let disk = Disk::with("size=64m,nr_inodes=600");
    let root = Root::below(disk.path());
    root.import(&fixture("probe"));
    let bystander = Bystander::new(&root);
    let file = root.file(&definition(&[("web", &["exit", "7"])]));
    let run = || root.berth([OsStr::new("run"), file.as_os_str()]);
    assert_eq!(run().code(), 7);
    let fillers = disk.path().join("fillers");
    fs::create_dir(&fillers).unwrap();
    let made = (0..600).take_while(|number| fs::write(fillers.join(number.to_string()), "").is_ok()).count();
    assert!((1..600).contains(&made), "{made}");
    let full = run();
    assert_eq!(full.code(), 1, "{full:#?}");
    let said = full.stderr.to_lowercase();
    assert!(said.contains("no space left on device") || said.contains("disk is full"), "{said}");
    fs::remove_dir_all(fillers).unwrap();
    assert_eq!(run().code(), 7);
    bystander.alone("inodes");
    bystander.end();
}

/// The kernel kills supervisors for memory as often as it likes: when there is memory again there is one.
#[test]
fn a_supervisor_that_is_killed_for_memory_harms_no_container_and_is_back_when_there_is_some() {
    let group = Group::new("memory");
    let root = Root::with_images(&["probe"]);
    let bystander = Bystander::new(&root);
    let pair = pair(&bystander.task.id).expect("it has a supervisor");
    group.limit(["memory.limit_in_bytes", "memory.max"], "65536");
    group.add(pair.holder);
    group.add(pair.looping);
    strike(pair.looping); // the next loop has to be made of that little
    eventually(PATIENCE, "one is killed for memory", || (group.kills() > 0).then_some(()));
    assert!(exists(bystander.pid), "the container stays");
    let other = root.run(&definition(&[("web", &["exit", "7"])]));
    assert_eq!(other.code(), 7, "another task is started meanwhile: {other:?}");
    group.limit(["memory.limit_in_bytes", "memory.max"], "1000000000");
    assert!(exists(bystander.pid), "the container stays");
    let is_kin = exists(pair.holder);
    root.stop(&bystander.task);
    let record = root.describe(&bystander.task);
    let code = exit_code(&record);
    assert!(*code == 3 || !is_kin && is_told_to_strangers(code, 3), "{code} after {} kills", group.kills());
    say(&format!("supervisors killed for memory: {}; the container untouched, its exit code {code}", group.kills()));
}

/// A program whose output nobody takes.
struct Unread(Child);

impl Unread {
    fn start(root: &Root, args: &[&str]) -> Self {
        let mut command = root.command(args);
        Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// It waits, as it must: its pipe is full.
    fn waits(&mut self, what: &str) {
        let pid = self.0.id();
        eventually(PATIENCE, &format!("{what} waits for its reader"), || {
            let call = fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
            let full = berth::sys::pipe::waiting(self.0.stdout.as_ref().unwrap()).is_ok_and(|bytes| bytes >= 60_000);
            (full || call.contains("pipe_write")).then_some(())
        });
        assert!(self.0.try_wait().unwrap().is_none(), "{what} has not ended");
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kib < 64 << 10, "{what} has {kib} KiB");
    }

    /// Its reader goes: so does it.
    fn abandon(mut self, what: &str) {
        drop(self.0.stdout.take());
        eventually(PATIENCE, &format!("{what} ends without a reader"), || self.0.try_wait().unwrap());
    }
}

#[test]
fn a_reader_that_never_reads_holds_nobody_up() {
    const BYTES: &str = "8000000";
    let root = Root::with_images(&["probe"]);
    let talker = container("talker", &["flood", BYTES], json!({ "essential": false }));
    let stays = container("web", &["trap", "TERM", "--", "3"], json!({}));
    let task = root.run_detached(&task(&[stays, talker]));
    let mut follower = Unread::start(&root, &["logs", "-f", "-c", "talker", &task.id]);
    let mut session = Unread::start(&root, &["exec", "-c", "web", &task.id, "/probe", "flood", BYTES]);
    let mut attached = {
        let mut definition = definition(&[("web", &["flood", BYTES])]);
        definition["family"] = json!("flood");
        Unread::start(&root, &["run", root.file(&definition).to_str().unwrap()])
    };
    eventually(PATIENCE, "the one that is followed ends", || {
        (of(&root.describe(&task), "talker")["exitCode"] == 0).then_some(())
    });
    eventually(PATIENCE, "the one in the foreground ends", || {
        let all = root.list(&["-a"]);
        all.iter().find(|task| task["lastStatus"] == "STOPPED" && task["containers"][0]["exitCode"] == 0).map(drop)
    });
    for (one, what) in [(&mut follower, "logs -f"), (&mut session, "exec"), (&mut attached, "run")] {
        one.waits(what);
    }
    root.stop(&task);
    assert_eq!(of(&root.describe(&task), "web")["exitCode"], 3);
    for (one, what) in [(follower, "logs -f"), (session, "exec"), (attached, "run")] {
        one.abandon(what);
    }
}

/// A disk of its own that can be made to hang: what is written waits until it is let go on.
struct Hanging {
    directory: tempfile::TempDir,
}

impl Hanging {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("image");
        fs::File::create(&image).unwrap().set_len(128 << 20).unwrap();
        let here = Self { directory };
        let run = |words: &[&OsStr]| {
            let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
            assert!(output.status.success(), "{words:?}: {output:?}");
        };
        run(&["mkfs.ext4".as_ref(), "-q".as_ref(), image.as_os_str()]);
        fs::create_dir(here.place()).unwrap();
        run(&["mount".as_ref(), "-o".as_ref(), "loop".as_ref(), image.as_os_str(), here.place().as_os_str()]);
        here
    }

    fn place(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    fn freeze(&self, how: &str) -> bool {
        Command::new("fsfreeze")
            .arg(how)
            .arg(self.place())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|end| end.success())
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.freeze("-u");
        umount2(&self.place(), MntFlags::MNT_DETACH).ok();
    }
}

#[test]
fn a_disk_that_hangs_delays_its_own_tasks_alone_and_when_it_answers_all_goes_on() {
    const LINES: usize = 2000;
    let disk = Hanging::new();
    let elsewhere = Root::with_images(&["probe"]);
    let root = Root::below(&disk.place());
    root.import(&fixture("probe"));
    let talker = container("talker", &["lines", &LINES.to_string(), "1"], json!({ "essential": false }));
    let task = root.run_detached(&task(&[container("web", &["trap", "TERM", "--", "3"], json!({})), talker]));
    let web = init(&root, &task);

    // An answer late, again and again, while lines are written; then none at all while somebody wants the task stopped.
    for _ in 0..20 {
        assert!(disk.freeze("-f"));
        thread::sleep(Duration::from_millis(30));
        assert!(disk.freeze("-u"));
        thread::sleep(Duration::from_millis(10));
    }
    assert!(disk.freeze("-f"));
    let stopping = root.start(["stop", &task.id]);
    let other = elsewhere.run(&definition(&[("web", &["exit", "7"])]));
    assert_eq!(other.code(), 7, "a task of another root is run meanwhile: {other:?}");
    assert!(exists(web), "no container is harmed");
    assert!(disk.freeze("-u"));
    stopping.wait(PATIENCE).ok();
    let record = root.describe(&task);
    assert_eq!((&record["lastStatus"], &of(&record, "web")["exitCode"]), (&json!("STOPPED"), &json!(3)), "{record:#}");
    let written = root.logs(&task, "talker");
    let wanted: String = (1..=written.lines().count()).map(|line| format!("line {line}\n")).collect();
    assert_eq!(written, wanted, "each line once and in order");
    assert!(of(&record, "talker")["exitCode"] != 0 || written.lines().count() == LINES);
}
