//! Definitions at the edges of their members, run for real: what is accepted runs or fails with a reason, and nothing is
//! left of it. Which definitions are accepted at all, and that the others are refused in the right place, is tried on many
//! more of them without root (`plan`).

use std::time::Duration;

use berth::validate::{Strictness, parse, validate};
use serde_json::{Value, json};

use crate::support::generate::generate;
use crate::support::root::Root;
use crate::support::{attack, container, instance, say, task};

/// How many are run.
const SAMPLE: usize = 16;
/// How long one of them may take, whatever is in it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Accepted ones that name no other image than the one that is here.
fn sample() -> Vec<(u64, Value)> {
    let definitions = (1_000_000..).map(|number| (number, generate(number, 4)));
    let wanted = definitions.filter(|(_, generated)| {
        let containers = generated.definition["containerDefinitions"].as_array();
        let here = containers.into_iter().flatten().all(|container| container["image"] == "probe");
        let taken = validate(parse(&generated.definition.to_string(), Strictness::Lenient)).is_ok();
        here && taken && !generated.set.is_empty()
    });
    wanted.map(|(number, generated)| (number, generated.definition)).take(SAMPLE).collect()
}

#[test]
fn what_is_accepted_runs_or_fails_cleanly() {
    let root = Root::with_images(&["probe"]);
    let mut ran = 0;
    for (number, definition) in sample() {
        let file = root.file(&definition);
        let finished = root.start(["run".as_ref(), "-d".as_ref(), file.as_os_str()]).wait(PATIENCE);
        let said = finished.stderr.clone() + &finished.stdout;
        assert!(!said.contains("panicked"), "{number}: {definition:#}: {said}");
        match finished.code() {
            0 => ran += 1,
            1 => assert!(said.contains("error: "), "{number}: {definition:#}: no reason in {said:?}"),
            code => panic!("{number}: {definition:#}: exit code {code}: {said}"),
        }
        let all = root.berth(["ps", "-a", "-q"]).ok();
        let ids: Vec<&str> = all.split_whitespace().collect();
        assert!(ids.len() <= 1, "{number}: {ids:?}");
        if !ids.is_empty() {
            root.berth(["rm", "-f"].into_iter().chain(ids)).ok();
        }
    }
    say(&format!("of {SAMPLE} definitions at their edges {ran} ran, the others failed with a reason"));
    assert!(ran > 0, "none ran");
}

#[test]
fn names_at_their_limits_and_ten_containers_with_values_of_every_kind_run() {
    let root = Root::with_images(&["probe"]);
    let values = ["", " ", "a\nb\n", "\u{1b}[2J", "=", "ä\u{202e}", "$(x) `y` \\ \"'", &"v".repeat(2000)];
    let variables: Vec<Value> =
        (0..values.len()).map(|index| json!({"name": format!("V{index}"), "value": values[index]})).collect();
    let names: Vec<String> = (0..10_u8).map(|index| "n".repeat(254) + &index.to_string()).collect();
    let containers: Vec<Value> =
        names.iter().map(|name| container(name, &["env"], json!({"environment": variables}))).collect();
    let mut definition = task(&containers);
    definition["family"] = "f".repeat(255).into();
    definition["containerDefinitions"][9]["command"] = json!(["sleep"]);
    let file = root.path().join("long.json");
    std::fs::write(&file, definition.to_string()).expect("write the definition");
    let task = root.run_file(&file);
    let written = root.until_written(&task, &names[0], "V7=vvv");
    assert!(written.contains("V4==") && written.contains("V2=a") && written.contains("V6=$(x) `y`"), "{written}");
    root.berth(["rm", "-f", &task.id]).ok();
}

#[test]
fn ten_containers_with_a_hundred_mounts_each_run() {
    const MOUNTS: usize = 100;
    let root = Root::with_images(&["probe"]);
    let volumes: Vec<Value> = (0..MOUNTS).map(|number| json!({"name": format!("v{number}"), "host": {}})).collect();
    let points: Vec<Value> = (0..MOUNTS)
        .map(|number| json!({"sourceVolume": format!("v{number}"), "containerPath": format!("/m/{number}")}))
        .collect();
    let mut containers: Vec<Value> =
        (0..10).map(|number| container(&format!("c{number}"), &["mounts"], json!({"mountPoints": points}))).collect();
    // One stays, so that the others' logs can be read while the task runs.
    containers[9] = container("c9", &["trap", "TERM", "--", "0"], json!({"mountPoints": points}));
    containers[..9].iter_mut().for_each(|one| one["essential"] = json!(false));
    let mut definition = task(&containers);
    definition["volumes"] = volumes.into();
    let started = root.run_detached(&definition);
    for number in 0..9 {
        let written = root.until_written(&started, &format!("c{number}"), "/m/99");
        let mounted = (0..MOUNTS).filter(|place| written.contains(&format!("/m/{place} ")));
        assert_eq!(mounted.count(), MOUNTS, "{written}");
    }
    // The volumes are the task's: what one writes the others see.
    root.exec(&started, "c9", &["/probe", "write", "/m/57/file", "shared"]).ok();
    assert_eq!(root.exec(&started, "c9", &["/probe", "cat", "/m/57/file"]).ok().trim(), "shared");
    root.stop(&started);
}

