//! Services: the count holds whatever dies, a roll-over never leaves the floor, and a bad one goes back.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::command::Finished;
use crate::support::root::Root;
use crate::support::supervised::{copies, processes, strike};
use crate::support::{definition, eventually};

pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Forty seconds are 0.4 s.
pub(super) const PACE: [&str; 2] = ["--time-scale", "0.01"];

/// A root with room for many tasks, and its services, which are deleted at the end.
pub(crate) struct Host {
    pub(crate) root: Root,
}

impl Host {
    pub(crate) fn new() -> Self {
        let root = Root::with_images(&["probe"]);
        root.configure("[capacity]\ncpu = 100000\nmemory-mib = 100000\n");
        Self { root }
    }

    pub(crate) fn register(&self, family: &str, command: &[&str], more: &Value) -> String {
        self.register_as(definition(&[("web", command)]), family, more)
    }

    /// Registers a definition of one container with other members.
    pub(crate) fn register_as(&self, mut task: Value, family: &str, more: &Value) -> String {
        task["family"] = json!(family);
        task["containerDefinitions"][0]["stopTimeout"] = json!(2);
        for (name, value) in more.as_object().into_iter().flatten() {
            task["containerDefinitions"][0][name] = value.clone();
        }
        let file = self.root.file(&task);
        self.root.berth(["register", file.to_str().unwrap()]).ok().trim().to_owned()
    }

    pub(crate) fn service(&self, args: &[&str]) -> Finished {
        self.root.berth(["service"].iter().chain(args))
    }

    pub(crate) fn create(&self, count: &str, more: &[&str]) {
        let args = ["create", "web", "--task-definition", "web", "--desired-count", count];
        self.service(&[&args, &PACE[..], more].concat()).ok();
    }

    pub(super) fn describe(&self) -> Value {
        self.service(&["describe", "web"]).json()["services"][0].clone()
    }

    /// The tasks of the service that are to run and do, by their ids: their addresses.
    pub(super) fn running(&self) -> BTreeMap<String, String> {
        let tasks = self.root.list(&[]);
        let wanted = tasks.iter().filter(|task| {
            task["group"] == "service:web" && task["lastStatus"] == "RUNNING" && task["desiredStatus"] == "RUNNING"
        });
        wanted.map(|task| (id(task), address(task))).collect()
    }

    pub(crate) fn until_running(&self, count: usize) -> BTreeMap<String, String> {
        eventually(PATIENCE, "the count holds", || Some(self.running()).filter(|tasks| tasks.len() == count))
    }

