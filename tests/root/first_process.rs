//! A container's first process: an init above it, streams that wait, a terminal.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};

use crate::support::root::{Root, Task};
use crate::support::supervised::{PATIENCE, ended, exists, exit_code, init, kill_loop, pair, plain_log, strike};
use crate::support::{container, eventually, task};

fn script(script: &str, more: Value) -> Value {
    let mut container = container("web", &[script], more);
    container["image"] = json!("busybox");
    container["entryPoint"] = json!(["sh", "-c"]);
    container
}

fn with_init() -> Value {
    json!({ "linuxParameters": { "initProcessEnabled": true } })
}

fn shell(root: &Root, task: &Task, script: &str) -> String {
    let finished = root.exec(task, "web", &["sh", "-c", script]);
    finished.stdout + &finished.stderr
}

#[test]
fn an_init_passes_signals_and_exit_codes_on() {
    let root = Root::with_images(&["probe", "busybox"]);
    for (signal, number, code) in [("USR1", 10, 0), ("34", 34, 7), ("HUP", 1, 255)] {
        let standing =
            root.run_detached(&task(&[container("web", &["trap", signal, "--", &code.to_string()], with_init())]));
        let pid = init(&root, &standing);
        let sent = std::process::Command::new("sh").args(["-c", &format!("kill -{number} {pid}")]).status().unwrap();
        assert!(sent.success());
        assert_eq!(exit_code(&ended(&standing, &root)), &json!(code));
    }
    // a program that handles nothing dies of a signal as it would anywhere else, where process 1 would not
    let standing = root.run_detached(&task(&[container("web", &["sleep"], with_init())]));
    root.until(&standing, "RUNNING");
    root.stop(&standing);
    assert_eq!(exit_code(&ended(&standing, &root)), &json!(143));
    assert_eq!(root.run(&task(&[script("exit 3", with_init())])).code(), 3);
    let mut absent = script("x", with_init());
    absent["entryPoint"] = json!(["/nothing"]);
    let absent = root.run(&task(&[absent]));
    assert!(absent.code() != 0 && absent.stderr.contains("exec \"/nothing\""), "{absent:#?}");
}

#[test]
fn an_init_reaps_orphans_and_a_program_without_one_does_not() {
    let root = Root::with_images(&["busybox"]);
    let orphans = "for i in 1 2 3 4 5; do (sleep 1 &); done; exec sleep 1000";
    let count = "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l";
    for (more, expected) in [(json!({}), "5\n"), (with_init(), "0\n")] {
        let standing = root.run_detached(&task(&[script(orphans, more)]));
        root.until(&standing, "RUNNING");
        let asleep = "grep -l '^Name:.sleep' /proc/[0-9]*/status | wc -l";
        eventually(PATIENCE, "the orphans are over", || {
            let left = if expected == "5\n" { "6\n" } else { "1\n" };
            (shell(&root, &standing, asleep) == left && shell(&root, &standing, count) == expected).then_some(())
        });
        root.berth(["rm", "-f", &standing.id]).ok();
    }
}

#[test]
fn an_init_has_the_rights_of_its_program_and_no_secret() {
    let root = Root::with_images(&["busybox"]);
    let more = json!({
        "user": "app",
        "environment": [{ "name": "SECRET", "value": "s3cret" }],
        "linuxParameters": { "initProcessEnabled": true, "capabilities": { "drop": ["ALL"] } },
    });
    let standing = root.run_detached(&task(&[script("sleep 1000", more)]));
    root.until(&standing, "RUNNING");
    let status = root.exec(&standing, "web", &["cat", "/proc/1/status"]).ok();
    for line in
        ["Uid:\t1000\t1000\t1000\t1000", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "Seccomp:\t2"]
    {
        assert!(status.contains(line), "{line}: {status}");
    }
    // nobody of the container reads its memory, environment or descriptors, nor writes its program
    let files = "for f in environ mem maps; do (head -c 1 /proc/1/$f) 2>/dev/null && echo $f; done; \
        ls /proc/1/fd 2>/dev/null; (echo x >/proc/1/exe) 2>/dev/null && echo exe; :";
    assert_eq!(shell(&root, &standing, files), "");
    let as_root = root.berth(["exec", "-u", "0", "-c", "web", &standing.id, "cat", "/proc/1/environ"]);
    assert!(!as_root.stdout.contains("s3cret"), "{as_root:#?}");
    root.berth(["rm", "-f", &standing.id]).ok();
}

