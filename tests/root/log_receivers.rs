//! Log drivers at receivers that answer: fluentd, Splunk, a syslog daemon under TLS, CloudWatch Logs (moto).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::support::root::{Root, Task};
use crate::support::supervised::PATIENCE;
use crate::support::{eventually, logging, task};

pub(super) fn status(root: &Root, task: &Task) -> Value {
    root.berth(["--format", "json", "logs", "--status", &task.id]).json()[0]["sent"].clone()
}

/// A listener whose connections are served one after the other; what `serve` gives back can be waited for.
pub(super) fn serving<T: Send + 'static>(
    mut serve: impl FnMut(usize, TcpStream) -> T + Send + 'static,
) -> (String, Receiver<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            if sender.send(serve(number, stream.unwrap())).is_err() {
                return;
            }
        }
    });
    (address, receiver)
}

#[test]
fn a_batch_that_fluentd_does_not_acknowledge_is_sent_again() {
    let root = Root::with_images(&["probe"]);
    let (address, heard) = serving(|number, mut stream| {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
        let chunk = loop {
            let read = stream.read(&mut buffer).unwrap();
            all.extend_from_slice(&buffer[..read]);
            let at = all.windows(6).position(|window| window == b"chunk\xd9");
            if let Some(chunk) = at.and_then(|at| all.get(at + 7..at + 39)) {
                break chunk.to_vec();
            }
            assert!(read > 0, "the connection ends without a chunk's name");
        };
        if number > 0 {
            stream.write_all(&[b"\x81\xa3ack\xd9\x20", &chunk[..]].concat()).unwrap();
        }
        all
    });
    let options = json!({ "fluentd-address": address, "fluentd-request-ack": "true", "fluentd-async": "true",
        "tag": "app.{{.Name}}" });
    let started = root.run_detached(&task(&[logging("app", &["print", "hello"], "fluentd", options)]));
    for _ in 0..2 {
        let message = heard.recv_timeout(PATIENCE).unwrap();
        let text = String::from_utf8_lossy(&message);
        assert!(message[0] == 0x93 && text.contains("app.ecs-") && text.contains("hello"), "{text}");
    }
    root.until(&started, "STOPPED");
    assert_eq!(status(&root, &started)["lines"], 1, "{}", status(&root, &started));
}

/// Answers one HTTP request; its head and body.
pub(super) fn http(stream: &TcpStream, status: &str) -> (String, Vec<u8>) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "a request ends in its head: {head}");
    }
    let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    write!(&mut &*stream, "HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}").unwrap();
    (head, body)
}

#[test]
fn splunk_gets_events_with_its_token_and_again_after_a_failure() {
    let root = Root::with_images(&["probe"]);
    let (address, heard) = serving(|number, stream| http(&stream, ["503 Busy", "200 OK"][number.min(1)]));
    let options = json!({
        "splunk-url": format!("http://{address}"), "splunk-token": "t-o-k-e-n", "splunk-format": "json",
        "splunk-index": "main", "tag": "app", "splunk-verify-connection": "false",
    });
    let started = root.run_detached(&task(&[logging("app", &["print", "{\"a\":1}\nplain"], "splunk", options)]));
    for _ in 0..2 {
        let (head, body) = heard.recv_timeout(PATIENCE).unwrap();
        assert!(head.starts_with("POST /services/collector/event/1.0 "), "{head}");
        assert!(head.to_lowercase().contains("authorization: splunk t-o-k-e-n"), "{head}");
        let events: Vec<Value> =
            serde_json::Deserializer::from_slice(&body).into_iter::<Value>().map(Result::unwrap).collect();
        let lines: Vec<&Value> = events.iter().map(|event| &event["event"]["line"]).collect();
        assert_eq!(lines, [&json!({ "a": 1 }), &json!("plain")]);
        assert_eq!((&events[0]["index"], &events[0]["event"]["source"]), (&json!("main"), &json!("stdout")));
    }
    root.until(&started, "STOPPED");
    let sent = status(&root, &started);
    assert_eq!((&sent["lines"], &sent["droppedLines"], &sent["error"]), (&json!(2), &json!(0), &Value::Null));
}

