//! Many tasks one after another and side by side: nothing may add up.

use std::thread;
use std::time::{Duration, Instant};

use crate::goals::report;
use crate::support::root::Root;
use crate::support::supervised::tries;
use crate::support::{definition, eventually};

/// How many tasks in all, unless `CYCLES` says another number.
const CYCLES: u32 = 200;
/// How many at once.
const LANES: u32 = 4;

#[test]
fn two_hundred_tasks_started_and_stopped_leave_nothing() {
    let root = Root::with_images(&["probe"]);
    let definition = definition(&[("web", &["listen", "80"])]);
    let file = root.file(&definition);
    let cycles = tries("CYCLES", CYCLES);
    let since = Instant::now();
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                for _ in 0..cycles / LANES {
                    let task = root.run_file(&file);
                    assert_eq!(root.describe(&task)["lastStatus"], "RUNNING");
                    root.stop(&task);
                }
            });
        }
    });
    let took = since.elapsed();
    let left = || root.present().len();
    let after = eventually(Duration::from_secs(10), "nothing is left", || Some(left()).filter(|left| *left == 0));
    let result = format!("{cycles}, {LANES} at once, in {:.1} s: {after} things left", took.as_secs_f64());
    report("start/stop cycles", &result, "10000, 0 left");
    let all = root.berth(["ps", "-a", "-q"]).ok();
    assert_eq!(all.lines().count(), (cycles / LANES * LANES) as usize);
    root.berth(["rm", "--stopped"]).ok();
    assert_eq!(root.berth(["ps", "-a", "-q"]).ok(), "");
    assert_eq!(std::fs::read_dir(root.path().join("tasks")).unwrap().count(), 0);
}
