//! What services cost whose tasks fail to start again and again: the scheduler's time once it has backed off, and how long
//! another task takes to start among them. (A task that has run is made good at once, as by ECS, and is not meant here.)

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use serde_json::json;

use super::{Times, report};
use crate::services::Host;
use crate::support::definition;
use crate::support::supervised::tries;

/// How many tasks fail, unless `GOAL_CRASHERS` says another number; and how many of them are one service's.
const CRASHERS: u32 = 20;
const EACH: u32 = 10;
/// For how many seconds the scheduler is left alone, and then watched, unless `GOAL_CRASH_SECONDS` says other ones.
const SECONDS: u32 = 3;
/// How long a service that never starts waits at last, in seconds.
const LONGEST_PAUSE: f64 = 1620.0;
/// How many canaries are started before, and among them.
const CANARIES: u32 = 5;

/// The CPU time that processes and the children that they have reaped have used.
fn cpu_time(pids: &[Pid]) -> Duration {
    let ticks = |pid: &Pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
        fields.skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>() // utime, stime, cutime, cstime
    };
    Duration::from_millis(pids.iter().map(ticks).sum::<u64>() * 10)
}

/// How many tasks of these services have failed so far.
fn starts(host: &Host, services: u32) -> u32 {
    let failed = |number: u32| {
        let answer = host.service(&["describe", &format!("crash-{number}")]).json();
        answer["services"][0]["deployments"][0]["failedTasks"].as_u64().unwrap_or_else(|| panic!("{answer:#}"))
    };
    u32::try_from((0..services).map(failed).sum::<u64>()).expect("a count of tasks")
}

fn canaries(host: &Host) -> Times {
    let mut times = Times::default();
    for _ in 0..CANARIES {
        let finished = host.root.run(&definition(&[("web", &["exit", "7"])]));
        assert_eq!(finished.code(), 7, "{finished:?}");
        times.add(finished.took);
    }
    times
}

#[test]
fn tasks_that_fail_to_start_cost_little_and_keep_no_other_one_waiting() {
    let (count, seconds) = (tries("GOAL_CRASHERS", CRASHERS), tries("GOAL_CRASH_SECONDS", SECONDS));
    let host = Host::new();
    let quiet = canaries(&host);
    host.register("crash", &["none"], &json!({ "entryPoint": ["/there/is/no/such/program"] }));
    let services = count.div_ceil(EACH);
    for number in 0..services {
        let name = format!("crash-{number}");
        let each = EACH.to_string();
        host.service(&["create", &name, "--task-definition", "crash", "--desired-count", &each, "--detach"]).ok();
    }
    let spent = |watched: &[Pid]| (cpu_time(watched), Instant::now(), starts(&host, services));
    thread::sleep(Duration::from_secs(seconds.into()));
    let scheduler = host.scheduler();
    let before = spent(&scheduler);
    thread::sleep(Duration::from_secs(seconds.into()));
    let after = spent(&scheduler);
    let (used, tried) = (after.0.saturating_sub(before.0).as_secs_f64(), after.2 - before.2);
    let share = used / (after.1 - before.1).as_secs_f64() * 100.0;
    // All of them once in the longest pause.
    let each = if tried == 0 { 0.0 } else { used / f64::from(tried) };
    let at_last = each * f64::from(services * EACH) / LONGEST_PAUSE * 100.0;
    assert_eq!(host.scheduler(), scheduler, "it has not been replaced meanwhile");
    let among = canaries(&host);
    for number in 0..services {
        host.service(&["delete", "--force", &format!("crash-{number}")]).ok();
    }
    let [quiet, among] = [quiet, among].map(|times| times.percentile(50).as_secs_f64() * 1e3);
    let result = format!(
        "{} in {services} services: after {seconds} s {share:.1} % of a core for {seconds} s, {tried} starts of {:.0} ms each, so \
         {at_last:.1} % at the longest pause; a canary in {among:.0} ms, quiet {quiet:.0} ms: {:.2} x",
        services * EACH,
        each * 1e3,
        among / quiet,
    );
    report("tasks that fail to start", &result, "at most 5 % after back-off, canary within 2 x");
}
