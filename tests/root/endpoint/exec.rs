//! ECS Exec: sessions in a running task, by a client that follows the protocol's description, and by a published one.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::endpoint::Endpoint;
use crate::support::moto::program;
use crate::support::root::{Root, Task};
use crate::support::{container, eventually, task};

const PATIENCE: Duration = Duration::from_secs(60);

/// An endpoint, and tasks whose commands may be executed: busybox as another user than root, with a root file system that
/// nobody writes.
fn ground(count: usize) -> (Root, Endpoint, Vec<Task>) {
    ground_with(count, "", Endpoint::start)
}

/// The same with more in the configuration, and with another endpoint.
fn ground_with(count: usize, configuration: &str, endpoint: fn(&Root) -> Endpoint) -> (Root, Endpoint, Vec<Task>) {
    let root = Root::with_images(&["probe", "busybox"]);
    root.configure(&format!("region = \"eu-west-1\"\n{configuration}"));
    let endpoint = endpoint(&root);
    let script = "trap exit TERM; while :; do sleep 1 & wait $!; done";
    let more = json!({ "image": "busybox", "command": ["sh", "-c", script], "user": "1000:1000",
        "readonlyRootFilesystem": true, "stopTimeout": 2 });
    let definition = task(&[container("app", &[], more)]);
    let started = (0..count).map(|_| start(&root, &endpoint, &definition)).collect();
    (root, endpoint, started)
}

/// Runs a task by RunTask, with `enableExecuteCommand`.
fn start(root: &Root, endpoint: &Endpoint, definition: &Value) -> Task {
    let first = root.run_detached(definition);
    let subnet = first.interface("subnetId");
    root.stop(&first);
    let family = definition["family"].as_str().unwrap();
    let answer = endpoint
        .aws(&[
            "ecs",
            "run-task",
            "--task-definition",
            family,
            "--enable-execute-command",
            "--launch-type",
            "FARGATE",
            "--network-configuration",
            &format!("awsvpcConfiguration={{subnets=[{subnet}]}}"),
        ])
        .json();
    let arn = answer["tasks"][0]["taskArn"].as_str().unwrap_or_else(|| panic!("{answer:#}")).to_owned();
    let id = arn.rsplit('/').next().unwrap().to_owned();
    let task = Task { id, ..first };
    root.until(&task, "RUNNING");
    task
}

#[test]
fn a_client_of_the_protocol_has_a_shell_that_resizes_is_interrupted_and_tells_its_code() {
    let (root, endpoint, tasks) = ground(1);
    let out = endpoint.script("exec.py", &[&tasks[0].id, "shell"]);
    let record = root.describe(&tasks[0]);
    assert_eq!(out["type"], json!(["InteractiveCommands"]));
    assert_eq!((&out["code"], &out["session"]), (&json!(7), &json!(true)), "{out:#}");
    assert_eq!(out["closed"], "The command ended with exit code 7.");
    let answer = &out["answer"];
    assert_eq!(answer["taskArn"], record["taskArn"]);
    assert_eq!(answer["clusterArn"], record["clusterArn"]);
    assert_eq!(answer["containerArn"], record["containers"][0]["containerArn"]);
    assert_eq!((&answer["containerName"], &answer["interactive"]), (&json!("app"), &json!(true)));
    let url = answer["session"]["streamUrl"].as_str().unwrap();
    let host = endpoint.url.replace("http", "ws");
    assert!(url.starts_with(&format!("{host}/v1/data-channel/ecs-execute-command-")), "{url}");
    let agent = &record["containers"][0]["managedAgents"][0];
    assert_eq!((&agent["name"], &agent["lastStatus"]), (&json!("ExecuteCommandAgent"), &json!("RUNNING")));
    endpoint.check_answers();
}

#[test]
fn over_tls_it_is_the_same_and_the_stream_is_too() {
    let (_root, endpoint, tasks) = ground_with(1, "", Endpoint::with_tls);
    let out = endpoint.script("exec.py", &[&tasks[0].id, "shell"]);
    assert_eq!((&out["code"], &out["session"]), (&json!(7), &json!(true)), "{out:#}");
    let out = endpoint.script("exec.py", &[&tasks[0].id, "untrusted"]);
    assert_eq!(out["verified"], false, "{out:#}");
    assert!(endpoint.url.starts_with("https://") && out["url"].as_str().unwrap().starts_with("wss://"), "{out:#}");
}

