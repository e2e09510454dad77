//! What is wrong from the start: the sentence names the thing and the way out, 2 is for usage and 1 for failure, and
//! nothing stays behind.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::json;

use crate::support::command::{Finished, Running};
use crate::support::root::Root;
use crate::support::{container, definition, task};

const PATIENCE: Duration = Duration::from_secs(30);

fn assert_refused(finished: &Finished, code: i32, words: &[&str]) {
    assert_eq!(finished.code(), code, "{finished:#?}");
    for word in words {
        assert!(finished.stderr.contains(word), "{word:?} is not in {}", finished.stderr);
    }
}

/// No task, no lease, nothing on the host.
fn assert_untouched(root: &Root) {
    assert_eq!(root.berth(["ps", "-a", "-q"]).ok(), "");
    assert_eq!(root.present(), Vec::<String>::new());
}

#[test]
fn a_command_line_that_makes_no_sense_is_a_wrong_usage() {
    let root = Root::new();
    for args in [&["run"][..], &["stop"], &["runn", "x"], &["logs", "--tail", "x", "3f"], &["--format", "xml", "ps"]] {
        assert_refused(&root.berth(args), 2, &["--help"]);
    }
    assert_untouched(&root);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let root = Root::new();
    assert_refused(&root.berth(["run", "/no/such/file.json"]), 2, &["/no/such/file.json", "No such file"]);
    assert_refused(&root.berth(["run", "/tmp"]), 2, &["/tmp", "directory"]);
    assert_refused(&root.berth(["image", "import", "/no/such/image.tar"]), 1, &["/no/such/image.tar"]);
    assert_untouched(&root);
}

#[test]
fn a_definition_with_mistakes_is_refused_with_all_of_them() {
    let root = Root::with_images(&["probe"]);
    let file = root.path().join("broken.json");
    fs::write(&file, "{\n  \"family\": \"x\",\n  \"containerDefinitions\": [\n    {,}\n").unwrap();
    let broken = root.berth([OsStr::new("run"), file.as_os_str()]);
    assert_refused(&broken, 2, &["broken.json:4:6", "cannot be run"]);
    let mut wrong = definition(&[("web", &["exit", "0"]), ("web", &["exit", "0"])]);
    wrong["cpu"] = json!("300");
    wrong["containerDefinitions"][0]["memry"] = json!(64);
    wrong["containerDefinitions"][1]["dependsOn"] = json!([{ "containerName": "db", "condition": "START" }]);
    // for `lint` the mistakes are the result, and not a wrong use of it
    for (run, code) in [(&["run"][..], 2), (&["run", "-d"], 2), (&["lint"], 1)] {
        let file = root.file(&wrong);
        let finished = root.berth(run.iter().map(OsStr::new).chain([file.as_os_str()]));
        let words = ["cpu", "containerDefinitions[0].memry", "memory", "containerDefinitions[1]", "db"];
        assert_eq!(finished.code(), code, "{finished:#?}");
        let said = finished.stderr.clone() + &finished.stdout;
        words.iter().for_each(|word| assert!(said.contains(word), "{word:?} is not in {said}"));
    }
    assert_untouched(&root);
}

#[test]
fn an_image_that_cannot_be_had_is_named_with_the_reason() {
    let root = Root::with_images(&["probe"]);
    // nobody listens there
    let finished = root.run(&task(&[container("web", &["x"], json!({ "image": "127.0.0.1:1/nosuch:1" }))]));
    let reason = "CannotPullContainerError: pull image manifest has been retried 3 time(s): failed to resolve ref \
                  127.0.0.1:1/nosuch:1";
    assert_refused(&finished, 1, &[reason, "refused"]);
    let record = root.list(&["-a"]).remove(0);
    assert_eq!((&record["lastStatus"], &record["stopCode"]), (&json!("STOPPED"), &json!("TaskFailedToStart")));
    assert!(record["stoppedReason"].as_str().unwrap().starts_with(reason), "{record:#}");
    root.berth(["rm", record["taskArn"].as_str().unwrap()]).ok();
    let finished = root.run(&task(&[container("web", &["x"], json!({ "user": "nobody-knows" }))]));
    assert_refused(&finished, 1, &["web", "nobody-knows"]);
    assert_untouched(&root);
}

