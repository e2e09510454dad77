//! Log drivers: groups and streams read back, records at receivers that are not ours to trust, what is dropped and what is
//! not, and kills in between.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::root::{Root, Task};
use crate::support::supervised::{PATIENCE, kill_loop, processes, strike};
use crate::support::{container, eventually, logging, task};

fn status(root: &Root, task: &Task, container: &str) -> Value {
    let all = root.berth(["--format", "json", "logs", "--status", &task.id]).json();
    all.as_array().unwrap().iter().find(|log| log["container"] == container).unwrap()["sent"].clone()
}

fn stopped(root: &Root, task: &Task) {
    root.until(task, "STOPPED");
}

#[test]
fn a_group_is_read_across_tasks_that_are_over_and_removed() {
    let root = Root::with_images(&["probe"]);
    let options =
        json!({ "awslogs-group": "/ecs/web", "awslogs-stream-prefix": "prod", "awslogs-region": "us-east-1" });
    let definition = |text: &str| task(&[logging("app", &["print", text], "awslogs", options.clone())]);
    let tasks = ["one", "two"].map(|text| {
        let task = root.run_detached(&definition(text));
        stopped(&root, &task);
        task
    });
    assert_eq!(root.berth(["logs", &tasks[0].id]).ok(), "one\n", "by the task as well");
    root.berth(["rm", &tasks[0].id]).ok();
    let both = root.berth(["--format", "json", "logs", "--group", "/ecs/web"]).ok();
    let lines: Vec<Value> = both.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let streams = tasks.each_ref().map(|task| format!("prod/app/{}", task.id));
    let shown = lines.iter().map(|line| (line["logStreamName"].as_str().unwrap(), line["message"].as_str().unwrap()));
    let expected = [(streams[0].as_str(), "one"), (streams[1].as_str(), "two")];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
    assert_eq!(root.berth(["logs", "--group", "/ecs/web", "--stream", &streams[1]]).ok(), "two\n");
    let none = root.berth(["logs", "--group", "/ecs/other"]);
    assert!(none.code() == 1 && none.stderr.contains("/ecs/web"), "{none:#?}");
    assert_eq!(status(&root, &tasks[1], "app"), Value::Null, "nobody sends it on");
}

#[test]
fn a_group_is_followed_into_streams_that_begin_later() {
    let root = Root::with_images(&["probe"]);
    let options = json!({ "awslogs-group": "g", "awslogs-stream-prefix": "p" });
    let definition = |text: &str| task(&[logging("app", &["print", text], "awslogs", options.clone())]);
    let first = root.run_detached(&definition("first"));
    stopped(&root, &first);
    let output = root.path().join("followed");
    let mut command = root.command(["logs", "-f", "--group", "g"]);
    let mut follower = command.stdout(std::fs::File::create(&output).unwrap()).spawn().unwrap();
    let read = |text: &str| {
        eventually(PATIENCE, text, || std::fs::read_to_string(&output).unwrap().contains(text).then_some(()));
    };
    read("first");
    let second = root.run_detached(&definition("second"));
    read("second");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(follower.id() as i32), nix::sys::signal::Signal::SIGINT).unwrap();
    assert!(follower.wait().unwrap().success());
    stopped(&root, &second);
}

