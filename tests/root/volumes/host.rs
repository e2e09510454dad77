//! Volumes that outlive their task: directories of the host, shared Docker volumes, and directories that stand for EFS.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use serde_json::{Value, json};

use super::{entries, mounted, on_instance, shell, with_volumes};
use crate::support::root::Root;

fn host(path: &str, script: &str) -> Value {
    let volumes = json!([{ "name": "v", "host": { "sourcePath": path } }]);
    on_instance(with_volumes(volumes, &[shell("web", script, mounted("v", "/v"))]))
}

#[test]
fn a_directory_of_the_host_is_mounted_if_the_operator_allows_it() {
    let root = Root::with_images(&["busybox"]);
    let shared = tempfile::tempdir().unwrap();
    let path = shared.path().canonicalize().unwrap();
    let text = path.to_str().unwrap();
    let refused = root.run(&host(text, "true"));
    assert_eq!(refused.code(), 1, "{refused:#?}");
    assert!(refused.stderr.contains("[volumes] host-paths") && refused.stderr.contains("config.toml"), "{refused:#?}");

    root.configure(&format!("[volumes]\nhost-paths = [{text:?}]\n"));
    fs::write(path.join("in"), "of the host\n").unwrap();
    assert_eq!(root.run(&host(text, "cat /v/in; echo of the task > /v/out")).ok(), "of the host\n");
    assert_eq!(fs::read_to_string(path.join("out")).unwrap(), "of the task\n");
    // as Docker: what is missing is made, and a file is mounted as a file
    assert_eq!(root.run(&host(&format!("{text}/a/b"), "echo x > /v/x")).code(), 0);
    assert_eq!(entries(&path.join("a/b")), ["x"]);
    assert_eq!(root.run(&host(&format!("{text}/in"), "cat /v")).ok(), "of the host\n");
}

#[test]
fn no_link_leads_out_of_what_the_operator_allows() {
    let root = Root::with_images(&["busybox"]);
    let (shared, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = shared.path().canonicalize().unwrap();
    root.configure(&format!("[volumes]\nhost-paths = [{path:?}]\n"));
    symlink(outside.path(), path.join("link")).unwrap();
    for below in ["link", "link/x"] {
        let finished = root.run(&host(&format!("{}/{below}", path.display()), "echo x > /v/x"));
        assert_eq!(finished.code(), 1, "{finished:#?}");
        assert!(
            finished.stderr.contains("CannotCreateContainerError") && finished.stderr.contains(below),
            "{finished:#?}"
        );
    }
    assert_eq!(entries(outside.path()), [""; 0]);
}

#[test]
fn a_shared_docker_volume_outlives_its_tasks_and_one_of_a_task_does_not() {
    let root = Root::with_images(&["busybox"]);
    let run = |docker: Value, script: &str| {
        let volumes = json!([{ "name": "v", "dockerVolumeConfiguration": docker }]);
        root.run(&on_instance(with_volumes(volumes, &[shell("web", script, mounted("v", "/v"))])))
    };
    let shared = json!({ "scope": "shared", "autoprovision": true });
    let absent = run(json!({ "scope": "shared" }), "true");
    assert!(absent.code() == 1 && absent.stderr.contains("autoprovision"), "{absent:#?}");
    assert_eq!(run(shared.clone(), "echo kept > /v/x").code(), 0);
    assert_eq!(run(shared, "cat /v/x").ok(), "kept\n");
    assert_eq!(run(json!({ "scope": "shared" }), "cat /v/x").ok(), "kept\n");
    let own = json!({ "scope": "task", "driver": "local" });
    assert_eq!(run(own.clone(), "ls /v; echo gone > /v/x").ok(), "");
    assert_eq!(run(own, "ls /v").ok(), "");
}

#[test]
fn a_directory_stands_for_an_efs_file_system() {
    let root = Root::with_images(&["busybox"]);
    let efs = tempfile::tempdir().unwrap();
    fs::create_dir_all(efs.path().join("app/data")).unwrap();
    let run = |configuration: Value, script: &str| {
        let volumes = json!([{ "name": "v", "efsVolumeConfiguration": configuration }]);
        root.run(&with_volumes(volumes, &[shell("web", script, mounted("v", "/v"))]))
    };
    let system = json!({ "fileSystemId": "fs-12345678", "rootDirectory": "/app/data" });
    let unknown = run(system.clone(), "true");
    assert!(unknown.code() == 1 && unknown.stderr.contains("[efs.\"fs-12345678\"]"), "{unknown:#?}");
    root.configure(&format!("[efs.\"fs-12345678\"]\ndirectory = {:?}\n", efs.path()));
    assert_eq!(run(system, "echo x > /v/x").code(), 0);
    assert_eq!(entries(&efs.path().join("app/data")), ["x"]);
    let absent = run(json!({ "fileSystemId": "fs-12345678", "rootDirectory": "/none" }), "true");
    assert!(absent.code() == 1 && absent.stderr.contains("none"), "{absent:#?}");
}

#[test]
fn through_an_access_point_everything_is_made_as_its_user_and_the_container_sees_its_own() {
    let root = Root::with_images(&["busybox"]);
    let efs = tempfile::tempdir().unwrap();
    root.configure(&format!(
        "[efs.fs-1]\ndirectory = {:?}\n[efs.fs-1.access-points.fsap-1]\n\
         directory = \"/of/app\"\nuid = 4321\ngid = 8765\nmode = \"0750\"\n",
        efs.path()
    ));
    let configuration = json!({ "fileSystemId": "fs-1", "transitEncryption": "ENABLED",
        "authorizationConfig": { "accessPointId": "fsap-1" } });
    let run = |user: &str, script: &str| {
        let mut container = shell("web", script, mounted("v", "/v"));
        container["user"] = json!(user);
        let volumes = json!([{ "name": "v", "efsVolumeConfiguration": configuration }]);
        root.run(&with_volumes(volumes, &[container]))
    };
    let seen = "stat -c '%u %g' /v /v/*";
    assert_eq!(run("0", &format!("echo x > /v/by-root; {seen}")).ok(), "0 0\n0 0\n");
    let directory = efs.path().join("of/app");
    for path in [directory.clone(), directory.join("by-root")] {
        let stat = path.metadata().unwrap();
        assert_eq!((stat.uid(), stat.gid()), (4321, 8765), "{}", path.display());
    }
    assert_eq!(directory.metadata().unwrap().permissions().mode() & 0o7777, 0o750);
    // another user of a container is the same one on the file system
    assert_eq!(run("1000:1000", &format!("echo y >> /v/by-root; {seen}")).ok(), "1000 1000\n1000 1000\n");
    assert_eq!(fs::read_to_string(directory.join("by-root")).unwrap(), "x\ny\n");
    // what belongs to others is not the container's, not even to root
    fs::write(directory.join("foreign"), "secret").unwrap();
    fs::set_permissions(directory.join("foreign"), fs::Permissions::from_mode(0o600)).unwrap();
    let finished = run("0", "stat -c %u /v/foreign; ! cat /v/foreign; ! chown 0 /v/foreign");
    assert_eq!(finished.ok(), "65534\n");
}