/// `berth secret put` of a parameter, from standard input.
fn put(root: &Root, name: &str, value: &str) {
    let mut secret = root.command(["secret", "put", name]);
    let mut secret = secret.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    secret.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
    assert!(secret.wait().unwrap().success());
}

#[test]
fn a_secret_option_reaches_the_receiver_and_neither_plan_nor_record() {
    let root = Root::with_images(&["probe"]);
    put(&root, "/splunk/token", "hidden-token");
    let (address, heard) = serving(|_, stream| http(&stream, "200 OK"));
    let options = json!({ "splunk-url": format!("http://{address}"), "splunk-verify-connection": "false" });
    let mut app = logging("app", &["print", "one"], "splunk", options);
    app["logConfiguration"]["secretOptions"] = json!([{ "name": "splunk-token", "valueFrom": "/splunk/token" }]);
    let mut definition = task(&[app.clone()]);
    definition["executionRoleArn"] = json!("arn:aws:iam::000000000000:role/execution");
    let started = root.run_detached(&definition);
    let (head, _) = heard.recv_timeout(PATIENCE).unwrap();
    assert!(head.contains("Splunk hidden-token"), "{head}");
    root.until(&started, "STOPPED");
    for file in ["store.db", "store.db-wal"] {
        let bytes = std::fs::read(root.path().join(file)).unwrap_or_default();
        assert!(!bytes.windows(12).any(|window| window == b"hidden-token"), "{file}");
    }
    app["logConfiguration"]["secretOptions"][0]["valueFrom"] = json!("/no/such");
    definition["containerDefinitions"] = json!([app]);
    let refused = root.run(&definition);
    assert!(refused.code() == 1 && refused.stderr.contains("ResourceInitializationError"), "{refused:#?}");
}

#[test]
fn what_splunk_does_not_understand_is_counted_and_does_not_hold_up_the_rest() {
    let root = Root::with_images(&["probe"]);
    let (address, _heard) = serving(|_, stream| http(&stream, "400 Bad Request"));
    let options = json!({
        "splunk-url": format!("http://{address}"), "splunk-token": "t", "splunk-verify-connection": "false",
    });
    let started = root.run_detached(&task(&[logging("app", &["print", "one\ntwo"], "splunk", options)]));
    root.until(&started, "STOPPED");
    let sent = status(&root, &started);
    assert_eq!((&sent["lines"], &sent["droppedLines"]), (&json!(0), &json!(2)), "{sent}");
    assert!(sent["error"].as_str().unwrap().contains("refused: 400"), "{sent}");
}

