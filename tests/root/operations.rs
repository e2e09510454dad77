//! The operations of the ECS API as `berth ecs` does them: RunTask that answers before images are here, client tokens, tags, and
//! definitions that are read back as they were registered.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::registry::{Door, Registry};
use crate::support::root::{Root, Task};
use crate::support::supervised::{processes, strike};
use crate::support::{definition, eventually, of};

const PATIENCE: Duration = Duration::from_secs(60);
/// The private VPC of these tests.
const VPC: &str = "[vpc]\ncidr = '10.61.0.0/16'\n[[vpc.subnets]]\nid = 'subnet-0a0b0c0d'\nzone = 'us-east-1a'\n\
    cidr = '10.61.1.0/24'\n";
/// The exit code of an exception.
const EXCEPTION: i32 = 254;

/// A root on whose behalf operations are done.
struct Host {
    root: Root,
}

impl Host {
    fn new(images: &[&str]) -> Self {
        let root = Root::with_images(images);
        root.configure(&format!("{VPC}[capacity]\ncpu = 100000\nmemory-mib = 100000\n"));
        Self { root }
    }

    fn ecs(&self, operation: &str, request: &Value) -> Value {
        self.root.berth(["ecs", operation, &request.to_string()]).json()
    }

    /// What stands on standard error of an operation that is refused.
    fn refused(&self, operation: &str, request: &Value) -> String {
        let finished = self.root.berth(["ecs", operation, &request.to_string()]);
        assert_eq!(finished.code(), EXCEPTION, "{finished:#?}");
        finished.stderr.trim().to_owned()
    }

    /// Registers a definition of one container with an image and a command.
    fn register(&self, image: &str, command: &[&str]) -> Value {
        let mut task = definition(&[("web", command)]);
        task["containerDefinitions"][0]["image"] = json!(image);
        self.ecs("register-task-definition", &task)["taskDefinition"].clone()
    }

    fn run(&self, more: &Value) -> Value {
        let mut request = json!({ "taskDefinition": "probe", "networkConfiguration":
            { "awsvpcConfiguration": { "subnets": ["subnet-0a0b0c0d"] } } });
        more.as_object().unwrap().iter().for_each(|(name, value)| request[name] = value.clone());
        self.ecs("run-task", &request)
    }

    fn describe(&self, arn: &str) -> Value {
        self.ecs("describe-tasks", &json!({ "tasks": [arn] }))["tasks"][0].clone()
    }

    fn until(&self, arn: &str, status: &str) -> Value {
        eventually(PATIENCE, &format!("{arn} is {status}"), || {
            Some(self.describe(arn)).filter(|task| task["lastStatus"] == status)
        })
    }

    fn stop(&self, arn: &str) {
        self.ecs("stop-task", &json!({ "task": arn }));
        self.until(arn, "STOPPED");
    }
}

/// The ARNs of the tasks of an answer.
fn arns(answer: &Value) -> Vec<String> {
    let tasks = answer["tasks"].as_array().unwrap().iter();
    tasks.map(|task| task["taskArn"].as_str().unwrap().to_owned()).collect()
}

/// The processes that bring what a task waits for.
fn bringers(arn: &str) -> Vec<Pid> {
    let id = arn.rsplit('/').next().unwrap();
    let key = format!("task/000000000000/us-east-1/default/{id}/");
    processes(&["bring", &key]).into_iter().map(|(pid, _)| pid).collect()
}

/// A registry that takes connections and says nothing, and the name of an image there.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let image = format!("{}/probe:1", listener.local_addr().unwrap());
    (listener, image)
}