#[test]
fn numbers_at_the_ends_of_their_ranges_run() {
    let root = Root::with_images(&["probe"]);
    root.configure("[instance]\ncapabilities = []\n");
    let most = i32::MAX;
    let check = json!({
        "command": ["CMD", "/probe", "exit", "0"], "interval": most, "timeout": most, "retries": most, "startPeriod": most,
    });
    let web = container(
        "web",
        &["print", "there"],
        json!({
            "cpu": 262_144, "memory": most, "memoryReservation": most, "stopTimeout": most, "startTimeout": most,
            "healthCheck": check,
            "restartPolicy": {"enabled": true, "restartAttemptPeriod": most, "ignoredExitCodes": [most, i32::MIN]},
            "linuxParameters": {
                "sharedMemorySize": most, "maxSwap": most, "swappiness": 100,
                "tmpfs": [{"containerPath": "/t", "size": most}],
            },
        }),
    );
    let mut definition = instance(&[web]);
    (definition["cpu"], definition["memory"]) = (Value::Null, Value::Null);
    let finished = root.run(&definition);
    assert!(finished.code() == 0 && finished.stdout.contains("there"), "{finished:#?}");
}

#[test]
fn a_definition_runs_only_where_its_placement_constraints_hold() {
    let root = Root::with_images(&["probe"]);
    let definition = |expression: &str| {
        let mut definition = instance(&[container("web", &["print", "placed"], json!({}))]);
        definition["placementConstraints"] = json!([{"type": "memberOf", "expression": expression}]);
        definition
    };
    let finished = root.run(&definition("attribute:ecs.os-type == linux and not attribute:gpu exists"));
    assert!(finished.code() == 0 && finished.stdout.contains("placed"), "{finished:#?}");
    let refused = root.run(&definition("attribute:ecs.instance-type =~ g2.*"));
    assert_eq!(refused.code(), 1, "{refused:#?}");
    let words = ["placement constraint", "RESOURCE:", "ATTRIBUTE"];
    assert!(words.iter().any(|word| refused.stderr.contains(word)), "{refused:#?}");
    let unread = root.run(&definition("attribute:a ~~ b"));
    assert!(unread.code() == 2 && unread.stderr.contains("~~ is no operator that is known"), "{unread:#?}");
    assert_eq!(root.berth(["ps", "-q"]).ok(), "", "nothing runs");
}

#[test]
fn hostile_words_stay_words_wherever_they_stand() {
    let root = Root::with_images(&["probe"]);
    let words = ["$(touch /x)", "`id`", "; exit 9", "--privileged", "%s%n", "{{.}}", "../../etc", "a=b", "-"];
    let labels: serde_json::Map<String, Value> = words.iter().map(|word| ((*word).to_owned(), json!(word))).collect();
    let more = json!({ "dockerLabels": labels, "workingDirectory": "/$(x)/; y" });
    let said = root.run(&task(&[container("web", &[&["print"], &words[..]].concat(), more)])).ok();
    assert_eq!(said, words.join(" ") + "\n");
    // What no program could be given is refused before there is a task, or the task says why it did not start.
    let nul = "a\0b";
    for bad in [
        json!({ "command": ["print", nul] }),
        json!({ "entryPoint": [nul] }),
        json!({ "workingDirectory": "/a\0b" }),
        json!({ "user": nul }),
        json!({ "user": "4294967296" }),
        json!({ "user": "-1" }),
        json!({ "environment": [{ "name": nul, "value": "v" }] }),
        json!({ "environment": [{ "name": "V", "value": nul }] }),
        json!({ "environment": [{ "name": "", "value": "v" }] }),
        json!({ "hostname": "a\nb" }),
    ] {
        let finished = root.run(&task(&[container("web", &["id"], bad.clone())]));
        assert!([1, 2].contains(&finished.code()), "{bad}: {finished:?}");
        let said = finished.stdout + &finished.stderr;
        assert!(said.contains("error: ") && !said.contains("panicked") && !said.contains("uid="), "{bad}: {said}");
        attack(&format!("{bad:?}").replace('"', "").replace("Object ", ""), "refused, nothing ran", "runs without it");
    }
}