    pub(super) fn events(&self) -> Vec<String> {
        let events = self.describe()["events"].as_array().unwrap().clone();
        events.iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn scheduler(&self) -> Vec<Pid> {
        let root = self.root.path().canonicalize().unwrap();
        processes(&["schedule", root.to_str().unwrap()]).into_iter().map(|(pid, _)| pid).collect()
    }

    pub(crate) fn delete(&self) {
        self.service(&["delete", "--force", "web"]).ok();
    }

    pub(super) fn pid(&self, id: &str) -> Pid {
        self.pid_of(id, "web")
    }

    pub(crate) fn pid_of(&self, id: &str, container: &str) -> Pid {
        let text = fs::read(self.root.path().join(format!("run/tasks/{id}/c/{container}/init.json"))).unwrap();
        let file: Value = serde_json::from_slice(&text).unwrap();
        Pid::from_raw(i32::try_from(file["pid"].as_i64().unwrap()).unwrap())
    }
}

fn id(task: &Value) -> String {
    task["taskArn"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

fn address(task: &Value) -> String {
    let details = task["attachments"][0]["details"].as_array().unwrap();
    let found = details.iter().find(|detail| detail["name"] == "privateIPv4Address").unwrap();
    found["value"].as_str().unwrap().to_owned()
}

pub(super) fn has(events: &[String], text: &str) -> bool {
    events.iter().any(|event| event.contains(text))
}

#[test]
fn an_interrupted_task_is_replaced_while_it_still_stops() {
    let host = Host::new();
    host.register("web", &["ignore", "TERM"], &json!({ "stopTimeout": 120 }));
    host.create("1", &[]);
    let old = host.until_running(1).into_keys().next().unwrap();
    host.root.berth(["interrupt", &old]).ok();
    let new = host.until_running(1).into_keys().next().unwrap();
    let tasks = host.root.list(&[]);
    let status = |sought: &str| tasks.iter().find(|task| id(task) == sought).map(|task| task["lastStatus"].clone());
    assert_eq!((status(&old), status(&new)), (Some("STOPPING".into()), Some("RUNNING".into())));
    let deleted = host.root.start(["service", "delete", "--force", "web"]); // nobody waits for two minutes
    eventually(PATIENCE, "all are killed", || {
        let tasks = host.root.list(&[]);
        tasks.iter().for_each(|task| drop(host.root.berth(["rm", "--force", &id(task)])));
        tasks.is_empty().then_some(())
    });
    deleted.wait(PATIENCE).ok();
}

#[test]
fn a_killed_task_is_replaced_and_the_service_says_so() {
    let host = Host::new();
    host.register("web", &["listen", "80", "one"], &json!({}));
    host.create("3", &[]);
    let service = host.describe();
    assert_eq!((service["runningCount"].as_u64(), service["deployments"].as_array().map(Vec::len)), (Some(3), Some(1)));
    let deployment = service["deployments"][0]["id"].as_str().unwrap().to_owned();
    let old = host.until_running(3);
    let task = host.root.list(&[]).into_iter().find(|task| old.contains_key(&id(task))).unwrap();
    assert_eq!((&task["startedBy"], &task["group"]), (&json!(deployment), &json!("service:web")));
    let victim = old.keys().next().unwrap();
    strike(host.pid(victim));
    let new = eventually(PATIENCE, "another one takes its place", || {
        Some(host.running()).filter(|tasks| tasks.len() == 3 && !tasks.contains_key(victim))
    });
    let fresh = new.keys().find(|id| !old.contains_key(*id)).unwrap();
    assert!(has(&host.events(), &format!("(service web) has started 1 tasks: (task {fresh}).")));
    host.delete();
    assert_eq!(host.describe()["status"], "INACTIVE");
    assert_eq!(host.scheduler(), [], "nothing is left to hold");
}

#[test]
fn a_good_roll_over_refuses_no_connection() {
    let host = Host::new();
    host.register("web", &["listen", "80", "one"], &json!({}));
    host.create("3", &[]);
    let old = host.until_running(3);
    host.register("web", &["listen", "80", "two"], &json!({}));
    let (stop, least, probes) = (AtomicBool::new(false), std::sync::Mutex::new(usize::MAX), std::sync::Mutex::new(0));
    let known = std::sync::Mutex::new(old.clone());
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                *known.lock().unwrap() = host.running();
            }
        });
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let due = Instant::now() + Duration::from_millis(10);
                let addresses: Vec<String> = known.lock().unwrap().values().cloned().collect();
                let answers = addresses.iter().filter(|address| {
                    let address: SocketAddr = format!("{address}:80").parse().unwrap();
                    TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
                });
                let answers = answers.count();
                let mut least = least.lock().unwrap();
                *least = answers.min(*least);
                *probes.lock().unwrap() += 1;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        });
        host.service(&[&["update", "web", "--task-definition", "web"], &PACE[..]].concat()).ok();
        stop.store(true, Ordering::Relaxed);
    });
    assert!(*least.lock().unwrap() >= 3, "fewer than three tasks answered at a time");
    assert!(*probes.lock().unwrap() > 20);
    let new = host.until_running(3);
    assert!(new.keys().all(|id| !old.contains_key(id)));
    host.delete();
}

#[test]
fn a_bad_definition_trips_the_breaker_and_the_old_tasks_stay() {
    let host = Host::new();
    host.register("web", &["listen", "80", "one"], &json!({}));
    host.create("3", &["--circuit-breaker", "rollback"]);
    let old = host.until_running(3);
    let good = host.describe()["deployments"][0]["id"].as_str().unwrap().to_owned();
    host.register("web", &["listen"], &json!({ "entryPoint": ["/there/is/no/such/program"] }));
    let failed = host.service(&[&["update", "web", "--task-definition", "web"], &PACE[..]].concat());
    assert_eq!(failed.code(), 1, "{failed:#?}");
    let events = host.events();
    assert!(has(&events, "deployment failed: tasks failed to start."), "{events:#?}");
    assert!(has(&events, &format!("(service web) rolling back to deployment {good}.")), "{events:#?}");
    assert_eq!(host.running(), old);
    let deployments = host.service(&["deployments", "web"]).json();
    assert_eq!(
        (&deployments[0]["status"], &deployments[1]["status"]),
        (&json!("ROLLBACK_SUCCESSFUL"), &json!("SUCCESSFUL"))
    );
    host.delete();
}

#[test]
fn a_task_counts_when_its_health_checks_pass_and_a_sick_revision_goes_back() {
    let host = Host::new();
    let check =
        |command: &[&str]| json!({ "healthCheck": { "command": command, "interval": 5, "timeout": 2, "retries": 1 } });
    host.register("web", &["listen", "80", "one"], &check(&["CMD", "/probe", "connect", "127.0.0.1", "80"]));
    host.create("2", &["--circuit-breaker", "rollback"]);
    let old = host.until_running(2);
    host.register("web", &["listen", "80", "two"], &check(&["CMD", "/probe", "exit", "1"]));
    let failed = host.service(&[&["update", "web", "--task-definition", "web"], &PACE[..]].concat());
    assert_eq!(failed.code(), 1, "{failed:#?}");
    let events = host.events();
    assert!(has(&events, "failed container health checks."), "{events:#?}");
    assert!(has(&events, "(service web) rolling back to deployment"), "{events:#?}");
    assert_eq!(host.running(), old);
    host.delete();
}

