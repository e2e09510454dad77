//! Faults: shown before, during and after; by the endpoint and by `berth fault`. And protection, whose form is the agent's.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::one;
use crate::support::events::Follower;
use crate::support::inside::{Answer, Inside};
use crate::support::root::{Root, Task};
use crate::support::{container, definition, eventually, task};

const PATIENCE: Duration = Duration::from_secs(30);

/// Whether somebody takes a connection.
fn reaches(address: &str, port: u16) -> bool {
    let place: SocketAddr = format!("{address}:{port}").parse().unwrap();
    TcpStream::connect_timeout(&place, Duration::from_millis(400)).is_ok()
}

fn server(root: &Root, family: &str, faults: bool) -> (Task, Inside) {
    let mut definition = task(&[container("app", &["listen", "8080", family], json!({}))]);
    definition["family"] = family.into();
    definition["enableFaultInjection"] = faults.into();
    let task = root.run_detached(&definition);
    let inside = Inside::of(root, &task, "app");
    let address = task.address();
    eventually(Duration::from_secs(10), "the server answers", || reaches(&address, 8080).then_some(()));
    (task, inside)
}

fn fault(inside: &Inside, name: &str, action: &str, body: &Value) -> Answer {
    let url = format!("{}/fault/v1/{name}/{action}", inside.variable("ECS_AGENT_URI"));
    inside.ask("POST", &url, &body.to_string()) // again, if it came less than five seconds after another one
}

#[test]
fn a_blackhole_swallows_what_goes_to_its_port_and_nothing_else() {
    let root = Root::with_images(&["probe"]);
    let (task, inside) = server(&root, "faulty", true);
    let (other, _) = server(&root, "sound", false);
    let (here, there) = (task.address(), other.address());
    let name = "network-blackhole-port";
    let ingress = json!({ "Port": 8080, "Protocol": "tcp", "TrafficType": "ingress" });
    assert_eq!(fault(&inside, name, "status", &ingress).json(), json!({ "Status": "not-running" }));
    assert_eq!(fault(&inside, name, "start", &ingress).json(), json!({ "Status": "running" }));
    assert!(!reaches(&here, 8080), "the host is not heard");
    assert_eq!(fault(&inside, name, "status", &ingress).json(), json!({ "Status": "running" }));
    assert!(inside.there(|| reaches(&there, 8080)), "what it sends still goes");
    assert_eq!(fault(&inside, name, "stop", &ingress).json(), json!({ "Status": "stopped" }));
    assert!(reaches(&here, 8080), "it is heard again");

    let egress = json!({ "Port": 8080, "Protocol": "tcp", "TrafficType": "egress" });
    fault(&inside, name, "start", &egress).json();
    assert!(!inside.there(|| reaches(&there, 8080)), "it does not get through");
    assert!(reaches(&here, 8080), "it is heard");
    fault(&inside, name, "stop", &egress).json();
    assert!(inside.there(|| reaches(&there, 8080)), "it gets through again");

    let mut spared = egress.clone();
    spared["SourcesToFilter"] = json!([there]);
    fault(&inside, name, "start", &spared).json();
    assert!(inside.there(|| reaches(&there, 8080)), "who is named is spared");
    fault(&inside, name, "stop", &spared).json();
}

