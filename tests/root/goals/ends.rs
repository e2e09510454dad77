//! From the end of a task's process to nothing left of the task.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Times, report};
use crate::support::root::{Root, Task};
use crate::support::supervised::{PATIENCE, eventually_soon, init, tries};
use crate::support::{definition, eventually};

/// How many tasks are stopped, unless `GOAL_STOPS` says another number.
const STOPS: u32 = 10;

fn has_group(root: &Root, task: &Task) -> bool {
    ["pids", ""].iter().any(|controller| root.group(task, None, controller, "cgroup.procs").is_some())
}

#[test]
fn soon_after_its_process_nothing_of_a_stopped_task_is_left() {
    let root = Root::with_images(&["probe"]);
    let count = tries("GOAL_STOPS", STOPS);
    let mut times = Times::default();
    for _ in 0..count {
        let task = root.run_detached(&definition(&[("web", &["trap", "TERM", "--", "3"])]));
        let pidfd = berth::sys::pidfd::open(init(&root, &task)).unwrap();
        let stopping = root.start(["stop", &task.id]);
        let patience = PollTimeout::try_from(PATIENCE).unwrap();
        assert_eq!(poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], patience), Ok(1), "its process ends");
        let since = Instant::now();
        // The directory of locks and sockets is the last thing that goes.
        let run = root.path().join("run/tasks").join(&task.id);
        eventually_soon("its directory is gone", || (!run.exists()).then_some(()));
        times.add(since.elapsed());
        assert!(!has_group(&root, &task), "its groups are there");
        stopping.wait(PATIENCE).ok();
        eventually(Duration::from_secs(10), "nothing is left", || root.present().is_empty().then_some(()));
        root.berth(["rm", &task.id]).ok();
    }
    report("process's end to nothing left", &times.text(), "p99 100 ms");
}
