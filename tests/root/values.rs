//! The values of secrets and environment files: where they come to, where they do not, and what is said when they cannot
//! be had.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Whence, lseek};
use serde_json::{Value, json};

use crate::support::command::{Finished, Running};
use crate::support::root::{Root, Task};
use crate::support::{container, eventually, task};

const ROLE: &str = "arn:aws:iam::000000000000:role/execution";
const SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:";
const PATIENCE: Duration = Duration::from_secs(30);

/// How much of a file is looked at at once, in bytes.
const PIECE: i64 = 1 << 20;

/// `berth secret put` with a value on standard input.
fn put(root: &Root, more: &[&str], value: &str) -> Finished {
    let mut input = tempfile::tempfile().unwrap();
    input.write_all(value.as_bytes()).unwrap();
    input.seek(SeekFrom::Start(0)).unwrap();
    Running::reading(root.command(["secret", "put"].iter().chain(more)), input).wait(PATIENCE)
}

fn secret(name: &str, from: &str) -> Value {
    json!({ "name": name, "valueFrom": from })
}

fn file(key: &str) -> Value {
    json!({ "value": format!("arn:aws:s3:::bucket/{key}"), "type": "s3" })
}

/// A task of one container that waits for its end.
fn waiting(more: Value) -> Value {
    let mut definition = task(&[container("web", &["trap", "TERM", "--", "0"], more)]);
    definition["executionRoleArn"] = ROLE.into();
    definition
}

/// A directory that stands for the bucket `bucket`.
fn bucket(root: &Root, files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    root.configure(&format!("[environment-files.buckets]\nbucket = '{}'\n", directory.path().display()));
    directory
}

/// The variables of the container's first process, as the kernel has them.
fn environment_of_init(root: &Root, task: &Task) -> String {
    let group = root.group(task, Some("web"), "pids", "cgroup.procs").expect("its group is there");
    let pid = group.lines().next().expect("it has a process").to_owned();
    fs::read_to_string(format!("/proc/{pid}/environ")).unwrap().replace('\0', "\n")
}

/// Every file below a directory that has the text in it.
fn files_with(directory: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files_with(&entry.path(), text));
        } else if kind.is_file() && file_holds(&entry.path(), text) {
            found.push(entry.path());
        }
    }
    found
}

/// Whether a text stands in a file. Its holes are not read: a task's storage is a large file of them.
fn file_holds(path: &Path, text: &str) -> bool {
    let Ok(file) = File::open(path) else { return false };
    let mut at = 0;
    while let Ok(data) = lseek(&file, at, Whence::SeekData) {
        let end = lseek(&file, data, Whence::SeekHole).expect("there is a hole behind all data");
        let mut from = data;
        while from < end {
            let mut bytes = vec![0; usize::try_from((end - from).min(PIECE)).unwrap()];
            let read = file.read_at(&mut bytes, from.unsigned_abs()).unwrap_or_default();
            if holds(&bytes[..read], text) {
                return true;
            }
            // What stands across the edge of two pieces is found in the second one.
            let step = if read < bytes.len() || from + PIECE >= end {
                PIECE
            } else {
                PIECE - i64::try_from(text.len()).unwrap()
            };
            from += step;
        }
        at = end;
    }
    false
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// The host's processes on whose command line the text stands.
fn commands_with(text: &str) -> Vec<(u32, String)> {
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let commands = pids.map(|pid: u32| (pid, fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()));
    let lines = commands.map(|(pid, line)| (pid, String::from_utf8_lossy(&line).replace('\0', " ")));
    lines.filter(|(_, line)| line.contains(text)).collect()
}

/// Whether a process has the text anywhere in its memory.
fn memory_holds(pid: u32, text: &str) -> bool {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let regions = maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with('r')));
    regions.filter_map(|line| line.split(' ').next()?.split_once('-')).any(|(from, to)| {
        let address = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let (from, to) = (address(from), address(to));
        let mut bytes = vec![0; usize::try_from(to - from).unwrap().min(64 << 20)];
        memory.read_exact_at(&mut bytes, from).is_ok() && holds(&bytes, text)
    })
}

