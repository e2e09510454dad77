//! What is tried from inside a container against the host: by its first process, by one that was started again, by one of
//! `berth exec`. Nothing passes; and each attempt is one that passes in a container without the defence, a privileged one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::root::Root;
use crate::support::{attack, container, instance, say, task};

/// How an attempt ended: `passed`, `passed ERRNO` or `refused ERRNO`.
type Results = BTreeMap<String, String>;

fn results(said: &str) -> Results {
    assert!(said.lines().any(|line| line == "done"), "it did not come to its end:\n{said}");
    let lines = said.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(name, result)| (name.to_owned(), result.to_owned())).collect()
}

/// What cannot be had even without the defence, because this kernel does not have it at all.
fn is_absent(control: &str) -> bool {
    control == format!("refused {}", nix::errno::Errno::ENOSYS as i32)
}

fn attacked(root: &Root, command: &[&str], more: Value) -> Results {
    results(&root.run(&task(&[container("web", command, more)])).stdout)
}

#[test]
fn no_attack_from_inside_a_container_passes_and_each_would_without_its_defence() {
    let root = Root::with_images(&["probe"]);
    root.configure("[instance]\nprivileged = true\n");
    let privileged = container("web", &["attack"], json!({ "privileged": true }));
    let control = results(&root.run(&instance(&[privileged])).stdout);
    let policy = json!({ "restartPolicy": { "enabled": true, "restartAttemptPeriod": 1, "ignoredExitCodes": [0] } });
    let standing = root.run_detached(&task(&[container("web", &["sleep"], json!({}))]));
    let exec = results(&root.exec(&standing, "web", &["/probe", "attack"]).stdout);
    root.berth(["rm", "-f", &standing.id]).ok();
    let ways = [
        ("init", attacked(&root, &["attack"], json!({}))),
        ("restart", attacked(&root, &["attack", "/marker"], policy)),
        ("exec", exec),
    ];
    let mut bad = Vec::new();
    for (name, unprotected) in &control {
        let mut ends: Vec<&String> = ways.iter().map(|(_, results)| &results[name]).collect();
        ends.dedup();
        let ends: Vec<&str> = ends.into_iter().map(String::as_str).collect();
        attack(name, &format!("{} as init, restart, exec", ends.join("; ")), unprotected);
        for (way, results) in &ways {
            if !results[name].starts_with("refused") {
                bad.push(format!("{name} as {way}: {}", results[name]));
            }
        }
        if !unprotected.starts_with("passed") && !is_absent(unprotected) {
            bad.push(format!("{name}: the control is {unprotected}"));
        }
    }
    let absent = control.values().filter(|result| is_absent(result)).count();
    say(&format!("{} attacks from inside, each in 3 ways; {absent} that this kernel knows nothing of", control.len()));
    assert!(control.len() - absent >= 80, "{} have a control that passes", control.len() - absent);
    assert!(bad.is_empty(), "{bad:#?}");
}
