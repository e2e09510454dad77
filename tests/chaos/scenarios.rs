//! What is done while something goes wrong, and how the world must be afterwards.

use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::lane::{PATIENCE, Play, Stage};
use crate::support::supervised::{pair, processes};
use crate::support::{container, definition, eventually, fixture, of, task};

/// One of them.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) play: fn(&Play<'_>, &mut Stage),
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "run -d", play: launch },
    Scenario { name: "run to the end", play: whole },
    Scenario { name: "stop", play: stop },
    Scenario { name: "adopt", play: adopt },
    Scenario { name: "exec", play: exec },
    Scenario { name: "image import", play: import },
    Scenario { name: "service", play: service },
];

/// The code with which the program ends on SIGTERM.
const TRAPPED: i64 = 3;
/// How many lines the talker writes.
const LINES: usize = 300;

fn trapping() -> Value {
    definition(&[("web", &["trap", "TERM", "--", "3"])])
}

/// A task is asked for: it runs, or says why it does not, or nothing is there of it.
fn launch(play: &Play<'_>, stage: &mut Stage) {
    let file = play.root.file(&trapping());
    play.arm();
    let answer = play.risk(["--format", "json", "run", "-d", file.to_str().expect("it is text")]);
    play.calm(stage);
    let found = play.until(&["RUNNING", "STOPPED"]);
    stage.settle();
    assert!(found.is_some() || !answer.status.success(), "lost: the task was answered and is not there: {answer:?}");
    if let Some(found) = found {
        end(play, &found);
    }
}

/// Stops a task, if it runs: its exit code is its program's.
fn end(play: &Play<'_>, found: &Value) {
    if found["lastStatus"] == "STOPPED" {
        return never_began(found);
    }
    let id = id(found);
    written(play, &id, "web", "ready");
    play.root.berth(["stop", &id]).ok();
    let ended = play.until(&["STOPPED"]).expect("lost: it is not there any more");
    assert_eq!(of(&ended, "web")["exitCode"], TRAPPED, "exit code: {ended:#}");
}

/// A task that could not start says so.
fn never_began(found: &Value) {
    assert_eq!(found["stopCode"], "TaskFailedToStart", "lost: {found:#}");
    assert!(found["stoppedReason"].as_str().is_some_and(|reason| !reason.is_empty()), "lost: no reason: {found:#}");
}

/// A task that ends by itself: the exit code of its essential container, and every byte that another one has written.
fn whole(play: &Play<'_>, stage: &mut Stage) {
    let lines = LINES.to_string();
    let talker = container("talker", &["lines", &lines], json!({ "essential": false }));
    let condition = json!({ "dependsOn": [{ "containerName": "talker", "condition": "COMPLETE" }] });
    let file = play.root.file(&task(&[talker, container("last", &["exit", "7"], condition)]));
    play.arm();
    let answer = play.risk(["run", file.to_str().expect("it is text")]);
    play.calm(stage);
    let ended = play.until(&["STOPPED"]);
    stage.settle();
    let Some(ended) = ended else {
        assert!(!answer.status.success(), "lost: it has run and is not there: {answer:?}");
        return;
    };
    let talked = of(&ended, "talker");
    match of(&ended, "last")["exitCode"].as_i64() {
        Some(code) => assert_eq!(code, 7, "exit code: {ended:#}"),
        None => never_began(&ended),
    }
    if talked["exitCode"] == 0 {
        let log = play.root.berth(["logs", "-c", "talker", &id(&ended)]);
        let wanted: String = (1..=LINES).map(|number| format!("line {number}\n")).collect();
        let found = log.stdout + &log.stderr;
        assert_eq!(found, wanted, "log bytes: {} of {}", found.len(), wanted.len());
    }
    if answer.status.code() == Some(0) {
        panic!("exit code: run said 0: {answer:?}");
    }
}

/// A running task is asked to stop.
fn stop(play: &Play<'_>, stage: &mut Stage) {
    let id = started(play);
    play.arm();
    let answer = play.risk(["stop", &id]);
    play.calm(stage);
    if !answer.status.success() {
        play.root.berth(["stop", &id]).ok();
    }
    let ended = play.until(&["STOPPED"]).expect("lost: it is not there any more");
    stage.settle();
    assert_eq!(of(&ended, "web")["exitCode"], TRAPPED, "exit code: {ended:#}");
}

/// A task whose supervisor was killed, both halves: the next call takes it up, untouched.
fn adopt(play: &Play<'_>, stage: &mut Stage) {
    let id = started(play);
    let before = pid(play, &id);
    eventually(PATIENCE, "it has a supervisor", || pair(&id)).end();
    play.arm();
    play.risk(["ps"]);
    play.calm(stage);
    let found = play.until(&["RUNNING", "STOPPED"]).expect("lost: it is not there any more");
    // A loop whose holder was killed goes on alone.
    eventually(PATIENCE, "it is supervised again", || {
        play.tasks();
        (!processes(&["supervise", &id]).is_empty()).then_some(())
    });
    stage.settle();
    assert_eq!(found["lastStatus"], "RUNNING", "lost: {found:#}");
    assert_eq!(pid(play, &id), before, "duplicated: its program was started again");
    end(play, &found);
}

