//! Metadata and statistics: every member, in every version.

use std::time::Duration;

use serde_json::{Value, json};

use super::shape::{CONTAINER, STATS, TASK, check, time};
use super::{one, staying, v4};
use crate::services::Host;
use crate::support::inside::Inside;
use crate::support::root::{Root, Task};
use crate::support::supervised::strike;
use crate::support::{container, eventually, instance, task};

#[test]
fn the_metadata_says_what_the_record_says() {
    let root = Root::with_images(&["probe"]);
    root.configure("dns = ['10.0.0.2']\n");
    let more = json!({
        "cpu": 64, "memory": 128, "portMappings": [{ "containerPort": 8080, "protocol": "tcp" }],
        "healthCheck": { "command": ["CMD", "/probe", "exit", "0"], "interval": 5, "timeout": 2, "retries": 1 },
        "restartPolicy": { "enabled": true }, "dockerLabels": { "team": "blue" },
        "mountPoints": [{ "sourceVolume": "data", "containerPath": "/data" }],
        "logConfiguration": { "logDriver": "awslogs", "options": {
            "awslogs-group": "/ecs/web", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p" } },
    });
    let mut definition = task(&[staying("app", more), staying("side", json!({ "essential": false }))]);
    definition["volumes"] = json!([{ "name": "data" }]);
    let task = root.run_detached(&definition);
    let record = root.until(&task, "RUNNING");
    let inside = Inside::of(&root, &task, "app");

    let document = inside.get(&v4(&inside, "/task")).json();
    assert_eq!(document["TaskARN"], record["taskArn"]);
    assert_eq!(document["Cluster"], record["clusterArn"]);
    assert_eq!((&document["DesiredStatus"], &document["KnownStatus"]), (&json!("RUNNING"), &json!("RUNNING")));
    assert_eq!(document["Limits"], json!({ "CPU": 0.25, "Memory": 512 }));
    assert_eq!((&document["LaunchType"], &document["Revision"]), (&json!("FARGATE"), &json!("1")));
    assert!(time(&document["PullStartedAt"]) && time(&document["PullStoppedAt"]));
    assert!(time(&document["ClockDrift"]["ReferenceTimestamp"]) && document["ClockDrift"]["ClockErrorBound"].is_f64());
    assert_eq!(inside.get(&v4(&inside, "/taskWithTags")).json()["TaskARN"], document["TaskARN"]);
    let names: Vec<&Value> = document["Containers"].as_array().unwrap().iter().map(|one| &one["Name"]).collect();
    assert_eq!(names, ["app", "side"]);

    let container = inside.get(&v4(&inside, "")).json();
    let own = record["containers"].as_array().unwrap().iter().find(|one| one["name"] == "app").unwrap();
    assert_eq!(container["ContainerARN"], own["containerArn"]);
    assert_eq!(container["DockerId"], own["runtimeId"]);
    assert_eq!(container["ImageID"], own["imageDigest"]);
    assert_eq!(container["Limits"], json!({ "CPU": 64, "Memory": 128 }));
    assert_eq!(container["Ports"], json!([{ "ContainerPort": 8080, "Protocol": "tcp" }]));
    assert_eq!(container["LogOptions"]["awslogs-group"], "/ecs/web");
    assert_eq!(container["Volumes"], json!([{ "DockerName": "data", "Destination": "/data" }]));
    assert_eq!(container["Labels"]["team"], "blue");
    assert_eq!(container["Labels"]["com.amazonaws.ecs.task-arn"], record["taskArn"]);
    assert_eq!(container["RestartCount"], 0);
    assert!(time(&container["CreatedAt"]) && time(&container["StartedAt"]));
    eventually(Duration::from_secs(20), "the container is healthy", || {
        let container = inside.get(&v4(&inside, "")).json();
        (container["Health"]["status"] == "HEALTHY" && time(&container["Health"]["statusSince"])).then_some(())
    });
    let network = &container["Networks"][0];
    assert_eq!(network["IPv4Addresses"], json!([task.address()]));
    assert_eq!(network["MACAddress"], task.interface("macAddress"));
    assert_eq!(network["PrivateDNSName"], task.interface("privateDnsName"));
    assert_eq!(network["DomainNameServers"], json!(["10.0.0.2"]));

    // the sidecar sees itself at its own address, and the same task
    let side = Inside::of(&root, &task, "side");
    assert_ne!(side.variable("ECS_CONTAINER_METADATA_URI_V4"), inside.variable("ECS_CONTAINER_METADATA_URI_V4"));
    assert_eq!(side.get(&v4(&side, "")).json()["Name"], "side");
    assert_eq!(side.get(&v4(&side, "/task")).json()["TaskARN"], record["taskArn"]);
}

/// The documents of a container and of a task as an older or a newer version has them, without and with tags.
struct Seen {
    task: Value,
    tagged: Value,
    container: Value,
    stats: Value,
    all_stats: Value,
}

fn seen(inside: &Inside, version: u8, id: &str) -> Seen {
    let ask = |path: String| inside.get(&format!("http://169.254.170.2/v{version}/{path}")).json();
    let [task, tagged, container, stats, all_stats] = match version {
        2 => ["metadata", "metadataWithTags", &format!("metadata/{id}"), &format!("stats/{id}"), "stats"]
            .map(|path| ask(path.to_owned())),
        _ => ["/task", "/taskWithTags", "", "/stats", "/task/stats"].map(|tail| ask(format!("{id}{tail}"))),
    };
    Seen { task, tagged, container, stats, all_stats }
}

/// The containers of a task's document by their names.
fn member<'a>(task: &'a Value, name: &str) -> &'a Value {
    let containers = task["Containers"].as_array().unwrap();
    containers.iter().find(|one| one["Name"] == name).unwrap_or_else(|| panic!("no {name} in {task:#}"))
}

