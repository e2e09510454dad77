//! The rules as a table: what is put into a good definition, where the problem is, and in what words.

use serde_json::{Value, json};

use super::{ValidTaskDefinition, validate};
use crate::ecs::error::Exception;
use crate::validate::{Problem, Severity, Strictness, parse};

fn good() -> Value {
    json!({
        "family": "app", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "containerDefinitions": [{"name": "web", "image": "nginx"}, {"name": "db", "image": "postgres:17"}]
    })
}

/// The good definition with one value put in at a JSON pointer, its parents made where they are missing.
fn with(pointer: &str, value: Value) -> Value {
    let mut definition = good();
    let mut at = &mut definition;
    for step in pointer.split('/') {
        at = match step.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[step],
        };
    }
    *at = value;
    definition
}

fn run(definition: &Value, strictness: Strictness) -> Result<(ValidTaskDefinition, Vec<Problem>), Vec<Problem>> {
    validate(parse(&definition.to_string(), strictness))
}

/// The sentence, and the way out.
fn said(problem: &Problem) -> String {
    format!("{}: {}", problem.message, problem.help.as_deref().unwrap_or_default())
}

#[track_caller]
fn refused(pointer: &str, value: impl Into<Value>, path: &str, message: &str) {
    let definition = with(pointer, value.into());
    let problems = run(&definition, Strictness::Strict).unwrap_err();
    let errors: Vec<_> = problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
    let found = errors.iter().any(|error| error.path == path && said(error).contains(message));
    assert!(found, "{definition}: {errors:#?}");
}

#[track_caller]
fn taken(pointer: &str, value: impl Into<Value>) -> (ValidTaskDefinition, Vec<Problem>) {
    let definition = with(pointer, value.into());
    run(&definition, Strictness::Strict).unwrap_or_else(|errors| panic!("{definition}: {errors:#?}"))
}

const FIRST: &str = "containerDefinitions/0";
const WEB: &str = "containerDefinitions[0]";

/// Pointer into the task, value, path, words.
#[test]
fn a_task_is_refused_in_ecs_own_words() {
    let table = [
        ("family", json!(""), "family", "Family should not be null or empty."),
        ("family", json!("a b"), "family", "a family is 1 to 255"),
        ("family", json!("a".repeat(256)), "family", "a family is 1 to 255"),
        ("containerDefinitions", json!([]), "containerDefinitions", "Container list cannot be empty"),
        ("networkMode", json!("bridge"), "networkMode", "Fargate only supports network mode 'awsvpc'."),
        ("networkMode", Value::Null, "networkMode", "Fargate only supports network mode 'awsvpc'."),
        (
            "networkMode",
            json!("awsvcp"),
            "networkMode",
            "\"awsvcp\" is not one of awsvpc, bridge, host, none: did you mean",
        ),
        ("cpu", Value::Null, "cpu", "Fargate requires that 'cpu' be defined at the task level"),
        ("memory", Value::Null, "memory", "Fargate requires that 'memory' be defined at the task level"),
        ("cpu", json!("a lot"), "cpu", "Invalid 'cpu' setting for task"),
        ("memory", json!("1 MB"), "memory", "Invalid 'memory' setting for task"),
        ("cpu", json!("300"), "cpu", "No Fargate configuration exists for given values: 300 CPU, 512 memory"),
        ("memory", json!("4 GB"), "memory", "No Fargate configuration exists for given values: 256 CPU, 4096 memory"),
        ("memory", json!("8 GB"), "memory", "memory is one of 512, 1024, 2048"),
        ("pidMode", json!("host"), "pidMode", "Tasks using the Fargate launch type do not support pidMode 'host'"),
        ("ipcMode", json!("none"), "ipcMode", "Fargate compatible task definitions do not support ipcMode"),
        (
            "inferenceAccelerators",
            json!([{"deviceName": "a", "deviceType": "b"}]),
            "inferenceAccelerators",
            "Unsupported field 'inferenceAccelerators'",
        ),
        (
            "placementConstraints",
            json!([{"type": "memberOf", "expression": "attribute:a exists"}]),
            "placementConstraints",
            "do not support constraints",
        ),
        (
            "proxyConfiguration",
            json!({"containerName": "x"}),
            "proxyConfiguration.containerName",
            "Proxy container [x] does not exist",
        ),
        ("ephemeralStorage", json!({"sizeInGiB": 20}), "ephemeralStorage.sizeInGiB", "size should be at least 21"),
        ("ephemeralStorage", json!({"sizeInGiB": 201}), "ephemeralStorage.sizeInGiB", "size should be at most 200"),
        ("requiresCompatibilities", json!(["EXTERNAL"]), "requiresCompatibilities[0]", "EXTERNAL is not supported"),
        ("tags", json!([{"key": "a"}, {"key": "a"}]), "tags[1].key", "twice"),
        ("cpu", json!(256), "cpu", "ECS expects a string here and refuses the number 256"),
    ];
    for (pointer, value, path, message) in table {
        refused(pointer, value, path, message);
    }
}

