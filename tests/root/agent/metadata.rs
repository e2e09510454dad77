//! Metadata and statistics: every member, in every version.

use serde_json::{Value, json};

use super::{one, staying, v4};
use crate::support::inside::Inside;
use crate::support::root::Root;
use crate::support::{container, eventually, task};

/// The members of an object that are not there.
fn missing(object: &Value, members: &[&str]) -> Vec<String> {
    members.iter().filter(|member| object.get(**member).is_none()).map(|member| (*member).to_owned()).collect()
}

/// A point of time in RFC 3339, with a fraction or without.
fn is_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok() && text.ends_with('Z'))
}

const TASK: [&str; 18] = [
    "Cluster",
    "TaskARN",
    "Family",
    "Revision",
    "DesiredStatus",
    "KnownStatus",
    "Limits",
    "PullStartedAt",
    "PullStoppedAt",
    "AvailabilityZone",
    "AvailabilityZoneID",
    "LaunchType",
    "Containers",
    "VPCID",
    "Group",
    "ClockDrift",
    "FaultInjectionEnabled",
    "Limits",
];
const CONTAINER: [&str; 19] = [
    "DockerId",
    "Name",
    "DockerName",
    "Image",
    "ImageID",
    "Ports",
    "Labels",
    "DesiredStatus",
    "KnownStatus",
    "Limits",
    "CreatedAt",
    "StartedAt",
    "Type",
    "LogDriver",
    "LogOptions",
    "ContainerARN",
    "Health",
    "RestartCount",
    "Networks",
];
const NETWORK: [&str; 9] = [
    "NetworkMode",
    "IPv4Addresses",
    "AttachmentIndex",
    "MACAddress",
    "IPv4SubnetCIDRBlock",
    "DomainNameServers",
    "PrivateDNSName",
    "SubnetGatewayIpv4Address",
    "NetworkMode",
];

#[test]
fn the_metadata_has_every_member_that_ecs_has() {
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
    assert_eq!(missing(&document, &TASK), [""; 0], "{document:#}");
    assert_eq!(document["TaskARN"], record["taskArn"]);
    assert_eq!(document["Cluster"], record["clusterArn"]);
    assert_eq!((&document["DesiredStatus"], &document["KnownStatus"]), (&json!("RUNNING"), &json!("RUNNING")));
    assert_eq!(document["Limits"], json!({ "CPU": 0.25, "Memory": 512 }));
    assert_eq!((&document["LaunchType"], &document["Revision"]), (&json!("FARGATE"), &json!("1")));
    assert!(is_time(&document["PullStartedAt"]) && is_time(&document["PullStoppedAt"]));
    assert!(
        is_time(&document["ClockDrift"]["ReferenceTimestamp"]) && document["ClockDrift"]["ClockErrorBound"].is_f64()
    );
    assert_eq!(inside.get(&v4(&inside, "/taskWithTags")).json()["TaskARN"], document["TaskARN"]);
    let names: Vec<&Value> = document["Containers"].as_array().unwrap().iter().map(|one| &one["Name"]).collect();
    assert_eq!(names, ["app", "side"]);

    let container = inside.get(&v4(&inside, "")).json();
    assert_eq!(missing(&container, &CONTAINER), [""; 0], "{container:#}");
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
    assert!(is_time(&container["CreatedAt"]) && is_time(&container["StartedAt"]));
    eventually(std::time::Duration::from_secs(20), "the container is healthy", || {
        let container = inside.get(&v4(&inside, "")).json();
        (container["Health"]["status"] == "HEALTHY" && is_time(&container["Health"]["statusSince"])).then_some(())
    });
    let network = &container["Networks"][0];
    assert_eq!(missing(network, &NETWORK), [""; 0], "{network:#}");
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
    eventually(std::time::Duration::from_secs(10), "the third container is over", || {
        (inside.get(&v4(&inside, "/task")).json()["Containers"][2]["KnownStatus"] == "STOPPED").then_some(())
    });
    let all = inside.get(&v4(&inside, "/task/stats")).json();
    assert!(all[&id("over")].is_null(), "one that does not run: {:#}", all[&id("over")]);
    let busy = &all[&id("busy")];
    for pointer in [
        "/read",
        "/preread",
        "/name",
        "/id",
        "/num_procs",
        "/pids_stats/current",
        "/pids_stats/limit",
        "/cpu_stats/cpu_usage/total_usage",
        "/cpu_stats/cpu_usage/usage_in_kernelmode",
        "/cpu_stats/cpu_usage/usage_in_usermode",
        "/cpu_stats/system_cpu_usage",
        "/cpu_stats/online_cpus",
        "/cpu_stats/throttling_data/periods",
        "/cpu_stats/throttling_data/throttled_periods",
        "/cpu_stats/throttling_data/throttled_time",
        "/precpu_stats/cpu_usage/total_usage",
        "/precpu_stats/system_cpu_usage",
        "/precpu_stats/online_cpus",
        "/memory_stats/usage",
        "/memory_stats/max_usage",
        "/memory_stats/limit",
        "/memory_stats/stats",
        "/memory_stats/failcnt",
        "/blkio_stats/io_service_bytes_recursive",
        "/blkio_stats/io_serviced_recursive",
        "/storage_stats",
        "/networks/eth0/rx_bytes",
        "/networks/eth0/rx_packets",
        "/networks/eth0/rx_errors",
        "/networks/eth0/rx_dropped",
        "/networks/eth0/tx_bytes",
        "/networks/eth0/tx_packets",
        "/networks/eth0/tx_errors",
        "/networks/eth0/tx_dropped",
        "/network_rate_stats/rx_bytes_per_sec",
        "/network_rate_stats/tx_bytes_per_sec",
    ] {
        assert!(busy.pointer(pointer).is_some_and(|value| !value.is_null()), "{pointer} in {busy:#}");
    }
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
    eventually(std::time::Duration::from_secs(10), "the busy container's time moves", || {
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
    eventually(std::time::Duration::from_secs(10), "the server answers", || {
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
        eventually(std::time::Duration::from_secs(15), what, || {
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