/// A command in a running container: if it fails, the container does not.
fn exec(play: &Play<'_>, stage: &mut Stage) {
    let id = started(play);
    play.arm();
    play.risk(["exec", "-c", "web", &id, "/probe", "print", "said"]);
    play.calm(stage);
    let found = play.until(&["RUNNING"]).expect("lost: it is not there any more");
    let again = play.root.exec(&found_task(&found), "web", &["/probe", "print", "said"]).ok();
    stage.settle();
    assert_eq!(again, "said\n", "lost: exec does not work any more");
    end(play, &found);
}

/// An image is brought in: whole, or not at all, and the next try succeeds.
fn import(play: &Play<'_>, stage: &mut Stage) {
    let reference = contents(&play.root.path().join("images"));
    play.root.berth(["image", "rm", "probe"]).ok();
    let layout = fixture("probe");
    let layout = layout.to_str().expect("it is text");
    play.arm();
    play.risk(["image", "import", layout]);
    play.calm(stage);
    play.root.berth(["image", "import", layout]).ok();
    stage.settle();
    assert_eq!(contents(&play.root.path().join("images")), reference, "leaked: the store is not what it was");
    let code = play.root.run(&definition(&[("web", &["exit", "7"])])).code();
    assert_eq!(code, 7, "exit code: of a task of the image");
}

/// What a store consists of, but for what is in its layers.
fn contents(store: &Path) -> Vec<String> {
    let list = |directory: &str| {
        let entries = fs::read_dir(store.join(directory)).into_iter().flatten().flatten();
        entries.map(move |entry| format!("{directory}/{}", entry.file_name().to_string_lossy())).collect::<Vec<_>>()
    };
    let mut all: Vec<String> = ["layers", "blobs/sha256", "staging"].iter().flat_map(|name| list(name)).collect();
    all.sort();
    all
}

/// A service of two: the count is reached, never passed, and holds when a container is killed.
fn service(play: &Play<'_>, stage: &mut Stage) {
    let file = play.root.file(&trapping());
    let registered = play.root.berth(["register", file.to_str().expect("it is text")]).ok();
    let create = ["service", "create", "web", "--task-definition", registered.trim(), "--desired-count", "2"];
    let create = [&create[..], &["--time-scale", "0.01"]].concat();
    play.arm();
    let answer = play.risk(create.iter());
    if !answer.status.success() {
        play.calm(stage);
        let described = play.root.berth(["--format", "json", "service", "describe", "web"]);
        let described: Value = serde_json::from_str(&described.stdout).unwrap_or_default();
        if described["services"][0]["status"] != "ACTIVE" {
            play.root.berth(create.iter()).ok();
        }
    }
    // What goes wrong may do so in the scheduler, which has its time.
    let first = counted(play);
    play.calm(stage);
    kill(Pid::from_raw(pid(play, &first[0])), Signal::SIGKILL).ok();
    eventually(PATIENCE, "another one runs", || {
        let now = counted(play);
        (!now.contains(&first[0])).then_some(())
    });
    stage.settle();
    play.root.berth(["service", "delete", "--force", "web"]).ok();
    eventually(PATIENCE, "all are STOPPED", || {
        play.tasks().iter().all(|task| task["lastStatus"] == "STOPPED").then_some(())
    });
}

/// Waits until two tasks of the service run; at no time are there more than its ceiling.
fn counted(play: &Play<'_>) -> Vec<String> {
    eventually(PATIENCE, "two tasks run", || {
        let tasks = play.root.list(&[]);
        assert!(tasks.len() <= 4, "duplicated: {} tasks of a service of two", tasks.len());
        let running = tasks.iter().filter(|task| task["lastStatus"] == "RUNNING" && task["desiredStatus"] == "RUNNING");
        let ids: Vec<String> = running.map(id).collect();
        (ids.len() == 2).then_some(ids)
    })
}

/// Starts the task that ends on SIGTERM, where nothing goes wrong yet.
pub(crate) fn started(play: &Play<'_>) -> String {
    let file = play.root.file(&trapping());
    play.risk(["run", "-d", file.to_str().expect("it is text")]).ok();
    let id = id(&play.until(&["RUNNING"]).expect("it was answered"));
    written(play, &id, "web", "ready");
    id
}

fn written(play: &Play<'_>, id: &str, container: &str, text: &str) {
    eventually(PATIENCE, &format!("{container} writes {text:?}"), || {
        play.root.berth(["logs", "-c", container, id]).stdout.contains(text).then_some(())
    });
}

fn found_task(found: &Value) -> crate::support::root::Task {
    crate::support::root::Task { id: id(found), answer: found.clone() }
}

fn id(task: &Value) -> String {
    let arn = task["taskArn"].as_str().expect("a task has an ARN");
    arn.rsplit('/').next().expect("it has parts").to_owned()
}

/// The first process of the container.
fn pid(play: &Play<'_>, id: &str) -> i32 {
    let path = play.root.path().join(format!("run/tasks/{id}/c/web/init.json"));
    eventually(PATIENCE, "its program has been started", || {
        let file: Value = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        i32::try_from(file["pid"].as_i64()?).ok()
    })
}