#[test]
fn lines_of_one_event_are_shown_together() {
    let root = Root::with_images(&["probe"]);
    let text = ["[1] begins", "  goes on", "[2] next"].join("\n");
    let options = json!({ "awslogs-group": "g", "awslogs-stream-prefix": "p", "awslogs-multiline-pattern": "^\\[" });
    let started = root.run_detached(&task(&[logging("app", &["print", &text], "awslogs", options)]));
    stopped(&root, &started);
    let lines = root.berth(["--format", "json", "logs", "--group", "g"]).ok();
    let messages: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["message"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(messages, ["[1] begins\n  goes on", "[2] next"]);
    assert_eq!(root.berth(["logs", &started.id]).ok(), text.clone() + "\n");
}

#[test]
fn streams_are_removed_when_there_are_more_than_are_kept() {
    let root = Root::with_images(&["probe"]);
    root.configure("[log]\nretention-mib = 1\n");
    let options = json!({ "awslogs-group": "g", "awslogs-stream-prefix": "p" });
    for _ in 0..4 {
        let started = root.run_detached(&task(&[logging("app", &["flood", "600000"], "awslogs", options.clone())]));
        stopped(&root, &started);
    }
    let kept = root.berth(["--format", "json", "logs", "--tail", "1", "--group", "g"]).ok();
    assert!((1..=2).contains(&kept.lines().count()), "{kept}");
}

#[test]
fn without_a_driver_nothing_is_kept_and_the_container_is_not_held_up() {
    let root = Root::with_images(&["probe"]);
    let started = root.run_detached(&task(&[logging("app", &["flood", "3000000"], "none", json!({}))]));
    stopped(&root, &started);
    let shown = root.berth(["logs", &started.id]);
    assert!(shown.stdout.is_empty() && shown.stderr.contains("log driver none"), "{shown:#?}");
    let directory = root.path().join("tasks").join(&started.id).join("logs");
    assert_eq!(std::fs::read_dir(directory).unwrap().count(), 0);
}

#[test]
fn json_files_have_the_size_and_number_that_the_definition_names() {
    let root = Root::with_images(&["probe"]);
    let options = json!({ "max-size": "64k", "max-file": "3" });
    let started = root.run_detached(&task(&[logging("app", &["flood", "1000000"], "json-file", options)]));
    stopped(&root, &started);
    let directory = root.path().join("tasks").join(&started.id).join("logs");
    let sizes: Vec<u64> =
        std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).collect();
    assert_eq!(sizes.len(), 3);
    // A batch may be a whole pipe's content, with a time before each line.
    assert!(sizes.iter().all(|size| *size <= 64 << 10 || *size <= 160 << 10), "{sizes:?}");
}

#[test]
fn options_that_a_driver_does_not_have_keep_the_task_from_starting_in_ecss_words() {
    let root = Root::with_images(&["probe"]);
    let mut definition =
        task(&[logging("app", &["sleep"], "awslogs", json!({ "awslogs-group": "g", "colour": "red" }))]);
    definition["requiresCompatibilities"] = json!(["FARGATE"]);
    let finished = root.run(&definition);
    let words = "failed to validate logger args: unknown log opt 'colour' for awslogs log driver";
    assert!(finished.code() == 1 && finished.stderr.contains(words), "{finished:#?}");
    let record = &root.list(&["-a"])[0];
    assert_eq!(record["stoppedReason"], format!("ResourceInitializationError: {words}"));
    assert_eq!((&record["stopCode"], &record["lastStatus"]), (&json!("TaskFailedToStart"), &json!("STOPPED")));
}

/// A receiver of a stream: everything that was sent to it over all connections, as it came.
struct Receiver {
    address: String,
    all: Arc<Mutex<Vec<u8>>>,
}

impl Receiver {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let all = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&all);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, sink) = (stream.unwrap(), Arc::clone(&sink));
                std::thread::spawn(move || {
                    let mut buffer = vec![0; 64 << 10];
                    while let Ok(read @ 1..) = stream.read(&mut buffer) {
                        sink.lock().unwrap().extend_from_slice(&buffer[..read]);
                    }
                });
            }
        });
        Self { address, all }
    }

    fn text(&self) -> String {
        String::from_utf8(self.all.lock().unwrap().clone()).unwrap()
    }
}

#[test]
fn syslog_receives_each_line_in_the_form_that_was_asked_for() {
    let root = Root::with_images(&["probe"]);
    let receiver = Receiver::new();
    let options = json!({
        "syslog-address": format!("tcp://{}", receiver.address), "syslog-format": "rfc5424", "syslog-facility": "local3",
        "tag": "{{.ImageName}}/app",
    });
    let started = root.run_detached(&task(&[logging("app", &["lines", "5"], "syslog", options)]));
    stopped(&root, &started);
    let text = receiver.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5, "all of them are there when the task is over: {text}");
    for (number, line) in lines.iter().enumerate() {
        assert!(line.starts_with("<158>1 20") && line.contains(" probe/app "), "{line}");
        assert!(line.ends_with(&format!(" - line {}", number + 1)), "{line}");
    }
    assert_eq!(root.berth(["logs", &started.id]).ok().lines().count(), 5, "it is kept here as well");
    assert_eq!(status(&root, &started, "app")["lines"], 5);
}