#[test]
fn packets_are_lost_and_late_as_they_are_asked_to() {
    let root = Root::with_images(&["probe"]);
    let (_task, inside) = server(&root, "faulty", true);
    let (other, _) = server(&root, "sound", false);
    let there = other.address();
    let all = json!({ "LossPercent": 100, "Sources": [there] });
    assert!(inside.there(|| reaches(&there, 8080)), "before");
    assert_eq!(fault(&inside, "network-packet-loss", "start", &all).json(), json!({ "Status": "running" }));
    assert!(!inside.there(|| reaches(&there, 8080)), "during");
    let again = fault(&inside, "network-packet-loss", "start", &all);
    assert_eq!(again.status, 409, "{again:?}");
    assert_eq!(fault(&inside, "network-packet-loss", "status", &json!({})).json(), json!({ "Status": "running" }));
    assert_eq!(fault(&inside, "network-packet-loss", "stop", &json!({})).json(), json!({ "Status": "stopped" }));
    assert!(inside.there(|| reaches(&there, 8080)), "after");

    let late = json!({ "DelayMilliseconds": 300, "JitterMilliseconds": 0, "Sources": [there] });
    let answer = fault(&inside, "network-latency", "start", &late);
    if answer.status == 500 {
        // A kernel without netem says so, and nothing is left of the attempt.
        assert!(answer.body.contains("the kernel of this host has no"), "{answer:?}");
        assert_eq!(fault(&inside, "network-latency", "status", &json!({})).json(), json!({ "Status": "not-running" }));
    } else {
        assert_eq!(answer.json(), json!({ "Status": "running" }));
        let place: SocketAddr = format!("{there}:8080").parse().unwrap();
        let soon = inside.there(|| TcpStream::connect_timeout(&place, Duration::from_millis(200)).is_ok());
        let later = inside.there(|| TcpStream::connect_timeout(&place, Duration::from_secs(10)).is_ok());
        assert!(!soon && later, "during: it takes longer than 200 ms");
        fault(&inside, "network-latency", "stop", &json!({})).json();
        assert!(inside.there(|| reaches(&there, 8080)), "after");
    }
}

#[test]
fn a_fault_that_makes_no_sense_or_is_not_allowed_is_refused_in_the_agents_words() {
    let root = Root::with_images(&["probe"]);
    let (_task, inside) = server(&root, "faulty", true);
    let said = |name: &str, body: &Value| {
        let answer = fault(&inside, name, "start", body);
        let text: Value = serde_json::from_str(&answer.body).unwrap();
        (answer.status, text["Error"].as_str().unwrap_or_default().to_owned())
    };
    let port = "network-blackhole-port";
    assert_eq!(said(port, &json!({})), (400, "required parameter Port is missing".into()));
    let wrong = json!({ "Port": 1, "Protocol": "icmp", "TrafficType": "egress" });
    assert_eq!(said(port, &wrong), (400, "invalid value icmp for parameter Protocol".into()));
    assert_eq!(said("network-latency", &json!({})).0, 400);
    let (_sound, calm) = server(&root, "sound", false);
    let refused = fault(&calm, port, "status", &json!({ "Port": 1, "Protocol": "tcp", "TrafficType": "egress" }));
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("enableFaultInjection is not enabled for task: arn:aws:ecs:"), "{refused:?}");
}

#[test]
fn the_same_faults_are_a_command() {
    let root = Root::with_images(&["probe"]);
    let (task, _inside) = server(&root, "sound", false); // the operator needs nobody's leave
    let address = task.address();
    let port = ["--port", "8080", "--protocol", "tcp", "--traffic-type", "ingress"];
    let act = |action: &str| {
        let args = ["fault", &task.id, "network-blackhole-port", action].into_iter().chain(port);
        root.berth(args).ok()
    };
    assert_eq!(act("status").trim(), "not-running");
    assert_eq!(act("start").trim(), "running");
    assert!(!reaches(&address, 8080));
    assert_eq!(act("stop").trim(), "stopped");
    assert!(reaches(&address, 8080));
    let wrong = root.berth(["fault", &task.id, "network-packet-loss", "start"]);
    assert_eq!(wrong.code(), 1, "{wrong:?}");
    assert!(wrong.stderr.contains("required parameter LossPercent is missing"), "{wrong:?}");
}

/// What was told of a task.
fn events_of(all: &[Value], task: &Task) -> Vec<Value> {
    let all = all.iter().map(|event| event["detail"].clone());
    all.filter(|detail| detail["taskArn"].as_str().is_some_and(|arn| arn.ends_with(&task.id))).collect()
}

/// A time of a record, or of an event's detail, in milliseconds.
fn ms(time: &Value) -> i64 {
    match time.as_f64() {
        Some(seconds) => (seconds * 1000.0).round() as i64,
        None => time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond(),
    }
}

