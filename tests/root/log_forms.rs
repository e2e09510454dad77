//! What receivers of logs get, form by form: syslog in datagrams and on sockets, GELF in streams and packed datagrams, fluentd
//! under TLS and on a socket, Splunk under HTTPS, and a router of the fluentd kind; from every network mode.

use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use super::log_receivers::{Served, free_port, listens, status};
use super::network_modes::on_own_host;
use crate::support::root::Root;
use crate::support::supervised::PATIENCE;
use crate::support::{binary, container, eventually, instance, logging, task};

/// What is sent to a listener over all connections, in pieces as they come.
fn stream_of(mut accept: impl FnMut() -> Box<dyn Read + Send> + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        loop {
            let mut stream = accept();
            let mut all = Vec::new();
            let _ = stream.read_to_end(&mut all);
            if sender.send(all).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The first connection's content that is not empty: whoever asks whether somebody is there says nothing.
fn heard(receiver: &Receiver<Vec<u8>>) -> Vec<u8> {
    loop {
        let all = receiver.recv_timeout(PATIENCE).expect("somebody sends");
        if !all.is_empty() {
            return all;
        }
    }
}

fn run(root: &Root, driver: &str, text: &str, options: Value) -> Value {
    let started = root.run_detached(&task(&[logging("app", &["print", text], driver, options)]));
    root.until(&started, "STOPPED");
    let sent = status(root, &started);
    assert_eq!((&sent["droppedLines"], &sent["waitingBytes"]), (&json!(0), &json!(0)), "{sent}");
    sent
}

#[test]
fn syslog_goes_in_datagrams_and_on_both_kinds_of_sockets() {
    let root = Root::with_images(&["probe"]);
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = vec![0; 64 << 10];
    let address = format!("udp://{}", udp.local_addr().unwrap());
    run(&root, "syslog", "one\ntwo", json!({ "syslog-address": address, "syslog-format": "rfc3164", "tag": "a b" }));
    let mut lines: Vec<String> = Vec::new();
    for _ in 0..2 {
        let length = udp.recv(&mut buffer).unwrap();
        lines.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
    }
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    for (line, text) in lines.iter().zip(["one", "two"]) {
        // <30>Nov 26 04:41:33 HOST a_b[PID]: one
        let (head, rest) = line.split_at(20);
        assert!(head.starts_with("<30>") && &head[7..8] == " " && &head[13..14] == ":", "{line}");
        assert!(rest.starts_with(&format!("{host} a_b[")) && rest.ends_with(&format!("]: {text}")), "{line}");
    }

    let path = root.path().join("log.dgram");
    let datagrams = UnixDatagram::bind(&path).unwrap();
    datagrams.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = format!("unixgram://{}", path.display());
    run(&root, "syslog", "local", json!({ "syslog-address": address, "tag": "app", "syslog-facility": "user" }));
    let length = datagrams.recv(&mut buffer).unwrap();
    let line = String::from_utf8(buffer[..length].to_vec()).unwrap();
    assert!(line.starts_with("<14>") && line.contains(" app[") && line.ends_with("]: local"), "no host in it: {line}");

    let path = root.path().join("log.stream");
    let listener = UnixListener::bind(&path).unwrap();
    let receiver = stream_of(move || Box::new(listener.accept().unwrap().0));
    let address = format!("unix://{}", path.display());
    run(&root, "syslog", "x\ny", json!({ "syslog-address": address, "syslog-format": "rfc5424micro", "tag": "app" }));
    let text = String::from_utf8(heard(&receiver)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("<30>1 20") && lines[1].ends_with(" app - y"), "{text}");
    let time = lines[0].split(' ').nth(1).unwrap();
    assert!(time.len() == "2026-11-26T04:41:33.123456Z".len() && time.ends_with('Z'), "{time}");
}

/// One GELF message of datagrams: put together where it comes in pieces.
fn message(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 64 << 10];
    let mut whole = Vec::new();
    loop {
        let length = socket.recv(&mut buffer).unwrap();
        let piece = &buffer[..length];
        if piece[..2] != [0x1e, 0x0f] {
            return piece.to_vec();
        }
        whole.extend_from_slice(&piece[12..]);
        if piece[10] + 1 == piece[11] {
            return whole;
        }
    }
}

#[test]
fn gelf_goes_in_streams_and_in_packed_datagrams_in_pieces() {
    let root = Root::with_images(&["probe"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let receiver = stream_of(move || Box::new(listener.accept().unwrap().0));
    run(&root, "gelf", "one\ntwo", json!({ "gelf-address": address }));
    let bytes = heard(&receiver);
    let parts: Vec<Value> = bytes
        .split(|byte| *byte == 0)
        .filter(|part| !part.is_empty())
        .map(|part| serde_json::from_slice(part).unwrap())
        .collect();
    assert!(bytes.ends_with(b"\0") && parts.len() == 2, "{parts:?}");
    assert_eq!((&parts[0]["short_message"], &parts[1]["short_message"]), (&json!("one"), &json!("two")));

    // Noise, so that packing leaves more than a datagram takes.
    let noise: String =
        (0..9000_u64).map(|n| char::from(b'!' + (n.wrapping_mul(2_654_435_761) >> 7) as u8 % 90)).collect();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = format!("udp://{}", socket.local_addr().unwrap());
    for (kind, level) in [("gzip", "9"), ("gzip", "1"), ("zlib", "-1")] {
        let options =
            json!({ "gelf-address": address, "gelf-compression-type": kind, "gelf-compression-level": level });
        run(&root, "gelf", &noise, options);
        let packed = message(&socket);
        let mut text = Vec::new();
        match kind {
            "gzip" => flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut text).unwrap(),
            _ => flate2::read::ZlibDecoder::new(&packed[..]).read_to_end(&mut text).unwrap(),
        };
        let event: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(event["short_message"], noise, "{kind} {level}");
        if kind == "gzip" {
            // RFC 1952: 2 says that it was packed as small as can be, 4 as quickly as can be.
            assert_eq!(packed[8], if level == "9" { 2 } else { 4 }, "the level is the definition's");
        }
    }
}

/// A certificate for 127.0.0.1 and its key, in files `crt` and `key` of the root.
fn certificate(root: &Root) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=logs", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key", "-out", "crt"])
        .current_dir(root.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

#[test]
fn fluentd_hears_on_a_socket_and_under_tls_of_an_authority_that_the_host_trusts() {
    let root = Root::with_images(&["probe"]);
    let path = root.path().join("fluent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let receiver = stream_of(move || Box::new(listener.accept().unwrap().0));
    let options = json!({ "fluentd-address": format!("unix://{}", path.display()), "tag": "app", "labels": "team" });
    run(&root, "fluentd", "by a socket", options);
    let bytes = heard(&receiver);
    let text = String::from_utf8_lossy(&bytes);
    assert!(bytes.starts_with(b"\x93\xa3app") && text.contains("by a socket") && text.contains("stdout"), "{text}");

    certificate(&root);
    let port = free_port();
    let mut server = Command::new("openssl");
    server.args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}"), "-key", "key", "-cert", "crt"]);
    let output = std::fs::File::create(root.path().join("heard")).unwrap();
    let server = server.current_dir(root.path()).stdin(Stdio::piped()).stdout(output).stderr(Stdio::null());
    let _server = Served(server.spawn().unwrap());
    listens(port);
    let options = json!({ "fluentd-address": format!("tls://127.0.0.1:{port}"), "tag": "app" });
    let definition = task(&[logging("app", &["print", "sealed"], "fluentd", options)]);
    let refused = root.run(&definition);
    assert!(refused.code() == 1 && refused.stderr.to_lowercase().contains("certificate"), "{refused:#?}");

    // In a mount namespace of its own, where the host's authorities are this one.
    let script = "mount --bind \"$1\" /etc/ssl/certs/ca-certificates.crt && exec \"$2\" --root \"$3\" run -d \"$4\"";
    let mut trusting = Command::new("unshare");
    trusting.args(["-m", "sh", "-c", script, "sh"]);
    trusting.arg(root.path().join("crt")).arg(binary()).arg(root.path()).arg(root.file(&definition));
    let output = trusting.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bytes = eventually(PATIENCE, "it is heard", || {
        let bytes = std::fs::read(root.path().join("heard")).unwrap();
        bytes.windows(6).any(|window| window == b"sealed").then_some(bytes)
    });
    assert!(bytes.starts_with(b"\x93\xa3app"), "{}", String::from_utf8_lossy(&bytes));
    eventually(PATIENCE, "it is over", || root.list(&[]).is_empty().then_some(()));
}

/// An HTTPS server that answers everything with 200, and writes `METHOD PATH LENGTH ENCODING` and bodies to a file.
const HTTPS: &str = r#"
import http.server, ssl, sys, gzip
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        if self.headers.get('Content-Encoding') == 'gzip':
            body = gzip.decompress(body)
        with open('requests', 'ab') as file:
            file.write(('%s %s %s\n' % (self.command, self.path, self.headers.get('Content-Encoding'))).encode() + body + b'\n')
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()
    do_POST = do_OPTIONS = answer
    def log_message(self, *args):
        pass
server = http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('crt', 'key')
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"#;

#[test]
fn splunk_is_asked_and_served_under_https_by_whom_the_definition_trusts() {
    let root = Root::with_images(&["probe"]);
    certificate(&root);
    let port = free_port();
    let mut server = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python"));
    server.args(["-c", HTTPS, &port.to_string()]).current_dir(root.path()).stdin(Stdio::null()).stderr(Stdio::null());
    let _server = Served(server.spawn().unwrap());
    listens(port);
    let options = |more: Value| {
        let mut options = json!({
            "splunk-url": format!("https://127.0.0.1:{port}"), "splunk-token": "t", "splunk-gzip": "true",
            "splunk-gzip-level": "9", "tag": "app",
        });
        if let (Value::Object(options), Value::Object(more)) = (&mut options, more) {
            options.extend(more);
        }
        options
    };
    let refused = root.run(&task(&[logging("app", &["print", "one"], "splunk", options(json!({})))]));
    let words = "ResourceInitializationError: failed to validate logger args: Options \"https://127.0.0.1:";
    assert!(refused.code() == 1 && refused.stderr.contains(words), "{refused:#?}");
    for trust in [json!({ "splunk-capath": root.path().join("crt") }), json!({ "splunk-insecureskipverify": "true" })] {
        run(&root, "splunk", "one", options(trust));
        let requests = std::fs::read_to_string(root.path().join("requests")).unwrap();
        let lines: Vec<&str> = requests.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines[0], "OPTIONS /services/collector/event/1.0 None", "{requests}");
        assert_eq!(lines[1], "POST /services/collector/event/1.0 gzip", "{requests}");
        let event: Value = serde_json::from_str(lines[2]).unwrap();
        assert_eq!((&event["event"]["line"], &event["event"]["tag"]), (&json!("one"), &json!("app")), "{requests}");
        std::fs::remove_file(root.path().join("requests")).unwrap();
    }
}

