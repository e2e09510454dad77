//! What becomes of volumes and mounts in a plan, one rule each.

use super::*;
use crate::plan::Layout;

fn task(json: &str) -> TaskDefinition {
    serde_json::from_str(json).unwrap()
}

fn planned(
    task: &TaskDefinition,
    settings: &StorageSettings,
) -> Result<(StoragePlan, Vec<Vec<MountPlan>>), VolumeError> {
    let images = vec![ImageFacts::default(); task.container_definitions.len()];
    storage(task, &images, &Layout::system().task("t"), "0123456789abcdef0123", settings)
}

fn paths(mounts: &[MountPlan]) -> Vec<(&str, Access)> {
    mounts.iter().map(|mount| (mount.path.as_str(), mount.access)).collect()
}

const SHARING: &str = r#"{"family": "f", "volumes": [{"name": "v"}, {"name": "w"}], "containerDefinitions": [
    {"name": "a", "image": "x", "mountPoints": [
        {"sourceVolume": "w", "containerPath": "/data/w/"}, {"sourceVolume": "v", "containerPath": "/data"}],
     "linuxParameters": {"tmpfs": [{"containerPath": "/scratch", "size": 1}]}},
    {"name": "b", "image": "x", "volumesFrom": [{"sourceContainer": "a", "readOnly": true}]},
    {"name": "c", "image": "x", "volumesFrom": [{"sourceContainer": "b"}],
     "mountPoints": [{"sourceVolume": "w", "containerPath": "/data"}]}]}"#;

#[test]
fn volumes_come_from_others_with_their_access_and_own_mounts_win() {
    let (_, mounts) = planned(&task(SHARING), &StorageSettings::default()).unwrap();
    let (rw, ro) = (Access::ReadWrite, Access::ReadOnly);
    assert_eq!(paths(&mounts[0]), [("/data", rw), ("/scratch", rw), ("/data/w", rw)], "parents first");
    assert_eq!(paths(&mounts[1]), [("/data", ro), ("/data/w", ro)], "a tmpfs is not shared");
    assert_eq!(paths(&mounts[2]), [("/data", rw), ("/data/w", ro)]);
    assert_eq!(mounts[2][0].source, MountSource::Volume(1));
}