#[test]
fn gelf_datagrams_are_compressed_json_in_pieces_where_they_are_long() {
    let root = Root::with_images(&["probe"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let options =
        json!({ "gelf-address": format!("udp://{}", socket.local_addr().unwrap()), "gelf-compression-type": "none" });
    let long = "x".repeat(4000);
    let started = root.run_detached(&task(&[logging("app", &["print", &format!("short\n{long}")], "gelf", options)]));
    stopped(&root, &started);
    let mut buffer = vec![0; 64 << 10];
    let mut receive = || {
        let length = socket.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    };
    let first: Value = serde_json::from_slice(&receive()).unwrap();
    assert_eq!((&first["version"], &first["short_message"]), (&json!("1.1"), &json!("short")));
    assert!(first["_container_name"].as_str().unwrap().starts_with("ecs-") && first["level"] == 6, "{first}");
    let mut whole = Vec::new();
    for number in 0.. {
        let piece = receive();
        assert_eq!((&piece[..2], usize::from(piece[10])), (&[0x1e, 0x0f][..], number));
        whole.extend_from_slice(&piece[12..]);
        if usize::from(piece[11]) == number + 1 {
            break;
        }
    }
    let second: Value = serde_json::from_slice(&whole).unwrap();
    assert_eq!(second["short_message"], long);
}

#[test]
fn the_journal_gets_fields_and_long_messages_in_memory() {
    let root = Root::with_images(&["probe"]);
    let path = root.path().join("journal.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    root.configure(&format!("[log]\njournal-socket = {path:?}\n"));
    let mut app = logging("app", &["print", "hello"], "journald", json!({ "labels": "com.example.team" }));
    app["dockerLabels"] = json!({ "com.example.team": "blue" });
    let started = root.run_detached(&task(&[app]));
    stopped(&root, &started);
    let mut buffer = vec![0; 64 << 10];
    let length = socket.recv(&mut buffer).unwrap();
    let fields: BTreeSet<&str> = std::str::from_utf8(&buffer[..length]).unwrap().lines().collect();
    for field in ["MESSAGE=hello", "PRIORITY=6", "IMAGE_NAME=probe", "COM_EXAMPLE_TEAM=blue"] {
        assert!(fields.contains(field), "{field} in {fields:?}");
    }
    assert!(fields.iter().any(|field| field.starts_with(&format!("CONTAINER_ID_FULL={}", started.id))), "{fields:?}");
}

#[test]
fn what_the_buffer_cannot_hold_is_dropped_and_counted_exactly() {
    const LINES: u64 = 60_000;
    let root = Root::with_images(&["probe"]);
    // Nobody listens there until most of it is written; without `fluentd-async` and the like the task would not start.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let gone = std::thread::spawn(move || drop(listener.accept())); // whoever asks whether somebody is there, once
    let options =
        json!({ "syslog-address": format!("tcp://{address}"), "syslog-format": "rfc3164", "max-buffer-size": "200k" });
    let bytes = (LINES * 100).to_string();
    let flood = logging("app", &["flood", &bytes], "syslog", options);
    let started = root.run_detached(&task(
        &[flood, container("wait", &["trap", "TERM", "--", "0"], json!({ "essential": true }))].map(|mut one| {
            if one["name"] == "app" {
                one["essential"] = json!(false);
            }
            one
        }),
    ));
    gone.join().unwrap();
    eventually(PATIENCE, "most of it is dropped", || {
        (status(&root, &started, "app")["droppedLines"].as_u64()? > 0).then_some(())
    });
    let receiver = {
        let listener = TcpListener::bind(&address).unwrap();
        let all = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&all);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut buffer = vec![0; 64 << 10];
                let mut stream = stream.unwrap();
                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                    sink.lock().unwrap().extend_from_slice(&buffer[..read]);
                }
            }
        });
        Receiver { address, all }
    };
    root.stop(&started);
    let sent = status(&root, &started, "app");
    let (lines, dropped) = (sent["lines"].as_u64().unwrap(), sent["droppedLines"].as_u64().unwrap());
    // The probe's own report comes after it.
    let report = format!("bytes={bytes} lines={LINES}\n").len() as u64;
    assert_eq!(lines + dropped, LINES + 1, "{sent}");
    let written = sent["bytes"].as_u64().unwrap() + sent["droppedBytes"].as_u64().unwrap();
    assert_eq!(written, LINES * 100 + report, "{sent}");
    assert_eq!(receiver.text().lines().count() as u64, lines, "what counts as sent is there");
    assert!(lines > 0 && dropped > LINES / 2, "{sent}");
    let note = root.berth(["logs", "--tail", "0", &started.id]).stderr;
    assert!(note.contains(&format!("syslog was not sent {dropped} lines")), "{note}");
}

