//! The leak check itself: that it sees each kind of thing that a root can leave behind, so that its silence means
//! something.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use berth::plan::Layout;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::support::leaks::Leaks;
use crate::support::root::Root;
use crate::support::{definition, eventually};

/// The id of a task that there never was: processes that have it on their command lines are counted.
const TASK: &str = "0123456789abcdef0123456789abcdef";

fn scratch() -> (tempfile::TempDir, Leaks) {
    let directory = tempfile::tempdir().unwrap();
    let leaks = Leaks::of(&directory.path().canonicalize().unwrap());
    (directory, leaks)
}

/// A process that another test is just starting has a copy of our descriptors until it executes its program: so the look
/// is repeated.
fn seen(leaks: &Leaks, what: &str, is: impl Fn(&[String]) -> bool) {
    eventually(Duration::from_secs(5), what, || is(&leaks.present()).then_some(()));
}

fn one_line_with(leaks: &Leaks, what: &str) {
    seen(leaks, what, |present| present.len() == 1 && present[0].starts_with(what));
}

#[test]
fn a_new_root_leaves_nothing() {
    let (_directory, leaks) = scratch();
    assert_eq!(leaks.present(), Vec::<String>::new());
}

#[test]
fn a_process_that_names_the_root_is_seen_and_removed() {
    let (directory, leaks) = scratch();
    let mut command = Command::new("sh");
    let mut child = command.args(["-c", "read x", "sh"]).arg(directory.path()).stdin(Stdio::piped()).spawn().unwrap();
    eventually(Duration::from_secs(5), "the process is seen", || (!leaks.present().is_empty()).then_some(()));
    one_line_with(&leaks, &format!("process: {} names the root", child.id()));
    leaks.remove();
    assert!(!child.wait().unwrap().success());
    assert_eq!(leaks.after(Duration::from_secs(5)), Vec::<String>::new());
}

#[test]
fn a_process_that_holds_a_file_of_the_root_is_seen() {
    let (directory, leaks) = scratch();
    let file = fs::File::create(directory.path().join("x")).unwrap();
    let mut child = Command::new("sleep").arg("100").stdin(file).spawn().unwrap();
    eventually(Duration::from_secs(5), "the process is seen", || (!leaks.present().is_empty()).then_some(()));
    one_line_with(&leaks, &format!("process: {} holds a file of it", child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_mount_is_seen_and_removed() {
    let (directory, leaks) = scratch();
    let point = directory.path().join("point");
    fs::create_dir(&point).unwrap();
    mount(Some("none"), &point, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    one_line_with(&leaks, "mount: ");
    leaks.remove();
    seen(&leaks, "nothing", <[String]>::is_empty);
    assert!(umount2(&point, MntFlags::empty()).is_err());
}

#[test]
fn a_loop_device_is_seen_and_removed() {
    let (directory, leaks) = scratch();
    let file = directory.path().join("disk");
    fs::File::create(&file).unwrap().set_len(1 << 20).unwrap();
    // another test may take the free device that losetup has been told of
    eventually(Duration::from_secs(5), "a device", || {
        Command::new("losetup").arg("--find").arg(&file).status().unwrap().success().then_some(())
    });
    one_line_with(&leaks, "loop device: /dev/loop");
    leaks.remove();
    seen(&leaks, "nothing", <[String]>::is_empty);
}

#[test]
fn a_cgroup_is_seen_and_removed() {
    let (directory, leaks) = scratch();
    let name = format!("berth-{}", Layout::below(&directory.path().canonicalize().unwrap()).tag());
    let hierarchies = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"];
    let hierarchy = hierarchies.iter().map(Path::new).find(|path| path.join("cgroup.procs").exists()).unwrap();
    fs::create_dir_all(hierarchy.join(&name).join("task")).unwrap();
    seen(&leaks, "both groups", |present| present.len() == 2);
    leaks.remove();
    seen(&leaks, "nothing", <[String]>::is_empty);
}

#[test]
fn files_of_a_task_are_seen() {
    let (directory, leaks) = scratch();
    let (run, state) = (directory.path().join("run"), directory.path().join("tasks").join(TASK));
    fs::create_dir_all(run.join("tasks").join(TASK)).unwrap();
    one_line_with(&leaks, "file: ");
    fs::remove_dir(run.join("tasks").join(TASK)).unwrap();
    fs::create_dir_all(state.join("upper/web/fs")).unwrap();
    seen(&leaks, "both files", |present| present.len() == 2);
    fs::remove_dir_all(state.join("upper/web")).unwrap();
    fs::write(state.join("disk"), "").unwrap();
    one_line_with(&leaks, "file: ");
    fs::remove_file(state.join("disk")).unwrap();
    fs::create_dir_all(run.join("seccomp")).unwrap();
    symlink("logs", state.join("logs")).unwrap();
    seen(&leaks, "nothing", <[String]>::is_empty);
}

#[test]
fn everything_that_a_running_task_has_is_seen_and_goes_with_it() {
    let root = Root::with_images(&["probe"]);
    let task = root.run_detached(&definition(&[("web", &["listen", "80"])]));
    let seen = eventually(Duration::from_secs(10), "the task has everything", || {
        let present = root.present();
        let kinds = ["process: ", "cgroup: ", "link: ve", "nftables table: ", "file: "];
        let has = |kind: &&str| present.iter().any(|line| line.starts_with(*kind));
        kinds.iter().all(has).then_some(present)
    });
    assert!(seen.iter().any(|line| line.contains("names a task of the root: berth supervise")), "{seen:#?}");
    root.stop(&task);
    // the end of the root checks that nothing is left
}
