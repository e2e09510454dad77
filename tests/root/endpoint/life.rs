//! The endpoint's own life: tasks do not notice it, it ends as it should, and tells of what it saw.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::root;
use crate::support::command::Running;
use crate::support::endpoint::Endpoint;
use crate::support::events::Follower;
use crate::support::{definition, eventually};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn an_endpoint_that_is_killed_harms_no_task_and_the_next_one_knows_them() {
    let (root, subnet) = root();
    let endpoint = Endpoint::start(&root);
    let script = format!(
        "ecs = client('ecs')\n\
         d = {{'name': 'web', 'image': 'probe', 'essential': True, 'command': ['trap', 'SIGTERM'], 'stopTimeout': 5}}\n\
         ecs.register_task_definition(family='k', networkMode='awsvpc', requiresCompatibilities=['FARGATE'], cpu='256', memory='512', containerDefinitions=[d])\n\
         n = {{'awsvpcConfiguration': {{'subnets': ['{subnet}']}}}}\n\
         t = ecs.run_task(taskDefinition='k', launchType='FARGATE', networkConfiguration=n)['tasks'][0]['taskArn']\n\
         ecs.create_service(serviceName='s', taskDefinition='k', desiredCount=1, launchType='FARGATE', networkConfiguration=n)\n\
         ecs.get_waiter('tasks_running').wait(tasks=[t], WaiterConfig={{'Delay': 0.2, 'MaxAttempts': 200}})\n\
         ecs.get_waiter('services_stable').wait(services=['s'], WaiterConfig={{'Delay': 0.2, 'MaxAttempts': 200}})\n\
         print(json.dumps([t] + ecs.list_tasks(serviceName='s')['taskArns']))"
    );
    let tasks = endpoint.python(endpoint.key(), &script);
    endpoint.kill();
    let next = Endpoint::start(&root);
    let look = format!(
        "t = {tasks}\nprint(json.dumps([[x['lastStatus'], x['version']] for x in client('ecs').describe_tasks(tasks=t)['tasks']]))"
    );
    let seen = next.python(next.key(), &look);
    for task in seen.as_array().unwrap() {
        assert_eq!(task[0], "RUNNING", "{seen}");
    }
    // The service's count is held by somebody, whoever that is now.
    let kill = "ecs = client('ecs')\nt = ecs.list_tasks(serviceName='s')['taskArns'][0]\necs.stop_task(task=t)\nprint(json.dumps(t))";
    let stopped = next.python(next.key(), kill);
    eventually(PATIENCE, "another task runs", || {
        let running = root.list(&[]);
        let other = |task: &Value| {
            task["group"] == "service:s" && task["taskArn"] != stopped && task["lastStatus"] == "RUNNING"
        };
        running.iter().any(other).then_some(())
    });
    assert_eq!(next.stop(), 0);
    assert!(root.list(&[]).iter().filter(|task| task["lastStatus"] == "RUNNING").count() >= 2);
    let last = Endpoint::start(&root);
    last.python(
        last.key(),
        "print(json.dumps(client('ecs').delete_service(service='s', force=True)['service']['status']))",
    );
}

#[test]
fn it_ends_on_sigterm_with_the_answer_to_what_is_under_way_and_takes_its_socket_along() {
    let (root, _) = root();
    let endpoint = Endpoint::start(&root);
    let socket = endpoint.socket.clone();
    assert!(socket.exists());
    let second = root.start(["serve", "--listen", "off"]).wait(PATIENCE);
    assert!(second.code() == 1 && second.stderr.contains("another process listens"), "{second:#?}");
    assert_eq!(endpoint.stop(), 0);
    assert!(!socket.exists());
    // One that is killed leaves it; the next one takes the place.
    let endpoint = Endpoint::start(&root);
    endpoint.kill();
    assert!(socket.exists());
    assert_eq!(Endpoint::start(&root).stop(), 0);
}