#[test]
fn in_blocking_mode_the_container_waits_and_nothing_is_lost() {
    let root = Root::with_images(&["probe"]);
    root.configure("[log]\nmax-mib = 1\n");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let options = json!({ "syslog-address": format!("tcp://{address}"), "mode": "blocking" });
    let started = root.run_detached(&task(&[logging("app", &["flood", "6000000"], "syslog", options)]));
    // Nobody reads: the container comes to a stop.
    let seen = eventually(PATIENCE, "it is held up", || {
        let before = root.logs(&started, "app").len();
        std::thread::sleep(Duration::from_millis(300));
        (before > 0 && root.logs(&started, "app").len() == before).then_some(before)
    });
    assert!(seen < 4_000_000, "{seen} bytes are stored, and 6000000 are to be written");
    assert_eq!(root.describe(&started)["lastStatus"], "RUNNING");
    let all = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&all);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut buffer = vec![0; 64 << 10];
            let mut stream = stream.unwrap();
            while let Ok(read @ 1..) = stream.read(&mut buffer) {
                sink.lock().unwrap().extend_from_slice(&buffer[..read]);
            }
        }
    });
    stopped(&root, &started);
    let receiver = Receiver { address, all };
    let text = receiver.text();
    let numbers: BTreeSet<&str> = text.lines().filter_map(|line| line.split("]: ").nth(1)?.get(..12)).collect();
    assert_eq!(numbers.len(), 60_001, "the probe's own report comes after it");
    let sent = status(&root, &started, "app");
    assert_eq!((&sent["lines"], &sent["droppedLines"]), (&json!(60_001), &json!(0)), "{sent}");
}

#[test]
fn no_line_is_lost_when_loop_and_shipper_are_killed() {
    let root = Root::with_images(&["probe"]);
    let receiver = Receiver::new();
    let options = json!({ "syslog-address": format!("tcp://{}", receiver.address), "mode": "blocking" });
    let started = root.run_detached(&task(&[logging("app", &["lines", "600", "5"], "syslog", options)]));
    let shipper = || processes(&["ship-worker", &started.id]).first().map(|(pid, _)| *pid);
    for _ in 0..3 {
        strike(eventually(PATIENCE, "a shipper is there", shipper));
        std::thread::sleep(Duration::from_millis(100));
        kill_loop(&root, &started);
    }
    stopped(&root, &started);
    let text = receiver.text();
    let lines: BTreeSet<&str> = text.lines().filter_map(|line| line.split("]: ").nth(1)).collect();
    let missing: Vec<_> = (1..=600).filter(|number| !lines.contains(&*format!("line {number}"))).collect();
    assert!(missing.is_empty(), "missing {missing:?}");
    assert_eq!(status(&root, &started, "app")["lines"], 600, "each is counted once");
}
