//! Callers: what one that dies leaves behind, and what several at once do to each other.

use std::collections::HashSet;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::root::Root;
use crate::support::supervised::{
    PATIENCE, copies, ended, eventually_soon, exists, exit_code, init, pair, processes, sleeper, strike,
};
use crate::support::{definition, eventually};

#[test]
fn a_task_outlives_the_command_that_started_it() {
    let root = Root::with_images(&["probe"]);
    let file = root.file(&sleeper());
    let running = root.start([std::ffi::OsStr::new("run"), file.as_os_str()]);
    let id = eventually(PATIENCE, "it runs", || {
        let tasks = root.berth(["--format", "json", "ps"]).json().to_string();
        tasks.contains("RUNNING").then(|| root.berth(["ps", "--quiet"]).ok().trim().to_owned())
    });
    running.signal(Signal::SIGKILL);
    assert!(running.wait(PATIENCE).status.code().is_none());
    assert!(root.berth(["ps"]).ok().contains("RUNNING"));
    root.berth(["rm", "-f", &id]).ok();
}

#[test]
fn a_stop_whose_command_was_killed_is_carried_out() {
    let root = Root::with_images(&["probe"]);
    for number in 0..10 {
        let task = root.run_detached(&definition(&[("web", &["trap", "TERM", "--", "0"])]));
        let stopping = root.start(["stop", &task.id]);
        thread::sleep(Duration::from_millis(number));
        stopping.signal(Signal::SIGKILL);
        stopping.wait(PATIENCE);
        root.berth(["stop", &task.id]).ok();
        assert_eq!(root.describe(&task)["lastStatus"], "STOPPED");
    }
}

#[test]
fn twenty_runs_at_once_get_twenty_addresses() {
    let root = Root::with_images(&["probe"]);
    let file = root.file(&sleeper());
    let args = ["--format", "json", "run", "-d", file.to_str().unwrap()];
    let running: Vec<_> = (0..20).map(|_| root.start(args)).collect();
    let answers: Vec<Value> = running.into_iter().map(|running| running.wait(PATIENCE).json()).collect();
    let listed = root.berth(["--format", "json", "ps"]).json().to_string();
    let ids: Vec<String> = root.berth(["ps", "--quiet"]).ok().lines().map(str::to_owned).collect();
    assert_eq!((answers.len(), ids.len()), (20, 20));
    for id in &ids {
        let supervisors = processes(&["supervise", id]);
        assert_eq!(supervisors.len(), 2, "one holder and one loop of {id}: {supervisors:?}");
        assert_eq!(copies(id).len(), 1);
    }
    let addresses: HashSet<&str> =
        listed.split("privateIPv4Address\",\"value\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(addresses.len(), 20, "{listed}");
    let stops: Vec<_> = ids.iter().map(|id| root.start(["stop", id])).collect();
    stops.into_iter().for_each(|stop| drop(stop.wait(PATIENCE).ok()));
}

#[test]
fn a_list_while_tasks_start_gives_no_task_a_second_supervisor() {
    let root = Root::with_images(&["probe"]);
    let file = root.file(&sleeper());
    let running: Vec<_> = (0..6).map(|_| root.start(["run", "-d", file.to_str().unwrap()])).collect();
    let lists: Vec<_> = (0..20).map(|_| root.start(["ps"])).collect();
    lists.into_iter().for_each(|list| drop(list.wait(PATIENCE).ok()));
    running.into_iter().for_each(|running| drop(running.wait(PATIENCE).ok()));
    for id in root.berth(["ps", "--quiet"]).ok().lines() {
        assert_eq!((processes(&["supervise", id]).len(), copies(id).len()), (2, 1));
    }
}

#[test]
fn many_stops_of_one_task_all_succeed() {
    let root = Root::with_images(&["probe"]);
    let task = root.run_detached(&definition(&[("web", &["trap", "TERM", "--", "0"])]));
    let stops: Vec<_> = (0..8).map(|_| root.start(["stop", &task.id])).collect();
    stops.into_iter().for_each(|stop| drop(stop.wait(PATIENCE).ok()));
    assert_eq!(root.describe(&task)["lastStatus"], "STOPPED");
}

#[test]
fn a_task_can_be_stopped_and_removed_while_it_starts() {
    let root = Root::with_images(&["probe"]);
    let mut task = definition(&[("web", &["trap", "TERM", "--", "0"])]);
    // A signal that comes before the program listens is lost on the first process of a pid namespace (pid_namespaces(7)).
    task["containerDefinitions"][0]["stopTimeout"] = json!(1);
    let file = root.file(&task);
    for number in 0..30 {
        let verb: &[&str] = if number % 2 == 0 { &["stop"] } else { &["rm", "-f"] };
        let running = root.start(["run", "-d", file.to_str().unwrap()]);
        let id = eventually_soon("it is committed", || {
            let id = root.berth(["ps", "--quiet"]).ok().trim().to_owned();
            (!id.is_empty()).then_some(id)
        });
        thread::sleep(Duration::from_millis(number));
        root.berth(verb.iter().copied().chain([&*id])).ok();
        running.wait(PATIENCE);
        assert_eq!(root.berth(["ps", "--quiet"]).ok(), "");
    }
}

#[test]
fn a_flooding_container_can_be_stopped() {
    let root = Root::with_images(&["probe"]);
    let task = root.run_detached(&definition(&[("web", &["flood", "1000000000000"])]));
    thread::sleep(Duration::from_millis(200));
    let since = Instant::now();
    root.berth(["rm", "-f", &task.id]).ok();
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}

#[test]
fn an_idle_task_wakes_nobody() {
    let root = Root::with_images(&["probe"]);
    let task = root.run_detached(&sleeper());
    let pair = pair(&task.id).unwrap();
    let switches = |pid: Pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let lines = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
        lines.map(|(_, count)| count.trim().parse::<u64>().unwrap()).sum::<u64>()
    };
    thread::sleep(Duration::from_millis(1000)); // freed memory goes back once, after a while
    let before = (switches(pair.holder), switches(pair.looping));
    thread::sleep(Duration::from_secs(2));
    assert_eq!((switches(pair.holder), switches(pair.looping)), before);
}

#[test]
fn a_store_that_cannot_be_read_is_an_error_and_no_harm_to_what_runs() {
    let root = Root::with_images(&["probe"]);
    let task = root.run_detached(&definition(&[("web", &["trap", "TERM", "--", "5"])]));
    let pid = init(&root, &task);
    let path = |name: &str| root.path().join(name);
    let files = ["store.db", "store.db-wal", "store.db-shm"];
    files.iter().for_each(|file| drop(fs::rename(path(file), path(&format!("{file}.kept")))));
    for garbage in [&b"this is no database, and long enough to be looked at: "[..], &[0xff; 8192][..]] {
        fs::write(path("store.db"), garbage).unwrap();
        let failed = root.berth(["ps"]);
        assert_eq!(failed.code(), 1, "{failed:#?}");
        assert!(failed.stderr.contains("store.db"), "{}", failed.stderr);
    }
    let old = pair(&task.id).unwrap();
    strike(old.looping);
    thread::sleep(Duration::from_millis(100));
    assert!(exists(pid), "the container runs on");
    files.iter().for_each(|file| drop(fs::remove_file(path(file))));
    files.iter().for_each(|file| drop(fs::rename(path(&format!("{file}.kept")), path(file))));
    root.stop(&task);
    assert_eq!(exit_code(&ended(&task, &root)), &json!(5));
}