#[test]
fn every_member_is_there_when_it_should_be_and_is_what_it_should_be() {
    let host = Host::new();
    host.root.configure("dns = ['10.0.0.2']\n[capacity]\ncpu = 100000\nmemory-mib = 100000\n");
    let check_by = |command: &[&str]| json!({ "command": command, "interval": 5, "timeout": 2, "retries": 1 });
    let full = json!({
        "portMappings": [{ "containerPort": 8080 }], "healthCheck": check_by(&["CMD", "/probe", "exit", "0"]), "restartPolicy": { "enabled": true },
        "mountPoints": [{ "sourceVolume": "data", "containerPath": "/data" }],
        "logConfiguration": { "logDriver": "awslogs", "options": { "awslogs-group": "g", "awslogs-region": "us-east-1",
            "awslogs-stream-prefix": "p" } },
    });
    let brief = container("brief", &["trap", "TERM", "--", "0"], json!({}));
    let late = container("late", &["ignore", "TERM"], json!({ "stopTimeout": 30 }));
    let sick = json!({ "essential": false, "healthCheck": check_by(&["CMD", "/probe", "no-such-verb"]) });
    let over = container("over", &["exit", "3"], json!({ "essential": false }));
    let mut definition = task(&[staying("full", full), staying("sick", sick), over, brief, late]);
    definition["volumes"] = json!([{ "name": "data" }]);
    definition["ephemeralStorage"] = json!({ "sizeInGiB": 21 });
    host.register_as(definition, "web", &json!({}));
    host.create("1", &[]);
    let task = host.until_running(1).into_keys().next().unwrap();
    let task = Task { id: task, answer: Value::Null };
    let arn = host.root.describe(&task)["taskArn"].as_str().unwrap().to_owned();
    let tags = json!({ "resourceArn": arn, "tags": [{ "key": "team", "value": "blue" }] }).to_string();
    host.root.berth(["ecs", "tag-resource", &tags]).ok();

    let inside = Inside::of(&host.root, &task, "full");
    let id = |name: &str| {
        let task = inside.get(&v4(&inside, "/task")).json();
        member(&task, name)["DockerId"].as_str().unwrap().to_owned()
    };
    eventually(Duration::from_secs(30), "one is over, one well, one sick", || {
        let task = inside.get(&v4(&inside, "/task")).json();
        let health = |name: &str| member(&task, name)["Health"]["status"].clone();
        let over = member(&task, "over")["KnownStatus"] == "STOPPED";
        (over && health("full") == "HEALTHY" && health("sick") == "UNHEALTHY").then_some(())
    });
    let full = ["ports", "held", "checked", "restarts", "volumes", "logs", "awsvpc"];
    let others: [(&str, &[&str]); 3] = [
        ("sick", &["held", "checked", "sick", "awsvpc"]),
        ("over", &["held", "ended", "awsvpc"]),
        ("late", &["held", "awsvpc"]),
    ];
    let of_stats: &[&str] = if root_is_v1(&host.root, &task) { &["v1"] } else { &[] };
    for version in [2, 3, 4] {
        let seen = seen(&inside, version, &id("full"));
        let of_task = ["service", "sized", "awsvpc", "disk"];
        check("the task", TASK, version, &of_task, &seen.task);
        check("the task with tags", TASK, version, &[&of_task[..], &["tags"]].concat(), &seen.tagged);
        assert_eq!(seen.tagged["TaskTags"], json!({ "team": "blue" }));
        check("the container", CONTAINER, version, &full, &seen.container);
        for (name, circumstances) in others {
            check(name, CONTAINER, version, circumstances, member(&seen.task, name));
        }
        check("its statistics", STATS, version, of_stats, &seen.stats);
        assert_eq!(seen.all_stats.as_object().unwrap().len(), 5);
        for name in ["full", "sick", "brief", "late"] {
            check(name, STATS, version, of_stats, &seen.all_stats[id(name)]);
        }
        assert!(seen.all_stats[id("over")].is_null(), "one that has ended has none");
    }

    // An essential container ends, another one takes its time to follow: that is seen from inside.
    let late = Inside::of(&host.root, &task, "late");
    strike(host.pid_of(&task.id, "brief"));
    let stopping = eventually(Duration::from_secs(20), "the task stops", || {
        let document = late.get(&v4(&late, "/task")).json();
        (document["DesiredStatus"] == "STOPPED" && member(&document, "brief")["KnownStatus"] == "STOPPED")
            .then_some(document)
    });
    check("the stopping task", TASK, 4, &["service", "sized", "awsvpc", "disk", "stopping"], &stopping);
    strike(host.pid_of(&task.id, "late"));
    host.delete();
}

