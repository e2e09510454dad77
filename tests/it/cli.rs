//! The command line from outside, without root: what the built program prints, on which stream, and its exit codes.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use serde_json::Value;

const BERTH: &str = env!("CARGO_BIN_EXE_berth");

/// Nobody's user id.
const NOBODY: u32 = 65_534;

/// Runs the program in the repository, with some text on its standard input.
fn berth_reads(args: &[&str], input: &str) -> Output {
    let mut command = Command::new(BERTH);
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).env("NO_COLOR", "1");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it was built");
    // A program that ends at once does not read.
    let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
    child.wait_with_output().expect("it can be waited for")
}

fn berth(args: &[&str]) -> Output {
    berth_reads(args, "")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// A definition whose memory is no number and whose container is misspelt.
const BROKEN: &str = r#"{
  "family": "web", "networkMode": "awsvpc",
  "containerDefinitions": [
    { "name": "web", "image": "nginx", "memroy": 100, "memory": "much" }
  ]
}
"#;

#[test]
fn make_install_puts_everything_in_its_place_and_keeps_a_configuration_that_is_there() {
    let place = tempfile::tempdir().unwrap();
    let file =
        |path: &str| fs::read_to_string(place.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let install = || {
        let mut make = Command::new("make");
        make.args(["--old-file=build", "install", &format!("BERTH={BERTH}")]).current_dir(env!("CARGO_MANIFEST_DIR"));
        let done = make.arg(format!("DESTDIR={}", place.path().display())).output().expect("make is there");
        assert!(done.status.success(), "{done:?}");
    };
    install();
    assert!(Command::new(place.path().join("usr/local/bin/berth")).arg("--version").status().unwrap().success());
    for unit in ["berth.service", "berth-resume.service", "berth@.service"] {
        let text = file(&format!("etc/systemd/system/{unit}"));
        assert!(text.contains("ExecStart=/usr/local/bin/berth ") && !text.contains("/usr/bin/berth"), "{text}");
    }
    for other in [
        "etc/systemd/system/berth.socket",
        "etc/systemd/system/berth.slice",
        "etc/systemd/system/berth-tasks.service",
        "usr/lib/modules-load.d/berth.conf",
        "usr/local/share/man/man1/berth-run.1",
        "usr/local/share/bash-completion/completions/berth",
        "usr/local/share/zsh/site-functions/_berth",
        "usr/local/share/fish/vendor_completions.d/berth.fish",
    ] {
        assert!(!file(other).is_empty(), "{other}");
    }
    assert_eq!(file("etc/berth/config.toml"), include_str!("../../dist/config.toml"));
    fs::write(place.path().join("etc/berth/config.toml"), "pids-limit = 5\n").unwrap();
    install();
    assert_eq!(file("etc/berth/config.toml"), "pids-limit = 5\n");
}

#[test]
fn the_examples_can_be_run() {
    for file in ["examples/webserver.json", "examples/two-containers.json", "examples/three-containers.json"] {
        let output = berth(&["--format", "table", "lint", file]);
        assert_eq!(code(&output), Some(0), "{output:?}");
        assert!(stdout(&output).ends_with(&format!("{file}: can be run\n")), "{output:?}");
    }
}

#[test]
fn every_mistake_of_a_file_is_shown_below_its_place() {
    let output = berth_reads(&["--format", "table", "lint", "-"], BROKEN);
    let text = stdout(&output);
    assert_eq!(code(&output), Some(1), "{output:?}");
    let lines: Vec<&str> = text.lines().collect();
    for (word, message) in [("\"memroy\"", "memory"), ("\"much\"", "containerDefinitions[0].memory")] {
        let place = BROKEN.lines().nth(3).and_then(|line| line.find(word)).expect("it is there");
        let number = lines.iter().position(|line| line.ends_with(&format!("--> <stdin>:4:{}", place + 1)));
        let number = number.unwrap_or_else(|| panic!("nothing about {word} in {text}"));
        assert!(lines[number - 1].starts_with("error: ") && text.contains(message), "{text}");
        let (source, carets) = (lines[number + 2], lines[number + 3]);
        let at = carets.find('^').unwrap_or_else(|| panic!("no caret in {text}"));
        assert_eq!(&source[at..=carets.rfind('^').unwrap_or(at)], word, "the carets are not below {word}: {text}");
    }
    assert!(text.contains("= help: did you mean \"memory\"?"), "{text}");
    assert!(text.ends_with("<stdin>: cannot be run\n"), "{text}");
}

#[test]
fn the_findings_of_several_files_are_one_json_list() {
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join("broken.json");
    fs::write(&broken, BROKEN).unwrap();
    let output = berth(&["lint", "examples/webserver.json", broken.to_str().unwrap()]);
    assert_eq!(code(&output), Some(1), "{output:?}");
    let reports: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reports[0]["valid"], true);
    assert_eq!(reports[1]["valid"], false);
    let problem = &reports[1]["problems"][0];
    assert_eq!(problem["line"], 4, "{reports:#}");
    assert!(problem["message"].is_string() && problem["path"].is_string(), "{reports:#}");
}