#[test]
fn run_task_answers_before_the_image_is_here_and_the_task_runs_once_it_is() {
    let registry = Registry::with_images(Door::Open, &["probe"]);
    let host = Host::new(&[]);
    host.register(&registry.image("probe"), &["trap", "TERM"]);
    let answer = host.run(&json!({ "tags": [{ "key": "team", "value": "blue" }], "startedBy": "tests" }));
    assert_eq!(answer["failures"], json!([]), "{answer:#}");
    let task = &answer["tasks"][0];
    assert_eq!((&task["lastStatus"], &task["desiredStatus"]), (&json!("PROVISIONING"), &json!("RUNNING")));
    assert_eq!(task["pullStoppedAt"], Value::Null, "nothing was pulled yet: {task:#}");
    assert_eq!(task["tags"], json!([{ "key": "team", "value": "blue" }]));
    let arn = arns(&answer).remove(0);
    let address = |task: &Value| task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"].clone();
    let running = host.until(&arn, "RUNNING");
    assert_eq!(address(&running), address(task), "the address is the task's from the beginning");
    assert!(running["containers"][0]["imageDigest"].as_str().unwrap().starts_with("sha256:"), "{running:#}");
    assert_eq!((&running["createdAt"], &running["startedBy"]), (&task["createdAt"], &json!("tests")));
    let (created, pulled) = (running["createdAt"].as_f64().unwrap(), running["pullStoppedAt"].as_f64().unwrap());
    assert!(pulled > created && running["startedAt"].as_f64().unwrap() >= pulled, "{running:#}");
    assert_eq!(
        arns_of(&host.ecs("list-tasks", &json!({ "startedBy": "tests", "family": "probe" }))),
        std::slice::from_ref(&arn)
    );
    host.stop(&arn);
}