/// A program of the test's own, ended with it.
pub(super) struct Served(pub(super) Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(super) fn listens(port: u16) {
    eventually(PATIENCE, "it listens", || TcpStream::connect(("127.0.0.1", port)).ok());
}

#[test]
fn syslog_goes_under_tls_to_a_server_that_is_vouched_for() {
    let root = Root::with_images(&["probe"]);
    let file = |name: &str| root.path().join(name);
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args([
            "-subj",
            "/CN=logs",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
            "key",
            "-out",
            "crt",
        ])
        .current_dir(root.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let port = free_port();
    let mut server = Command::new("openssl");
    server.args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}"), "-key", "key", "-cert", "crt"]);
    let output = std::fs::File::create(file("heard")).unwrap();
    // At the end of its input it would close the connection.
    let server = server.current_dir(root.path()).stdin(Stdio::piped()).stdout(output).stderr(Stdio::null());
    let _server = Served(server.spawn().unwrap());
    listens(port);
    let options = json!({
        "syslog-address": format!("tcp+tls://127.0.0.1:{port}"), "syslog-format": "rfc5424", "tag": "app",
        "syslog-tls-ca-cert": file("crt"),
    });
    let started = root.run_detached(&task(&[logging("app", &["print", "sealed"], "syslog", options)]));
    let heard = eventually(PATIENCE, "it is heard", || {
        Some(std::fs::read_to_string(file("heard")).unwrap()).filter(|text| text.contains("sealed"))
    });
    let (length, message) = heard.split_once(' ').unwrap();
    assert_eq!(length.parse::<usize>().unwrap(), message.len(), "{heard}");
    assert!(message.starts_with("<30>1 ") && message.ends_with(" app - sealed"), "{message}");
    root.until(&started, "STOPPED");

    let stranger = json!({ "syslog-address": format!("tcp+tls://127.0.0.1:{port}") });
    let refused = root.run(&task(&[logging("app", &["sleep"], "syslog", stranger)]));
    assert_eq!(refused.code(), 1, "it is not trusted: {refused:#?}");
    assert!(refused.stderr.to_lowercase().contains("certificate"), "{refused:#?}");
}

/// moto's CloudWatch Logs.
pub(super) fn moto(project: &Path) -> (Served, u16) {
    let venv = Command::new("tests/support/venv").current_dir(project).output().unwrap();
    assert!(venv.status.success(), "{venv:?}");
    let port = free_port();
    let mut server = Command::new(project.join("target/venv/bin/moto_server"));
    let server = server.args(["-H", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    let server = Served(server.spawn().unwrap());
    listens(port);
    (server, port)
}

/// What is in a stream there.
fn events(project: &Path, port: u16, group: &str, stream: &str) -> Vec<String> {
    let script = "import boto3, json, sys\n\
        logs = boto3.client('logs', region_name='eu-west-1', endpoint_url=sys.argv[1],\n\
            aws_access_key_id='k', aws_secret_access_key='s')\n\
        answer = logs.get_log_events(logGroupName=sys.argv[2], logStreamName=sys.argv[3], startFromHead=True)\n\
        print(json.dumps([event['message'] for event in answer['events']]))\n";
    let mut python = Command::new(project.join("target/venv/bin/python"));
    let output = python.args(["-c", script, &format!("http://127.0.0.1:{port}"), group, stream]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_stream_goes_to_cloudwatch_and_its_group_is_made_if_that_is_asked_for() {
    let root = Root::with_images(&["probe"]);
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (_server, port) = moto(project);
    root.configure(&format!(
        "[log]\ncloudwatch = true\ndrain-seconds = 20\n[aws.endpoints]\nlogs = \"http://127.0.0.1:{port}\"\n"
    ));
    let credentials = root.path().join("credentials");
    std::fs::write(&credentials, "[default]\naws_access_key_id = k\naws_secret_access_key = s\n").unwrap();
    let run = |more: Value| {
        let mut options = json!({
            "awslogs-group": "/ecs/cloud", "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "p",
            "awslogs-datetime-format": "%H:%M",
        });
        if let (Value::Object(options), Value::Object(more)) = (&mut options, more) {
            options.extend(more);
        }
        let text = "12:00 one\n  more\n\n12:01 two";
        let file = root.file(&task(&[logging("app", &["print", text], "awslogs", options)]));
        let mut command = root.command([Path::new("run"), Path::new("-d"), &file]);
        command.env("AWS_SHARED_CREDENTIALS_FILE", &credentials).env("AWS_CONFIG_FILE", "/nonexistent");
        assert!(command.output().unwrap().status.success());
        let id = root.berth(["ps", "-a", "-q"]).ok().lines().last().unwrap().to_owned();
        Task { id, answer: Value::Null }
    };
    let started = run(json!({ "awslogs-create-group": "true" }));
    root.until(&started, "STOPPED");
    let sent = status(&root, &started);
    assert_eq!(
        (&sent["lines"], &sent["droppedLines"], &sent["waitingBytes"]),
        (&json!(4), &json!(0), &json!(0)),
        "{sent}"
    );
    let stream = format!("p/app/{}", started.id);
    assert_eq!(events(project, port, "/ecs/cloud", &stream), ["12:00 one\n  more\n", "12:01 two"]);
    let here = root.berth(["logs", "--group", "/ecs/cloud"]).ok();
    assert_eq!(here, "12:00 one\n  more\n\n12:01 two\n");
}