#[test]
fn a_task_that_dies_together_with_its_supervisors_is_replaced() {
    let host = Host::new();
    host.register("web", &["listen", "80", "one"], &json!({}));
    host.create("2", &[]);
    let old = host.until_running(2);
    let victim = old.keys().next().unwrap();
    let mut all: Vec<Pid> = processes(&["supervise", victim]).into_iter().map(|(pid, _)| pid).collect();
    all.push(host.pid(victim));
    all.into_iter().for_each(strike);
    let new = eventually(PATIENCE, "another one takes its place", || {
        Some(host.running()).filter(|tasks| tasks.len() == 2 && !tasks.contains_key(victim))
    });
    assert!(new.keys().any(|id| old.contains_key(id)));
    host.delete();
}

#[test]
fn a_scheduler_killed_in_the_middle_of_a_roll_over_is_followed_by_another() {
    let host = Host::new();
    host.register("web", &["listen", "80", "one"], &json!({}));
    host.create("3", &[]);
    let old = host.until_running(3);
    host.register("web", &["listen", "80", "two"], &json!({}));
    host.service(&[&["update", "web", "--detach", "--task-definition", "web"], &PACE[..]].concat()).ok();
    // the loop, then both at once: the next event of a task starts another pair
    for round in 0..4 {
        let pids = host.scheduler();
        pids.iter().skip(usize::from(round % 2 == 0)).for_each(|pid| strike(*pid));
        thread::sleep(Duration::from_millis(30));
    }
    strike(host.pid(host.running().keys().next().unwrap()));
    host.service(&["wait", "web", "--timeout", "60"]).ok();
    let new = host.until_running(3);
    assert!(new.keys().all(|id| !old.contains_key(id)));
    assert_eq!(host.describe()["deployments"].as_array().unwrap().len(), 1);
    host.delete();
}

#[test]
fn after_a_reboot_resume_brings_the_count_back() {
    let host = Host::new();
    host.register("web", &["listen", "80", "one"], &json!({}));
    host.create("3", &[]);
    let old = host.until_running(3);
    let run: PathBuf = host.root.path().join("run");
    // While one of them is struck another may start the next: all that there are, until there are none.
    eventually(PATIENCE, "all are gone", || {
        let mut all = host.scheduler();
        for task in fs::read_dir(run.join("tasks")).unwrap().flatten() {
            let id = task.file_name().into_string().unwrap();
            all.extend(processes(&["supervise", &id]).into_iter().map(|(pid, _)| pid));
            all.extend(copies(&id));
        }
        all.iter().for_each(|pid| strike(*pid));
        all.is_empty().then_some(())
    });
    fs::remove_dir_all(&run).unwrap();
    host.root.berth(["resume"]).ok();
    let new = host.until_running(3);
    assert!(new.keys().all(|id| !old.contains_key(id)));
    for id in old.keys() {
        let record = host.root.berth(["--format", "json", "describe", id]).json();
        assert_eq!(record["tasks"][0]["desiredStatus"], "STOPPED");
        assert_eq!(copies(id), []);
    }
    host.delete();
}

#[test]
fn a_task_that_does_not_fit_is_not_started_and_what_is_short_is_named() {
    let host = Host::new();
    host.root.configure("[capacity]\ncpu = 600\nmemory-mib = 100000\n");
    host.register("web", &["listen", "80", "one"], &json!({}));
    host.service(&["create", "web", "--detach", "--task-definition", "web", "--desired-count", "3"]).ok();
    host.until_running(2);
    let short = eventually(PATIENCE, "the event", || {
        host.events().into_iter().find(|event| event.contains("unable to place a task"))
    });
    assert!(short.ends_with("has insufficient CPU units available."), "{short}");
    let refused = host.root.berth(["run", "-d", "web"]);
    assert_eq!(refused.code(), 1);
    assert!(refused.stderr.contains("RESOURCE:CPU"), "{}", refused.stderr);
    host.service(&["update", "web", "--detach", "--desired-count", "1"]).ok();
    // the room of a task is free when nothing of it is left
    eventually(PATIENCE, "there is room", || (host.root.berth(["run", "-d", "web"]).code() == 0).then_some(()));
    host.delete();
}

#[test]
fn a_dry_run_tells_the_order_and_changes_nothing() {
    let host = Host::new();
    host.register("web", &["listen", "80", "one"], &json!({}));
    host.create("2", &[]);
    let old = host.until_running(2);
    host.register("web", &["listen", "80", "two"], &json!({}));
    let before = host.describe();
    let args = ["--format", "json", "service", "update", "web", "--task-definition", "web", "--dry-run"];
    let preview = host.root.berth(args).json();
    assert_eq!((&preview["newDeployment"], &preview["becauseOf"]), (&json!(true), &json!(["taskDefinition"])));
    assert_eq!(preview["steps"][0], json!({ "stop": [], "start": 2 }));
    assert_eq!(preview["steps"][1]["stop"].as_array().unwrap().len(), 2);
    assert_eq!(host.describe(), before);
    assert_eq!(host.running(), old);
    let same = ["--format", "json", "service", "update", "web", "--desired-count", "3", "--dry-run"];
    assert_eq!(host.root.berth(same).json()["newDeployment"], json!(false));
    host.delete();
}
