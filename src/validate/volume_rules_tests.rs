//! The rules of volumes as a table: what is put into a good definition, where the problem is, and in what words.

use serde_json::{Value, json};

use crate::validate::{Severity, Strictness, parse, validate};

/// The problems of one severity of a definition with these volumes, and with these members of its first container.
fn problems(launch_type: &str, volumes: &Value, container: &Value, severity: Severity) -> Vec<(String, String)> {
    let mut web = json!({"name": "web", "image": "nginx"});
    for (name, value) in container.as_object().into_iter().flatten() {
        web[name] = value.clone();
    }
    let definition = json!({
        "family": "app", "networkMode": "awsvpc", "requiresCompatibilities": [launch_type],
        "cpu": "256", "memory": "512", "volumes": volumes,
        "containerDefinitions": [web, {"name": "db", "image": "postgres:17"}]
    });
    let problems = match validate(parse(&definition.to_string(), Strictness::Strict)) {
        Ok((_, problems)) | Err(problems) => problems,
    };
    let wanted = problems.into_iter().filter(|problem| problem.severity == severity);
    wanted.map(|problem| (problem.path, problem.message)).collect()
}

#[track_caller]
fn refused(launch_type: &str, volumes: &Value, container: &Value, path: &str, words: &str) {
    let errors = problems(launch_type, volumes, container, Severity::Error);
    let found = errors.iter().any(|(place, message)| place == path && message.contains(words));
    assert!(found, "{volumes} {container}: {errors:#?}");
}

fn volume(more: Value) -> Value {
    let Value::Object(more) = more else { panic!("the members are an object: {more}") };
    let mut volume = json!({"name": "x"});
    for (name, value) in more {
        volume[name] = value;
    }
    json!([volume])
}

fn efs(configuration: Value) -> Value {
    let mut volume = json!({"name": "x"});
    volume["efsVolumeConfiguration"] = configuration;
    json!([volume])
}

#[test]
fn volumes_are_refused_in_ecs_own_words() {
    let launched = json!({"configuredAtLaunch": true});
    let table = [
        (json!([{"name": "x/y"}]), ".name", "a volume's name is 1 to 255"),
        (json!([{}]), ".name", "a volume's name is 1 to 255"),
        (
            volume(json!({"host": {"sourcePath": "/srv"}})),
            ".host.sourcePath",
            "Fargate compatible task definitions do not support sourcePath",
        ),
        (
            volume(json!({"dockerVolumeConfiguration": {"scope": "task"}})),
            ".dockerVolumeConfiguration",
            "Fargate compatible task definitions do not support dockerVolumeConfiguration",
        ),
        (
            volume(json!({"configuredAtLaunch": true, "efsVolumeConfiguration": {"fileSystemId": "fs-1"}})),
            "",
            "only one volume configuration type should be used.",
        ),
        (volume(launched), "", "Volumes [x] are not referenced by any of the containers"),
        (
            volume(json!({"s3filesVolumeConfiguration": {"fileSystemArn": "x"}})),
            ".s3filesVolumeConfiguration",
            "is not supported by this version of berth",
        ),
        (efs(json!({"fileSystemId": "x"})), ".efsVolumeConfiguration.fileSystemId", "is not the id of a file system"),
        (
            efs(json!({"fileSystemId": "fs-1", "authorizationConfig": {"iam": "ENABLED"}})),
            ".efsVolumeConfiguration.transitEncryption",
            "EFS IAM authorization requires TransitEncryption to be enabled",
        ),
        (
            efs(json!({"fileSystemId": "fs-1", "transitEncryptionPort": 2999})),
            ".efsVolumeConfiguration.transitEncryptionPort",
            "TransitEncryptionPort requires that TransitEncryption is enabled",
        ),
        (
            efs(json!({"fileSystemId": "fs-1", "rootDirectory": "/a", "transitEncryption": "ENABLED",
                "authorizationConfig": {"accessPointId": "fsap-1"}})),
            ".efsVolumeConfiguration.rootDirectory",
            "the root directory must either be set to \"/\" or be omitted",
        ),
        (
            efs(json!({"fileSystemId": "fs-1", "rootDirectory": "/a/../b"})),
            ".efsVolumeConfiguration.rootDirectory",
            "without ..",
        ),
    ];
    for (volumes, path, words) in table {
        refused("FARGATE", &volumes, &json!({}), &format!("volumes[0]{path}"), words);
    }
    let twice = |member: &str, value: Value| json!([{"name": "x", member: value}, {"name": "y", member: value}]);
    refused("FARGATE", &json!([{"name": "x"}, {"name": "x"}]), &json!({}), "volumes[1].name", "stands twice");
    let path = "volumes[1].configuredAtLaunch";
    refused("FARGATE", &twice("configuredAtLaunch", json!(true)), &json!({}), path, "at most one volume");
}

