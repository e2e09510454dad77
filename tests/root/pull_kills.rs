//! Pulls that are killed at any moment, over and over: the next one comes to the same store as if nothing had happened.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use berth::image::ImageStore;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::support::command::Running;
use crate::support::registry::{Door, Registry};
use crate::support::root::Root;
use crate::support::{eventually, say, tree};

const PATIENCE: Duration = Duration::from_secs(60);
/// How many pulls are killed, if KILLS does not say.
const KILLS: usize = 200;

/// Who is killed.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Caller,
    Worker,
    Both,
}

#[test]
fn pulls_killed_at_random_moments_leave_nothing_and_the_next_one_is_right() {
    let registry = Registry::with_images(Door::Open, &["layers20"]);
    let image = registry.image("layers20");
    let untouched = Root::new();
    let whole = measured(&untouched, &image);
    let root = Root::new();
    root.berth(["image", "pull", &image]).ok(); // both stores have seen a pull and a removal, and have the files of those
    root.berth(["image", "rm", &image]).ok();
    let kills = std::env::var("KILLS").map_or(KILLS, |text| text.parse().expect("KILLS is a number"));
    let seed = std::env::var("KILLS_SEED").map_or_else(|_| rand::random(), |text| text.parse().expect("a number"));
    let mut random = SmallRng::seed_from_u64(seed);
    let (mut killed, mut ended) = ([0; 3], 0);
    while killed.iter().sum::<usize>() < kills {
        let pull = root.start(["image", "pull", &image]);
        let victim = [Victim::Caller, Victim::Worker, Victim::Both][random.random_range(0..3)];
        thread::sleep(random.random_range(Duration::ZERO..whole)); // the moment is what is tested
        strike(&pull, victim);
        let finished = pull.wait(PATIENCE);
        if finished.status.success() {
            ended += 1;
            root.berth(["image", "rm", &image]).ok();
        } else {
            killed[victim as usize] += 1;
        }
    }
    say(&format!(
        "killed {killed:?} pulls (caller, worker, both) of {:.0} ms, {ended} more had ended; KILLS_SEED={seed}",
        whole.as_secs_f64() * 1e3
    ));
    root.berth(["image", "pull", &image]).ok();
    let stored = ImageStore::open(&root.path().join("images")).unwrap();
    let stored = stored.resolve(&image.parse().unwrap()).unwrap().unwrap();
    tree::assert_is(&tree::of_image(&stored), &tree::expected("layers20"));
    let (found, wanted) = (files(&root), files(&untouched));
    let stray: Vec<_> = found.difference(&wanted).take(20).collect();
    let lost: Vec<_> = wanted.difference(&found).take(20).collect();
    assert!(stray.is_empty() && lost.is_empty(), "stray: {stray:#?}, lost: {lost:#?}, KILLS_SEED={seed}");
    eventually(Duration::from_secs(5), "no process is left", || root.present().is_empty().then_some(()));
}

/// How long a pull takes, from the median of five; the image is there then.
fn measured(root: &Root, image: &str) -> Duration {
    let pull = || {
        root.berth(["image", "rm", image]);
        let since = Instant::now();
        root.berth(["image", "pull", image]).ok();
        since.elapsed()
    };
    let mut times: Vec<_> = (0..5).map(|_| pull()).collect();
    times.sort();
    times[2]
}

/// Kills a pull, if it still runs.
fn strike(pull: &Running, victim: Victim) {
    let caller = pull.pid();
    let children = fs::read_to_string(format!("/proc/{caller}/task/{caller}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|pid| Some(Pid::from_raw(pid.parse().ok()?)));
    let workers = children.filter(|_| !matches!(victim, Victim::Caller));
    let callers = Some(caller).filter(|_| !matches!(victim, Victim::Worker));
    for pid in callers.into_iter().chain(workers) {
        // one that has ended meanwhile is left alone
        kill(pid, Signal::SIGKILL).ok();
    }
}

/// All that is in a root's image store, by path.
fn files(root: &Root) -> BTreeSet<PathBuf> {
    fn walk(directory: &Path, top: &Path, found: &mut BTreeSet<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            found.insert(entry.path().strip_prefix(top).unwrap().to_owned());
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), top, found);
            }
        }
    }
    let (top, mut found) = (root.path().join("images"), BTreeSet::new());
    walk(&top, &top, &mut found);
    found
}