fn arns_of(list: &Value) -> Vec<String> {
    list["taskArns"].as_array().unwrap().iter().map(|arn| arn.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_task_that_waits_for_its_image_is_stopped_at_once_and_holds_nothing_any_more() {
    let (_listener, image) = silent();
    let host = Host::new(&[]);
    host.register(&image, &["trap", "TERM"]);
    let arn = arns(&host.run(&json!({}))).remove(0);
    eventually(PATIENCE, "somebody fetches", || (bringers(&arn).len() == 1).then_some(()));
    assert_eq!(arns_of(&host.ecs("list-tasks", &json!({}))), std::slice::from_ref(&arn));
    let stopped = host.ecs("stop-task", &json!({ "task": arn, "reason": "not any more" }))["task"].clone();
    // As it was when the request came; at once afterwards it has stopped.
    assert_eq!((&stopped["lastStatus"], &stopped["desiredStatus"]), (&json!("PROVISIONING"), &json!("STOPPED")));
    assert_eq!(host.ecs("describe-tasks", &json!({ "tasks": [arn] }))["tasks"][0]["lastStatus"], "STOPPED");
    assert_eq!((&stopped["stopCode"], &stopped["stoppedReason"]), (&json!("UserInitiated"), &json!("not any more")));
    eventually(PATIENCE, "the fetch ends", || bringers(&arn).is_empty().then_some(()));
    assert!(arns_of(&host.ecs("list-tasks", &json!({}))).is_empty());
    assert_eq!(arns_of(&host.ecs("list-tasks", &json!({ "desiredStatus": "STOPPED" }))), [arn]);
}

#[test]
fn a_task_whose_image_is_nowhere_stops_with_the_reason_of_ecs() {
    let registry = Registry::with_images(Door::Open, &["probe"]);
    let host = Host::new(&[]);
    let image = registry.image("nothing");
    host.register(&image, &["trap", "TERM"]);
    let arn = arns(&host.run(&json!({}))).remove(0);
    let stopped = host.until(&arn, "STOPPED");
    assert_eq!(stopped["stopCode"], "TaskFailedToStart", "{stopped:#}");
    for reason in [&stopped["stoppedReason"], &of(&stopped, "web")["reason"]] {
        assert!(reason.as_str().unwrap_or_default().starts_with("CannotPull"), "{stopped:#}");
    }
}

#[test]
fn whoever_looks_starts_the_fetch_of_a_waiting_task_again_when_it_was_killed() {
    let (listener, image) = silent();
    let host = Host::new(&[]);
    host.register(&image, &["trap", "TERM"]);
    let arn = arns(&host.run(&json!({}))).remove(0);
    let first = eventually(PATIENCE, "somebody fetches", || bringers(&arn).first().copied());
    strike(first);
    eventually(PATIENCE, "it is dead", || (!bringers(&arn).contains(&first)).then_some(()));
    assert_eq!(host.describe(&arn)["lastStatus"], "PROVISIONING");
    let second = eventually(PATIENCE, "another one fetches", || bringers(&arn).first().copied());
    assert_ne!(first, second);
    drop(listener); // the registry is gone: now the pull fails
    let stopped = host.until(&arn, "STOPPED");
    assert!(stopped["stoppedReason"].as_str().unwrap().starts_with("CannotPull"), "{stopped:#}");
}

#[test]
fn the_same_client_token_gives_the_same_tasks_however_often_and_whenever_it_is_sent() {
    let (_listener, image) = silent();
    let host = Host::new(&[]);
    host.register(&image, &["trap", "TERM"]);
    let request = json!({ "clientToken": "token-1", "count": 2 });
    let answers: Vec<Vec<String>> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..4).map(|_| scope.spawn(|| arns(&host.run(&request)))).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let sorted = |arns: &Vec<String>| {
        let mut arns = arns.clone();
        arns.sort();
        arns
    };
    assert!(answers.iter().all(|answer| sorted(answer) == sorted(&answers[0])), "{answers:#?}");
    assert_eq!(sorted(&arns_of(&host.ecs("list-tasks", &json!({})))), sorted(&answers[0]), "and there are no others");
    let mut other = json!({ "taskDefinition": "probe", "clientToken": "token-1", "count": 3, "networkConfiguration":
        { "awsvpcConfiguration": { "subnets": ["subnet-0a0b0c0d"] } } });
    assert!(host.refused("run-task", &other).contains("(ConflictException)"));
    other["clientToken"] = json!("x".repeat(65));
    assert!(host.refused("run-task", &other).contains("(InvalidParameterException)"));
    answers[0].iter().for_each(|arn| host.stop(arn));
}

#[test]
fn tasks_for_which_there_is_no_room_are_failures_beside_the_others() {
    let host = Host::new(&["probe"]);
    host.root.configure(&format!("{VPC}[capacity]\ncpu = 512\nmemory-mib = 100000\n"));
    host.register("probe", &["trap", "TERM"]);
    let answer = host.run(&json!({ "count": 3 }));
    let started = arns(&answer);
    assert_eq!(started.len(), 2, "{answer:#}");
    assert_eq!(answer["failures"].as_array().unwrap().len(), 1);
    assert_eq!(answer["failures"][0]["reason"], "RESOURCE:CPU");
    started.iter().for_each(|arn| host.stop(arn));
}

#[test]
fn tags_come_with_what_they_were_given_to_where_they_are_asked_for() {
    let host = Host::new(&["probe"]);
    let mut task = definition(&[("web", &["trap", "TERM"])]);
    task["tags"] = json!([{ "key": "from", "value": "definition" }]);
    let registered = host.ecs("register-task-definition", &task);
    assert_eq!(registered["tags"], task["tags"]);
    let definition_arn = registered["taskDefinition"]["taskDefinitionArn"].as_str().unwrap();
    let answer = host.run(&json!({ "propagateTags": "TASK_DEFINITION", "enableECSManagedTags": true,
        "tags": [{ "key": "own", "value": "1" }] }));
    let arn = arns(&answer).remove(0);
    let tags = |include: Value| {
        host.ecs("describe-tasks", &json!({ "tasks": [arn], "include": include }))["tasks"][0]["tags"].clone()
    };
    let expected = json!([{ "key": "own", "value": "1" }, { "key": "from", "value": "definition" },
        { "key": "aws:ecs:clusterName", "value": "default" }]);
    assert_eq!((tags(json!(["TAGS"])), tags(json!([]))), (expected, json!([])));
    host.ecs("tag-resource", &json!({ "resourceArn": arn, "tags": [{ "key": "own", "value": "2" }] }));
    host.ecs("untag-resource", &json!({ "resourceArn": arn, "tagKeys": ["from"] }));
    let listed = host.ecs("list-tags-for-resource", &json!({ "resourceArn": arn }))["tags"].clone();
    assert_eq!(listed[0], json!({ "key": "own", "value": "2" }));
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let described = |include: Value| {
        host.ecs("describe-task-definition", &json!({ "taskDefinition": definition_arn, "include": include }))
    };
    assert_eq!(described(json!(["TAGS"]))["tags"], task["tags"]);
    assert_eq!(described(json!([]))["tags"], Value::Null);
    let reserved = json!({ "resourceArn": arn, "tags": [{ "key": "aws:x", "value": "" }] });
    assert!(host.refused("tag-resource", &reserved).contains("(InvalidParameterException)"));
    host.stop(&arn);
    assert_eq!(tags(json!(["TAGS"])), json!([]), "those of a stopped task are gone");
}

#[test]
fn a_definition_that_is_deleted_is_gone_as_soon_as_nothing_uses_it_and_its_number_is_not_given_again() {
    let host = Host::new(&["probe"]);
    host.register("probe", &["trap", "TERM"]);
    let arn = arns(&host.run(&json!({}))).remove(0);
    let delete = || host.ecs("delete-task-definitions", &json!({ "taskDefinitions": ["probe:1"] }));
    let failures = delete()["failures"].clone();
    assert!(failures[0]["reason"].as_str().unwrap().contains("still in ACTIVE status"), "{failures:#}");
    host.ecs("deregister-task-definition", &json!({ "taskDefinition": "probe:1" }));
    assert_eq!(delete()["taskDefinitions"][0]["status"], "DELETE_IN_PROGRESS");
    let described = host.ecs("describe-task-definition", &json!({ "taskDefinition": "probe:1" }));
    assert_eq!(described["taskDefinition"]["status"], "DELETE_IN_PROGRESS", "a task is of it");
    host.stop(&arn);
    let gone = host.refused("describe-task-definition", &json!({ "taskDefinition": "probe:1" }));
    assert_eq!(
        gone,
        "An error occurred (ClientException) when calling the DescribeTaskDefinition operation: \
         Unable to describe task definition."
    );
    assert_eq!(host.register("probe", &["trap", "TERM"])["revision"], 2);
    let families =
        |status: &str| host.ecs("list-task-definition-families", &json!({ "familyPrefix": "pro", "status": status }));
    assert_eq!(families("ACTIVE")["families"], json!(["probe"]));
    assert_eq!(families("INACTIVE")["families"], json!([]));
}

#[test]
fn a_definition_is_read_back_as_it_was_registered_with_the_defaults_of_ecs_and_nothing_else() {
    let host = Host::new(&[]);
    let mut definitions = vec![many_members()];
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).unwrap().flatten() {
        let is_json = file.path().extension().is_some_and(|extension| extension == "json");
        let given = is_json.then(|| serde_json::from_slice::<Value>(&std::fs::read(file.path()).unwrap()).unwrap());
        // Sizes of containers that are strings are what people write and ECS refuses.
        definitions.extend(given.filter(|given| given["containerDefinitions"][0]["memory"].as_str().is_none()));
    }
    assert!(definitions.len() > 2, "only {} definitions were found", definitions.len());
    for given in definitions {
        let registered = host.ecs("register-task-definition", &given)["taskDefinition"].clone();
        let name = registered["taskDefinitionArn"].clone();
        let described =
            host.ecs("describe-task-definition", &json!({ "taskDefinition": name }))["taskDefinition"].clone();
        assert_eq!(described, registered);
        let mut drift = Vec::new();
        differences(&given, &described, "", &mut drift);
        let unexpected: Vec<&String> = drift.iter().filter(|line| !is_default(line)).collect();
        assert!(unexpected.is_empty(), "{}: {unexpected:#?}", given["family"]);
    }
}