/// A task of a container instance: its name for the cluster is another one, and the instance has tags of its own.
#[test]
fn a_task_on_a_container_instance_is_told_of_that_ones_tags_too() {
    let root = Root::with_images(&["probe"]);
    let ask = |action: &str, request: Value| root.berth(["ecs", action, &request.to_string()]).json();
    ask("register-task-definition", instance(&[staying("app", json!({}))]));
    let own = ask("list-container-instances", json!({}))["containerInstanceArns"][0].clone();
    let subnets = berth::ops::Engine::open(Some(root.path())).unwrap().subnet_ids().unwrap();
    let network = json!({ "awsvpcConfiguration": { "subnets": subnets } });
    let started = ask(
        "start-task",
        json!({ "taskDefinition": "probe", "containerInstances": [own], "networkConfiguration": network }),
    );
    let id = started["tasks"][0]["taskArn"].as_str().and_then(|arn| arn.rsplit('/').next());
    let id = id.unwrap_or_else(|| panic!("{started:#}")).to_owned();
    let task = Task { id, answer: started };
    let record = root.until(&task, "RUNNING");
    let tag = |arn: &Value, value: &str| {
        let request = json!({ "resourceArn": arn, "tags": [{ "key": "rack", "value": value }] }).to_string();
        root.berth(["ecs", "tag-resource", &request]).ok();
    };
    tag(&record["taskArn"], "own");
    tag(&record["containerInstanceArn"], "seven");
    let inside = Inside::of(&root, &task, "app");
    let id = record["containers"][0]["runtimeId"].as_str().unwrap();
    for version in [2, 3, 4] {
        let seen = seen(&inside, version, id);
        let of_task = ["sized", "awsvpc"];
        check("the task", TASK, version, &of_task, &seen.task);
        let tagged = [&of_task[..], &["tags", "instance tags"]].concat();
        check("the task with tags", TASK, version, &tagged, &seen.tagged);
        assert_eq!(seen.tagged["TaskTags"], json!({ "rack": "own" }));
        assert_eq!(seen.tagged["ContainerInstanceTags"], json!({ "rack": "seven" }));
        assert_eq!(seen.task["Cluster"], "default");
        check("the container", CONTAINER, version, &["held", "awsvpc"], &seen.container);
    }
}

