//! What the actions answer on a root without tasks, held against the shapes of AWS's own model; and what they do there:
//! container instances and their attributes, capacity providers, the young families.
#![expect(clippy::needless_pass_by_value, reason = "a request that is written where it is sent needs no name")]

use berth::ops::actions::{Caller, actions, call};
use berth::ops::{Engine, Neighbour, neighbour};
use serde_json::{Value, json};

use crate::shapes::Answers;

/// A root of a test, and all that was answered there.
struct Host {
    _dir: tempfile::TempDir,
    engine: Engine,
    answers: Answers,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = "[vpc]\ncidr = \"172.31.0.0/16\"\n[capacity]\ncpu = 4096\nmemory-mib = 8192\n";
        std::fs::write(dir.path().join("config.toml"), config).unwrap();
        let engine = Engine::open(Some(dir.path())).unwrap();
        Self { _dir: dir, engine, answers: Answers::default() }
    }

    fn ok(&mut self, action: &str, request: Value) -> Value {
        let answer = call(&mut self.engine, &Caller::root(), action, request.to_string().as_bytes());
        let answer = answer.unwrap_or_else(|error| panic!("{action} {request}: {error}"));
        let answer = serde_json::from_slice(&answer).unwrap();
        self.answers.add(action, &answer);
        answer
    }

    fn refused(&mut self, action: &str, request: Value) -> (String, String) {
        let answer = call(&mut self.engine, &Caller::root(), action, request.to_string().as_bytes());
        let error = answer.map(|text| String::from_utf8(text).unwrap()).expect_err(action);
        self.answers.add_error(action, &error.code.to_string());
        (error.code.to_string(), error.message)
    }

    /// At the end: all that was answered has the form of AWS's.
    fn fits(self) {
        assert_eq!(self.answers.problems(), "");
    }
}

fn resource<'a>(instance: &'a Value, which: &str, name: &str) -> &'a Value {
    instance[which].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()
}