/// Member of the first container, value, path below it, words.
#[test]
fn a_container_is_refused_in_ecs_own_words() {
    let digits = "9".repeat(20);
    let table = [
        ("name", json!(""), ".name", "Container.name should not be null or empty."),
        ("name", json!("a/b"), ".name", "a container's name is 1 to 255"),
        ("image", Value::Null, ".image", "Container.image should not be null or empty."),
        ("image", json!("Ngin x"), ".image", "not an image reference"),
        ("cpu", json!(-1), ".cpu", "between 0 and 262144"),
        ("cpu", json!("99"), ".cpu", "ECS expects a whole number here and refuses the string \"99\""),
        ("cpu", json!(0.5), ".cpu", "the number 0.5 is not a whole number"),
        ("cpu", json!(digits.parse::<f64>().unwrap()), ".cpu", "is not a whole number of 32 bits"),
        ("memory", json!(5), ".memory", "less than the 6 MiB"),
        ("memory", json!(513), ".memory", "The 'memory' setting for container 'web' is greater than for the task"),
        ("links", json!(["db"]), ".links", "Links are not supported when networkMode=awsvpc"),
        ("hostname", json!("x"), ".hostname", "hostname is not supported on container when networkMode=awsvpc"),
        ("dnsServers", json!(["1.1.1.1"]), ".dnsServers", "DNS servers are not supported on container"),
        ("extraHosts", json!([{"hostname": "a", "ipAddress": "b"}]), ".extraHosts", "Extra hosts are not supported"),
        ("disableNetworking", json!(true), ".disableNetworking", "Disable Networking is not supported on container"),
        ("privileged", json!(true), ".privileged", "Fargate requires that the 'privileged' setting be 'false'"),
        ("dockerSecurityOptions", json!(["a"]), ".dockerSecurityOptions", "do not support dockerSecurityOptions"),
        (
            "secrets",
            json!([{"name": "a", "valueFrom": "b"}]),
            ".secrets",
            "you must also specify a value for 'executionRoleArn'",
        ),
        ("secrets", json!([{"name": "a"}]), ".secrets[0].valueFrom", "valueFrom is missing"),
        ("environmentFiles", json!([{"value": "a", "type": "s3"}]), ".environmentFiles[0].value", "Invalid arn syntax"),
        (
            "resourceRequirements",
            json!([{"type": "GPU"}]),
            ".resourceRequirements",
            "Tasks using the Fargate launch type do not support GPU resource requirements",
        ),
        (
            "systemControls",
            json!([{"namespace": "a", "value": "1"}]),
            ".systemControls[0].namespace",
            "is not a kernel",
        ),
        (
            "systemControls",
            json!([{"namespace": "net..a", "value": "1"}]),
            ".systemControls[0].namespace",
            "not the name",
        ),
        (
            "systemControls",
            json!([{"namespace": "net.a/../b", "value": "1"}]),
            ".systemControls[0].namespace",
            "not the",
        ),
        ("systemControls", json!([{"namespace": "net.a", "value": "1\n2"}]), ".systemControls[0].value", "printable"),
        ("systemControls", json!([{"namespace": "net.a"}]), ".systemControls[0].value", "1 to 128"),
        ("stopTimeout", json!(121), ".stopTimeout", "between 2 and 120"),
        ("stopTimeout", json!(-1), ".stopTimeout", "between 2 and 120"),
        ("user", json!("0:4294967295"), ".user", "at most 4294967294"),
        ("workingDirectory", json!("srv"), ".workingDirectory", "an absolute path"),
        ("environment", json!([{"name": "", "value": "x"}]), ".environment[0].name", "no name"),
        ("environment", json!([{"name": "A=B"}]), ".environment[0].name", "cannot hold '='"),
        ("environment", json!([{"name": "A", "value": "a\0"}]), ".environment[0].value", "a NUL character"),
        ("command", json!("echo"), ".command", "expected a list, found the string \"echo\""),
        ("command", json!(["a", null]), ".command[1]", "expected a string, found null"),
        ("portMappings", json!({"containerPort": 80}), ".portMappings", "expected a list, found an object"),
        ("linuxParameters", json!({"maxSwap": 0}), ".linuxParameters.maxSwap", "do not support maxSwap"),
        (
            "linuxParameters",
            json!({"sharedMemorySize": 1}),
            ".linuxParameters.sharedMemorySize",
            "do not support shared",
        ),
        ("healthCheck", json!({"command": ["CMD", "x"], "interval": 4}), ".healthCheck.interval", "between 5 and 300"),
        ("healthCheck", json!({"command": []}), ".healthCheck.command", "is empty"),
        ("healthCheck", json!({"command": ["CMD-SHELL"]}), ".healthCheck.command", "names no program"),
        ("healthCheck", json!({"command": ["CMD", "x"], "retries": 0}), ".healthCheck.retries", "between 1 and 10"),
        (
            "restartPolicy",
            json!({"enabled": true, "restartAttemptPeriod": 59}),
            ".restartPolicy.restartAttemptPeriod",
            "the 'restartAttemptPeriod' setting for container 'web' must be between 60 and 1800",
        ),
    ];
    for (member, value, path, message) in table {
        refused(&format!("{FIRST}/{member}"), value, &format!("{WEB}{path}"), message);
    }
}