#[test]
fn values_reach_every_process_of_the_container_and_nobody_else() {
    let root = Root::with_images(&["probe"]);
    let bucket = bucket(&root, &[("a.env", "FROM_FILE=hush-of-file\n")]);
    let answer = put(&root, &["app/db"], "{\"password\": \"hush-of-secret\", \"port\": 5432}\n").json();
    assert_eq!(answer["valueFrom"], format!("{SECRET}app/db"));
    put(&root, &["/app/key"], "hush-of-parameter\n").ok();
    let started = root.run_detached(&waiting(json!({
        "secrets": [
            secret("PASSWORD", &format!("{SECRET}app/db-a1B2c3:password::")),
            secret("PORT", &format!("{SECRET}app/db:port::")),
            secret("KEY", "/app/key"),
        ],
        "environmentFiles": [file("a.env")],
    })));
    let expected = ["PASSWORD=hush-of-secret", "PORT=5432", "KEY=hush-of-parameter", "FROM_FILE=hush-of-file"];
    let of_exec = root.exec(&started, "web", &["/probe", "env"]).ok();
    let of_init = environment_of_init(&root, &started);
    for line in expected {
        assert!(of_exec.lines().any(|one| one == line), "{line} in {of_exec}");
        assert!(of_init.lines().any(|one| one == line), "{line} in {of_init}");
    }
    let values = root.path().join("run/tasks").join(&started.id).join("values.json");
    assert_eq!(fs::metadata(&values).unwrap().permissions().mode() & 0o777, 0o600);
    let described = root.describe(&started).to_string() + &started.answer.to_string();
    let supervisors = commands_with(&started.id);
    assert!(!supervisors.is_empty());
    for hush in ["hush-of-secret", "hush-of-parameter", "hush-of-file"] {
        let found = files_with(root.path(), hush);
        assert!(found.iter().all(|path| path.file_name() == Some(OsStr::new("values.json"))), "{hush}: {found:?}");
        assert!(!described.contains(hush), "{described}");
        assert!(!root.berth(["secret", "ls", "--format", "json"]).ok().contains(hush));
        assert_eq!(commands_with(hush), [], "{hush}");
        for (pid, command) in &supervisors {
            assert!(!memory_holds(*pid, hush), "{hush} in the memory of {pid}: {command}");
        }
    }
    root.stop(&started);
    eventually(PATIENCE, "its directory is gone", || (!values.parent().unwrap().exists()).then_some(()));
    for hush in ["hush-of-secret", "hush-of-parameter", "hush-of-file"] {
        assert_eq!(files_with(root.path(), hush), [] as [PathBuf; 0], "{hush}");
    }
    drop(bucket);
}

#[test]
fn a_health_check_knows_the_values_of_its_container() {
    let root = Root::with_images(&["busybox"]);
    put(&root, &["/app/key"], "hush").ok();
    let check = json!({ "command": ["CMD-SHELL", "test \"$(printf %s \"$KEY\" | wc -c)\" = 4"], "interval": 5 });
    let mut definition = waiting(json!({
        "image": "busybox", "entryPoint": ["sleep"], "command": ["1000"], "stopTimeout": 2, "healthCheck": check,
        "secrets": [secret("KEY", "/app/key")],
    }));
    definition["family"] = "checked".into();
    let started = root.run_detached(&definition);
    eventually(PATIENCE, "its container is healthy", || {
        let container = root.describe(&started)["containers"][0].clone();
        assert_ne!(container["healthStatus"], "UNHEALTHY", "{container:#}");
        (container["healthStatus"] == "HEALTHY").then_some(())
    });
    root.stop(&started);
}

#[test]
fn environment_beats_files_and_the_first_file_beats_the_second() {
    let root = Root::with_images(&["probe"]);
    let first = "# first\nA=file1\nB=file1\nAWS_REGION=mine\nQUOTED=\"as it is\"\nPATH=/of/file:/bin\n";
    let _bucket = bucket(&root, &[("1.env", first), ("2.env", "B=file2\nC=file2=x\nEMPTY=\n")]);
    let started = root.run_detached(&waiting(json!({
        "environment": [{ "name": "A", "value": "definition" }],
        "environmentFiles": [file("1.env"), file("2.env")],
    })));
    let text = environment_of_init(&root, &started);
    for line in
        ["A=definition", "B=file1", "C=file2=x", "QUOTED=\"as it is\"", "AWS_REGION=us-east-1", "PATH=/of/file:/bin"]
    {
        assert!(text.lines().any(|one| one == line), "{line} in {text}");
    }
    assert!(!text.contains("EMPTY"), "{text}");
    root.stop(&started);
}