#[test]
fn receivers_are_the_hosts_in_every_network_mode() {
    on_own_host(|root| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let receiver = stream_of(move || Box::new(listener.accept().unwrap().0));
        for mode in ["bridge", "host", "none", "awsvpc"] {
            let options = json!({ "syslog-address": address, "syslog-format": "rfc3164", "tag": "app" });
            let mut definition = instance(&[logging("app", &["print", mode], "syslog", options)]);
            definition["networkMode"] = json!(mode);
            let started = root.run_detached(&definition);
            root.until(&started, "STOPPED");
            let text = String::from_utf8(heard(&receiver)).unwrap();
            assert!(text.trim_end().ends_with(&format!("]: {mode}")), "{text}");
        }
    });
}

#[test]
fn a_router_of_the_fluentd_kind_has_its_configuration_in_its_place_and_hears_the_others() {
    let root = Root::with_images(&["probe"]);
    let router = container(
        "router",
        &["router", "/var/run/fluent.sock"],
        json!({ "firelensConfiguration": { "type": "fluentd", "options": { "enable-ecs-log-metadata": "true" } } }),
    );
    let app = logging(
        "app",
        &["trap", "TERM", "--", "0"],
        "awsfirelens",
        json!({ "@type": "s3", "s3_bucket": "b", "exclude-pattern": "^debug" }),
    );
    let started = root.run_detached(&task(&[app, router]));
    let text = root.exec(&started, "router", &["/probe", "cat", "/fluentd/etc/fluent.conf"]).ok();
    for line in ["    path /var/run/fluent.sock", "    bind 127.0.0.1", "    @type s3", "    s3_bucket b"] {
        assert!(text.lines().any(|one| one == line), "{line:?} in {text}");
    }
    assert!(text.contains("<match app-firelens**>") && text.contains("pattern ^debug"), "{text}");
    assert!(text.contains("ecs_cluster default"), "{text}");
    root.until_written(&started, "router", &format!("app-firelens-{} stdout ready", started.id));
    root.stop(&started);
    assert!(root.logs(&started, "router").contains(&format!("app-firelens-{} stdout TERM", started.id)));
}
