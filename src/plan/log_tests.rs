//! Plans of logs, made from whole definitions.

use serde_json::json;

use super::*;
use crate::plan::make::tests::planned;

fn settings() -> LogSettings {
    LogSettings {
        max_bytes: 1 << 20,
        max_files: 2,
        mode: Mode::NonBlocking,
        retention: Retention { days: 1, bytes: 1 },
        cloudwatch: None,
        drain: 10_000,
        journal: "/run/systemd/journal/socket".into(),
    }
}

fn task(containers: &serde_json::Value, settings: &LogSettings) -> TaskPlan {
    let definition = json!({ "family": "f", "networkMode": "awsvpc", "containerDefinitions": containers });
    planned(&definition.to_string(), settings)
}

fn log(driver: &str, options: &serde_json::Value, settings: &LogSettings) -> LogPlan {
    let container = json!({
        "name": "web", "image": "x", "memory": 64, "dockerLabels": { "team": "a", "other": "b" },
        "logConfiguration": { "logDriver": driver, "options": options },
    });
    task(&json!([container]), settings).containers.remove(0).log
}

#[test]
fn a_stream_has_a_directory_of_its_own_and_is_sent_only_where_that_is_configured() {
    let options = json!({ "awslogs-group": "/ecs/web", "awslogs-stream-prefix": "p", "awslogs-region": "eu-west-1" });
    let local = log("awslogs", &options, &settings());
    let (id, stream) = ("0".repeat(32), local.stream.unwrap());
    assert_eq!((stream.group, stream.stream), ("/ecs/web".to_owned(), format!("p/web/{id}")));
    let directory = format!("/var/lib/berth/logs/eu-west-1/%2Fecs%2Fweb/p%2Fweb%2F{id}");
    assert_eq!(stream.directory, std::path::Path::new(&directory));
    assert_eq!(local.delivery, None);
    let sent = log("awslogs", &options, &LogSettings { cloudwatch: Some(CloudWatchPlan::default()), ..settings() });
    assert_eq!(sent.delivery, Some(Delivery::NonBlocking { max_buffer: 10 << 20 }));
}

#[test]
fn what_waits_to_be_sent_has_room_in_the_local_files() {
    let waits = log("fluentd", &json!({ "max-buffer-size": "10m", "labels": "team" }), &settings());
    assert_eq!((waits.max_bytes, waits.max_files), (1 << 20, 12));
    assert_eq!(waits.source.extra, BTreeMap::from([("team".to_owned(), "a".to_owned())]));
    let blocking = log("syslog", &json!({ "mode": "blocking", "labels": "team" }), &settings());
    assert_eq!(
        (blocking.max_files, blocking.source.extra),
        (3, BTreeMap::new()),
        "a syslog message has no place for it"
    );
}

#[test]
fn json_files_have_the_definitions_limits_and_none_has_no_file() {
    let json = log("json-file", &json!({ "max-size": "64k", "max-file": "7" }), &settings());
    assert_eq!((json.max_bytes, json.max_files, json.delivery), (64 << 10, 7, None));
    assert!(!log("none", &json!({}), &settings()).is_kept() && json.is_kept());
}

#[test]
fn a_router_starts_first_stops_last_and_has_its_configuration() {
    let containers = json!([
        { "name": "app", "image": "x", "memory": 64, "logConfiguration": {
            "logDriver": "awsfirelens", "options": { "Name": "stdout" },
            "secretOptions": [{ "name": "apikey", "valueFrom": "/key" }] } },
        { "name": "router", "image": "x", "memory": 64, "firelensConfiguration": { "type": "fluentbit" } },
    ]);
    let task = task(&containers, &settings());
    let (app, router) = (&task.containers[0], &task.containers[1]);
    assert_eq!(app.depends_on[0].container_name, "router");
    assert!(app.process.env.contains(&("FLUENT_HOST".to_owned(), "127.0.0.1".to_owned())));
    assert_eq!(app.log.source.tag, format!("app-firelens-{}", task.id));
    let (path, text) = router.files.last().unwrap();
    assert_eq!(path, "/fluent-bit/etc/fluent-bit.conf");
    assert!(text.contains("    Name stdout\n    Match app-firelens*\n    apikey ${apikey_0}\n"), "{text}");
    assert_eq!(router.socket_directory.as_deref(), Some("/var/run"));
}

#[test]
fn a_configuration_that_makes_no_sense_is_a_reason_not_to_start() {
    let fault_of = |containers: serde_json::Value, fargate: bool| {
        let definition = json!({ "family": "f", "containerDefinitions": containers });
        fault(&serde_json::from_value(definition).unwrap(), fargate)
    };
    let container = json!([{ "name": "a", "image": "x", "logConfiguration": {
        "logDriver": "awslogs", "options": { "awslogs-group": "g", "colour": "red" } } }]);
    let words = "failed to validate logger args: unknown log opt 'colour' for awslogs log driver";
    assert_eq!(fault_of(container.clone(), true), Some((0, format!("ResourceInitializationError: {words}"))));
    let (_, reason) = fault_of(container, false).unwrap();
    assert!(reason.starts_with("CannotStartContainerError: failed to initialize logging driver: unknown"), "{reason}");
    let secret = json!([{ "name": "a", "image": "x", "logConfiguration": { "logDriver": "splunk",
        "options": { "splunk-url": "https://h" }, "secretOptions": [{ "name": "splunk-token", "valueFrom": "t" }] } }]);
    assert_eq!(fault_of(secret, true), None);
    let router = json!([
        { "name": "a", "image": "x", "logConfiguration": { "logDriver": "awsfirelens", "options": { "region": "x" } } },
        { "name": "r", "image": "x", "firelensConfiguration": { "type": "fluentbit" } },
    ]);
    assert!(fault_of(router, true).unwrap().1.contains("missing output key Name"));
}