#[test]
fn a_session_ends_when_it_was_idle_for_too_long_and_not_while_somebody_types() {
    let (_root, endpoint, tasks) = ground_with(1, "[exec]\nidle-seconds = 3\n", Endpoint::start);
    let out = endpoint.script("exec.py", &[&tasks[0].id, "idle", "3"]);
    assert_eq!(out["closed"], "Your session timed out due to inactivity.", "{out:#}");
    assert!(out["typed"].as_u64().unwrap() > 2 && out["waited"] == true, "{out:#}");
}

#[test]
fn there_are_no_more_sessions_than_there_may_be_and_one_that_ends_makes_room() {
    let (_root, endpoint, tasks) = ground_with(1, "[exec]\nsessions = 2\n", Endpoint::start);
    let out = endpoint.script("exec.py", &[&tasks[0].id, "many", "2"]);
    let refusal = "Unable to start new execute sessions because the maximum session limit of 2 has been reached.";
    assert_eq!(out, json!({ "refusal": refusal, "after": true }));
}

#[test]
fn what_a_session_shows_is_written_down_where_the_cluster_says() {
    let (root, endpoint, _) = ground(0);
    let script = "trap exit TERM; while :; do sleep 1 & wait $!; done";
    let log = json!({ "logDriver": "awslogs", "options": { "awslogs-group": "/ecs/app", "awslogs-region": "eu-west-1",
        "awslogs-stream-prefix": "p" } });
    let more =
        json!({ "image": "busybox", "command": ["sh", "-c", script], "stopTimeout": 2, "logConfiguration": log });
    let started = start(&root, &endpoint, &task(&[container("app", &[], more)]));
    let update = |exec: &Value| {
        let configuration = json!({ "executeCommandConfiguration": exec });
        let request = json!({ "cluster": "default", "configuration": configuration }).to_string();
        root.berth(["ecs", "update-cluster", &request])
    };
    let in_group = |group: &str| root.berth(["logs", "--group", group]).stdout;
    let of_session = |group: &str, id: &str| root.berth(["logs", "--group", group, "--stream", id]).ok();
    let said = |text: &str| {
        let out = endpoint.script("exec.py", &[&started.id, "says", text]);
        assert_eq!(out["code"], 0, "{out:#}");
        out["id"].as_str().unwrap().to_owned()
    };
    let id = said("in-the-tasks-group");
    assert_eq!(of_session("/ecs/app", &id).trim(), "in-the-tasks-group");
    let group = json!({ "cloudWatchLogGroupName": "/exec" });
    update(&json!({ "logging": "OVERRIDE", "logConfiguration": group })).ok();
    let id = said("in-the-clusters-group");
    assert_eq!(of_session("/exec", &id).trim(), "in-the-clusters-group");
    update(&json!({ "logging": "NONE" })).ok();
    said("in-no-group");
    assert!(!in_group("/exec").contains("in-no-group") && !in_group("/ecs/app").contains("in-no-group"));
    let refused = update(&json!({ "kmsKeyId": "alias/mine" }));
    assert!(refused.code() == 254 && refused.stderr.contains("kmsKeyId is not supported"), "{refused:#?}");
}

#[test]
fn lost_repeated_and_reordered_frames_survive_and_a_client_comes_back() {
    let (_root, endpoint, tasks) = ground(1);
    let out = endpoint.script("exec.py", &[&tasks[0].id, "lossy"]);
    assert_eq!((&out["whole"], &out["code"]), (&json!(true), &json!(3)), "{out:#}");
    for what in ["dropped", "repeated", "resent"] {
        assert!(out["counts"][what].as_u64().unwrap() > 5, "{out:#}");
    }
    let out = endpoint.script("exec.py", &[&tasks[0].id, "resume"]);
    assert_eq!(out, json!({ "whole": true, "refused": true, "after": false, "code": 0 }));
}

#[test]
fn a_published_client_has_a_shell() {
    let (_root, endpoint, tasks) = ground(1);
    let out = endpoint.script("exec.py", &[&tasks[0].id, "published"]);
    assert_eq!(out["shown"], true, "{out:#}");
}

