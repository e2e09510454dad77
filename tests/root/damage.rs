//! The store lost, damaged or put back to what it was, while tasks run: no container notices, the command says what is wrong, and
//! a new store has every task again that runs.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::goals::report;
use crate::support::command::{Finished, Running};
use crate::support::root::{Root, Task};
use crate::support::supervised::{
    PATIENCE, exists, exit_code, init, is_told_to_strangers, kill_loop, pair, strike, tries,
};
use crate::support::{definition, eventually};

/// How often the store is damaged, unless `DAMAGES` says another number.
const DAMAGES: u32 = 40;
/// The files of the store.
const FILES: [&str; 3] = ["store.db", "store.db-wal", "store.db-shm"];

fn trapping() -> Value {
    definition(&[("web", &["trap", "TERM", "USR1", "--", "3"])])
}

fn files(root: &Root) -> Vec<PathBuf> {
    FILES.iter().map(|name| root.path().join(name)).collect()
}

/// What `mv` would do, or a disk.
fn lose(root: &Root) {
    files(root).iter().for_each(|file| drop(fs::remove_file(file)));
}

fn listed(root: &Root) -> Vec<(String, String)> {
    let text = |task: &Value, name: &str| task[name].as_str().unwrap_or_default().to_owned();
    let id = |task: &Value| text(task, "taskArn").rsplit('/').next().unwrap_or_default().to_owned();
    root.list(&["-a"]).iter().map(|task| (id(task), text(task, "lastStatus"))).collect()
}

fn is_running(root: &Root, task: &Task) -> bool {
    listed(root).contains(&(task.id.clone(), "RUNNING".to_owned()))
}

#[test]
fn a_lost_store_is_made_again_from_the_tasks_that_run() {
    let root = Root::with_images(&["probe"]);
    let mut front = definition(&[("web", &["trap", "USR2", "--", "9"])]);
    front["family"] = json!("front");
    let file = root.file(&front);
    let foreground = root.start(["run", file.to_str().unwrap()]);
    let [watched, alone, orphan] = [(); 3].map(|()| root.run_detached(&trapping()));
    let (pid, orphans) = (init(&root, &watched), init(&root, &orphan));
    let front = eventually(PATIENCE, "the foreground task runs", || {
        let known = [&watched.id, &alone.id, &orphan.id];
        listed(&root).into_iter().find(|(id, status)| !known.contains(&id) && status == "RUNNING").map(|(id, _)| id)
    });
    let front = Task { id: front, answer: Value::Null };
    root.until_written(&front, "web", "ready");
    pair(&orphan.id).unwrap().end();
    lose(&root);
    root.berth(["resume"]).ok();
    let all: HashSet<String> = listed(&root).into_iter().map(|(id, _)| id).collect();
    assert_eq!(all, [&watched, &alone, &orphan, &front].map(|task| task.id.clone()).into());
    assert!(exists(pid) && exists(orphans) && init(&root, &watched) == pid && init(&root, &orphan) == orphans);
    assert_eq!(root.exec(&watched, "web", &["/probe", "print", "said"]).ok(), "said\n");
    // What they hold is theirs again: a new task gets another address.
    let new = root.run_detached(&trapping());
    let taken: HashSet<String> = [&watched, &alone, &orphan].iter().map(|task| task.address()).collect();
    assert!(!taken.contains(&new.address()), "{} is taken", new.address());
    for task in [&watched, &alone, &orphan, &new] {
        root.stop(task);
        let record = root.describe(task);
        let code = exit_code(&record);
        assert!(*code == 3 || task.id == orphan.id && is_told_to_strangers(code, 3), "{}: {code}", task.id);
    }
    kill(init(&root, &front), Signal::SIGUSR2).unwrap();
    assert_eq!(foreground.wait(PATIENCE).code(), 9);
}

#[test]
fn a_loop_that_dies_while_the_store_is_lost_goes_on_all_the_same() {
    let root = Root::with_images(&["probe"]);
    let task = root.run_detached(&trapping());
    let pid = init(&root, &task);
    lose(&root);
    kill_loop(&root, &task);
    assert!(exists(pid));
    eventually(PATIENCE, "it is on record again", || is_running(&root, &task).then_some(()));
    lose(&root);
    strike(pid);
    let record = root.until(&task, "STOPPED");
    assert_eq!(exit_code(&record), &json!(137));
}

#[test]
fn an_older_store_is_brought_up_to_what_is_there() {
    let root = Root::with_images(&["probe"]);
    let gone = root.run_detached(&trapping());
    let kept = tempfile::tempdir().unwrap();
    copy(&files(&root), kept.path());
    root.stop(&gone);
    let task = root.run_detached(&trapping());
    let pid = init(&root, &task);
    lose(&root);
    put_back(&root, kept.path());
    assert!(is_running(&root, &task));
    assert!(exists(pid) && init(&root, &task) == pid);
    let record = root.until(&gone, "STOPPED");
    assert!(!record["stoppedReason"].as_str().unwrap_or_default().is_empty(), "{record:#}");
    root.stop(&task);
    assert_eq!(exit_code(&root.describe(&task)), &json!(3));
}

