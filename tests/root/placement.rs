//! Where a service's tasks are, and what keeps them from being anywhere: daemons, constraints, ports, grants, protection.

use serde_json::{Value, json};

use super::services::{Host, PACE, PATIENCE, has};
use crate::support::inside::Inside;
use crate::support::root::Task;
use crate::support::supervised::strike;
use crate::support::{container, eventually, instance};

impl Host {
    /// Registers a definition for container instances, with members of its own and of its container.
    fn register_instance(&self, family: &str, task: &Value, more: &Value) {
        let mut definition = instance(&[container("web", &["listen", "80", "one"], json!({}))]);
        for (name, value) in task.as_object().into_iter().flatten() {
            definition[name] = value.clone();
        }
        self.register_as(definition, family, more);
    }

    /// Creates a service and does not wait for it.
    fn begin(&self, args: &[&str]) {
        self.service(&[&["create", "--detach"], args, &PACE[..]].concat()).ok();
    }

    fn until_told(&self, text: &str) -> String {
        eventually(PATIENCE, text, || self.events().into_iter().find(|event| event.contains(text)))
    }

    fn drop_service(&self, name: &str) {
        self.service(&["delete", "--force", name]).ok();
    }
}

const NO_PLACE: &str = "was unable to place a task because no container instance met all of its requirements. The closest \
                        matching (container-instance ";

#[test]
fn a_daemon_has_one_task_on_each_instance_and_a_killed_one_is_replaced() {
    let host = Host::new();
    host.register_instance("web", &json!({}), &json!({}));
    let daemon = ["create", "web", "--task-definition", "web", "--scheduling-strategy", "daemon"];
    let refused = host.service(&[&daemon[..], &["--desired-count", "2"]].concat());
    let words = "The desiredCount cannot be specified with the DAEMON scheduling strategy.";
    assert!(refused.code() == 1 && refused.stderr.contains(words), "{refused:#?}");
    host.service(&[&daemon[..], &PACE[..]].concat()).ok();
    let service = host.describe();
    assert_eq!((&service["schedulingStrategy"], &service["desiredCount"]), (&json!("DAEMON"), &json!(1)));
    let percents = &service["deploymentConfiguration"];
    assert_eq!((&percents["minimumHealthyPercent"], &percents["maximumPercent"]), (&json!(0), &json!(100)));
    let old = host.until_running(1);
    let victim = old.keys().next().unwrap();
    strike(host.pid(victim));
    let new = eventually(PATIENCE, "another one takes its place", || {
        Some(host.running()).filter(|tasks| tasks.len() == 1 && !tasks.contains_key(victim))
    });
    host.register_instance("web", &json!({}), &json!({ "command": ["listen", "80", "two"] }));
    host.service(&[&["update", "web", "--task-definition", "web"], &PACE[..]].concat()).ok();
    assert!(host.until_running(1).keys().all(|id| !new.contains_key(id)));
    host.delete();
    host.register("fargate", &["listen", "80"], &json!({}));
    let refused = host.service(&["create", "f", "--task-definition", "fargate", "--scheduling-strategy", "DAEMON"]);
    assert!(refused.stderr.contains("not supported for the launch type FARGATE"), "{refused:#?}");
}

