//! `make chaos`: something goes wrong at every named point of the code (`src/sys/failpoint.rs`), one thing at a time, and
//! after each the world must be as it should be: the task runs or says why it does not, there is no second one, exit codes
//! and logs are right, and nothing is left. First every point of every scenario with every fault, then at random until the
//! time is over. The same seed gives the same order.
//!
//!     CHAOS_SECONDS=60 CHAOS_SEED=1 cargo test --features failpoints --test chaos
#![cfg(test)]

mod faults;
mod lane;
mod report;
mod scenarios;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "it is shared with the suite that needs root, which uses the rest")]
mod support;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};

use faults::{Experiment, Fault, Kind};
use lane::Lane;
use report::Report;
use scenarios::SCENARIOS;
use support::say;

/// How many experiments at once: what two callers do to each other is seen too.
const LANES: usize = 2;

#[test]
fn whatever_goes_wrong_at_a_step_the_world_is_as_it_should_be_afterwards() {
    let (time, seed) = (setting("CHAOS_SECONDS", 60), setting("CHAOS_SEED", 1));
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ())); // what goes wrong is in the report
    let mut report = Report::default();
    let points = discover(&mut report);
    if report.bad() == 0 {
        report = experiments(&points, report, Duration::from_secs(time), seed);
    }
    std::panic::set_hook(loud);
    say(&format!("chaos: {time} s, seed {seed}\n{}", report.text(&points)));
    assert_eq!(report.bad(), 0, "see the report above");
}

/// Both of a container's words on disk, the moment between the second and the start of the program, and the one after it.
#[test]
fn a_program_that_was_let_go_runs_once_whoever_dies_then() {
    let mut lane = Lane::new();
    let scenario = SCENARIOS.iter().position(|scenario| scenario.name == "run to the end").expect("it is there");
    let words = (0..4).map(|skip| ("word: written", skip));
    let moments = ["start: the second word is on disk", "start: the program runs"].map(|point| (point, 0));
    for (point, skip) in words.chain(moments) {
        for fault in [Fault::Kill, Fault::KillParent] {
            let outcome = lane.run(&Experiment { scenario, point: point.to_owned(), fault, skip });
            assert!(outcome.fired, "{point} ({skip} before) was not reached");
            assert_eq!(outcome.bad, None, "{} at {point} ({skip} before)", fault.word());
        }
    }
    assert_eq!(lane.end(), None);
}

#[test]
fn what_is_left_behind_is_seen() {
    let mut lane = Lane::new();
    let played = lane.play(|play, _| drop(scenarios::started(play)), None);
    let why = played.err().expect("a task that still runs is something left");
    assert!(why.contains("nothing is left") && why.contains("process: "), "{why}");
}

/// Plays until the time is over.
fn experiments(points: &Points, mut report: Report, time: Duration, seed: u64) -> Report {
    let mut random = StdRng::seed_from_u64(seed);
    let mut queue = systematic(points);
    queue.shuffle(&mut random);
    report.planned = queue.len();
    let deadline = Instant::now() + time;
    let (work, report) = (Mutex::new((queue, random)), Mutex::new(report));
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let mut lane = Lane::new();
                while Instant::now() < deadline {
                    let experiment = next(&mut work.lock().unwrap(), points);
                    let outcome = lane.run(&experiment);
                    report.lock().unwrap().add(&experiment, outcome);
                }
                let left = lane.end();
                report.lock().unwrap().add_leaks(left);
            });
        }
    });
    report.into_inner().unwrap()
}

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value}: a number?")))
}

/// The points that each scenario reaches when nothing goes wrong.
type Points = BTreeMap<usize, BTreeMap<String, Kind>>;

fn discover(report: &mut Report) -> Points {
    let mut lane = Lane::new();
    let mut points = Points::new();
    for (place, scenario) in SCENARIOS.iter().enumerate() {
        match lane.discover(scenario.play) {
            Ok(found) => drop(points.insert(place, found)),
            Err(why) => report.add_failure(scenario.name, "nothing at all", &why),
        }
    }
    report.add_leaks(lane.end());
    points
}

/// Every point with every fault that it can have.
fn systematic(points: &Points) -> Vec<Experiment> {
    let mut all = Vec::new();
    for (scenario, points) in points {
        for (point, kind) in points {
            let faults = Fault::of(*kind).iter();
            all.extend(faults.map(|fault| Experiment {
                scenario: *scenario,
                point: point.clone(),
                fault: *fault,
                skip: 0,
            }));
        }
    }
    all
}

fn next((queue, random): &mut (Vec<Experiment>, StdRng), points: &Points) -> Experiment {
    queue.pop().unwrap_or_else(|| {
        let scenario = random.random_range(0..SCENARIOS.len());
        let all: Vec<_> = points[&scenario].iter().collect();
        let (point, kind) = all.choose(random).expect("a scenario has points");
        let fault = *Fault::of(**kind).choose(random).expect("there are faults");
        Experiment { scenario, point: (*point).clone(), fault, skip: random.random_range(0..4) }
    })
}
