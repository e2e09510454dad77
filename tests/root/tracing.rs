//! What a container that may trace others gets of the processes that berth brings into it, for health checks and `berth exec`:
//! no right that it does not have itself, no descriptor of berth's, nothing that another container is to know.

use std::process::Stdio;

use serde_json::json;

use crate::support::life::PATIENCE;
use crate::support::root::Root;
use crate::support::{container, eventually, say, task};

/// How often a process is brought in.
const EXECS: usize = 60;

fn number(text: &str) -> u64 {
    u64::from_str_radix(text, 16).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn whoever_may_trace_gets_no_right_and_no_secret_of_the_processes_that_are_brought_in() {
    let root = Root::with_images(&["probe"]);
    let mut put = root.command(["secret", "put", "/other"]);
    let mut put = put.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    std::io::Write::write_all(&mut put.stdin.take().unwrap(), b"of-the-other-alone").unwrap();
    assert!(put.wait().unwrap().success());
    let more = json!({
        "linuxParameters": { "capabilities": { "add": ["SYS_PTRACE"] } }, "stopTimeout": 2,
        "environment": [{ "name": "OWN", "value": "of-its-own" }],
        "healthCheck": { "command": ["CMD", "/probe", "exit", "0"], "interval": 1, "timeout": 20 },
    });
    let web = container("web", &["watch", "of_the_other_alone", "of_its_own"], more);
    let secret = json!({ "secrets": [{ "name": "KEY", "valueFrom": "/other" }], "stopTimeout": 2 });
    let mut definition = task(&[web, container("other", &["sleep"], secret)]);
    definition["executionRoleArn"] = json!("arn:aws:iam::000000000000:role/execution");
    let started = root.run_detached(&definition);
    root.until_written(&started, "web", "ready");
    for _ in 0..EXECS {
        root.exec(&started, "web", &["/probe", "exit", "0"]).ok();
    }
    let held = |text: &str| text.lines().filter(|line| line.starts_with("held ")).count();
    let text = eventually(PATIENCE, "it has got hold of many, health checks among them", || {
        Some(root.logs(&started, "web")).filter(|text| held(text) > EXECS / 2)
    });
    let own: Vec<u64> =
        text.lines().find_map(|line| line.strip_prefix("own ")).unwrap().split(' ').map(number).collect();
    let mut early = 0;
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["held", exe, permitted, bounding] => {
                early += usize::from(exe != "/probe");
                let more = (number(permitted) & !own[0], number(bounding) & !own[1]);
                assert_eq!(more, (0, 0), "rights that the container does not have: {line}");
            }
            ["found", _, "of_the_other_alone"] => panic!("what another container is to know: {line}"),
            ["fd", target] => {
                // The last is the program's own doing, when it begins.
                let harmless = ["pipe:", "/dev/null", "/dev/pts"].iter().any(|kind| target.starts_with(kind))
                    || (target.starts_with("/proc/") && target.ends_with("/maps"));
                assert!(harmless, "a descriptor of berth's: {line}");
            }
            _ => {}
        }
    }
    say(&format!("of {} processes {early} were held before they were the program", held(&text)));
    assert!(early > 0, "none was held early enough to mean anything: {text}");
    assert!(text.contains("found") && text.contains("of_its_own"), "it does find what is there: {text}");
    root.berth(["rm", "-f", &started.id]).ok();
}