/// A definition with a member of nearly every kind.
fn many_members() -> Value {
    let mut task = definition(&[("web", &["trap", "TERM"]), ("side", &["trap", "TERM"])]);
    task["family"] = json!("many-members");
    task["executionRoleArn"] = json!("arn:aws:iam::000000000000:role/execution");
    task["ephemeralStorage"] = json!({ "sizeInGiB": 21 });
    task["runtimePlatform"] = json!({ "cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX" });
    task["volumes"] = json!([{ "name": "data", "host": {} }]);
    let web = &mut task["containerDefinitions"][0];
    web["portMappings"] = json!([{ "containerPort": 80 }, { "containerPort": 53, "protocol": "udp", "name": "dns" }]);
    web["healthCheck"] = json!({ "command": ["CMD", "/probe", "exit", "0"] });
    web["environment"] = json!([{ "name": "B", "value": "2" }, { "name": "A", "value": "1" }]);
    web["mountPoints"] = json!([{ "sourceVolume": "data", "containerPath": "/data", "readOnly": true }]);
    web["dependsOn"] = json!([{ "containerName": "side", "condition": "START" }]);
    web["ulimits"] = json!([{ "name": "nofile", "softLimit": 1024, "hardLimit": 2048 }]);
    web["linuxParameters"] = json!({ "initProcessEnabled": true, "capabilities": { "drop": ["ALL"] } });
    web["dockerLabels"] = json!({ "team": "blue" });
    web["stopTimeout"] = json!(10);
    task["containerDefinitions"][1]["essential"] = json!(false);
    task
}

