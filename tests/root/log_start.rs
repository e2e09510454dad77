//! Receivers that must be there before a container starts: Fargate's words and Docker's, the groups of CloudWatch Logs and of the
//! local store, and what a definition can say so that nobody asks.

use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};

use super::log_receivers::{http, moto, serving};
use crate::support::command::Finished;
use crate::support::root::Root;
use crate::support::{instance, logging, task};

/// A task of that one container which does not start, and why, as the record has it.
fn refused(root: &Root, finished: &Finished) -> String {
    assert_eq!(finished.code(), 1, "{finished:#?}");
    let record = root.list(&["-a"]).pop().unwrap();
    assert_eq!((&record["lastStatus"], &record["stopCode"]), (&json!("STOPPED"), &json!("TaskFailedToStart")));
    assert_eq!(record["startedAt"], Value::Null);
    let reason = record["stoppedReason"].as_str().unwrap().to_owned();
    root.berth(["rm", record["taskArn"].as_str().unwrap()]).ok();
    reason
}

fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn a_collector_that_does_not_answer_keeps_a_fargate_task_from_starting() {
    let root = Root::with_images(&["probe"]);
    let fargate = |url: &str, more: Value| {
        let mut options = json!({ "splunk-url": url, "splunk-token": "t" });
        if let (Value::Object(options), Value::Object(more)) = (&mut options, more) {
            options.extend(more);
        }
        task(&[logging("app", &["print", "x"], "splunk", options)])
    };
    let reason = refused(&root, &root.run(&fargate(&format!("http://{}", nobody()), json!({}))));
    let words = "ResourceInitializationError: failed to validate logger args: Options \"http://127.0.0.1:";
    assert!(reason.starts_with(words) && reason.to_lowercase().contains("refused"), "{reason}");

    let (address, _heard) = serving(|_, stream| http(&stream, "403 Forbidden"));
    let reason = refused(&root, &root.run(&fargate(&format!("http://{address}"), json!({}))));
    assert!(reason.contains("splunk: failed to verify connection - 403 Forbidden"), "{reason}");

    root.configure("[log]\ndrain-seconds = 1\n");
    let unasked = fargate(&format!("http://{}", nobody()), json!({ "splunk-verify-connection": "false" }));
    assert_eq!(root.run(&unasked).code(), 0, "nobody asks");
}

#[test]
fn a_server_that_is_not_there_keeps_a_container_from_starting_unless_the_definition_is_in_no_hurry() {
    let root = Root::with_images(&["probe"]);
    root.configure(&format!(
        "[log]\ndrain-seconds = 1\njournal-socket = {:?}\n",
        root.path().join("no-journal").display().to_string()
    ));
    let address = nobody();
    let cases = [
        ("fluentd", json!({ "fluentd-address": address }), "refused"),
        ("syslog", json!({ "syslog-address": format!("tcp://{address}") }), "refused"),
        ("gelf", json!({ "gelf-address": format!("tcp://{address}") }), "refused"),
        ("journald", json!({}), "journald is not enabled on this host"),
    ];
    for (driver, options, words) in cases {
        let reason = refused(&root, &root.run(&instance(&[logging("app", &["sleep"], driver, options)])));
        let start = "CannotStartContainerError: failed to initialize logging driver: ";
        assert!(reason.starts_with(start) && reason.contains(words), "{driver}: {reason}");
    }
    for (driver, options) in [
        ("fluentd", json!({ "fluentd-address": address, "fluentd-async": "true" })),
        ("syslog", json!({ "syslog-address": format!("udp://{address}") })),
    ] {
        let finished = root.run(&instance(&[logging("app", &["exit", "0"], driver, options)]));
        assert_eq!(finished.code(), 0, "{driver}: {finished:#?}");
    }
}

#[test]
fn a_group_that_nobody_made_is_ecss_reason_where_groups_are_to_be_made() {
    let root = Root::with_images(&["probe"]);
    let definition = |more: Value, fargate: bool| {
        let mut options = json!({ "awslogs-group": "/ecs/made", "awslogs-stream-prefix": "p" });
        if let (Value::Object(options), Value::Object(more)) = (&mut options, more) {
            options.extend(more);
        }
        let app = [logging("app", &["print", "x"], "awslogs", options)];
        let mut definition = if fargate { task(&app) } else { instance(&app) };
        definition["executionRoleArn"] = json!("arn:aws:iam::000000000000:role/execution");
        definition
    };
    root.configure("[log]\ncreate-groups = false\n");
    let words =
        "failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist.";
    let reason = refused(&root, &root.run(&definition(json!({}), true)));
    let start = "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: ";
    assert_eq!(reason, format!("{start}{words}"));
    let reason = refused(&root, &root.run(&definition(json!({}), false)));
    assert_eq!(reason, format!("CannotStartContainerError: failed to initialize logging driver: {words}"));

    let other = definition(json!({ "awslogs-group": "/ecs/other", "awslogs-create-group": "true" }), true);
    assert_eq!(root.run(&other).code(), 0, "the definition makes it");
    root.berth(["logs", "--group", "/ecs/made", "--create"]).ok();
    root.berth(["logs", "--group", "/ecs/made", "--create"]).ok();
    assert_eq!(root.run(&definition(json!({}), true)).code(), 0);
    assert_eq!(root.berth(["logs", "--group", "/ecs/made"]).ok(), "x\n");
    let wrong = root.berth(["logs", "--group", "a group", "--create"]);
    assert!(wrong.code() == 1 && wrong.stderr.contains("group's name"), "{wrong:#?}");
}

#[test]
fn a_group_that_cloudwatch_does_not_have_is_ecss_reason() {
    let root = Root::with_images(&["probe"]);
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (_server, port) = moto(project);
    root.configure(&format!("[log]\ncloudwatch = true\n[aws.endpoints]\nlogs = \"http://127.0.0.1:{port}\"\n"));
    let credentials = root.path().join("credentials");
    std::fs::write(&credentials, "[default]\naws_access_key_id = k\naws_secret_access_key = s\n").unwrap();
    let options = json!({ "awslogs-group": "/ecs/none", "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "p" });
    let mut definition = task(&[logging("app", &["print", "x"], "awslogs", options)]);
    definition["executionRoleArn"] = json!("arn:aws:iam::000000000000:role/execution");
    let file = root.file(&definition);
    let mut command = root.command([Path::new("run"), &file]);
    command.env("AWS_SHARED_CREDENTIALS_FILE", &credentials).env("AWS_CONFIG_FILE", "/nonexistent");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let record = root.list(&["-a"]).pop().unwrap();
    let reason = record["stoppedReason"].as_str().unwrap();
    let start = "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: \
                 failed to create Cloudwatch log stream: operation error CloudWatch Logs: CreateLogStream, https response \
                 error StatusCode: 400";
    assert!(reason.starts_with(start), "{reason}");
    assert!(reason.ends_with("ResourceNotFoundException: The specified log group does not exist."), "{reason}");
    assert_eq!(record["stopCode"], "TaskFailedToStart");
}
