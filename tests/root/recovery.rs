//! Kills: whatever process of berth dies, and whenever, no container that should run stops, none runs twice, exit codes and
//! output stay right, and nothing is left.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::root::{Root, Task};
use crate::support::{definition, eventually};

/// How long anything may take here, with much to spare.
const PATIENCE: Duration = Duration::from_secs(30);

/// A container that a stop signal does not impress, and that is killed a second later.
fn sleeper() -> Value {
    let mut task = definition(&[("web", &["sleep"])]);
    task["containerDefinitions"][0]["stopTimeout"] = json!(1);
    task
}

/// The two processes of a task's supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pair {
    holder: Pid,
    looping: Pid,
}

/// The processes whose command line has these words, and their parents.
fn processes(words: &[&str]) -> Vec<(Pid, Pid)> {
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
fn pair(task: &str) -> Option<Pair> {
    let all = processes(&["supervise", task]);
    let looping = all.iter().find(|(_, parent)| all.iter().any(|(pid, _)| pid == parent))?;
    Some(Pair { holder: looping.1, looping: looping.0 })
}

fn workers(task: &str) -> Vec<Pid> {
    processes(&["worker", task]).into_iter().map(|(pid, _)| pid).collect()
}

fn ended(task: &Task, root: &Root) -> Value {
    eventually(PATIENCE, "it is STOPPED", || {
        let record = root.describe(task);
        (record["lastStatus"] == "STOPPED").then_some(record)
    })
}

fn exit_code(record: &Value) -> &Value {
    &record["containers"][0]["exitCode"]
}

/// The pid of a task's only container on the host.
fn init(root: &Root, task: &Task) -> Pid {
    let text = fs::read(root.path().join(format!("run/tasks/{}/c/web/init.json", task.id))).unwrap();
    let file: Value = serde_json::from_slice(&text).unwrap();
    Pid::from_raw(i32::try_from(file["pid"].as_i64().unwrap()).unwrap())
}

fn exists(pid: Pid) -> bool {
    parent(pid.as_raw()).is_some()
}

fn strike(pid: Pid) {
    kill(pid, Signal::SIGKILL).ok();
}

/// Kills the loop and waits for the next one that listens; how long that took.
fn kill_loop(root: &Root, task: &Task) -> Duration {
    let old = eventually(PATIENCE, "a loop is there", || pair(&task.id));
    let since = Instant::now();
    strike(old.looping);
    eventually_soon("supervision is back", || pair(&task.id).filter(|new| new.looping != old.looping));
    let control = root.path().join(format!("run/tasks/{}/control.sock", task.id));
    eventually_soon("it listens", || std::os::unix::net::UnixStream::connect(&control).ok());
    since.elapsed()
}

/// As [`eventually`], looking all the time.
fn eventually_soon<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "still not: {what}");
        thread::yield_now();
    }
}

fn plain_log(root: &Root, task: &Task) -> String {
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
fn no_line_is_lost_or_doubled_when_loops_are_killed_while_the_container_writes() {
    let root = Root::with_images(&["probe"]);
    let bytes = 400_000_000_usize;
    let task = root.run_detached(&definition(&[("web", &["flood", &bytes.to_string(), "100"])]));
    let pid = init(&root, &task);
    let mut kills = 0;
    while exists(pid) && kills < 50 {
        kill_loop(&root, &task);
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
    while exists(pid) && kills < 50 {
        kill_loop(&root, &task);
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
    let running = root.start([std::ffi::OsStr::new("run"), std::ffi::OsStr::new("-d"), file.as_os_str()]);
    let holder = eventually_soon("a supervisor is there", || {
        // other roots have supervisors too
        processes(&["supervise", "new"]).into_iter().find(|(_, parent)| *parent == running.pid()).map(|(pid, _)| pid)
    });
    let line = fs::read_to_string(format!("/proc/{holder}/cmdline")).unwrap_or_default();
    let Some(id) = line.split('\0').nth(3).map(str::to_owned) else { panic!("no task in {line:?}") };
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
        let group: Vec<Pid> = copies(root, &id);
        assert_eq!(group.len(), 1, "one copy of the container, not {group:?}");
    } else {
        assert!(status.len() > "STOPPED: ".len(), "{status}");
    }
    root.berth(["rm", "-f", &id]).ok();
    status
}

/// The first processes of containers of a task: those with pid 1 in a namespace of their own.
fn copies(root: &Root, id: &str) -> Vec<Pid> {
    let _ = root;
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

fn tries(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
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
        [old.holder, old.looping].into_iter().for_each(strike);
        root.berth(["ps"]).ok();
        let new = eventually(PATIENCE, "it has a supervisor", || pair(&task.id));
        assert!(new != old && exists(pid));
        kill(pid, Signal::SIGUSR1).unwrap();
        let record = ended(&task, &root);
        assert!([&json!(code), &Value::Null].contains(&exit_code(&record)), "{record:#}");
        println!("exit code after adoption: {} for {code}", exit_code(&record));
    }
    let task = root.run_detached(&definition(&[("web", &["trap", "TERM", "--", "3"])]));
    let old = pair(&task.id).unwrap();
    [old.holder, old.looping].into_iter().for_each(strike);
    root.stop(&task);
    assert!([&json!(3), &Value::Null].contains(&exit_code(&ended(&task, &root))));
}

#[test]
fn output_that_nobody_reads_waits_for_the_adopting_loop() {
    let root = Root::with_images(&["probe"]);
    let task = root.run_detached(&definition(&[("web", &["lines", "400", "2"])]));
    let old = pair(&task.id).unwrap();
    [old.holder, old.looping].into_iter().for_each(strike);
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
    assert!([&json!(9), &Value::Null].contains(&exit_code(&ended(&task, &root))));

    let task = root.run_detached(&definition(&[("web", &["trap", "TERM", "--", "8"])]));
    let old = pair(&task.id).unwrap();
    strike(old.holder);
    root.stop(&task);
    assert_eq!(exit_code(&ended(&task, &root)), &json!(8));

    let task = root.run_detached(&definition(&[("web", &["trap", "TERM", "--", "8"])]));
    let (pid, old) = (init(&root, &task), pair(&task.id).unwrap());
    [old.holder, old.looping].into_iter().for_each(|pid| {
        strike(pid);
        eventually(PATIENCE, "it is gone", || (!exists(pid)).then_some(()));
    });
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
        assert_eq!(copies(&root, id).len(), 1);
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
        assert_eq!((processes(&["supervise", id]).len(), copies(&root, id).len()), (2, 1));
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