#[test]
fn sessions_end_when_they_are_asked_to_and_nobody_enters_without_the_token() {
    let (_root, endpoint, tasks) = ground(1);
    let out = endpoint.script("exec.py", &[&tasks[0].id, "ends"]);
    assert_eq!((&out["terminated"], &out["flag"]), (&json!(""), &json!("")), "{out:#}");
    let absent = out["absent"].as_str().unwrap();
    assert!(absent.starts_with("Unable to start command: exec \"/no/such/program\""), "{absent}");
    assert_eq!((&out["stranger"], &out["unknown"], &out["owner"]), (&json!("out"), &json!(404), &json!(0)), "{out:#}");
}

#[test]
fn clients_that_neither_read_nor_acknowledge_cost_the_endpoint_little() {
    let (_root, endpoint, tasks) = ground(1);
    let out = endpoint.script("exec.py", &[&tasks[0].id, "deaf", &endpoint.pid().to_string()]);
    assert!(out["grown"].as_i64().unwrap() < 16 << 10, "{out:#}");
    // The window, and not what `yes` writes in that time.
    assert!((1..=128 << 10).contains(&out["unacknowledged"].as_u64().unwrap()), "{out:#}");
}

#[test]
fn refusals_have_ecss_words() {
    let (root, endpoint, tasks) = ground(1);
    let two = task(&[
        container("one", &["trap", "TERM"], json!({ "stopTimeout": 2 })),
        container("two", &["exit", "0"], json!({ "essential": false })),
    ]);
    let plain = root.run_detached(&two);
    let both = start(&root, &endpoint, &two);
    eventually(PATIENCE, "the second one has ended", || {
        (root.describe(&both)["containers"][1]["lastStatus"] == "STOPPED").then_some(())
    });
    let wrong = [
        json!({ "interactive": false }),
        json!({ "command": "" }),
        json!({ "command": "sh -c 'a" }),
        json!({ "task": "0".repeat(32) }),
        json!({ "task": plain.id, "container": "one" }),
        json!({ "task": both.id, "container": null }),
        json!({ "task": both.id, "container": "three" }),
        json!({ "task": both.id, "container": "two" }),
        json!({ "cluster": "none" }),
    ]
    .map(|wrong| wrong.to_string());
    let mut args = vec![tasks[0].id.as_str(), "refused"];
    args.extend(wrong.iter().map(String::as_str));
    let out = endpoint.script("exec.py", &args);
    let code = |place: usize| out[place][0].as_str().unwrap_or_else(|| panic!("{out:#}"));
    let codes: Vec<&str> = (0..wrong.len()).map(code).collect();
    let invalid = "InvalidParameterException";
    let expected = [
        invalid,
        invalid,
        invalid,
        invalid,
        invalid,
        invalid,
        invalid,
        "TargetNotConnectedException",
        "ClusterNotFoundException",
    ];
    assert_eq!(codes, expected, "{out:#}");
    let text = out[4][1].as_str().unwrap();
    assert!(text.starts_with("The execute command failed because execute command was not enabled"), "{text}");
    assert!(out[5][1].as_str().unwrap().contains("one, two"), "{out:#}");
    // A task that has stopped, and a caller that no stream leads to.
    root.stop(&plain);
    let ask = json!({ "task": plain.id, "container": "one" }).to_string();
    assert_eq!(endpoint.script("exec.py", &[&tasks[0].id, "refused", &ask])[0][0], "TargetNotConnectedException");
    let request = json!({ "task": tasks[0].id, "interactive": true, "command": "sh" }).to_string();
    let alone = root.berth(["ecs", "ExecuteCommand", &request]);
    assert!(alone.code() != 0 && alone.stderr.contains("use `berth exec`"), "{alone:#?}");
}

#[test]
fn an_endpoint_that_is_killed_ends_its_sessions_and_no_task() {
    let (root, endpoint, tasks) = ground(1);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/clients/exec.py");
    let mut command = endpoint.client(program("python"), endpoint.key());
    command.arg(path).args([&tasks[0].id, "stays"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut client = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(client.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "ready");
    let sleeps = || root.exec(&tasks[0], "app", &["ps", "-o", "args"]).ok().contains("sleep 4321");
    assert!(sleeps());
    endpoint.kill();
    client.kill().and_then(|()| client.wait()).unwrap();
    eventually(PATIENCE, "the command has ended", || (!sleeps()).then_some(()));
    assert_eq!(root.describe(&tasks[0])["lastStatus"], "RUNNING");
}