#[test]
fn reading_waits_where_the_container_is_interactive_and_ends_where_it_is_not() {
    let root = Root::with_images(&["busybox"]);
    let asked = "cat; echo end; sleep 1000";
    let closed = root.run_detached(&task(&[script(asked, json!({}))]));
    root.until_written(&closed, "web", "end");
    let open =
        root.run_detached(&task(&[script("echo begin; cat; echo end", json!({ "interactive": true, "user": "app" }))]));
    root.until_written(&open, "web", "begin");
    // neither the death of the loop nor that of the pair is an end of input
    kill_loop(&root, &open);
    pair(&open.id).unwrap().end();
    root.berth(["ps"]).ok();
    assert!(exists(init(&root, &open)));
    assert!(!root.logs(&open, "web").contains("end"));
    assert_eq!(root.exec(&open, "web", &["sh", "-c", "readlink /proc/1/fd/0 | grep -c stdin"]).ok(), "1\n");
    for task in [&open, &closed] {
        root.berth(["rm", "-f", &task.id]).ok();
    }
}

fn with_terminal(more: Value) -> Value {
    let mut more = more;
    more["pseudoTerminal"] = json!(true);
    more
}

#[test]
fn a_terminal_is_one_and_what_is_written_to_it_is_the_log() {
    let root = Root::with_images(&["busybox"]);
    let asked = "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && tty && echo $TERM && id -u; stat -c %u $(tty); \
        echo error >&2; echo console >/dev/console; echo own >/dev/tty; printf last";
    for (more, user) in [(json!({}), 0), (json!({ "user": "app", "interactive": true }), 1000)] {
        let console = if user == 0 { "console\n" } else { "" };
        for init in [false, true] {
            let mut more = with_terminal(more.clone());
            more["linuxParameters"] = json!({ "initProcessEnabled": init });
            let asked = if user == 0 { asked.to_owned() } else { asked.replace("echo console >/dev/console; ", "") };
            let text = root.run(&task(&[script(&asked, more)])).ok();
            let expected = format!("/dev/pts/0\nxterm\n{user}\n{user}\nerror\n{console}own\nlast");
            assert_eq!(text.trim_end_matches('\n'), expected, "init {init}");
        }
    }
}

#[test]
fn all_that_a_terminal_showed_is_in_the_log_when_the_container_has_ended() {
    let root = Root::with_images(&["probe"]);
    let more = with_terminal(json!({}));
    let standing = root.run_detached(&task(&[container("web", &["lines", "20000"], more)]));
    assert_eq!(exit_code(&ended(&standing, &root)), &json!(0));
    let expected: String = (1..=20_000).map(|line| format!("line {line}\n")).collect();
    let text = plain_log(&root, &standing);
    assert_eq!(text.len(), expected.len());
    assert_eq!(text, expected);
}

#[test]
fn a_terminal_outlives_the_loop_and_the_pair_and_loses_no_line() {
    let root = Root::with_images(&["probe"]);
    let more = with_terminal(json!({}));
    let standing = root.run_detached(&task(&[container("web", &["lines", "2000", "1"], more)]));
    let pid = init(&root, &standing);
    let mut kills = 0;
    while exists(pid) && kills < 10 {
        kill_loop(&root, &standing);
        kills += 1;
        std::thread::sleep(Duration::from_millis(5)); // that the container writes meanwhile
    }
    assert!(exists(pid), "the container was too quick");
    pair(&standing.id).unwrap().end();
    assert!(exists(pid), "it keeps its process");
    root.berth(["ps"]).ok();
    ended(&standing, &root);
    let expected: String = (1..=2000).map(|line| format!("line {line}\n")).collect();
    assert_eq!(plain_log(&root, &standing), expected, "{kills} kills");
}

#[test]
fn a_container_with_a_terminal_stops_when_it_is_asked_to() {
    let root = Root::with_images(&["probe"]);
    let more = with_terminal(with_init());
    let standing = root.run_detached(&task(&[container("web", &["trap", "TERM", "--", "5"], more)]));
    kill(init(&root, &standing), Signal::SIGTERM).unwrap();
    assert_eq!(exit_code(&ended(&standing, &root)), &json!(5));
    let killed = root.run_detached(&task(&[container("web", &["sleep"], with_terminal(json!({})))]));
    root.until(&killed, "RUNNING");
    strike(init(&root, &killed));
    assert_eq!(exit_code(&ended(&killed, &root)), &json!(137));
    eventually(PATIENCE, "nothing is left", || {
        root.present().iter().all(|line| !line.contains("terminal")).then_some(())
    });
}