#[test]
fn an_endpoint_to_whose_words_nobody_listens_serves() {
    let (root, _) = root();
    let mut serve = root.command(["serve", "--listen", "127.0.0.1:0", "--insecure-no-auth", "--no-request-log"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader); // every word to it fails
    let mut child = serve.stdin(Stdio::null()).stderr(writer).spawn().unwrap();
    let socket = root.path().join("run/ecs.sock");
    let mut curl = std::process::Command::new("curl");
    curl.args(["-sf", "--unix-socket", socket.to_str().unwrap(), "http://localhost/healthz"]);
    eventually(PATIENCE, "it answers", || curl.output().unwrap().status.success().then_some(()));
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.id().try_into().unwrap()),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn figures_and_the_log_tell_of_requests_and_launches() {
    let (root, _) = root();
    let endpoint = Endpoint::start(&root);
    let task = root.run_detached(&definition(&[("one", &["trap", "SIGTERM"])]));
    endpoint.python(endpoint.key(), "print(json.dumps(client('ecs').list_tasks()['taskArns']))");
    endpoint.python(("AKIANOBODY", "x"), "print(json.dumps(code(lambda: client('ecs').list_tasks())))");
    let all = eventually(PATIENCE, "the launch is counted", || {
        endpoint.get("/metrics").filter(|text| text.contains("berth_task_launch_duration_seconds_count 1"))
    });
    for line in [
        "berth_api_requests_total{action=\"ListTasks\",error=\"\"} 1".to_owned(),
        "berth_api_requests_total{action=\"ListTasks\",error=\"UnrecognizedClientException\"} 1".to_owned(),
        "berth_tasks{cluster=\"default\",status=\"RUNNING\"} 1".to_owned(),
        format!("berth_task_memory_limit_bytes{{cluster=\"default\",family=\"probe\",task=\"{}\"}} 536870912", task.id),
    ] {
        assert!(all.lines().any(|one| one == line), "{line} in\n{all}");
    }
    let log = eventually(PATIENCE, "the log is written", || Some(endpoint.log()).filter(|log| log.len() >= 2));
    assert_eq!((&log[0]["action"], &log[0]["status"]), (&"ListTasks".into(), &200.into()));
    assert_eq!((&log[0]["key"], &log[0]["region"]), (&endpoint.key().0.into(), &"eu-west-1".into()));
    assert_eq!((&log[1]["error"], &log[1]["key"]), (&"UnrecognizedClientException".into(), &"AKIANOBODY".into()));
    assert!(!log.iter().any(|line| line.to_string().contains(endpoint.key().1)));
}

#[test]
fn events_are_those_of_eventbridge_for_each_state_that_a_task_and_its_service_reach() {
    let (root, _) = root();
    let follower = Follower::start(&root);
    let events = || follower.events();
    let task = root.run_detached(&definition(&[("one", &["trap", "SIGTERM"])]));
    let own = |event: &Value| event["detail"]["taskArn"].as_str().is_some_and(|arn| arn.ends_with(&task.id));
    eventually(PATIENCE, "the task's event", || events().iter().any(own).then_some(()));
    root.berth(["stop", &task.id]).ok();
    let last = eventually(PATIENCE, "the last event", || {
        events().into_iter().find(|event| own(event) && event["detail"]["lastStatus"] == "STOPPED")
    });
    assert_eq!((&last["source"], &last["detail-type"]), (&"aws.ecs".into(), &"ECS Task State Change".into()));
    assert_eq!(last["resources"][0], last["detail"]["taskArn"]);
    assert_eq!(
        (&last["detail"]["stopCode"], &last["detail"]["desiredStatus"]),
        (&"UserInitiated".into(), &"STOPPED".into())
    );
    assert!(last["detail"]["stoppedAt"].as_str().unwrap().ends_with('Z'), "{last:#}");
    let versions: Vec<i64> =
        events().iter().filter(|event| own(event)).filter_map(|event| event["detail"]["version"].as_i64()).collect();
    assert!(versions.is_sorted() && versions.len() >= 2, "{versions:?}");

    let task = root.file(&definition(&[("one", &["sleep", "3600"])]));
    root.berth(["register", task.to_str().unwrap()]).ok();
    root.berth(["service", "create", "s", "--task-definition", "probe", "--desired-count", "1"]).ok();
    let named = |name: &str| {
        eventually(PATIENCE, name, || events().into_iter().find(|event| event["detail"]["eventName"] == name))
    };
    assert_eq!(named("SERVICE_DEPLOYMENT_IN_PROGRESS")["detail-type"], "ECS Deployment State Change");
    assert_eq!(named("SERVICE_DEPLOYMENT_COMPLETED")["detail"]["eventType"], "INFO");
    assert_eq!(named("SERVICE_STEADY_STATE")["detail-type"], "ECS Service Action");
    root.berth(["service", "update", "s", "--desired-count", "0"]).ok();
    assert_eq!(named("SERVICE_DESIRED_COUNT_UPDATED")["detail"]["desiredCount"], 0);
    root.berth(["service", "delete", "--force", "s"]).ok();
    let host = root.berth(["ecs", "list-container-instances"]).json()["containerInstanceArns"][0].clone();
    let drain = serde_json::json!({ "containerInstances": [host], "status": "DRAINING" }).to_string();
    root.berth(["ecs", "update-container-instances-state", &drain]).ok();
    let drained = eventually(PATIENCE, "the instance's event", || {
        events().into_iter().find(|event| event["detail-type"] == "ECS Container Instance State Change")
    });
    assert_eq!((&drained["resources"][0], &drained["detail"]["status"]), (&host, &"DRAINING".into()));
    let past = Running::start(root.command(["events"])).wait(PATIENCE).ok();
    assert!(past.lines().any(|line| line.contains(&last["detail"]["taskArn"].to_string())), "{past}");
}
