//! What metadata looks like, in each version, and what of a plan it tells.

use serde_json::json;

use super::*;
use crate::plan::make::tests::{planned, settings};

const DEFINITION: &str = r#"{
    "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
    "containerDefinitions": [
        {"name": "app", "image": "nginx", "cpu": 10, "memory": 128, "portMappings": [{"containerPort": 80}],
         "healthCheck": {"command": ["CMD", "x"]}, "restartPolicy": {"enabled": true},
         "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p"}}},
        {"name": "side", "image": "busybox", "essential": false}
    ]}"#;

fn state(plan: &TaskPlan) -> TaskState {
    let mut state = TaskState::new(&plan.containers, Timestamp(1_000), Timestamp(2_500));
    state.containers[0].begin(7, 0, crate::lifecycle::Now { wall: Timestamp(3_000), boot: 1 });
    state.last_status = LastStatus::Pending;
    state
}

fn facts() -> Facts {
    Facts {
        stops: false,
        clock: Clock { error_us: 1500, is_synchronized: true, now: Timestamp(4_000) },
        storage: Some(Storage { used: 3 << 20, size: 20 << 30 }),
    }
}

#[test]
fn the_document_about_a_task_is_ecss() {
    let plan = planned(DEFINITION, settings());
    let task = task_document(Version::V4, &plan, &state(&plan), &facts());
    let expected = json!({
        "Cluster": "arn:aws:ecs:us-east-1:000000000000:cluster/default",
        "Family": "web", "Revision": "1", "DesiredStatus": "RUNNING", "KnownStatus": "CREATED",
        "Limits": {"CPU": 0.25, "Memory": 512},
        "PullStartedAt": "1970-01-01T00:00:01Z", "PullStoppedAt": "1970-01-01T00:00:02.5Z",
        "LaunchType": "FARGATE", "Group": "family:web", "VPCID": "vpc-000000000ac1f0000",
        "ClockDrift": {"ClockErrorBound": 1.5, "ReferenceTimestamp": "1970-01-01T00:00:04Z",
                       "ClockSynchronizationStatus": "SYNCHRONIZED"},
        "EphemeralStorageMetrics": {"Utilized": 3, "Reserved": 20480},
        "FaultInjectionEnabled": false,
    });
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(&task[member], value, "{member}");
    }
    assert_eq!(task["TaskARN"], format!("arn:aws:ecs:us-east-1:000000000000:task/default/{}", plan.id));
    for absent in ["ServiceName", "ExecutionStoppedAt", "TaskTags", "Errors"] {
        assert!(task.get(absent).is_none(), "{absent}");
    }
    let app = &task["Containers"][0];
    let expected = json!({
        "DockerId": plan.containers[0].runtime_id, "Name": "app", "DockerName": "app", "Image": "nginx",
        "Ports": [{"ContainerPort": 80, "Protocol": "tcp"}], "DesiredStatus": "RUNNING", "KnownStatus": "RUNNING",
        "Limits": {"CPU": 10, "Memory": 128}, "CreatedAt": "1970-01-01T00:00:02.5Z", "StartedAt": "1970-01-01T00:00:03Z",
        "Type": "NORMAL", "Health": {"status": "UNKNOWN"}, "LogDriver": "awslogs", "RestartCount": 0,
        "Snapshotter": "overlayfs",
    });
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(&app[member], value, "{member}");
    }
    let network = &app["Networks"][0];
    assert_eq!(network["NetworkMode"], "awsvpc");
    assert_eq!(network["SubnetGatewayIpv4Address"], "172.31.0.1/20");
    assert_eq!(network["IPv4SubnetCIDRBlock"], "172.31.0.0/20");
    assert_eq!(network["AttachmentIndex"], 0);
    let side = &task["Containers"][1];
    assert_eq!(
        (&side["KnownStatus"], &side["Limits"]["CPU"], &side["Limits"]["Memory"]),
        (&json!("PULLED"), &json!(2), &json!(512))
    );
    for absent in ["StartedAt", "Health", "RestartCount", "ExitCode", "LogDriver"] {
        assert!(side.get(absent).is_none(), "{absent}");
    }
}

#[test]
fn a_container_that_has_ended_tells_how_and_when() {
    let plan = planned(DEFINITION, settings());
    let mut state = state(&plan);
    state.containers[0].phase = ContainerPhase::Stopped;
    state.containers[0].exit = Some(Exit::Code(7));
    state.containers[0].finished_at = Some(Timestamp(9_000));
    let task = task_document(Version::V4, &plan, &state, &facts());
    let app = &task["Containers"][0];
    assert_eq!((&app["KnownStatus"], &app["ExitCode"]), (&json!("STOPPED"), &json!(7)));
    assert_eq!(app["FinishedAt"], "1970-01-01T00:00:09Z");
    assert_eq!(task["ExecutionStoppedAt"], "1970-01-01T00:00:09Z");
}

#[test]
fn tags_are_told_and_so_is_why_some_are_not() {
    let plan = planned(DEFINITION, settings());
    let told = |member, tags| Tagged { member, arn: "arn:of:it".into(), tags };
    let blue = Tag { key: "team".into(), value: "blue".into() };
    let all = [told("TaskTags", Ok(vec![blue])), told("ContainerInstanceTags", Err("gone".to_owned()))];
    let task = task_with_tags(Version::V4, &plan, &state(&plan), &facts(), &all);
    assert_eq!(task["TaskTags"], json!({ "team": "blue" }));
    assert!(task.get("ContainerInstanceTags").is_none());
    let error = json!({ "ErrorField": "ContainerInstanceTags", "ErrorCode": "ServerException", "ErrorMessage": "gone",
        "StatusCode": 500, "ResourceARN": "arn:of:it" });
    assert_eq!(task["Errors"], json!([error]));
    let plain = task_with_tags(Version::V4, &plan, &state(&plan), &facts(), &[told("TaskTags", Ok(Vec::new()))]);
    assert_eq!(plain, task_document(Version::V4, &plan, &state(&plan), &facts()));
}

#[test]
fn an_older_version_has_no_newer_members() {
    let plan = planned(DEFINITION, settings());
    for version in [Version::V2, Version::V3] {
        let task = task_document(version, &plan, &state(&plan), &facts());
        for absent in ["LaunchType", "VPCID", "ClockDrift", "EphemeralStorageMetrics", "FaultInjectionEnabled"] {
            assert!(task.get(absent).is_none(), "{absent}");
        }
        let container = &task["Containers"][0];
        assert!(container.get("RestartCount").is_none() && container.get("Snapshotter").is_none());
        let members: Vec<&String> = container["Networks"][0].as_object().unwrap().keys().collect();
        assert_eq!(members, ["NetworkMode", "IPv4Addresses"]);
    }
}

#[test]
fn only_a_container_of_the_task_has_a_document() {
    let plan = planned(DEFINITION, settings());
    let (state, facts) = (state(&plan), facts());
    let id = plan.containers[1].runtime_id.clone();
    assert!(container_document(Version::V4, &plan, &state, &facts, &id).is_some());
    for other in ["", "side", &id[..32], &format!("{id}0")] {
        assert_eq!(container_document(Version::V4, &plan, &state, &facts, other), None, "{other}");
    }
}
