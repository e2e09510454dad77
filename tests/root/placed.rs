//! Where the API puts tasks: on container instances by name, away from those that drain, over capacity providers, and in task sets
//! whose counts somebody else controls. All by `berth ecs`, and every answer has the form of AWS's.

use serde_json::{Value, json};

use super::services::PATIENCE;
use crate::support::root::Root;
use crate::support::shapes::Answers;
use crate::support::{eventually, instance, task as fargate};

/// A root that is asked by `berth ecs`.
struct Host {
    root: Root,
    answers: Answers,
}

impl Host {
    fn new() -> Self {
        let root = Root::with_images(&["probe"]);
        root.configure("time-scale = 0.01\n[capacity]\ncpu = 100000\nmemory-mib = 100000\n");
        Self { root, answers: Answers::default() }
    }

    /// What an action answers.
    fn ok(&mut self, action: &str, request: &Value) -> Value {
        let answer = self.root.berth(["ecs", action, &request.to_string()]).json();
        self.answers.add(action, &answer);
        answer
    }

    /// What an action is refused with.
    fn refused(&mut self, action: &str, request: &Value) -> String {
        let refused = self.root.berth(["ecs", action, &request.to_string()]);
        assert_ne!(refused.code(), 0, "{refused:#?}");
        let exception = refused.stderr.split(['(', ')']).nth(1).unwrap_or_default().to_owned();
        self.answers.add_error(action, &exception);
        refused.stderr
    }

    fn register(&mut self, mut definition: Value) {
        definition["family"] = json!("web");
        self.ok("RegisterTaskDefinition", &definition);
    }

    fn network(&self) -> Value {
        let subnets = berth::ops::Engine::open(Some(self.root.path())).unwrap().subnet_ids().unwrap();
        json!({ "awsvpcConfiguration": { "subnets": subnets } })
    }

