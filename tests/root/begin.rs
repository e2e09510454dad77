//! A run directory without room: wherever the start of a task fails, whoever asked for it hears so, what can be removed is, and
//! with room again nothing is left.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use crate::support::root::Root;
use crate::support::supervised::processes;
use crate::support::{definition, eventually, say};

/// A supervisor that cannot begin tries for some seconds.
const TRIES: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(60);

/// A file system in memory with so many files and directories, over one directory.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn over(directory: &'a Path, files: u32) -> Self {
        let options = format!("nr_inodes={files},mode=700");
        mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::empty(), Some(options.as_str())).unwrap();
        Self(directory)
    }

    fn grow(&self) {
        let nothing: Option<&str> = None;
        mount(nothing, self.0, nothing, MsFlags::MS_REMOUNT, Some("nr_inodes=10000")).unwrap();
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = umount2(self.0, MntFlags::MNT_DETACH);
    }
}

/// In a mount namespace of the test's own: what is mounted here nobody else's processes have.
#[test]
fn a_task_ends_wherever_its_start_fails_and_a_supervisor_that_cannot_begin_says_so() {
    let inside = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let nothing: Option<&str> = None;
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).unwrap();
        starts_with_little_room();
    });
    if let Err(panic) = inside.join() {
        std::panic::resume_unwind(panic);
    }
}

fn starts_with_little_room() {
    let root = Root::with_images(&["probe"]);
    let file = root.file(&definition(&[("web", &["sleep"])]));
    let run = root.path().join("run");
    std::fs::create_dir_all(&run).unwrap();
    let (mut given_up, mut ran) = (0, 0);
    for files in 3..40 {
        let small = Small::over(&run, files);
        let mut command = root.command([Path::new("run"), Path::new("-d"), &file]);
        let mut running = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let began = Instant::now();
        let mut status = None;
        while status.is_none() && began.elapsed() < TRIES {
            std::thread::sleep(Duration::from_millis(20));
            status = running.try_wait().unwrap();
        }
        small.grow(); // what could not even be removed can be now
        let status = eventually(PATIENCE, "it ends", || running.try_wait().unwrap());
        let mut said = String::new();
        std::io::Read::read_to_string(&mut running.stderr.take().unwrap(), &mut said).unwrap();
        given_up += usize::from(said.contains("could not begin, however often it tried"));
        for id in root.berth(["ps", "-a", "-q"]).ok().split_whitespace() {
            match status.code() {
                Some(0) => drop(root.berth(["rm", "-f", id]).ok()),
                Some(1) => {
                    let task = eventually(PATIENCE, "it has stopped", || {
                        let task = root.berth(["--format", "json", "describe", id]).json()["tasks"][0].clone();
                        (task["lastStatus"] == "STOPPED").then(|| task.to_string())
                    });
                    assert!(task.contains("TaskFailedToStart"), "{files}: {task}"); // not every reason says what was short
                    root.berth(["rm", id]).ok();
                }
                code => panic!("{files}: exit code {code:?}: {said}"),
            }
            eventually(PATIENCE, "no supervisor is left", || processes(&["supervise", id]).is_empty().then_some(()));
        }
        assert!(!said.contains("panicked"), "{said}");
        ran += usize::from(status.success());
        if ran == 2 {
            break; // with more it runs, too
        }
    }
    say(&format!("{given_up} supervisors were given up"));
    assert!(given_up > 0 && ran > 0, "{given_up} were given up, {ran} ran");
}