#[test]
fn a_store_of_a_later_berth_is_refused_with_the_way_out() {
    let root = Root::with_images(&["probe"]);
    let task = root.run_detached(&trapping());
    let pid = init(&root, &task);
    let db = rusqlite::Connection::open(root.path().join("store.db")).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    let refused = root.berth(["ps"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains("has format 99"), "{}", refused.stderr);
    assert!(refused.stderr.contains("use the berth that wrote it, or move it away"), "{}", refused.stderr);
    strike(pair(&task.id).unwrap().looping);
    lose(&root);
    root.berth(["resume"]).ok();
    assert!(exists(pid) && init(&root, &task) == pid);
    eventually(PATIENCE, "it is on record again", || is_running(&root, &task).then_some(()));
    root.stop(&task);
    assert_eq!(exit_code(&root.describe(&task)), &json!(3));
}

/// What is done to a file.
#[derive(Debug)]
enum Damage {
    Flip(usize),
    Cut,
    Remove,
    Empty,
    Old,
    Noise,
    Extend,
}

impl Damage {
    fn some(random: &mut StdRng) -> Self {
        match random.random_range(0..10) {
            0..=3 => Self::Flip(1 << random.random_range(0..8)),
            4 => Self::Cut,
            5 => Self::Remove,
            6 => Self::Empty,
            7 => Self::Old,
            8 => Self::Noise,
            _ => Self::Extend,
        }
    }

    fn inflict(&self, file: &Path, old: &Path, random: &mut StdRng) {
        let mut bytes = fs::read(file).unwrap_or_default();
        match self {
            Self::Flip(_) if bytes.is_empty() => {}
            Self::Flip(count) => (0..*count).for_each(|_| {
                let at = random.random_range(0..bytes.len());
                bytes[at] ^= 1 << random.random_range(0..8);
            }),
            Self::Cut => bytes.truncate(random.random_range(0..=bytes.len())),
            Self::Remove => return drop(fs::remove_file(file)),
            Self::Empty => bytes.clear(),
            Self::Old => bytes = fs::read(old.join(file.file_name().unwrap())).unwrap_or_default(),
            Self::Noise => bytes.iter_mut().for_each(|byte| *byte = random.random()),
            Self::Extend => bytes.extend((0..5000).map(|_| random.random::<u8>())),
        }
        fs::write(file, bytes).unwrap();
    }
}

fn copy(files: &[PathBuf], to: &Path) {
    for file in files.iter().filter(|file| file.exists()) {
        fs::copy(file, to.join(file.file_name().unwrap())).unwrap();
    }
}

fn put_back(root: &Root, from: &Path) {
    lose(root);
    for entry in fs::read_dir(from).unwrap().flatten() {
        fs::copy(entry.path(), root.path().join(entry.file_name())).unwrap();
    }
}

/// Whether a command did what it was asked, or says that it is the store.
fn is_clear(finished: &Finished) -> bool {
    let said = &finished.stderr;
    match finished.status.code() {
        Some(0) => true,
        Some(1) => said.contains("store") || said.contains("no task") || said.contains("task"),
        _ => false,
    }
}

#[test]
fn whatever_happens_to_the_store_it_is_said_and_no_container_is_harmed() {
    let root = Root::with_images(&["probe"]);
    let old = tempfile::tempdir().unwrap();
    root.berth(["run", root.file(&definition(&[("web", &["exit", "0"])])).to_str().unwrap()]).ok();
    copy(&files(&root), old.path());
    let task = root.run_detached(&trapping());
    let pid = init(&root, &task);
    // All of it in the log, and all of it in the file.
    let good = [(); 2].map(|()| tempfile::tempdir().unwrap());
    copy(&files(&root), good[0].path());
    let db = rusqlite::Connection::open(root.path().join("store.db")).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(db);
    copy(&files(&root), good[1].path());
    let mut random = StdRng::seed_from_u64(u64::from(tries("DAMAGES_SEED", 1)));
    let (mut refused, count) = (0, tries("DAMAGES", DAMAGES));
    for number in 0..count {
        put_back(&root, good[number as usize % 2].path());
        let mut done = Vec::new();
        for _ in 0..random.random_range(1..3) {
            let name = *FILES.choose(&mut random).unwrap();
            let damage = Damage::some(&mut random);
            damage.inflict(&root.path().join(name), old.path(), &mut random);
            done.push((name, damage));
        }
        let mut said = Vec::new();
        for args in [&["ps", "-a"][..], &["describe", &task.id], &["service", "ls"], &["resume"]] {
            let finished = Running::start(root.command(args)).wait(PATIENCE);
            assert!(is_clear(&finished), "{number}: {done:?}: {args:?}: {finished:?}");
            assert!(!finished.stderr.contains("panicked"), "{number}: {done:?}: {args:?}: {finished:?}");
            said.push(finished.status.code());
        }
        refused += u32::from(said.contains(&Some(1)));
        assert!(exists(pid), "{number}: {done:?}: the container is gone");
        assert!(pair(&task.id).is_some(), "{number}: {done:?}: its supervisor is gone");
        // The way out that the error names.
        lose(&root);
        root.berth(["resume"]).ok();
        assert!(is_running(&root, &task), "{number}: {done:?}: {:?}", listed(&root));
    }
    assert_eq!(init(&root, &task), pid);
    root.stop(&task);
    assert_eq!(exit_code(&root.describe(&task)), &json!(3));
    let result =
        format!("{count}: {refused} refused, {} read on or made good; 0 containers harmed, 0 panics", count - refused);
    report("damages to the store", &result, "1000, 0 harmed");
}