/// Where what is described is not what was given: `path = value` for what was added or is another, `path gone` else.
fn differences(given: &Value, described: &Value, path: &str, drift: &mut Vec<String>) {
    match (given, described) {
        (Value::Object(given), Value::Object(described)) => {
            for (name, value) in described {
                match given.get(name) {
                    Some(own) => differences(own, value, &format!("{path}.{name}"), drift),
                    None => drift.push(format!("{path}.{name} = {value}")),
                }
            }
            drift.extend(
                given.keys().filter(|name| !described.contains_key(*name)).map(|name| format!("{path}.{name} gone")),
            );
        }
        (Value::Array(given), Value::Array(described)) if given.len() == described.len() => {
            given.iter().zip(described).for_each(|(one, two)| differences(one, two, &format!("{path}[]"), drift));
        }
        (given, described) if given == described => {}
        (_, described) => drift.push(format!("{path} = {described}")),
    }
}

/// What ECS adds (ECS.md, trap 3), and what only registration sets.
fn is_default(line: &str) -> bool {
    const READ_ONLY: [&str; 7] = [
        ".taskDefinitionArn",
        ".revision",
        ".status",
        ".requiresAttributes",
        ".compatibilities",
        ".registeredAt",
        ".registeredBy",
    ];
    const ADDED: [&str; 14] = [
        ".containerDefinitions[].essential = true",
        ".containerDefinitions[].cpu = 0",
        ".containerDefinitions[].environment = []",
        ".containerDefinitions[].mountPoints = []",
        ".containerDefinitions[].volumesFrom = []",
        ".containerDefinitions[].portMappings = []",
        ".containerDefinitions[].systemControls = []",
        ".containerDefinitions[].portMappings[].protocol = \"tcp\"",
        ".containerDefinitions[].healthCheck.interval = 30",
        ".containerDefinitions[].healthCheck.timeout = 5",
        ".containerDefinitions[].healthCheck.retries = 3",
        ".volumes = []",
        ".placementConstraints = []",
        ".tags gone",
    ];
    let added = ADDED.contains(&line) || line.starts_with(".containerDefinitions[].portMappings[].hostPort = ");
    added || READ_ONLY.iter().any(|name| line.starts_with(&format!("{name} = ")))
}