#[test]
fn a_path_that_an_image_declares_is_a_volume_where_that_can_be_seen() {
    let image = ImageFacts { volumes: vec!["/cache".into(), "/dev".into()], ..ImageFacts::default() };
    let count = |more: &str| {
        let text = format!(r#"{{"family": "f", "containerDefinitions": [{{"name": "a", "image": "x"{more}}}]}}"#);
        let (plan, mounts) = storage(
            &task(&text),
            std::slice::from_ref(&image),
            &Layout::system().task("t"),
            "t",
            &StorageSettings::default(),
        )
        .unwrap();
        assert_eq!(plan.volumes.len(), mounts[0].len());
        mounts[0].len()
    };
    assert_eq!(count(""), 0);
    assert_eq!(count(r#", "readonlyRootFilesystem": true"#), 1);
}

#[test]
fn a_host_path_has_to_be_allowed() {
    let with = |path: &str| {
        let text = format!(
            r#"{{"family": "f", "requiresCompatibilities": ["EC2"], "containerDefinitions": [],
                "volumes": [{{"name": "v", "host": {{"sourcePath": "{path}"}}}}]}}"#
        );
        let settings = StorageSettings {
            host_paths: vec!["/srv".into(), "/srv/deep".into()],
            file: "/etc/berth/config.toml".into(),
            ..StorageSettings::default()
        };
        planned(&task(&text), &settings).map(|(plan, _)| plan.volumes[0].source.clone())
    };
    let host = |allowed: &str, below: &str| VolumeSource::Host { allowed: allowed.into(), below: below.into() };
    assert_eq!(with("/srv/deep/a//b/"), Ok(host("/srv/deep", "a/b")));
    assert_eq!(with("/srv"), Ok(host("/srv", "")));
    for path in ["/srvx", "/", "/etc"] {
        let error = with(path).unwrap_err().to_string();
        assert!(error.contains("host-paths in /etc/berth/config.toml"), "{error}");
    }
}

#[test]
fn an_efs_volume_is_a_directory_that_the_operator_has_named() {
    let identity = Identity { uid: 7, gid: 8, mode: 0o755 };
    let point = AccessPoint { directory: "app".into(), identity };
    let system = FileSystem { directory: "/srv/efs".into(), access_points: BTreeMap::from([("fsap-1".into(), point)]) };
    let settings =
        StorageSettings { file_systems: BTreeMap::from([("fs-1".into(), system)]), ..StorageSettings::default() };
    let with = |id: &str, more: &str| {
        let text = format!(
            r#"{{"family": "f", "containerDefinitions": [],
                "volumes": [{{"name": "v", "efsVolumeConfiguration": {{"fileSystemId": "{id}"{more}}}}}]}}"#
        );
        planned(&task(&text), &settings).map(|(plan, _)| plan.volumes[0].source.clone())
    };
    let efs = |below: &str, identity| VolumeSource::Efs { directory: "/srv/efs".into(), below: below.into(), identity };
    assert_eq!(with("fs-1", r#", "rootDirectory": "/a/b""#), Ok(efs("a/b", None)));
    let access = r#", "authorizationConfig": {"accessPointId": "fsap-1"}"#;
    assert_eq!(with("fs-1", access), Ok(efs("app", Some(identity))));
    assert!(with("fs-2", "").unwrap_err().to_string().contains("[efs.\"fs-2\"]"));
    let error = with("fs-1", &access.replace("fsap-1", "fsap-2")).unwrap_err().to_string();
    assert!(error.contains("no access point fsap-2"), "{error}");
}

#[test]
fn what_a_run_configures_has_to_fit_the_definition() {
    let run = |volumes: &str, configurations: &str| {
        let text = format!(r#"{{"family": "f", "containerDefinitions": [], "volumes": {volumes}}}"#);
        let configurations = serde_json::from_str(configurations).unwrap();
        let settings = StorageSettings { configurations, ebs: "/kept".into(), ..StorageSettings::default() };
        planned(&task(&text), &settings).map(|(plan, _)| plan.volumes[0].source.clone())
    };
    let (launched, plain) = (r#"[{"name": "v", "configuredAtLaunch": true}]"#, r#"[{"name": "v"}]"#);
    let volume = r#"[{"name": "v", "managedEBSVolume": {"sizeInGiB": 2, "roleArn": "r", "filesystemType": "ext4"}}]"#;
    let Ok(VolumeSource::Ebs { id, disk }) = run(launched, volume) else { panic!("it is an EBS volume") };
    assert_eq!((id.as_str(), disk.bytes, disk.end), ("vol-0123456789abcdef0", 2 << 30, DiskEnd::Removed));
    let kept = volume.replace("\"roleArn\"", "\"terminationPolicy\": {\"deleteOnTermination\": false}, \"roleArn\"");
    let Ok(VolumeSource::Ebs { disk, .. }) = run(launched, &kept) else { panic!("it is an EBS volume") };
    assert_eq!((disk.end, disk.file), (DiskEnd::Kept, PathBuf::from("/kept/vol-0123456789abcdef0")));
    let error = |result: Result<VolumeSource, VolumeError>| result.unwrap_err().to_string();
    assert!(error(run(launched, "[]")).contains("no volume configuration provided at runtime"));
    assert!(error(run(plain, volume)).contains("no matching configuredAtLaunch volume found"));
}

#[test]
fn a_task_has_the_storage_that_it_asks_for_or_fargates_own() {
    let disk = |more: &str| {
        let text = format!(r#"{{"family": "f", "containerDefinitions": [], "requiresCompatibilities": {more}}}"#);
        let settings = StorageSettings { templates: Some("/templates".into()), ..StorageSettings::default() };
        let plan = planned(&task(&text), &settings).unwrap().0;
        plan.disk.map(|disk| disk.bytes >> 30)
    };
    assert_eq!(disk(r#"["EC2", "FARGATE"]"#), Some(20));
    assert_eq!(disk(r#"["FARGATE"], "ephemeralStorage": {"sizeInGiB": 33}"#), Some(33));
    assert_eq!(disk(r#"["EC2"]"#), None);
}

#[test]
fn options_of_a_tmpfs_are_dockers_and_the_definitions() {
    let plan = |options: &[&str]| {
        let tmpfs = Tmpfs {
            container_path: "/t".to_owned(),
            size: 2,
            mount_options: Some(options.iter().map(|option| (*option).to_owned()).collect()),
        };
        let MountPlan { source: MountSource::Memory(plan), access, .. } = in_memory(&tmpfs).unwrap() else {
            panic!("it is in memory")
        };
        (plan, access)
    };
    let (default, access) = plan(&[]);
    assert_eq!((default.bytes, access), (2 << 20, Access::ReadWrite));
    assert!(!default.suid && !default.dev && !default.exec);
    let (asked, access) = plan(&["ro", "exec", "mode=700", "uid=5", "noatime"]);
    assert!(asked.exec && access == Access::ReadOnly && asked.times == AccessTimes::None);
    assert_eq!(asked.parameters, [("mode".to_owned(), "700".to_owned()), ("uid".to_owned(), "5".to_owned())]);
}