#[test]
fn a_subnet_without_a_free_address_is_named_and_one_that_is_given_back_is_used() {
    let root = Root::with_images(&["probe"]);
    let subnet = "id = \"subnet-0123abcd\"\nzone = \"us-east-1a\"\ncidr = \"10.213.77.16/28\"\n";
    root.configure(&format!("[vpc]\ncidr = \"10.213.77.0/24\"\n[[vpc.subnets]]\n{subnet}"));
    let definition = definition(&[("web", &["sleep"])]);
    // sixteen less the five that AWS keeps
    let tasks: Vec<_> = (0..11).map(|_| root.run_detached(&definition)).collect();
    let mut addresses: Vec<_> = tasks.iter().map(|task| task.address()).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 11);
    let refused = root.run(&definition);
    assert_refused(&refused, 1, &["no address is free", "10.213.77.16/28", "stop a task"]);
    assert_eq!(root.berth(["ps", "-a", "-q"]).ok().lines().count(), 11, "the refused one has no record");
    root.berth(["rm", "-f", &tasks[3].id]).ok();
    assert_eq!(root.run_detached(&definition).address(), tasks[3].address());
    let all = root.berth(["ps", "-q"]).ok();
    root.berth(["rm", "-f"].into_iter().chain(all.lines())).ok();
}

#[test]
fn a_configuration_with_a_mistake_is_named_with_its_line() {
    let root = Root::new();
    root.configure("region = \"us-east-1\"\npids-limits = 3\n");
    assert_refused(&root.berth(["ps"]), 1, &["config.toml", "line 2", "pids-limits"]);
    root.configure("[vpc]\ncidr = \"10.0.0.0/8\"\n");
    assert_refused(&root.berth(["ps"]), 1, &["config.toml", "10.0.0.0/8"]);
    root.configure("");
    assert_untouched(&root);
}

/// A small file system of its own for one test.
pub(super) struct Disk(tempfile::TempDir);

impl Disk {
    /// With these options of tmpfs.
    pub(super) fn with(options: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        mount(Some("none"), directory.path(), Some("tmpfs"), MsFlags::empty(), Some(options)).unwrap();
        Self(directory)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes until nothing more goes in.
    fn fill(&self) -> std::path::PathBuf {
        let path = self.0.path().join("filler");
        let mut file = fs::File::create(&path).unwrap();
        for block in [&[0_u8; 65_536][..], &[0; 512]] {
            while file.write_all(block).is_ok() {}
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        umount2(self.0.path(), MntFlags::MNT_DETACH).ok();
    }
}

#[test]
fn a_full_disk_is_said_and_when_there_is_room_again_all_goes_on() {
    let disk = Disk::with("size=24m");
    let root = Root::below(disk.path());
    root.import(&crate::support::fixture("probe"));
    let file = root.file(&definition(&[("web", &["exit", "7"])]));
    let run = || root.berth([OsStr::new("run"), file.as_os_str()]);
    assert_eq!(run().code(), 7);
    let filler = disk.fill();
    let full = run();
    assert_eq!(full.code(), 1, "{full:#?}");
    let said = full.stderr.to_lowercase();
    assert!(said.contains("no space left on device") || said.contains("disk is full"), "{said}");
    let import =
        root.berth([OsStr::new("image"), OsStr::new("import"), crate::support::fixture("busybox").as_os_str()]);
    assert_refused(&import, 1, &["no space left on device"]);
    fs::remove_file(filler).unwrap();
    assert_eq!(run().code(), 7);
    root.import(&crate::support::fixture("busybox"));
}

/// Runs the program as nobody; a copy of it, because the directory it was built in need not be open to all.
fn as_nobody(root: &Path, args: &[&OsStr]) -> Finished {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = directory.path().join("berth");
    // by another process: a child that some other test forks meanwhile would hold a file of ours open for writing
    let copied = std::process::Command::new("cp").arg(crate::support::binary()).arg(&program).status().unwrap();
    assert!(copied.success());
    let mut command = std::process::Command::new(program);
    command.arg("--root").arg(root).args(args).uid(65_534).gid(65_534).current_dir("/");
    Running::start(command).wait(PATIENCE)
}

#[test]
fn without_root_it_says_that_root_is_needed() {
    let root = Root::with_images(&["probe"]);
    let file = root.file(&definition(&[("web", &["exit", "0"])]));
    let run = as_nobody(root.path(), &[OsStr::new("run"), file.as_os_str()]);
    assert_refused(&run, 1, &["needs root", "sudo"]);
    assert_untouched(&root);

    // a root directory of one's own does not help
    let own = tempfile::tempdir().unwrap();
    let definition = own.path().join("definition.json");
    fs::copy(file, &definition).unwrap();
    chown(own.path(), Some(65_534), Some(65_534)).unwrap();
    fs::set_permissions(&definition, fs::Permissions::from_mode(0o644)).unwrap();
    let run = as_nobody(&own.path().join("root"), &[OsStr::new("run"), definition.as_os_str()]);
    assert_refused(&run, 1, &["needs root", "sudo"]);
    assert!(!own.path().join("root").exists(), "and nothing was made before it was said");
}
