//! What a task may use of the host: CPU, memory, processes; and what is reported of those who want more.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::root::{Root, Task};
use crate::support::{container, definition, eventually, of, say, task};

const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";

/// How many CPUs each of some containers keeps busy over a while, measured by the kernel's own counters.
fn cpus(root: &Root, task: &Task, containers: &[Option<&str>], over: Duration) -> Vec<f64> {
    let times = || containers.iter().map(|name| root.cpu_time(task, *name)).collect::<Vec<_>>();
    let (before, since) = (times(), Instant::now());
    sleep(over); // not for something: this is the length of the measurement
    let (after, wall) = (times(), since.elapsed());
    after.iter().zip(before).map(|(after, before)| (*after - before).as_secs_f64() / wall.as_secs_f64()).collect()
}

#[test]
fn a_spinning_container_uses_a_quarter_of_a_cpu_in_a_task_of_256_units() {
    let root = Root::with_images(&["probe"]);
    let task = root.run_detached(&definition(&[("spin", &["spin", "2"])]));
    let used = cpus(&root, &task, &[None], Duration::from_secs(10))[0];
    say(&format!("a container that spins with two threads in a task of 256 units: {used:.4} CPU over 10 s"));
    assert!((0.23..=0.27).contains(&used), "{used} CPU");
}

#[test]
fn a_task_that_is_busy_for_two_seconds_and_sleeps_then_fits_its_busy_time_and_not_its_average() {
    let root = Root::with_images(&["busybox"]);
    let script = "timeout 2 sh -c 'while :; do :; done'; exec sleep 3600";
    let mut definition = task(&[container("app", &["sh", "-c", script], json!({ "image": "busybox" }))]);
    (definition["cpu"], definition["memory"]) = (json!("512"), json!("1024"));
    let task = root.run_detached(&definition);
    let since = Instant::now();
    let average = eventually(Duration::from_secs(60), "a quarter of a CPU would do on average", || {
        let used = root.cpu_time(&task, None).as_secs_f64();
        let average = used / since.elapsed().as_secs_f64();
        (used > 0.3 && average < 0.2).then_some(average)
    });
    let usage = |what: &str| {
        let sums = root.berth(["--format", "json", "usage"]).json();
        say(&format!("{what}: {average:.2} CPU on average since its start; {}", sums[0]));
        assert_eq!(sums[0]["fits"], json!([512, 1024]), "{sums:#}");
        let busy = sums[0]["cpuBusy"].as_f64().unwrap();
        assert!(busy > 0.25 && busy < 0.6, "it had half a CPU at most: {sums:#}");
    };
    usage("while it sleeps");
    root.berth(["rm", "--force", &task.id]).ok();
    usage("when it is gone");
}

#[test]
fn containers_of_a_task_share_its_cpu_in_the_ratio_of_their_units() {
    let root = Root::with_images(&["probe"]);
    let threads = "2";
    let spin = |name: &str, cpu: u32| container(name, &["spin", threads], json!({ "cpu": cpu }));
    let mut definition = task(&[spin("much", 768), spin("little", 256)]);
    // As much as there is: below that the scheduler may give each container a CPU of its own, where weights say nothing.
    (definition["cpu"], definition["memory"]) = (json!("2048"), json!("4096"));
    let task = root.run_detached(&definition);
    let used = cpus(&root, &task, &[Some("much"), Some("little")], Duration::from_secs(4));
    let ratio = used[0] / used[1];
    say(&format!("768 to 256 units: {:.3} and {:.3} CPU, {ratio:.2} to 1", used[0], used[1]));
    assert!((2.3..=3.7).contains(&ratio), "{used:?}");
}

/// Prints what ECS would say of how a container ended.
fn show(record: &Value, name: &str) {
    let container = of(record, name);
    say(&format!(
        "{name}: lastStatus {}, exitCode {}, reason {}; task {}",
        container["lastStatus"], container["exitCode"], container["reason"], record["lastStatus"]
    ));
}

fn assert_out_of_memory(record: &Value, name: &str) {
    show(record, name);
    assert_eq!(of(record, name)["exitCode"], 137, "{record:#}");
    assert_eq!(of(record, name)["reason"], OUT_OF_MEMORY, "{record:#}");
}

fn until_stopped(root: &Root, task: &Task, name: &str) -> Value {
    eventually(Duration::from_secs(90), &format!("{name} is STOPPED"), || {
        Some(root.describe(task)).filter(|record| of(record, name)["lastStatus"] == "STOPPED")
    })
}

#[test]
fn a_container_over_its_own_memory_dies_alone_where_it_is_not_essential() {
    let root = Root::with_images(&["probe"]);
    let greedy = container("greedy", &["alloc", "256", "hold"], json!({ "memory": 64, "essential": false }));
    let task = root.run_detached(&task(&[container("web", &["trap", "TERM", "--", "3"], json!({})), greedy]));
    let record = until_stopped(&root, &task, "greedy");
    assert_out_of_memory(&record, "greedy");
    assert_eq!(record["lastStatus"], "RUNNING");
    assert_eq!(of(&record, "web")["lastStatus"], "RUNNING");
    assert!(root.logs(&task, "greedy").contains("allocated=5"), "it got near its 64 MiB");
    root.until_written(&task, "web", "ready");
    root.stop(&task);
    let record = root.until(&task, "STOPPED");
    assert_eq!((&of(&record, "web")["exitCode"], &of(&record, "web")["reason"]), (&json!(3), &Value::Null));
}