#[test]
fn a_spot_interruption_warns_then_asks_and_kills_after_the_stop_timeout() {
    let root = Root::with_images(&["probe"]);
    let probe = |name: &str, command: &[&str]| container(name, command, json!({ "stopTimeout": 2 }));
    let task =
        root.run_detached(&task(&[probe("deaf", &["ignore", "TERM"]), probe("polite", &["trap", "TERM", "--", "0"])]));
    let follower = Follower::start(&root);
    eventually(PATIENCE, "it follows", || {
        root.run_detached(&definition(&[("once", &["exit", "0"])]));
        (!follower.events().is_empty()).then_some(())
    });
    root.berth(["interrupt", &task.id]).ok();
    let record = root.until(&task, "STOPPED");
    assert_eq!(record["stopCode"], "SpotInterruption");
    assert_eq!(record["stoppedReason"], "Your Spot Task was interrupted.");
    let told = eventually(PATIENCE, "the last event", || {
        Some(events_of(&follower.events(), &task))
            .filter(|all| all.last().is_some_and(|last| last["lastStatus"] == "STOPPED"))
    });
    let past = root.berth(["events"]).ok();
    let past: Vec<Value> = past.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let past = events_of(&past, &task);
    for events in [&told, &past] {
        let warning = &events[0];
        let named =
            ["lastStatus", "desiredStatus", "stopCode", "stoppedReason"].map(|name| warning[name].as_str().unwrap());
        assert_eq!(named, ["RUNNING", "STOPPED", "SpotInterruption", "Your Spot Task was interrupted."]);
        let exits = |event: &Value| [0, 1].map(|place| event["containers"][place]["exitCode"].as_i64());
        assert_eq!((exits(warning), exits(events.last().unwrap())), ([None, None], [Some(137), Some(0)]));
        let versions: Vec<i64> = events.iter().map(|event| event["version"].as_i64().unwrap()).collect();
        assert!(versions.is_sorted_by(|one, two| one < two), "{versions:?}");
        let asked = root.berth(["logs", "--format", "json", "-c", "polite", &task.id]).ok();
        let asked = asked.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let asked = ms(&asked.into_iter().find(|line| line["message"] == "TERM").expect("it was asked")["timestamp"]);
        let (warned, over) = (ms(&warning["updatedAt"]), ms(&record["executionStoppedAt"]));
        assert!(warned <= asked && warned <= ms(&record["stoppingAt"]), "{warned} {asked} {record:#}");
        assert!(over - warned >= 2000, "{warned} {over}");
    }
    let again = root.berth(["interrupt", &task.id]);
    assert!(again.code() == 1 && again.stderr.contains("stops already, or has stopped"), "{again:?}");
}

#[test]
fn a_shorter_warning_ends_sooner_than_the_containers_own_time() {
    let root = Root::with_images(&["probe"]);
    let deaf = container("deaf", &["ignore", "TERM"], json!({ "stopTimeout": 120 }));
    let task = root.run_detached(&task(&[deaf]));
    root.berth(["interrupt", "--warning", "1", &task.id]).ok();
    let record = root.until(&task, "STOPPED"); // which has less patience than that
    assert_eq!(record["containers"][0]["exitCode"], 137);
    assert!(ms(&record["executionStoppedAt"]) - ms(&record["stoppingAt"]) >= 1000, "{record:#}");
    assert_eq!(root.berth(["interrupt", "--warning", "121", &task.id]).code(), 2);
}

#[test]
fn protection_is_only_for_tasks_of_services_with_a_role() {
    let root = Root::with_images(&["probe"]);
    root.configure("[roles.app]\naccess-key-id = 'AK'\nsecret-access-key = 'hush'\n");
    let (task, inside) = one(&root, &json!({ "taskRoleArn": "arn:aws:iam::000000000000:role/app" }));
    let url = |inside: &Inside| format!("{}/task-protection/v1/state", inside.variable("ECS_AGENT_URI"));
    let arn = root.describe(&task)["taskArn"].clone();
    let answer = inside.get(&url(&inside)).json();
    assert_eq!(answer, json!({ "failure": { "Arn": arn, "Reason": "TASK_NOT_VALID" } }));
    let refused = |inside: &Inside, method: &str, body: &str| {
        let answer = inside.ask(method, &url(inside), body);
        let text: Value = serde_json::from_str(&answer.body).unwrap();
        (answer.status, text["error"]["Code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(refused(&inside, "PUT", "{}"), (400, "InvalidParameterException".into()));
    assert_eq!(
        refused(&inside, "PUT", r#"{"ProtectionEnabled": true, "X": 1}"#),
        (400, "InvalidParameterException".into())
    );
    let (_bare, bare) = one(&root, &json!({ "family": "bare" }));
    assert_eq!(refused(&bare, "GET", ""), (403, "AccessDeniedException".into()));
}