#[test]
fn a_file_that_cannot_be_read_is_told_from_one_with_mistakes() {
    let output = berth(&["lint", "no/such.json", "examples/webserver.json"]);
    assert_eq!(code(&output), Some(2), "{output:?}");
    assert!(stderr(&output).contains("read no/such.json: No such file"), "{output:?}");
    assert!(stdout(&output).contains("examples/webserver.json"), "the other file is looked at: {output:?}");
}

#[test]
fn a_definition_that_cannot_be_run_is_a_wrong_usage_of_run() {
    let output = berth_reads(&["run", "-"], BROKEN);
    assert_eq!(code(&output), Some(2), "{output:?}");
    let text = stderr(&output);
    assert!(text.contains("memroy") && text.ends_with("error: <stdin> cannot be run\n"), "{text}");
    assert_eq!(stdout(&output), "");
    let output = berth_reads(&["run", "-"], "not json");
    assert_eq!(code(&output), Some(2), "{output:?}");
    assert!(stderr(&output).contains("--> <stdin>:1:1"), "{output:?}");
    assert_eq!(code(&berth(&["run", "no/such.json"])), Some(2));
}

#[test]
fn usage_errors_name_what_is_wrong_and_end_with_2() {
    let cases: [(&[&str], &str); 6] = [
        (&["rnu"], "rnu"),
        (&["run"], "<FILE|FAMILY[:REVISION]>"),
        (&["exec", "3f2a"], "<COMMAND>"),
        (&["ps", "--format", "xml"], "xml"),
        (&["stop", "web"], "32 hexadecimal digits"),
        (&["logs", "--since", "yesterday", "3f2a"], "10m"),
    ];
    for (args, word) in cases {
        let output = berth(args);
        assert_eq!(code(&output), Some(2), "{args:?}: {output:?}");
        assert!(stderr(&output).contains(word), "{args:?}: {output:?}");
        assert_eq!(stdout(&output), "", "{args:?}");
    }
}

#[test]
fn without_a_command_the_help_is_shown() {
    let output = berth(&[]);
    assert_eq!(code(&output), Some(2), "{output:?}");
    assert!(stderr(&output).contains("Commands:"), "{output:?}");
}

#[test]
fn every_command_has_a_help_that_teaches() {
    let all = stdout(&berth(&["--help"]));
    let commands =
        ["run", "ps", "describe", "logs", "stop", "exec", "stats", "rm", "image", "lint", "fields", "doctor"];
    for command in commands {
        assert!(all.contains(&format!("\n  {command}  ")), "{command} is not in:\n{all}");
        let output = berth(&[command, "--help"]);
        assert_eq!(code(&output), Some(0), "{output:?}");
        let teaches = ["Examples:", "Exit codes:", "Commands:"].iter().any(|word| stdout(&output).contains(word));
        assert!(teaches, "{}", stdout(&output));
    }
    for hidden in ["supervise", "exec-worker"] {
        assert!(!all.contains(hidden), "{hidden} is in:\n{all}");
    }
}

#[test]
fn a_script_for_each_shell_completes_the_commands() {
    for (shell, word) in [("bash", "complete -F"), ("zsh", "#compdef berth"), ("fish", "complete -c berth")] {
        let output = berth(&["completions", shell]);
        assert_eq!(code(&output), Some(0), "{output:?}");
        let text = stdout(&output);
        assert!(text.contains(word) && text.contains("describe") && text.contains("detach"), "{shell}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure_to_speak_of() {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
    // Less than what is written: processes that other tests are just starting have the reader for a moment too.
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    let mut command = Command::new(BERTH);
    command.args(["completions", "bash"]).stdout(writer).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it was built");
    drop((reader, command));
    let mut said = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(141));
    assert_eq!(said, "");
}

/// Runs a copy of the program, which stands where everybody may go, as a user without rights.
fn as_nobody(directory: &Path, args: &[&str]) -> Output {
    let program = directory.join("berth");
    fs::copy(BERTH, &program).unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&program);
    command.args(args).current_dir("/").env("NO_COLOR", "1").stdin(Stdio::null());
    if nix::unistd::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.output().expect("it was copied")
}

#[test]
fn a_caller_without_root_is_told_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let output = as_nobody(directory.path(), &["ps"]);
    assert_eq!(code(&output), Some(1), "{output:?}");
    assert!(stderr(&output).contains("needs root") && stderr(&output).contains("sudo"), "{output:?}");
    assert_eq!(stderr(&output).lines().count(), 1, "{output:?}");
}
