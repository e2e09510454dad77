//! Kills: whatever process of berth dies, and whenever, no container that should run stops, none runs twice, exit codes and
//! output stay right, and nothing is left.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::support::root::Root;
use crate::support::supervised::{
    PATIENCE, copies, ended, eventually_soon, exists, exit_code, init, is_told_to_strangers, kill_loop,
    kill_loop_while, pair, plain_log, processes, sleeper, strike, tries, workers,
};
use crate::support::{definition, eventually};

#[test]
fn the_exit_code_is_right_after_the_loop_was_killed() {
    let root = Root::with_images(&["probe"]);
    for code in [0, 1, 7, 137, 255] {
        let task = root.run_detached(&definition(&[("web", &["trap", "USR1", "--", &code.to_string()])]));
        let pid = init(&root, &task);
        let took = kill_loop(&root, &task);
        println!("supervised again after {took:?}");
        assert!(exists(pid), "the container keeps its process");
        kill(pid, Signal::SIGUSR1).unwrap();
        assert_eq!(exit_code(&ended(&task, &root)), &json!(code));
    }
    let task = root.run_detached(&sleeper());
    kill_loop(&root, &task);
    strike(init(&root, &task));
    assert_eq!(exit_code(&ended(&task, &root)), &json!(137));
}

#[test]
fn the_exit_code_is_right_whenever_the_loop_is_killed_around_the_end() {
    let root = Root::with_images(&["probe"]);
    let task_definition = definition(&[("web", &["trap", "USR1", "--", "7"])]);
    for microseconds in (0..8000).step_by(400) {
        let task = root.run_detached(&task_definition);
        let (pid, looping) = (init(&root, &task), pair(&task.id).unwrap().looping);
        kill(pid, Signal::SIGUSR1).unwrap();
        thread::sleep(Duration::from_micros(microseconds));
        strike(looping);
        assert_eq!(exit_code(&ended(&task, &root)), &json!(7), "{microseconds} us after the signal");
    }
}

#[test]
fn storage_that_a_power_cut_brought_back_goes_with_the_next_resume() {
    let root = Root::with_images(&["probe"]);
    let over = root.run_detached(&definition(&[("web", &["exit", "0"])]));
    ended(&over, &root);
    let running = root.run_detached(&sleeper());
    let tasks = root.path().join("tasks");
    let storage = |id: &str| ["upper", "disk"].map(|name| tasks.join(id).join(name)).map(|path| path.exists());
    let used = storage(&running.id);
    assert_ne!(used, [false, false]);
    // The removal of one whose end is on the disk, and one whose record never got there.
    let unknown = "0123456789abcdef0123456789abcdef";
    for id in [&over.id, unknown] {
        fs::create_dir_all(tasks.join(id).join("upper/web/etc")).unwrap();
        fs::create_dir_all(tasks.join(id).join("logs")).unwrap();
    }
    fs::write(tasks.join(unknown).join("disk"), "").unwrap();
    root.berth(["resume"]).ok();
    for id in [&over.id, unknown] {
        assert_eq!(storage(id), [false, false], "{id}");
        assert!(tasks.join(id).join("logs").exists(), "what a task has written stays");
    }
    assert_eq!(storage(&running.id), used);
    root.berth(["exec", &running.id, "/probe", "exit", "0"]).ok();
    fs::remove_dir_all(tasks.join(unknown)).unwrap();
}

#[test]
fn no_line_is_lost_or_doubled_when_loops_are_killed_while_the_container_writes() {
    let root = Root::with_images(&["probe"]);
    let bytes = tries("FLOOD_BYTES", 400_000_000) as usize;
    let task = root.run_detached(&definition(&[("web", &["flood", &bytes.to_string(), "100"])]));
    let pid = init(&root, &task);
    let mut kills = 0;
    while kills < 50 && kill_loop_while(&root, &task, || exists(pid)).is_some() {
        kills += 1;
        thread::sleep(Duration::from_millis(kills % 7 * 3));
    }
    println!("{kills} kills");
    let record = ended(&task, &root);
    assert_eq!(exit_code(&record), &json!(0));
    // Old files are dropped: what is there must be the end of the text, without a gap.
    let text = plain_log(&root, &task);
    let mut number = text.lines().next().unwrap()[..12].parse::<usize>().unwrap();
    for line in text.lines() {
        assert_eq!(line, format!("{number:012} {:.<86}", "."), "line {number}");
        number += 1;
    }
    assert_eq!(number, bytes / 100);
    assert!(kills >= 5, "the container was too quick for {kills} kills to mean something");
}