#[test]
fn docker_volumes_and_host_paths_of_container_instances_have_rules_too() {
    let docker = |more: Value| volume(json!({ "dockerVolumeConfiguration": more }));
    let table = [
        (docker(json!({"driver": "rexray"})), ".dockerVolumeConfiguration.driver", "only local"),
        (docker(json!({"driverOpts": {"type": "nfs"}})), ".dockerVolumeConfiguration.driverOpts", "not supported"),
        (docker(json!({"autoprovision": true})), ".dockerVolumeConfiguration.autoprovision", "scope shared"),
        (volume(json!({"host": {"sourcePath": "srv"}})), ".host.sourcePath", "an absolute path"),
        (volume(json!({"host": {"sourcePath": "/srv/../etc"}})), ".host.sourcePath", "without .."),
    ];
    for (volumes, path, words) in table {
        refused("EC2", &volumes, &json!({}), &format!("volumes[0]{path}"), words);
    }
    let mounted = json!({"mountPoints": [{"sourceVolume": "x", "containerPath": "/x"}]});
    let good = docker(json!({"scope": "shared", "autoprovision": true, "driver": "local"}));
    for volumes in [good, volume(json!({"host": {"sourcePath": "/srv/data"}})), volume(json!({"host": {}}))] {
        let problems = problems("EC2", &volumes, &mounted, Severity::Error);
        assert!(problems.is_empty(), "{volumes}: {problems:#?}");
    }
}

#[test]
fn mounts_are_refused_where_nothing_can_be_mounted() {
    let points = |points: Value| json!({ "mountPoints": points });
    let point = |path: &str| points(json!([{"sourceVolume": "x", "containerPath": path}]));
    let tmpfs = |more: Value| json!({"linuxParameters": {"tmpfs": [more]}});
    let from = |name: &str| json!({"volumesFrom": [{"sourceContainer": name}]});
    let both =
        points(json!([{"sourceVolume": "x", "containerPath": "/x"}, {"sourceVolume": "x", "containerPath": "/x/"}]));
    let option = |option: &str| tmpfs(json!({"containerPath": "/t", "size": 1, "mountOptions": ["rw", option]}));
    let options = ".linuxParameters.tmpfs[0].mountOptions[1]";
    let table = [
        (
            points(json!([{"sourceVolume": "y", "containerPath": "/x"}])),
            ".mountPoints[0].sourceVolume",
            "Unknown volume 'y'.",
        ),
        (points(json!([{"sourceVolume": "x"}])), ".mountPoints[0].containerPath", "it is empty"),
        (point("x"), ".mountPoints[0].containerPath", "it is not absolute"),
        (point("/x/../../y"), ".mountPoints[0].containerPath", "it goes up by .."),
        (point("/proc/sys"), ".mountPoints[0].containerPath", "it lies in /proc, /sys or /dev"),
        (point("/./"), ".mountPoints[0].containerPath", "it is the container's root"),
        (both, ".mountPoints[1].containerPath", "Duplicate mount point: /x"),
        (
            from("nobody"),
            ".volumesFrom[0].sourceContainer",
            "Invalid 'volumesFrom' setting. Unknown container: 'nobody'",
        ),
        (from("web"), ".volumesFrom", "leads back to itself"),
        (tmpfs(json!({"containerPath": "/t", "size": 0})), ".linuxParameters.tmpfs[0].size", "1 MiB or more"),
        (
            tmpfs(json!({"containerPath": "/sys", "size": 1})),
            ".linuxParameters.tmpfs[0].containerPath",
            "lies in /proc",
        ),
        (option("rbind"), options, "is not one of a new tmpfs"),
        (option("mode=9"), options, "wants an octal number"),
        (option("size=5"), options, "is not known"),
        (option("nr_inodes"), options, "wants a value"),
    ];
    for (container, path, words) in table {
        refused("FARGATE", &volume(json!({})), &container, &format!("containerDefinitions[0]{path}"), words);
    }
}

#[test]
fn what_a_directory_of_this_host_cannot_give_is_said() {
    let mounted = json!({"mountPoints": [{"sourceVolume": "x", "containerPath": "/x"}]});
    let volumes = efs(json!({"fileSystemId": "fs-1", "transitEncryption": "ENABLED",
        "authorizationConfig": {"iam": "ENABLED", "accessPointId": "fsap-1"}}));
    let warnings = problems("FARGATE", &volumes, &mounted, Severity::Warning);
    for words in ["nothing is encrypted", "IAM authorization is not checked"] {
        assert!(warnings.iter().any(|(_, message)| message.contains(words)), "{warnings:#?}");
    }
    assert!(problems("FARGATE", &volumes, &mounted, Severity::Error).is_empty());
}