#[test]
fn lists_have_pages_and_a_wrong_token_is_a_wrong_parameter() {
    let host = Host::new(&[]);
    for name in ["a", "b", "c"] {
        host.ecs("create-cluster", &json!({ "clusterName": name, "tags": [{ "key": "k", "value": name }] }));
    }
    let first = host.ecs("list-clusters", &json!({ "maxResults": 2 }));
    let token = first["nextToken"].clone();
    let rest = host.ecs("list-clusters", &json!({ "maxResults": 2, "nextToken": token }));
    let all: Vec<&Value> = [&first, &rest].iter().flat_map(|page| page["clusterArns"].as_array().unwrap()).collect();
    assert_eq!((all.len(), &rest["nextToken"]), (4, &Value::Null), "{all:?}");
    assert!(host.refused("list-clusters", &json!({ "nextToken": "?" })).contains("(InvalidParameterException)"));
    let clusters = host
        .ecs("describe-clusters", &json!({ "clusters": ["a", "z"], "include": ["TAGS", "STATISTICS", "SETTINGS"] }));
    assert_eq!(clusters["clusters"][0]["tags"], json!([{ "key": "k", "value": "a" }]));
    assert_eq!(clusters["clusters"][0]["settings"], json!([{ "name": "containerInsights", "value": "disabled" }]));
    assert!(clusters["clusters"][0]["statistics"].as_array().unwrap().len() > 4);
    assert_eq!(clusters["failures"][0]["reason"], "MISSING");
    let update = json!({ "cluster": "a", "settings": [{ "name": "containerInsights", "value": "enabled" }] });
    assert_eq!(host.ecs("update-cluster-settings", &update)["cluster"]["settings"], update["settings"]);
    let bare = host.ecs("describe-clusters", &json!({ "clusters": ["a"] }))["clusters"][0].clone();
    assert_eq!((&bare["tags"], &bare["settings"], &bare["statistics"]), (&json!([]), &json!([]), &json!([])));
}

#[test]
fn regions_are_kept_apart() {
    let host = Host::new(&["probe"]);
    let there = |operation: &str, request: &Value| {
        host.root.berth(["ecs", "--region", "eu-west-1", operation, &request.to_string()]).json()
    };
    host.ecs("create-cluster", &json!({ "clusterName": "a" }));
    assert_eq!(
        there("list-clusters", &json!({}))["clusterArns"],
        json!(["arn:aws:ecs:eu-west-1:000000000000:cluster/default"])
    );
    there("register-task-definition", &definition(&[("web", &["trap", "TERM"])]));
    assert_eq!(host.ecs("list-task-definitions", &json!({}))["taskDefinitionArns"], json!([]));
    let run = json!({ "taskDefinition": "probe", "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-0a0b0c0d"] } } });
    let answer = there("run-task", &run);
    let task = Task { id: arns(&answer)[0].rsplit('/').next().unwrap().to_owned(), answer: answer.clone() };
    host.root.until(&task, "RUNNING");
    assert!(arns_of(&host.ecs("list-tasks", &json!({}))).is_empty());
    assert_eq!(arns_of(&there("list-tasks", &json!({}))), arns(&answer));
    assert_eq!(host.ecs("describe-tasks", &json!({ "tasks": [task.id] }))["failures"][0]["reason"], "MISSING");
    host.root.stop(&task);
}

#[test]
fn an_operation_is_said_in_the_words_of_the_aws_cli_when_it_is_refused() {
    let host = Host::new(&[]);
    let said = host.refused("describe-tasks", &json!({ "tasks": ["short"] }));
    assert_eq!(
        said,
        "An error occurred (InvalidParameterException) when calling the DescribeTasks operation: \
         taskId length should be one of [32,36]"
    );
    let said = host.refused("DescribeTasks", &json!({ "cluster": "nowhere", "tasks": ["short"] }));
    assert!(said.contains("(ClusterNotFoundException)") && said.ends_with("Cluster not found."), "{said}");
    assert!(host.refused("list-tasks", &json!({ "maxResults": "1" })).contains("(SerializationException)"));
    assert_eq!(host.root.berth(["ecs", "describe-nothing"]).code(), 2);
    assert_eq!(host.root.berth(["ecs", "list-tasks", "file:///nonexistent"]).code(), 2);
}
