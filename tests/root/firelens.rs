//! The log router of a task: what it is given, what it hears, and when it starts and stops.

use serde_json::{Value, json};

use crate::support::root::Root;
use crate::support::supervised::PATIENCE;
use crate::support::{container, eventually, logging, of, task};

const SOCKET: &str = "/var/run/fluent.sock";

fn router(more: Value) -> Value {
    let mut router =
        container("router", &["router", SOCKET], json!({ "firelensConfiguration": { "type": "fluentbit" } }));
    if let (Value::Object(router), Value::Object(more)) = (&mut router, more) {
        router.extend(more);
    }
    router
}

fn routed(name: &str, command: &[&str], options: Value) -> Value {
    logging(name, command, "awsfirelens", options)
}

#[test]
fn the_router_hears_every_line_of_nginx_and_of_an_application_that_waited_for_it_and_stops_last() {
    let root = Root::with_images(&["probe", "nginx"]);
    let mut web = routed("web", &[], json!({ "Name": "stdout" }));
    (web["image"], web["command"]) = (json!("nginx"), Value::Null);
    web["healthCheck"] = json!({ "command": ["CMD", "nginx", "-t"], "interval": 1, "timeout": 30 });
    let mut app = routed("app", &["trap", "TERM", "--", "0"], json!({ "Name": "stdout", "exclude-pattern": "^debug" }));
    app["dependsOn"] = json!([{ "containerName": "web", "condition": "HEALTHY" }]);
    let started = root.run_detached(&task(&[app, web, router(json!({}))]));
    assert_eq!(of(&root.describe(&started), "web")["healthStatus"], "HEALTHY");
    let tag = |name: &str| format!("{name}-firelens-{}", started.id);
    root.until_written(&started, "router", &format!("{} stdout ready", tag("app")));
    root.until_written(&started, "router", &format!("{} stderr", tag("web")));
    root.stop(&started);
    let heard = root.logs(&started, "router");
    let lines: Vec<&str> = heard.lines().collect();
    assert_eq!(lines.first(), Some(&"ready"));
    assert_eq!(lines.last(), Some(&"TERM"), "it stops after the others: {heard}");
    let last_words = [format!("{} stdout TERM\n", tag("app")), "signal 3 (SIGQUIT) received".to_owned()];
    let places = last_words.map(|words| heard.find(&words));
    assert!(places[0].is_some() && places[0] < places[1], "the application stops before what it depends on: {heard}");
    for name in ["app", "web"] {
        assert_eq!(root.logs(&started, name).lines().count(), heard.matches(&tag(name)).count(), "kept here as well");
    }
    assert_eq!(of(&root.describe(&started), "router")["exitCode"], 0);
}

#[test]
fn the_router_finds_its_configuration_and_the_others_find_the_router() {
    let root = Root::with_images(&["probe"]);
    let app = routed("app", &["trap", "TERM", "--", "0"], json!({ "Name": "firehose", "region": "us-west-2" }));
    let started = root.run_detached(&task(&[app, router(json!({}))]));
    let configuration = root.exec(&started, "router", &["/probe", "cat", "/fluent-bit/etc/fluent-bit.conf"]).ok();
    for line in [
        "    unix_path /var/run/fluent.sock",
        "    Listen 127.0.0.1",
        "    Match app-firelens*",
        "    Name firehose",
        "    Record ecs_cluster default",
    ] {
        assert!(configuration.lines().any(|one| one == line), "{line:?} in {configuration}");
    }
    assert!(
        configuration
            .contains(&format!("Record ecs_task_arn arn:aws:ecs:us-east-1:000000000000:task/default/{}", started.id))
    );
    let environment = root.exec(&started, "app", &["/probe", "env"]).ok();
    assert!(
        environment.contains("FLUENT_HOST=127.0.0.1") && environment.contains("FLUENT_PORT=24224"),
        "{environment}"
    );
    root.berth(["rm", "-f", &started.id]).ok();
}

#[test]
fn a_secret_option_is_a_variable_of_the_router_alone() {
    let root = Root::with_images(&["probe"]);
    let input = root.path().join("value");
    std::fs::write(&input, "hidden-key").unwrap();
    let mut put = root.command(["secret", "put", "/key"]);
    assert!(put.stdin(std::fs::File::open(&input).unwrap()).output().unwrap().status.success());
    let mut app = routed("app", &["trap", "TERM", "--", "0"], json!({ "Name": "datadog" }));
    app["logConfiguration"]["secretOptions"] = json!([{ "name": "apikey", "valueFrom": "/key" }]);
    let mut definition = task(&[app, router(json!({}))]);
    definition["executionRoleArn"] = json!("arn:aws:iam::000000000000:role/execution");
    let started = root.run_detached(&definition);
    let inside = |container: &str, command: &[&str]| root.exec(&started, container, command).ok();
    let configuration = inside("router", &["/probe", "cat", "/fluent-bit/etc/fluent-bit.conf"]);
    assert!(configuration.contains("    apikey ${apikey_0}\n"), "{configuration}");
    assert!(inside("router", &["/probe", "env"]).contains("apikey_0=hidden-key"));
    assert!(!inside("app", &["/probe", "env"]).contains("hidden-key"));
    root.berth(["rm", "-f", &started.id]).ok();
}

#[test]
fn a_router_that_puts_a_link_in_place_of_its_socket_leads_nobody_astray() {
    let root = Root::with_images(&["probe", "busybox"]);
    let target = root.path().join("host.sock");
    let host = std::os::unix::net::UnixListener::bind(&target).unwrap();
    host.set_nonblocking(true).unwrap();
    let script = format!("ln -s {} /var/run/fluent.sock; echo linked; exec sleep 1000", target.display());
    let evil = router(json!({ "image": "busybox", "command": ["sh", "-c", script], "stopTimeout": 2 }));
    let started = root.run_detached(&task(&[routed("app", &["lines", "3"], json!({ "Name": "x" })), evil]));
    root.until_written(&started, "router", "linked");
    let error = eventually(PATIENCE, "the link is refused", || {
        let all = root.berth(["--format", "json", "logs", "--status", &started.id]).json();
        let app = all.as_array().unwrap().iter().find(|log| log["container"] == "app").unwrap().clone();
        app["sent"]["error"].as_str().map(str::to_owned)
    });
    assert!(error.contains("router's socket"), "{error}");
    assert!(host.accept().is_err(), "nobody came to the host's socket");
    root.berth(["rm", "-f", &started.id]).ok();
}