#[test]
fn every_line_of_a_slow_writer_is_there_after_fifty_kills() {
    let root = Root::with_images(&["probe"]);
    let task = root.run_detached(&definition(&[("web", &["lines", "3000", "1"])]));
    let pid = init(&root, &task);
    let mut kills = 0;
    while kills < 50 && kill_loop_while(&root, &task, || exists(pid)).is_some() {
        kills += 1;
        // A loop that lived for a second is started again without a pause; here the pauses belong to it.
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(exit_code(&ended(&task, &root)), &json!(0));
    let expected: String = (1..=3000).map(|line| format!("line {line}\n")).collect();
    assert_eq!(plain_log(&root, &task), expected, "{kills} kills");
}

/// Starts a task, kills what `victims` says some time after its supervisor was there, and lets `berth ps` see to it.
fn killed_during_the_start(root: &Root, delay: Duration, victims: impl Fn(&str) -> Vec<Pid>) -> String {
    let file = root.file(&sleeper());
    // One of the task before may still be about to end.
    let before: Vec<Pid> = processes(&["supervise", "new"]).into_iter().map(|(pid, _)| pid).collect();
    let running = root.start([std::ffi::OsStr::new("run"), std::ffi::OsStr::new("-d"), file.as_os_str()]);
    let id = eventually_soon("a supervisor is there", || {
        let all = processes(&["supervise", "new"]).into_iter().filter(|(pid, _)| !before.contains(pid));
        all.into_iter().find_map(|(pid, parent)| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
            let id = line.split('\0').nth(3)?.to_owned();
            // Other roots have supervisors too; and by now its parent may have ended.
            (parent == running.pid() || root.path().join("run/tasks").join(&id).exists()).then_some(id)
        })
    });
    thread::sleep(delay);
    victims(&id).into_iter().for_each(strike);
    let listed = root.berth(["--format", "json", "ps", "--all"]);
    assert_eq!(listed.status.code(), Some(0), "{listed:#?}");
    let finished = running.wait(PATIENCE);
    let status = eventually(PATIENCE, "it runs or has stopped", || {
        let record = root.berth(["--format", "json", "describe", &id]).json();
        let task = record["tasks"][0].clone();
        let status = task["lastStatus"].as_str().unwrap_or_default().to_owned();
        ["RUNNING", "STOPPED"].contains(&&*status).then(|| match task["stoppedReason"].as_str() {
            Some(reason) => format!("{status}: {reason}"),
            None => status,
        })
    });
    if status == "RUNNING" {
        assert_eq!(finished.status.code(), Some(0), "{finished:#?}");
        let group: Vec<Pid> = copies(&id);
        assert_eq!(group.len(), 1, "one copy of the container, not {group:?}");
    } else {
        assert!(status.len() > "STOPPED: ".len(), "{status}");
    }
    root.berth(["rm", "-f", &id]).ok();
    status
}

fn tally(what: &str, results: Vec<String>) {
    let mut counted = std::collections::BTreeMap::new();
    results.into_iter().for_each(|result| *counted.entry(result).or_insert(0) += 1);
    println!("{what}: {counted:#?}");
}

#[test]
fn a_loop_that_is_killed_during_the_start_starts_the_task_all_the_same() {
    let root = Root::with_images(&["probe"]);
    let count = tries("RECOVERY_TRIES", 40);
    let results = (0..count).map(|number| {
        let delay = Duration::from_micros(u64::from(number * 80_000 / count));
        let result =
            killed_during_the_start(&root, delay, |id| pair(id).map(|pair| pair.looping).into_iter().collect());
        assert_eq!(result, "RUNNING", "{delay:?}");
        result
    });
    tally("loop killed during the start", results.collect());
}

#[test]
fn holder_and_loop_killed_during_the_start_are_replaced_by_the_next_call() {
    let root = Root::with_images(&["probe"]);
    let count = tries("RECOVERY_TRIES", 40);
    let results = (0..count).map(|number| {
        let delay = Duration::from_micros(u64::from(number * 80_000 / count));
        killed_during_the_start(&root, delay, |id| {
            processes(&["supervise", id]).into_iter().map(|(pid, _)| pid).collect()
        })
    });
    tally("holder and loop killed during the start", results.collect());
}