fn register(host: &mut Host, cpu: i64, attributes: Value) -> String {
    let document = json!({"instanceId": "i-0abc", "availabilityZone": "us-east-1b", "instanceType": "t3.micro",
        "imageId": "ami-1", "region": "us-east-1"});
    let answer = host.ok(
        "RegisterContainerInstance",
        json!({"instanceIdentityDocument": document.to_string(), "attributes": attributes,
            "versionInfo": {"agentVersion": "1.90.0"}, "tags": [{"key": "a", "value": "b"}],
            "totalResources": [{"name": "CPU", "type": "INTEGER", "integerValue": cpu},
                {"name": "MEMORY", "type": "INTEGER", "integerValue": 1024},
                {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22"]}]}),
    );
    answer["containerInstance"]["containerInstanceArn"].as_str().unwrap().to_owned()
}

#[test]
fn an_answer_that_does_not_fit_is_seen() {
    let wrong = |action: &str, answer: Value| {
        let mut answers = Answers::default();
        answers.add(action, &answer);
        answers.problems()
    };
    assert_eq!(wrong("ListTasks", json!({"taskArns": ["a"], "nextToken": "b"})), "");
    assert!(wrong("ListTasks", json!({"taskArns": ["a"], "more": 1})).contains("ListTasks.more: "));
    assert!(wrong("ListTasks", json!({"taskArns": "a"})).contains("ListTasks.taskArns: "));
    assert!(wrong("ListTasks", json!({"taskArns": [1]})).contains("ListTasks.taskArns[0]: "));
    let status = json!({"capacityProvider": {"name": "a", "status": "MOON"}});
    assert!(wrong("DeleteCapacityProvider", status).contains("'MOON' is none of"));
}

#[test]
fn this_host_is_an_instance_of_every_cluster() {
    let mut host = Host::new();
    host.ok("CreateCluster", json!({"clusterName": "other"}));
    for cluster in ["default", "other"] {
        let arns = host.ok("ListContainerInstances", json!({"cluster": cluster}))["containerInstanceArns"].clone();
        let arns = arns.as_array().unwrap().clone();
        assert_eq!(arns.len(), 1);
        let described = host.ok(
            "DescribeContainerInstances",
            json!({"cluster": cluster, "containerInstances": [arns[0], "0".repeat(31) + "f"],
                "include": ["TAGS", "CONTAINER_INSTANCE_HEALTH"]}),
        );
        let instance = &described["containerInstances"][0];
        assert_eq!((&instance["status"], &instance["agentConnected"]), (&json!("ACTIVE"), &json!(true)));
        assert_eq!(resource(instance, "registeredResources", "CPU")["integerValue"], 4096);
        assert_eq!(resource(instance, "remainingResources", "MEMORY")["integerValue"], 8192);
        assert_eq!(instance["healthStatus"]["overallStatus"], "OK");
        assert_eq!(described["failures"][0]["reason"], "MISSING");
    }
    let arn = host.ok("ListContainerInstances", json!({}))["containerInstanceArns"][0].clone();
    let (code, _) = host.refused("DeregisterContainerInstance", json!({"containerInstance": arn}));
    assert_eq!(code, "ClientException");
    let empty = host.refused("DescribeContainerInstances", json!({"containerInstances": []}));
    assert_eq!(empty.1, "Container Instances cannot be empty.");
    host.fits();
}

#[test]
fn a_registered_instance_is_described_found_by_filters_drained_and_taken_away() {
    let mut host = Host::new();
    let arn = register(&mut host, 512, json!([{"name": "stack", "value": "prod"}]));
    let list = |host: &mut Host, request: Value| {
        let answer = host.ok("ListContainerInstances", request);
        answer["containerInstanceArns"].as_array().unwrap().len()
    };
    assert_eq!(list(&mut host, json!({})), 2);
    for (filter, count) in [
        ("attribute:stack == prod", 1),
        ("attribute:ecs.instance-type =~ t3.* and attribute:ecs.availability-zone == us-east-1b", 1),
        ("agentConnected == true", 2),
        ("runningTasksCount > 0", 0),
        ("ec2InstanceId in ['i-0abc']", 0),
        ("ec2InstanceId in [i-0abc]", 1),
        ("agentVersion < 1.91.0 and agentVersion >= 1.90.0", 1),
        ("registeredAt > 2020-01-01T00:00:00Z", 2),
    ] {
        assert_eq!(list(&mut host, json!({ "filter": filter })), count, "{filter}");
    }
    assert!(host.refused("ListContainerInstances", json!({"filter": "moon == 1"})).1.contains("moon"));
    let drained = host.ok("UpdateContainerInstancesState", json!({"containerInstances": [arn], "status": "DRAINING"}));
    assert_eq!(drained["containerInstances"][0]["status"], "DRAINING");
    assert_eq!(drained["containerInstances"][0]["version"], 2);
    assert_eq!(list(&mut host, json!({"status": "DRAINING"})), 1);
    let words =
        host.refused("UpdateContainerInstancesState", json!({"containerInstances": [arn], "status": "INACTIVE"}));
    assert_eq!(words.1, "Container instance status should be one of [ACTIVE,DRAINING]");
    let used = host.refused("DeleteCluster", json!({"cluster": "default"}));
    assert_eq!(used.1, "The Cluster cannot be deleted while Container Instances are active or draining.");
    let gone = host.ok("DeregisterContainerInstance", json!({"containerInstance": arn}));
    assert_eq!(gone["containerInstance"]["status"], "INACTIVE");
    assert_eq!(gone["containerInstance"]["agentConnected"], false);
    assert_eq!(list(&mut host, json!({})), 1);
    let still = host.ok("DescribeContainerInstances", json!({"containerInstances": [arn], "include": ["TAGS"]}));
    assert_eq!(still["containerInstances"][0]["tags"], json!([{"key": "a", "value": "b"}]));
    host.fits();
}

#[test]
fn attributes_are_put_listed_and_deleted_within_their_limit() {
    let mut host = Host::new();
    let arn = register(&mut host, 512, json!([]));
    let one = |name: &str, value: &str| json!({"name": name, "value": value, "targetId": arn});
    host.ok("PutAttributes", json!({"attributes": [one("stack", "test"), one("disk", "ssd")]}));
    host.ok("PutAttributes", json!({"attributes": [one("stack", "prod")]}));
    let list = |host: &mut Host, request: Value| host.ok("ListAttributes", request)["attributes"].clone();
    let named = list(&mut host, json!({"targetType": "container-instance", "attributeName": "stack"}));
    assert_eq!(named, json!([{"name": "stack", "value": "prod", "targetType": "container-instance", "targetId": arn}]));
    let by_value =
        json!({"targetType": "container-instance", "attributeName": "ecs.os-type", "attributeValue": "linux"});
    assert_eq!(list(&mut host, by_value).as_array().unwrap().len(), 2);
    let many: Vec<Value> = (0..9).map(|number| one(&format!("n{number}"), "x")).collect();
    assert_eq!(host.refused("PutAttributes", json!({ "attributes": many })).0, "AttributeLimitExceededException");
    let lost = json!({"attributes": [{"name": "a", "targetId": "0".repeat(32)}]});
    assert_eq!(host.refused("PutAttributes", lost).0, "TargetNotFoundException");
    assert_eq!(
        host.refused("PutAttributes", json!({"attributes": [one("ecs.os-type", "x")]})).0,
        "InvalidParameterException"
    );
    host.ok("DeleteAttributes", json!({"attributes": [one("stack", "other"), one("disk", "ssd")]}));
    let left = list(&mut host, json!({"targetType": "container-instance", "attributeName": "stack"}));
    assert_eq!(left.as_array().unwrap().len(), 1, "it had another value");
    let left = list(&mut host, json!({"targetType": "container-instance", "attributeName": "disk"}));
    assert_eq!(left, json!([]));
    host.fits();
}

#[test]
fn the_agents_side_is_answered() {
    let mut host = Host::new();
    let arn = host.ok("ListContainerInstances", json!({}))["containerInstanceArns"][0].clone();
    assert_eq!(host.refused("UpdateContainerAgent", json!({"containerInstance": arn})).0, "NoUpdateAvailableException");
    assert_eq!(host.refused("DiscoverPollEndpoint", json!({})).0, "ClientException");
    let absent = host.refused("SubmitTaskStateChange", json!({"task": "0".repeat(32), "status": "RUNNING"}));
    assert_eq!(absent.0, "InvalidParameterException");
    let change = json!({"attachments": [{"attachmentArn": "arn:x", "status": "ATTACHED"}]});
    assert_eq!(host.ok("SubmitAttachmentStateChanges", change)["acknowledgment"], "ACCEPT");
    host.fits();
}

#[test]
fn capacity_providers_are_made_changed_used_by_clusters_and_deleted() {
    let mut host = Host::new();
    let group = "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:1:autoScalingGroupName/g";
    let made = host.ok(
        "CreateCapacityProvider",
        json!({"name": "mine", "autoScalingGroupProvider": {"autoScalingGroupArn": group}}),
    );
    assert_eq!(made["capacityProvider"]["autoScalingGroupProvider"]["managedScaling"]["targetCapacity"], 100);
    let again = json!({"name": "mine", "autoScalingGroupProvider": {"autoScalingGroupArn": group}});
    assert!(host.refused("CreateCapacityProvider", again).1.contains("already exists"));
    let managed = json!({"name": "x", "managedInstancesProvider": {}});
    assert_eq!(host.refused("CreateCapacityProvider", managed).0, "UnsupportedFeatureException");
    let changed = host.ok(
        "UpdateCapacityProvider",
        json!({"name": "mine", "autoScalingGroupProvider": {"managedScaling": {"status": "ENABLED", "targetCapacity": 80}}}),
    );
    assert_eq!(changed["capacityProvider"]["updateStatus"], "UPDATE_COMPLETE");
    let all = host.ok("DescribeCapacityProviders", json!({}));
    let names: Vec<&Value> = all["capacityProviders"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["FARGATE", "FARGATE_SPOT", "mine"]);
    let some =
        host.ok("DescribeCapacityProviders", json!({"capacityProviders": ["FARGATE", "none"], "include": ["TAGS"]}));
    assert_eq!(
        (&some["capacityProviders"][0]["type"], &some["failures"][0]["reason"]),
        (&json!("FARGATE"), &json!("MISSING"))
    );
    let cluster = json!({"clusterName": "c", "capacityProviders": ["mine"],
        "defaultCapacityProviderStrategy": [{"capacityProvider": "mine", "weight": 1}]});
    host.ok("CreateCluster", cluster);
    assert!(host.refused("DeleteCapacityProvider", json!({"capacityProvider": "mine"})).1.contains("cluster: c"));
    host.ok("DeleteCluster", json!({"cluster": "c"}));
    let gone =
        host.ok("DeleteCapacityProvider", json!({"capacityProvider": made["capacityProvider"]["capacityProviderArn"]}));
    assert_eq!(gone["capacityProvider"]["status"], "INACTIVE");
    assert!(host.refused("DeleteCapacityProvider", json!({"capacityProvider": "FARGATE"})).1.contains("reserved"));
    let unknown = json!({"clusterName": "d", "capacityProviders": ["mine"]});
    assert!(host.refused("CreateCluster", unknown).1.contains("was not found"));
    host.fits();
}

#[test]
fn the_lists_of_ec2_and_the_identity_of_sts_have_the_form_of_aws() {
    let mut host = Host::new();
    for (service, which, action) in [
        ("sts", Neighbour::Sts, "GetCallerIdentity"),
        ("ec2", Neighbour::Ec2, "DescribeVpcs"),
        ("ec2", Neighbour::Ec2, "DescribeSubnets"),
        ("ec2", Neighbour::Ec2, "DescribeSecurityGroups"),
        ("ec2", Neighbour::Ec2, "DescribeNetworkInterfaces"),
        ("ec2", Neighbour::Ec2, "DescribeAvailabilityZones"),
    ] {
        let request = format!("Action={action}&Version=x");
        let answer = neighbour(&mut host.engine, &Caller::root(), which, request.as_bytes(), "id");
        assert_eq!(answer.status, 200, "{}", answer.body);
        host.answers.add_xml(service, action, &answer.body);
    }
    host.fits();
}

#[test]
fn the_young_families_are_empty_lists_and_refusals_by_name() {
    let mut host = Host::new();
    let young = |name: &str| ["Daemon", "Gateway"].iter().any(|word| name.contains(word));
    let names: Vec<&str> = actions().map(|action| action.name).filter(|name| young(name)).collect();
    assert_eq!(names.len(), 27);
    for name in names {
        if name.starts_with("List") {
            let answer = host.ok(name, json!({}));
            assert!(answer.as_object().unwrap().values().all(|list| list == &json!([])), "{answer}");
        } else {
            let (code, message) = host.refused(name, json!({}));
            assert_eq!((code.as_str(), message.starts_with(name)), ("UnsupportedFeatureException", true), "{message}");
        }
    }
    // Of four the model does not say that they can be unsupported.
    let problems = host.answers.problems();
    assert!(problems.lines().all(|line| line.contains("DaemonTaskDefinition: does not declare")), "{problems}");
}