/// Whether this host counts in hierarchies of their own.
fn root_is_v1(root: &Root, task: &Task) -> bool {
    root.group(task, None, "memory", "memory.usage_in_bytes").is_some()
}

#[test]
fn older_versions_and_the_variables_are_there_too() {
    let root = Root::with_images(&["probe"]);
    let own = json!([{ "name": "ECS_CONTAINER_METADATA_URI_V4", "value": "mine" }]);
    let task = root.run_detached(&task(&[staying("app", json!({ "environment": own }))]));
    let inside = Inside::of(&root, &task, "app");
    let id = root.describe(&task)["containers"][0]["runtimeId"].as_str().unwrap().to_owned();
    for (name, value) in [
        ("ECS_CONTAINER_METADATA_URI", format!("http://169.254.170.2/v3/{id}")),
        ("ECS_CONTAINER_METADATA_URI_V4", format!("http://169.254.170.2/v4/{id}")),
        ("ECS_AGENT_URI", format!("http://169.254.170.2/api/{id}")),
        ("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
    ] {
        assert_eq!(inside.variable(name), value, "ECS's word counts more than the definition's");
    }
    assert!(!inside.variables.contains_key("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), "it has no role");
    let v3 = inside.variable("ECS_CONTAINER_METADATA_URI").to_owned();
    assert_eq!(inside.get(&v3).json()["Name"], "app");
    let of_v3 = inside.get(&format!("{v3}/task")).json();
    assert!(of_v3["TaskARN"].is_string() && of_v3.get("LaunchType").is_none());
    assert_eq!(inside.get("http://169.254.170.2/v2/metadata").json()["TaskARN"], of_v3["TaskARN"]);
    assert_eq!(inside.get(&format!("http://169.254.170.2/v2/metadata/{id}")).json()["DockerId"], id);
    assert!(inside.get("http://169.254.170.2/v2/stats").json()[&id].is_object());
    assert_eq!(inside.get(&format!("http://169.254.170.2/v2/stats/{id}")).json()["id"], id);
    assert_eq!(inside.get(&format!("{v3}/stats")).json()["name"], "app");

    let unknown = inside.get("http://169.254.170.2/v4/none");
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.starts_with('"') && unknown.body.ends_with('"'), "a JSON string: {unknown:?}");
    assert_eq!(inside.get("http://169.254.170.2/").status, 404);
    assert_eq!(inside.ask("DELETE", &v3, "").status, 405);
}

#[test]
fn statistics_are_dockers_and_move() {
    let root = Root::with_images(&["probe"]);
    let task = root.run_detached(&task(&[
        staying("app", json!({})),
        container("busy", &["spin"], json!({})),
        container("over", &["exit", "0"], json!({ "essential": false })),
    ]));
    let inside = Inside::of(&root, &task, "app");
    let id = |name: &str| {
        let record = root.describe(&task);
        let containers = record["containers"].as_array().unwrap().clone();
        let found = containers.iter().find(|one| one["name"] == name).unwrap();
        found["runtimeId"].as_str().unwrap().to_owned()
    };
    eventually(Duration::from_secs(10), "the third container is over", || {
        (inside.get(&v4(&inside, "/task")).json()["Containers"][2]["KnownStatus"] == "STOPPED").then_some(())
    });
    let all = inside.get(&v4(&inside, "/task/stats")).json();
    assert!(all[&id("over")].is_null(), "one that does not run: {:#}", all[&id("over")]);
    let busy = &all[&id("busy")];
    assert_eq!(busy["memory_stats"]["limit"], 512 << 20, "the task's limit holds it");
    assert!(!busy["memory_stats"]["stats"].as_object().unwrap().is_empty());
    let number = |document: &Value, pointer: &str| document.pointer(pointer).and_then(Value::as_u64).unwrap();
    // as docker's client counts: both figures have moved since the sample before
    let share = |document: &Value| {
        let of = |tail: &str| {
            number(document, &format!("/cpu_stats/{tail}")) - number(document, &format!("/precpu_stats/{tail}"))
        };
        (of("cpu_usage/total_usage"), of("system_cpu_usage"))
    };
    eventually(Duration::from_secs(10), "the busy container's time moves", || {
        let (own, host) = share(&inside.get(&v4(&inside, "/task/stats")).json()[&id("busy")]);
        (own > 0 && host > 0).then_some(())
    });
    assert_eq!(inside.get(&v4(&inside, "/stats")).json()["name"], "app");
}

/// The endpoint does not stand in the way of a container's own server.
#[test]
fn a_container_may_listen_on_port_80_of_all_addresses() {
    let root = Root::with_images(&["probe"]);
    let server = container("app", &["listen", "80", "mine"], json!({}));
    let task = root.run_detached(&task(&[server]));
    let inside = Inside::of(&root, &task, "app");
    let own = format!("http://{}:80/", task.address());
    eventually(Duration::from_secs(10), "the server answers", || {
        inside.there(|| std::net::TcpStream::connect((task.address().as_str(), 80)).ok()).map(drop)
    });
    let _ = own;
    assert_eq!(inside.get(&v4(&inside, "")).json()["Name"], "app");
}

#[test]
fn the_endpoint_survives_the_death_of_its_process_and_of_the_loop() {
    let root = Root::with_images(&["probe"]);
    let (task, inside) = one(&root, &json!({}));
    assert_eq!(inside.get(&v4(&inside, "")).json()["Name"], "app");
    let process = root.group(&task, Some("berth.own"), "pids", "cgroup.procs");
    let process =
        process.or_else(|| root.group(&task, Some("berth.own"), "", "cgroup.procs")).expect("its group is there");
    let pid: i32 = process.lines().next().expect("the process is in it").parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    let again = |what: &str| {
        eventually(Duration::from_secs(15), what, || {
            let asked = inside.there(|| crate::support::inside::ask("GET", &v4(&inside, ""), ""));
            asked.ok().filter(|answer| answer.status == 200)
        })
    };
    again("another process answers");
    let stat = std::fs::read_to_string(format!("/proc/{}/status", parent_of_first(&root, &task))).unwrap();
    let the_loop: i32 = stat.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap().trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(the_loop), nix::sys::signal::Signal::SIGKILL).unwrap();
    again("the next loop listens");
}

/// The loop is the parent of a container's first process.
fn parent_of_first(root: &Root, task: &crate::support::root::Task) -> i32 {
    let procs = root.group(task, Some("app"), "pids", "cgroup.procs");
    let procs = procs.or_else(|| root.group(task, Some("app"), "", "cgroup.procs")).expect("its group is there");
    let first: i32 = procs.lines().next().unwrap().parse().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{first}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap()
}