#[test]
fn each_on_an_instance_of_its_own_leaves_the_second_task_without_a_place() {
    let host = Host::new();
    host.register_instance("web", &json!({}), &json!({}));
    let request = json!({ "desiredCount": 2, "taskDefinition": "web",
        "placementConstraints": [{ "type": "distinctInstance" }] });
    host.begin(&["web", "--json", &request.to_string()]);
    let told = host.until_told("unable to place a task");
    assert!(told.contains(NO_PLACE), "{told}");
    assert!(told.ends_with("encountered error \"DistinctInstance placement constraint unsatisfied.\"."), "{told}");
    host.until_running(1);
    let described = host.describe();
    assert_eq!(described["placementConstraints"], json!([{ "type": "distinctInstance" }]));
    assert_eq!((&described["desiredCount"], &described["runningCount"]), (&json!(2), &json!(1)));
    let refused = host.service(&["update", "web", "--json", r#"{"desiredcount": 1}"#]);
    assert!(refused.code() == 2 && refused.stderr.contains("no member desiredcount"), "{refused:#?}");
    host.service(&["update", "web", "--detach", "--json", r#"{"placementConstraints": []}"#]).ok();
    host.until_running(2);
    host.delete();
}

#[test]
fn an_instance_that_is_not_as_a_constraint_wants_it_gets_no_task() {
    let host = Host::new();
    host.register_instance("web", &json!({}), &json!({}));
    let windows = "memberOf=attribute:ecs.os-type == windows";
    host.begin(&["web", "--task-definition", "web", "--placement-constraint", windows]);
    let told = host.until_told("unable to place a task");
    assert!(told.ends_with("encountered error \"MemberOf placement constraint unsatisfied.\"."), "{told}");
    assert_eq!(host.running().len(), 0);
    let bad = ["create", "x", "--task-definition", "web", "--placement-constraint", "memberOf=attribute:x =="];
    assert!(host.service(&bad).stderr.contains("placement expression"));
    let linux = ["--placement-constraint", "memberOf=attribute:ecs.os-type == linux"];
    host.service(&[&["update", "web", "--detach"], &linux[..]].concat()).ok();
    host.until_running(1);
    host.delete();
}

#[test]
fn a_port_of_the_host_is_one_services_and_the_other_protocol_is_another_port() {
    let host = Host::new();
    for (family, protocol) in [("web", "tcp"), ("dns", "udp"), ("other", "tcp")] {
        let mapping = json!([{ "containerPort": 80, "hostPort": 18_080, "protocol": protocol }]);
        host.register_instance(family, &json!({ "networkMode": "bridge" }), &json!({ "portMappings": mapping }));
    }
    host.service(&[&["create", "dns", "--task-definition", "dns"], &PACE[..]].concat()).ok();
    host.service(&[&["create", "other", "--task-definition", "other"], &PACE[..]].concat()).ok();
    host.begin(&["web", "--task-definition", "web"]);
    let told = host.until_told("unable to place a task");
    assert!(told.ends_with("is already using a port required by your task."), "{told}");
    let refused = host.root.berth(["run", "-d", "web"]);
    assert!(refused.code() == 1 && refused.stderr.contains("RESOURCE:PORTS"), "{refused:#?}");
    host.drop_service("other");
    eventually(PATIENCE, "the port is free", || (host.describe()["runningCount"] == 1).then_some(()));
    host.drop_service("dns");
    host.delete();
}

#[test]
fn what_the_host_does_not_grant_is_an_attribute_that_it_lacks_until_it_does() {
    let host = Host::new();
    host.register_instance("web", &json!({ "pidMode": "host" }), &json!({}));
    host.begin(&["web", "--task-definition", "web"]);
    let told = host.until_told("unable to place a task");
    assert!(told.ends_with("is missing an attribute required by your task."), "{told}");
    assert_eq!(host.describe()["deployments"][0]["failedTasks"], 0, "nothing has been tried");
    host.root.configure("[instance]\nhost-pid = true\n");
    host.until_running(1);
    host.delete();
}

#[test]
fn two_tasks_that_begin_together_do_not_share_a_gpu() {
    let host = Host::new();
    // any device stands for one
    host.root.configure(
        "[capacity]\ncpu = 100000\nmemory-mib = 100000\n[instance]\ngpus = [['/dev/fuse'], ['/dev/null']]\n",
    );
    let wants = json!({ "resourceRequirements": [{ "type": "GPU", "value": "1" }] });
    host.register_instance("web", &json!({}), &wants);
    host.begin(&["web", "--task-definition", "web", "--desired-count", "3"]);
    let told = host.until_told("unable to place a task");
    assert!(told.ends_with("encountered error \"RESOURCE:GPU\"."), "{told}");
    let running = host.until_running(2);
    let devices = |id: &String| {
        let seen = host.root.berth(["exec", id, "/probe", "open", "/dev/fuse"]);
        seen.code() == 0
    };
    assert_eq!(running.keys().filter(|id| devices(id)).count(), 1, "each has one");
    host.delete();
}

#[test]
fn a_protected_task_is_not_scaled_in_and_an_unprotected_one_is() {
    let host = Host::new();
    host.register("web", &["listen", "80", "one"], &json!({}));
    host.create("3", &[]);
    let old: Vec<String> = host.until_running(3).into_keys().collect();
    let protected = host.service(&["protect", &old[0], &old[1]]).json();
    assert_eq!((protected.as_array().map(Vec::len), &protected[0]["protectionEnabled"]), (Some(2), &json!(true)));
    host.service(&["update", "web", "--detach", "--desired-count", "1"]).ok();
    let told = host.until_told("was unable to scale in");
    assert!(told.contains("(reason 1 tasks under protection)"), "{told}");
    let left: Vec<String> = host.until_running(2).into_keys().collect();
    assert_eq!(left, old[..2]);
    host.service(&["protect", "--off", &old[1]]).ok();
    assert!(host.until_running(1).contains_key(&old[0]));
    let alone = host.root.run_detached(&crate::support::definition(&[("web", &["listen", "80"])]));
    let refused = host.service(&["protect", &alone.id]);
    assert!(refused.code() == 1 && refused.stderr.contains("belongs to no service"), "{refused:#?}");
    host.root.berth(["rm", "-f", &alone.id]).ok();
    host.delete();
}

#[test]
fn a_deployment_bakes_before_it_is_complete() {
    let host = Host::new();
    host.register("web", &["listen", "80", "one"], &json!({}));
    // a minute is 0.6 s
    host.create("2", &["--bake-time", "1", "--early-success", "50,deferred"]);
    let configuration = host.describe()["deploymentConfiguration"].clone();
    assert_eq!(configuration["bakeTimeInMinutes"], 1);
    assert_eq!(configuration["earlySuccessCriteria"], json!({ "healthyPercent": 50, "cleanup": "DEFERRED" }));
    let service = host.describe();
    let primary = &service["deployments"][0];
    let at = |value: &Value| value.as_f64().unwrap();
    assert!(
        at(&primary["updatedAt"]) - at(&primary["createdAt"]) >= 1.0,
        "40 s and a minute, at this pace: {primary:#}"
    );
    assert!(has(&host.events(), "deployment completed."));
    host.delete();
}

#[test]
fn a_task_protects_itself_from_inside_and_is_scaled_in_when_it_lets_go() {
    let host = Host::new();
    host.root.configure(
        "[capacity]\ncpu = 100000\nmemory-mib = 100000\n[roles.app]\naccess-key-id = 'AK'\nsecret-access-key = 'hush'\n",
    );
    let mut definition = crate::support::definition(&[("web", &["listen", "80", "one"])]);
    definition["taskRoleArn"] = json!("arn:aws:iam::000000000000:role/app");
    host.register_as(definition, "web", &json!({}));
    host.create("3", &[]);
    let all: Vec<String> = host.until_running(3).into_keys().collect();
    let task = Task { id: all[2].clone(), answer: json!({}) };
    let inside = Inside::of(&host.root, &task, "web");
    let state = format!("{}/task-protection/v1/state", inside.variable("ECS_AGENT_URI"));
    let said = inside.ask("PUT", &state, r#"{"ProtectionEnabled": true, "ExpiresInMinutes": 5}"#).json();
    assert_eq!(said["protection"]["ProtectionEnabled"], true, "{said:#}");
    assert_eq!(inside.get(&state).json()["protection"], said["protection"]);
    // The two others go, and a deployment or a lower count does not get at it.
    host.service(&["update", "web", "--detach", "--desired-count", "0"]).ok();
    host.until_told("was unable to scale in");
    assert_eq!(host.until_running(1).into_keys().collect::<Vec<String>>(), all[2..]);
    let said = inside.ask("PUT", &state, r#"{"ProtectionEnabled": false}"#).json();
    assert_eq!(said["protection"]["ProtectionEnabled"], false, "{said:#}");
    host.until_running(0);
    host.delete();
}