#[test]
fn ports_are_refused_in_ecs_own_words() {
    let ports = [
        (json!([{"containerPort": 80, "hostPort": 81}]), "[0].hostPort", "the host ports and container ports in port"),
        (json!([{"containerPort": 0}]), "[0].containerPort", "between 1 and 65535"),
        (json!([{"containerPort": 65536}]), "[0].containerPort", "between 1 and 65535"),
        (json!([{}]), "[0].containerPort", "containerPort is missing"),
        (json!([{"containerPort": 80, "containerPortRange": "80-81"}]), "[0]", "cannot specify both single port and"),
        (json!([{"containerPortRange": "81-80"}]), "[0].containerPortRange", "Invalid 'containerPortRange' setting"),
        (
            json!([{"containerPortRange": "80-90"}, {"containerPortRange": "90-91"}]),
            "[1].containerPortRange",
            "container port is used multiple times in task",
        ),
        (
            json!([{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]),
            "[1].name",
            "port mapping name is already used",
        ),
        (json!([{"containerPort": 1, "appProtocol": "ftp"}]), "[0].appProtocol", "\"ftp\" is not one of http"),
    ];
    for (value, path, message) in ports {
        refused(&format!("{FIRST}/portMappings"), value, &format!("{WEB}.portMappings{path}"), message);
    }
}

#[test]
fn limits_and_capabilities_are_refused_in_ecs_own_words() {
    let limit = |name: &str, soft: i32, hard: i32| json!([{"name": name, "softLimit": soft, "hardLimit": hard}]);
    let soft = "Soft limit exceeds hard limit for ulimit nofile";
    refused(&format!("{FIRST}/ulimits"), limit("nofile", 2, 1), &format!("{WEB}.ulimits[0].softLimit"), soft);
    refused(&format!("{FIRST}/ulimits"), limit("nofile", -1, 1), &format!("{WEB}.ulimits[0].softLimit"), soft);
    refused(&format!("{FIRST}/ulimits"), limit("nofiles", 1, 1), &format!("{WEB}.ulimits[0].name"), "did you mean");
    taken(&format!("{FIRST}/ulimits"), limit("nofile", 1, -1));
    let capabilities = |verb: &str, name: &str| json!({"capabilities": {verb: [name]}});
    let path = |verb: &str| format!("{WEB}.linuxParameters.capabilities.{verb}[0]");
    let pointer = format!("{FIRST}/linuxParameters");
    refused(&pointer, capabilities("add", "NET_ADMIN"), &path("add"), "NET_ADMIN is not allowed on Fargate.");
    refused(&pointer, capabilities("drop", "CAP_CHOWN"), &path("drop"), "did you mean \"CHOWN\"?");
    let (valid, _) = taken(&pointer, json!({"capabilities": {"add": ["SYS_PTRACE"], "drop": ["ALL"]}}));
    let web = valid.containers().next().unwrap();
    assert_eq!(
        (web.added_capabilities(), web.dropped_capabilities()),
        (&["SYS_PTRACE".to_owned()][..], &["ALL".to_owned()][..])
    );
}

#[test]
fn containers_are_refused_for_what_they_are_together() {
    let containers = |list: Value| with("containerDefinitions", list);
    let table = [
        (
            json!([{"name": "a", "image": "x"}, {"name": "a", "image": "x"}]),
            "containerDefinitions[1].name",
            "Container names must be unique within a task definition",
        ),
        (
            json!([{"name": "a", "image": "x", "essential": false}]),
            "containerDefinitions",
            "Task definition doesn't have any essential container",
        ),
        (
            json!([{"name": "a", "image": "x", "cpu": 200}, {"name": "b", "image": "x", "cpu": 57}]),
            "cpu",
            "The sum of all container 'cpu' values cannot be greater than the task-level 'cpu' value: 257",
        ),
        (json!(vec![json!({"name": "a", "image": "x"}); 11]), "containerDefinitions", "Too many containers"),
        (
            json!([{"name": "a", "image": "x", "memory": 10, "memoryReservation": 11}]),
            "containerDefinitions[0].memoryReservation",
            "'memory' must be greater than or equal to 'memoryReservation'",
        ),
    ];
    for (list, path, message) in table {
        let problems = run(&containers(list), Strictness::Strict).unwrap_err();
        assert!(problems.iter().any(|p| p.path == path && said(p).contains(message)), "{problems:#?}");
    }
}

#[test]
fn dependencies_are_refused_in_ecs_own_words() {
    let depends = |name: &str, condition: &str| json!([{"containerName": name, "condition": condition}]);
    let pointer = format!("{FIRST}/dependsOn");
    let path = |member: &str| format!("{WEB}.dependsOn[0].{member}");
    refused(
        &pointer,
        depends("x", "START"),
        &path("containerName"),
        "Cannot depend on container x because it does not",
    );
    refused(&pointer, depends("db", "SUCCESS"), &path("condition"), "cannot be an essential container");
    refused(&pointer, depends("db", "HEALTHY"), &path("condition"), "must have health check configured");
    refused(&pointer, depends("db", "STARTED"), &path("condition"), "did you mean \"START\"?");
    refused(&pointer, depends("web", "START"), &format!("{WEB}.dependsOn"), "in a circle: web -> web");
    let (valid, _) = taken(&pointer, depends("db", "START"));
    let names: Vec<_> = valid.start_order().iter().map(|container| container.name()).collect();
    assert_eq!(names, ["db", "web"]);
}

#[test]
fn an_instance_definition_needs_memory_in_the_container_and_no_network_mode() {
    let mut definition = with("requiresCompatibilities", json!(["EC2"]));
    definition["cpu"] = Value::Null;
    definition["memory"] = Value::Null;
    definition["networkMode"] = Value::Null;
    let problems = run(&definition, Strictness::Strict).unwrap_err();
    let words =
        "Invalid setting for container 'web'. At least one of 'memory' or 'memoryReservation' must be specified.";
    assert!(problems.iter().any(|problem| problem.message == words), "{problems:#?}");
    definition["containerDefinitions"][0]["memory"] = json!(64);
    definition["containerDefinitions"][1]["memoryReservation"] = json!(64);
    let (valid, _) = run(&definition, Strictness::Strict).unwrap();
    assert_eq!((valid.cpu_units(), valid.memory_mib(), valid.is_fargate()), (None, None, false));
    assert_eq!(valid.network_mode(), crate::ecs::task_definition::NetworkMode::Bridge);
}

#[test]
fn what_has_no_effect_is_warned_of_and_what_asks_for_nothing_is_not() {
    let (_, problems) = taken("executionRoleArn", json!("arn:aws:iam::000000000000:role/x"));
    assert_eq!(problems.len(), 1);
    assert_eq!((problems[0].severity, problems[0].exception), (Severity::Warning, Exception::ClientException));
    assert!(problems[0].message.contains("executionRoleArn has no effect in this version of berth"));
    for (pointer, value) in [
        ("volumes", json!([])),
        ("tags", json!([])),
        ("containerDefinitions/0/privileged", json!(false)),
        ("containerDefinitions/0/links", json!([])),
        ("containerDefinitions/0/hostname", json!("")),
        ("containerDefinitions/0/secrets", Value::Null),
    ] {
        assert!(taken(pointer, value).1.is_empty(), "{pointer}");
    }
}

#[test]
fn a_valid_definition_is_described_with_ecs_defaults_and_plain_units() {
    let mut definition = with("cpu", json!(".25 vCPU"));
    definition["memory"] = json!("1GB");
    definition["containerDefinitions"][0]["portMappings"] = json!([{"containerPort": 80}]);
    definition["containerDefinitions"][0]["healthCheck"] = json!({"command": ["CMD", "true"]});
    let (valid, _) = run(&definition, Strictness::Strict).unwrap();
    let described = serde_json::to_value(valid.definition()).unwrap();
    assert_eq!((&described["cpu"], &described["memory"]), (&json!("256"), &json!("1024")));
    assert_eq!(
        described["containerDefinitions"][0],
        json!({
            "name": "web", "image": "nginx", "cpu": 0, "essential": true,
            "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}],
            "environment": [], "mountPoints": [], "volumesFrom": [], "systemControls": [],
            "healthCheck": {"command": ["CMD", "true"], "interval": 30, "timeout": 5, "retries": 3}
        })
    );
    let stored = serde_json::to_string(&valid).unwrap();
    assert_eq!(serde_json::from_str::<ValidTaskDefinition>(&stored).unwrap(), valid);
    assert_eq!(run(&described, Strictness::Strict).unwrap().0, valid);
}

#[test]
fn containers_are_read_in_plain_types() {
    let container = json!({"name": "web", "image": "nginx", "cpu": 1, "memory": 64, "user": "", "stopTimeout": 5,
        "command": [], "environment": [{"name": "A"}, {"name": "B", "value": "b"}]});
    let (valid, _) = taken("containerDefinitions/0", container);
    let web = valid.containers().next().unwrap();
    assert_eq!((web.cpu_units(), web.cpu_shares(), web.memory_mib(), web.stop_timeout()), (1, 2, Some(64), 5));
    assert_eq!((web.command(), web.user(), web.is_essential()), (None, None, true));
    assert_eq!(web.environment().collect::<Vec<_>>(), [("A", ""), ("B", "b")]);
}