    fn instance(&mut self, cpu: u32, attributes: &Value) -> String {
        let request = json!({"instanceIdentityDocument": json!({"instanceId": "i-0abc"}).to_string(),
            "attributes": attributes, "totalResources": [{"name": "CPU", "type": "INTEGER", "integerValue": cpu},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": 4096}]});
        let answer = self.ok("RegisterContainerInstance", &request);
        answer["containerInstance"]["containerInstanceArn"].as_str().unwrap().to_owned()
    }

    fn tasks(&mut self, request: &Value) -> Vec<Value> {
        let arns = self.ok("ListTasks", request)["taskArns"].clone();
        match arns.as_array().is_some_and(Vec::is_empty) {
            true => Vec::new(),
            false => self.ok("DescribeTasks", &json!({ "tasks": arns }))["tasks"].as_array().unwrap().clone(),
        }
    }

    fn until<T>(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> Option<T>) -> T {
        eventually(PATIENCE, what, || condition(self))
    }

    fn fits(&self) {
        assert_eq!(self.answers.problems(), "");
    }
}

/// A container that listens and says at once that it is well.
fn web() -> Value {
    json!({ "name": "web", "image": "probe", "essential": true, "command": ["listen", "80", "one"],
        "healthCheck": { "command": ["CMD", "/probe", "connect", "127.0.0.1", "80"], "interval": 5, "timeout": 2 } })
}

fn on_instances() -> Value {
    let mut definition = instance(&[web()]);
    definition["networkMode"] = json!("bridge");
    definition
}

#[test]
fn a_task_is_started_on_the_instance_that_is_named_and_counted_there() {
    let mut host = Host::new();
    host.register(on_instances());
    let small = host.instance(300, &json!([]));
    let empty = host.refused("StartTask", &json!({ "taskDefinition": "web", "containerInstances": [] }));
    assert!(empty.contains("Container Instances cannot be empty."), "{empty}");
    let lost = "0".repeat(32);
    let request = json!({ "taskDefinition": "web", "containerInstances": [small, lost], "startedBy": "me" });
    let started = host.ok("StartTask", &request);
    assert_eq!(started["tasks"][0]["containerInstanceArn"], json!(small));
    assert_eq!(started["failures"][0]["reason"], "MISSING");
    let full = host.ok("StartTask", &json!({ "taskDefinition": "web", "containerInstances": [small] }));
    assert_eq!((&full["tasks"], &full["failures"][0]["reason"]), (&json!([]), &json!("RESOURCE:CPU")));
    assert_eq!(full["failures"][0]["arn"], json!(small));
    let described = host.until("it runs there", |host| {
        let answer = host.ok("DescribeContainerInstances", &json!({ "containerInstances": [small] }));
        Some(answer["containerInstances"][0].clone()).filter(|one| one["runningTasksCount"] == 1)
    });
    let left = described["remainingResources"].as_array().unwrap().iter().find(|one| one["name"] == "CPU").unwrap();
    assert_eq!(left["integerValue"], 44);
    let there = host.tasks(&json!({ "containerInstance": small }));
    assert_eq!((there.len(), &there[0]["launchType"], &there[0]["startedBy"]), (1, &json!("EC2"), &json!("me")));
    let busy = host.refused("DeregisterContainerInstance", &json!({ "containerInstance": small }));
    assert!(busy.contains("Found running tasks on the instance."), "{busy}");
    host.ok("StopTask", &json!({ "task": there[0]["taskArn"] }));
    host.until("its place is free", |host| {
        let answer = host.ok("DescribeContainerInstances", &json!({ "containerInstances": [small] }));
        let left = answer["containerInstances"][0]["remainingResources"].clone();
        left.as_array()
            .unwrap()
            .iter()
            .find(|one| one["name"] == "CPU")
            .filter(|one| one["integerValue"] == 300)
            .cloned()
    });
    // Its place is given back a moment before it counts as stopped.
    host.until("it has stopped", |host| {
        let answer = host.ok("DescribeTasks", &json!({ "tasks": [there[0]["taskArn"]] }));
        (answer["tasks"][0]["lastStatus"] == "STOPPED").then_some(())
    });
    host.ok("DeregisterContainerInstance", &json!({ "containerInstance": small }));
    host.fits();
}

#[test]
fn an_instance_that_drains_loses_the_tasks_of_services_to_others_and_gets_none() {
    let mut host = Host::new();
    host.register(on_instances());
    let own = host.ok("ListContainerInstances", &json!({}))["containerInstanceArns"][0].clone();
    host.ok("CreateService", &json!({ "serviceName": "web", "taskDefinition": "web", "desiredCount": 2 }));
    host.until("they run on this host", |host| {
        Some(host.tasks(&json!({ "containerInstance": own })))
            .filter(|tasks| tasks.len() == 2 && tasks.iter().all(|task| task["healthStatus"] == "HEALTHY"))
    });
    let other = host.instance(1024, &json!([{ "name": "rack", "value": "b" }]));
    let drained = json!({ "containerInstances": [own], "status": "DRAINING" });
    assert_eq!(host.ok("UpdateContainerInstancesState", &drained)["containerInstances"][0]["status"], "DRAINING");
    host.until("all have moved", |host| {
        let moved = host.tasks(&json!({ "containerInstance": other })).len() == 2;
        (moved && host.tasks(&json!({ "containerInstance": own })).is_empty()).then_some(())
    });
    let service = host.ok("DescribeServices", &json!({ "services": ["web"] }))["services"][0].clone();
    assert_eq!((&service["runningCount"], &service["desiredCount"]), (&json!(2), &json!(2)));
    let none = json!({ "containerInstances": [other], "status": "DRAINING" });
    host.ok("UpdateContainerInstancesState", &none);
    let refused = host.refused("RunTask", &json!({ "taskDefinition": "web" }));
    assert!(refused.contains("No Container Instances were found in your cluster."), "{refused}");
    let back = json!({ "containerInstances": [own, other], "status": "ACTIVE" });
    host.ok("UpdateContainerInstancesState", &back);
    let on = |expression: &str| {
        json!({ "taskDefinition": "web", "placementConstraints":
        [{ "type": "memberOf", "expression": expression }] })
    };
    let started = host.ok("RunTask", &on("attribute:rack == b"));
    assert_eq!(started["tasks"][0]["containerInstanceArn"], json!(other));
    let beside = host.ok("RunTask", &on("task:group == service:web and attribute:rack exists"));
    assert_eq!(beside["tasks"][0]["containerInstanceArn"], json!(other));
    for task in [&started, &beside] {
        host.ok("StopTask", &json!({ "task": task["tasks"][0]["taskArn"] }));
    }
    host.ok("DeleteService", &json!({ "service": "web", "force": true }));
    host.until("it is gone", |host| {
        let answer = host.ok("DescribeServices", &json!({ "services": ["web"] }));
        (answer["services"][0]["status"] == "INACTIVE").then_some(())
    });
    host.fits();
}

#[test]
fn a_services_tasks_are_spread_over_its_capacity_providers_by_base_and_weight() {
    let mut host = Host::new();
    host.register(fargate(&[web()]));
    let network = host.network();
    let strategy = json!([{ "capacityProvider": "FARGATE", "base": 1, "weight": 1 },
        { "capacityProvider": "FARGATE_SPOT", "weight": 3 }]);
    let mut request = json!({ "serviceName": "web", "taskDefinition": "web", "desiredCount": 5,
        "networkConfiguration": network, "capacityProviderStrategy": strategy, "launchType": "FARGATE" });
    let both = host.refused("CreateService", &request);
    assert!(both.contains("Specifying both a launch type and capacity provider strategy is not supported."), "{both}");
    request.as_object_mut().unwrap().remove("launchType");
    let made = host.ok("CreateService", &request)["service"].clone();
    assert_eq!((&made["capacityProviderStrategy"][1]["weight"], made.get("launchType")), (&json!(3), None));
    let tasks = host.until("all run", |host| {
        Some(host.tasks(&json!({ "serviceName": "web" })))
            .filter(|tasks| tasks.len() == 5 && tasks.iter().all(|task| task["lastStatus"] == "RUNNING"))
    });
    let of = |name: &str| tasks.iter().filter(|task| task["capacityProviderName"] == name).count();
    assert_eq!((of("FARGATE"), of("FARGATE_SPOT")), (2, 3));
    host.ok("DeleteService", &json!({ "service": "web", "force": true }));
    host.fits();
}

#[test]
fn task_sets_hold_their_parts_of_a_service_whose_deployments_are_controlled_from_outside() {
    let mut host = Host::new();
    host.register(fargate(&[web()]));
    let request = json!({ "serviceName": "web", "desiredCount": 3, "deploymentController": { "type": "EXTERNAL" } });
    let mut wrong = request.clone();
    wrong["taskDefinition"] = json!("web");
    assert!(host.refused("CreateService", &wrong).contains("TaskDefinition must be blank"));
    let made = host.ok("CreateService", &request)["service"].clone();
    assert_eq!((&made["deployments"], made.get("taskDefinition")), (&json!([]), None));
    let network = host.network();
    let set = json!({ "cluster": "default", "service": "web", "taskDefinition": "web", "launchType": "FARGATE",
        "networkConfiguration": network, "clientToken": "one", "externalId": "blue",
        "tags": [{ "key": "colour", "value": "blue" }] });
    let blue = host.ok("CreateTaskSet", &set)["taskSet"].clone();
    assert_eq!((&blue["status"], &blue["computedDesiredCount"]), (&json!("ACTIVE"), &json!(0)));
    assert_eq!(host.ok("CreateTaskSet", &set)["taskSet"]["id"], blue["id"], "the same token is the same set");
    let of = |set: &Value, more: Value| {
        let mut request = json!({ "cluster": "default", "service": "web", "taskSet": set["id"] });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    let scale = |percent: f64| json!({ "scale": { "value": percent, "unit": "PERCENT" } });
    assert!(host.refused("UpdateTaskSet", &of(&blue, scale(101.0))).contains("between 0.0 and 100.0"));
    host.ok("UpdateTaskSet", &of(&blue, scale(100.0)));
    let steady = |host: &mut Host, set: &Value, count: u64| {
        host.until("the set is steady", |host| {
            let request =
                json!({ "cluster": "default", "service": "web", "taskSets": [set["taskSetArn"]], "include": ["TAGS"] });
            let found = host.ok("DescribeTaskSets", &request)["taskSets"][0].clone();
            let counts = found["runningCount"] == count && found["pendingCount"] == 0;
            Some(found).filter(|one| counts && one["stabilityStatus"] == "STEADY_STATE")
        })
    };
    let found = steady(&mut host, &blue, 3);
    assert_eq!(found["tags"][0]["value"], "blue");
    let primary = json!({ "cluster": "default", "service": "web", "primaryTaskSet": blue["id"] });
    assert_eq!(host.ok("UpdateServicePrimaryTaskSet", &primary)["taskSet"]["status"], "PRIMARY");
    let mut second = set.clone();
    second["clientToken"] = json!("two");
    second["scale"] = json!({ "value": 50.0, "unit": "PERCENT" });
    let green = host.ok("CreateTaskSet", &second)["taskSet"].clone();
    steady(&mut host, &green, 2);
    let service = host.ok("DescribeServices", &json!({ "services": ["web"] }))["services"][0].clone();
    assert_eq!((service["taskSets"].as_array().unwrap().len(), &service["runningCount"]), (2, &json!(5)));
    assert!(service["taskDefinition"].as_str().unwrap().ends_with("task-definition/web:1"));
    let started = host.tasks(&json!({ "startedBy": green["id"] }));
    assert_eq!((started.len(), &started[0]["group"]), (2, &json!("service:web")));
    assert!(host.refused("DeleteTaskSet", &of(&blue, json!({}))).contains("while it is scaled above 0"));
    let gone = host.ok("DeleteTaskSet", &of(&blue, json!({ "force": true })));
    assert_eq!(gone["taskSet"]["status"], "DRAINING");
    host.until("it has drained", |host| {
        let request = json!({ "cluster": "default", "service": "web" });
        let sets = host.ok("DescribeTaskSets", &request)["taskSets"].clone();
        (sets.as_array().unwrap().len() == 1 && sets[0]["id"] == green["id"]).then_some(())
    });
    host.ok("DeleteService", &json!({ "service": "web", "force": true }));
    host.until("it is gone", |host| {
        let answer = host.ok("DescribeServices", &json!({ "services": ["web"] }));
        (answer["services"][0]["status"] == "INACTIVE").then_some(())
    });
    host.fits();
}
