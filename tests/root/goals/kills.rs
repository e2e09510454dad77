//! Supervisors killed: the loop, again and again in different tasks, and both halves of one.

use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use serde_json::json;

use super::{Times, report};
use crate::support::root::{Root, Task};
use crate::support::supervised::{
    PATIENCE, eventually_soon, exists, exit_code, init, is_told_to_strangers, pair, strike, tries,
};
use crate::support::{container, definition, eventually, of, task};

/// How many loops are killed, unless `GOAL_LOOP_KILLS` says another number.
const LOOP_KILLS: u32 = 24;
/// How many pairs, unless `GOAL_PAIR_KILLS` does.
const PAIR_KILLS: u32 = 6;
/// How many tasks at once.
const LANES: u32 = 2;
/// How many lines each writes.
const LINES: usize = 60;

/// One task, whose loop is killed at some time of its life; how long it was without one.
fn killed(root: &Root, number: u32) -> Option<Duration> {
    let (lines, code) = (LINES.to_string(), number % 256);
    let talker = container("talker", &["lines", &lines, "1"], json!({ "essential": false }));
    let condition = json!({ "dependsOn": [{ "containerName": "talker", "condition": "COMPLETE" }] });
    let mut definition = task(&[talker, container("last", &["exit", &code.to_string()], condition)]);
    definition["family"] = json!(format!("probe{}", number % LANES));
    let task = root.run_file(&root.file(&definition));
    let back = struck(root, &task);
    let ended = eventually(PATIENCE, "it is STOPPED", || {
        Some(root.describe(&task)).filter(|task| task["lastStatus"] == "STOPPED")
    });
    assert_eq!(of(&ended, "last")["exitCode"], code, "{ended:#}");
    assert_eq!(of(&ended, "talker")["exitCode"], 0, "{ended:#}");
    let wanted: String = (1..=LINES).map(|line| format!("line {line}\n")).collect();
    let found = root.logs(&task, "talker");
    assert!(found == wanted, "{} bytes of {}", found.len(), wanted.len());
    root.berth(["rm", &task.id]).ok();
    back
}

/// Kills the loop of a task; how long it was without one. Nothing where the task was over by itself.
fn struck(root: &Root, task: &Task) -> Option<Duration> {
    let run = root.path().join("run/tasks").join(&task.id);
    let looping = eventually_soon("it has a loop, or is over", || match pair(&task.id) {
        Some(pair) => Some(Some(pair.looping)),
        None => (!run.exists()).then_some(None),
    })?;
    thread::sleep(Duration::from_millis(rand::rng().random_range(0..90)));
    let since = Instant::now();
    strike(looping);
    while exists(looping) {
        assert!(since.elapsed() < PATIENCE, "{looping} cannot be killed");
    }
    // A loop that had done everything already has taken its directory along.
    eventually_soon("it is supervised again, or over", || match UnixStream::connect(run.join("control.sock")) {
        Ok(_) => Some(Some(since.elapsed())),
        Err(_) => (!run.exists()).then_some(None),
    })
}

#[test]
fn a_killed_loop_is_back_at_once_and_loses_neither_exit_code_nor_byte() {
    let (count, times) = (tries("GOAL_LOOP_KILLS", LOOP_KILLS), Mutex::new(Times::default()));
    let root = Root::with_images(&["probe"]);
    thread::scope(|scope| {
        for lane in 0..LANES {
            let (root, times) = (&root, &times);
            scope.spawn(move || {
                for number in (lane..count).step_by(LANES as usize) {
                    let back = killed(root, number);
                    back.into_iter().for_each(|time| times.lock().unwrap().add(time));
                }
            });
        }
    });
    let times = times.into_inner().unwrap();
    let result =
        format!("{count} killed, {count} right exit codes, 0 log bytes lost; supervised again {}", times.text());
    report("supervisor loops killed", &result, "1000, p99 50 ms");
}

#[test]
fn a_pair_that_is_killed_is_replaced_by_the_next_call_and_the_container_stays() {
    let root = Root::with_images(&["probe"]);
    let task = root.run_detached(&definition(&[("web", &["trap", "TERM", "--", "3"])]));
    let (pid, count) = (init(&root, &task), tries("GOAL_PAIR_KILLS", PAIR_KILLS));
    let mut times = Times::default();
    for number in 0..count {
        let old = eventually(PATIENCE, "it has a supervisor", || pair(&task.id));
        old.end();
        let since = Instant::now();
        root.berth(["ps"]).ok();
        times.add(since.elapsed());
        let new = eventually(PATIENCE, "it has a supervisor", || pair(&task.id));
        assert!(new != old && exists(pid), "after {number} kills");
        assert_eq!(root.list(&[]).len(), 1);
    }
    assert_eq!(init(&root, &task), pid);
    root.stop(&task);
    let record = root.describe(&task);
    let code = exit_code(&record);
    assert!(is_told_to_strangers(code, 3), "{code}");
    let result =
        format!("{count} killed, the container untouched, its exit code {code}; the call that adopts {}", times.text());
    report("both halves killed together", &result, "200, adopted by the next call");
}