#[test]
fn a_task_whose_values_cannot_be_had_is_on_record_and_nothing_is_pulled_for_it() {
    let root = Root::new();
    let _bucket = bucket(&root, &[]);
    put(&root, &["app/db"], "{\"user\": \"me\"}").ok();
    let secrets =
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: ";
    let cases = [
        (
            json!({ "secrets": [secret("A", "/none")] }),
            format!("{secrets}unable to retrieve secrets from ssm: invalid ssm parameters: /none"),
        ),
        (
            json!({ "secrets": [secret("A", &format!("{SECRET}app/db-a1B2c3:pw::"))] }),
            format!(
                "{secrets}unable to retrieve secret from asm: retrieved secret from Secrets Manager did not contain json key pw"
            ),
        ),
        (
            json!({ "secrets": [secret("A", &format!("{SECRET}none"))] }),
            format!(
                "{secrets}unable to retrieve secret from asm: failed to fetch secret {SECRET}none from secrets manager: ResourceNotFoundException: Secrets Manager can't find the specified secret."
            ),
        ),
        (
            json!({ "environmentFiles": [file("none.env")] }),
            "ResourceInitializationError: failed to download env files: arn:aws:s3:::bucket/none.env: ".to_owned(),
        ),
    ];
    for (more, reason) in &cases {
        let mut definition = waiting(more.clone());
        // A port that nobody listens on: a pull would fail too, later and in other words.
        definition["containerDefinitions"][0]["image"] = "127.0.0.1:1/none".into();
        let finished = root.run(&definition);
        assert_eq!(finished.code(), 1, "{finished:#?}");
        assert!(finished.stderr.contains(reason), "{reason} in {}", finished.stderr);
    }
    let records = root.list(&["-a"]);
    assert_eq!(records.len(), cases.len());
    for (record, (_, reason)) in records.iter().zip(&cases) {
        assert_eq!((&record["lastStatus"], &record["stopCode"]), (&json!("STOPPED"), &json!("TaskFailedToStart")));
        assert!(record["stoppedReason"].as_str().unwrap().starts_with(reason), "{record:#}");
        assert!(record["containers"][0].get("exitCode").is_none() && record.get("startedAt").is_none(), "{record:#}");
    }
}

#[test]
fn a_value_is_put_by_standard_input_or_file_and_never_shown() {
    let root = Root::new();
    let answer = put(&root, &["--format", "json", "app/db"], "hush-1").json();
    assert_eq!(answer["valueFrom"], format!("{SECRET}app/db"));
    let path = root.path().join("value");
    fs::write(&path, "hush-2\n").unwrap();
    root.berth(["secret", "put", "--file", path.to_str().unwrap(), "app/db"]).ok();
    fs::remove_file(&path).unwrap();
    put(&root, &["--kind", "parameter", "level"], "hush-3").ok();
    let listed = root.berth(["--format", "json", "secret", "ls"]).json();
    assert_eq!((&listed[0]["name"], &listed[0]["kind"]), (&json!("app/db"), &json!("secret")));
    assert_eq!(listed[0]["versions"][1]["id"], answer["version"]);
    let stages = |version: usize| listed[0]["versions"][version]["stages"].clone();
    assert_eq!((stages(0), stages(1)), (json!(["AWSCURRENT"]), json!(["AWSPREVIOUS"])));
    assert_eq!((&listed[1]["kind"], &listed[1]["versions"][0]["id"]), (&json!("parameter"), &json!("1")));
    let table = root.berth(["--format", "table", "secret", "ls"]).ok();
    assert!(table.contains("app/db") && !table.contains("hush") && !listed.to_string().contains("hush"), "{table}");
    assert_eq!(root.berth(["secret", "ls", "-q"]).ok(), format!("{SECRET}app/db\nlevel\n"));
    assert_eq!(files_with(root.path(), "hush"), [] as [PathBuf; 0]);

    assert_eq!(put(&root, &["a b"], "x").code(), 2, "no name");
    let empty = put(&root, &["x"], "");
    assert!(empty.code() == 1 && empty.stderr.contains("is empty"), "{empty:#?}");
    assert_eq!(root.berth(["secret", "rm", "app/db"]).ok(), format!("{SECRET}app/db\n"));
    let gone = root.berth(["secret", "rm", "app/db"]);
    assert!(gone.code() == 1 && gone.stderr.contains("there is no secret app/db"), "{gone:#?}");
}

#[test]
fn many_callers_put_secrets_at_once_and_none_is_lost() {
    let root = Root::new();
    std::thread::scope(|scope| {
        for caller in 0..6 {
            let root = &root;
            scope.spawn(move || put(root, &[&format!("s/{caller}")], "x").ok());
        }
    });
    assert_eq!(root.berth(["secret", "ls", "-q"]).ok().lines().count(), 6);
}