#[test]
fn a_worker_that_is_killed_during_the_start_leaves_a_reason_or_a_running_task() {
    let root = Root::with_images(&["probe"]);
    let count = tries("RECOVERY_TRIES", 40);
    let results = (0..count).map(|number| {
        let delay = Duration::from_micros(u64::from(number * 80_000 / count));
        killed_during_the_start(&root, delay, workers)
    });
    tally("worker killed during the start", results.collect());
}

#[test]
fn the_next_call_adopts_a_task_whose_holder_and_loop_were_killed() {
    let root = Root::with_images(&["probe"]);
    for code in [0, 7, 255] {
        let task = root.run_detached(&definition(&[("web", &["trap", "USR1", "--", &code.to_string()])]));
        let (pid, old) = (init(&root, &task), pair(&task.id).unwrap());
        old.end();
        root.berth(["ps"]).ok();
        let new = eventually(PATIENCE, "it has a supervisor", || pair(&task.id));
        assert!(new != old && exists(pid));
        kill(pid, Signal::SIGUSR1).unwrap();
        let record = ended(&task, &root);
        assert!(is_told_to_strangers(exit_code(&record), code), "{record:#}");
    }
    let task = root.run_detached(&definition(&[("web", &["trap", "TERM", "--", "3"])]));
    pair(&task.id).unwrap().end();
    root.stop(&task);
    assert!(is_told_to_strangers(exit_code(&ended(&task, &root)), 3));
}

#[test]
fn output_that_nobody_reads_waits_for_the_adopting_loop() {
    let root = Root::with_images(&["probe"]);
    let task = root.run_detached(&definition(&[("web", &["lines", "400", "2"])]));
    pair(&task.id).unwrap().end();
    thread::sleep(Duration::from_millis(200));
    root.berth(["ps"]).ok();
    ended(&task, &root);
    let text = plain_log(&root, &task);
    assert!(text.ends_with("line 399\nline 400\n"), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), lines.iter().collect::<HashSet<_>>().len(), "no line comes twice");
}

#[test]
fn the_loop_goes_on_without_its_holder() {
    let root = Root::with_images(&["probe"]);
    let task = root.run_detached(&definition(&[("web", &["trap", "TERM", "USR1", "--", "9"])]));
    let (pid, old) = (init(&root, &task), pair(&task.id).unwrap());
    kill_loop(&root, &task); // the container is the holder's child from here on
    let new = pair(&task.id).unwrap();
    strike(old.holder);
    eventually(PATIENCE, "the holder is gone", || (!exists(old.holder)).then_some(()));
    root.berth(["ps"]).ok();
    assert!(exists(new.looping) && exists(pid));
    kill(pid, Signal::SIGUSR1).unwrap();
    assert!(is_told_to_strangers(exit_code(&ended(&task, &root)), 9));

    let task = root.run_detached(&definition(&[("web", &["trap", "TERM", "--", "8"])]));
    let old = pair(&task.id).unwrap();
    strike(old.holder);
    root.stop(&task);
    assert_eq!(exit_code(&ended(&task, &root)), &json!(8));

    let task = root.run_detached(&definition(&[("web", &["trap", "TERM", "--", "8"])]));
    let pid = init(&root, &task);
    pair(&task.id).unwrap().end();
    root.berth(["ps"]).ok();
    assert!(exists(pid) && pair(&task.id).is_some());
    root.stop(&task);
}

#[test]
fn a_task_is_removed_whichever_process_is_killed_during_its_end() {
    let root = Root::with_images(&["probe"]);
    let victims: [fn(&str) -> Vec<Pid>; 3] = [
        workers,
        |id| pair(id).map(|pair| pair.looping).into_iter().collect(),
        |id| processes(&["supervise", id]).into_iter().map(|(pid, _)| pid).collect(),
    ];
    for number in 0..tries("RECOVERY_TRIES", 40) {
        let task = root.run_detached(&definition(&[("web", &["trap", "TERM", "--", "0"])]));
        let stopping = root.start(["stop", &task.id]);
        thread::sleep(Duration::from_micros(u64::from(number % 20) * 1500));
        victims[number as usize % 3](&task.id).into_iter().for_each(strike);
        stopping.wait(PATIENCE).ok();
        assert_eq!(root.describe(&task)["lastStatus"], "STOPPED");
        root.berth(["ps"]).ok();
        let directory = root.path().join(format!("run/tasks/{}", task.id));
        eventually(PATIENCE, "its directory is gone", || {
            root.berth(["ps"]).ok();
            fs::metadata(&directory).is_err_and(|error| error.kind() == io::ErrorKind::NotFound).then_some(())
        });
    }
}