#[test]
fn an_essential_container_over_its_own_memory_takes_the_task_with_it() {
    let root = Root::with_images(&["probe"]);
    let web = container("web", &["trap", "TERM", "--", "3"], json!({}));
    let greedy = container(
        "greedy",
        &["alloc", "256", "hold"],
        json!({ "memory": 64, "dependsOn": [{ "containerName": "web", "condition": "START" }] }),
    );
    let task = root.run_detached(&task(&[web, greedy]));
    let record = root.until(&task, "STOPPED");
    assert_out_of_memory(&record, "greedy");
    assert_eq!(record["stopCode"], "EssentialContainerExited");
    assert_eq!(record["stoppedReason"], "Essential container in task exited");
    assert_eq!(of(&record, "web")["reason"], Value::Null);
}

#[test]
fn over_the_tasks_memory_it_is_the_greedy_container_that_is_reported() {
    let root = Root::with_images(&["probe"]);
    let small = container("small", &["alloc", "20", "hold"], json!({}));
    let greedy = container("greedy", &["alloc", "700", "hold"], json!({ "essential": false }));
    let task = root.run_detached(&task(&[small, greedy]));
    let record = until_stopped(&root, &task, "greedy");
    assert_out_of_memory(&record, "greedy");
    assert_eq!(of(&record, "small")["lastStatus"], "RUNNING", "{record:#}");
    assert!(root.logs(&task, "greedy").contains("allocated=400"), "it got near the task's 512 MiB");
}

/// On cgroup v2 the kernel kills the whole container (`memory.oom.group`), as ECS says; v1 has nothing like it.
#[test]
fn a_child_out_of_memory_is_not_the_containers_death_where_the_container_lives_on() {
    let root = Root::with_images(&["probe"]);
    let task = root.run_detached(&task(&[container("web", &["spawn-alloc", "256"], json!({ "memory": 64 }))]));
    if root.group(&task, Some("web"), "memory", "memory.oom.group").is_some() {
        assert_out_of_memory(&root.until(&task, "STOPPED"), "web");
        return;
    }
    let text = root.until_written(&task, "web", "parent lives on");
    assert!(text.contains("child signal=KILL"), "{text}");
    let record = root.describe(&task);
    assert_eq!((&record["lastStatus"], &of(&record, "web")["reason"]), (&json!("RUNNING"), &Value::Null));
    root.stop(&task);
    let record = root.until(&task, "STOPPED");
    show(&record, "web");
    assert_eq!((&of(&record, "web")["exitCode"], &of(&record, "web")["reason"]), (&json!(0), &Value::Null));
}

#[test]
fn memory_limits_leave_no_swap_and_a_reservation_is_a_soft_limit() {
    let root = Root::with_images(&["probe"]);
    let web = container("web", &["listen", "80"], json!({ "memory": 64, "memoryReservation": 32 }));
    let task = root.run_detached(&task(&[web]));
    let read = |container: Option<&str>, files: [&str; 2]| {
        let text = files.iter().find_map(|file| root.group(&task, container, "memory", file));
        text.map(|text| text.trim().parse::<u64>().unwrap() >> 20)
    };
    for (container, mib) in [(None, 512), (Some("web"), 64)] {
        assert_eq!(read(container, ["memory.limit_in_bytes", "memory.max"]), Some(mib));
        // v1 counts memory and swap together; without swap in the kernel neither file is there
        assert!([None, Some(mib)].contains(&read(container, ["memory.memsw.limit_in_bytes"; 2])));
        assert!([None, Some(0)].contains(&read(container, ["memory.swap.max"; 2])));
    }
    assert_eq!(read(Some("web"), ["memory.soft_limit_in_bytes", "memory.low"]), Some(32));
}

/// PSI: only cgroup v2 counts it by group, and only a kernel that has it.
#[test]
fn stats_say_for_what_part_of_the_time_a_task_waits_for_its_cpu() {
    let root = Root::with_images(&["probe"]);
    let task = root.run_detached(&definition(&[("spin", &["spin", "4"])]));
    let stats = || root.berth(["--format", "json", "stats", &task.id]).json()[0]["pressurePercent"]["cpu"].as_f64();
    if root.group(&task, None, "", "cpu.pressure").is_none() {
        assert_eq!(stats(), None);
        return;
    }
    // Four threads have a quarter of a CPU: some of them wait nearly always. The kernel reports a mean of ten seconds.
    let waits = eventually(Duration::from_secs(90), "the task waits", || stats().filter(|percent| *percent > 20.0));
    say(&format!("four spinning threads in a task of 256 units wait for CPU {waits:.0} % of the time"));
    assert!(waits <= 100.0, "{waits}");
}

#[test]
fn a_container_has_no_more_processes_than_the_configuration_allows() {
    let root = Root::with_images(&["probe"]);
    root.configure("pids-limit = 20\n");
    let text = root.run(&definition(&[("forks", &["forks", "100"])])).ok();
    // the worker that started the container, and what it forked for that, count until they have ended
    let forks = |number: u32| format!("forks={number} end=Resource temporarily unavailable (os error 11)");
    assert!((16..=19).any(|number| forks(number) == text.trim()), "{text}");
}
