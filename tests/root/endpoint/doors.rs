//! Who is let in, and to what.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::root;
use crate::support::command::Running;
use crate::support::endpoint::{Endpoint, certificate};
use crate::support::root::Root;

const PATIENCE: Duration = Duration::from_secs(30);

/// A request without a signature, by curl: status and answer.
fn plain(endpoint: &Endpoint, more: &[&str], action: &str) -> (u64, Value) {
    let mut command = Command::new("curl");
    let target = format!("X-Amz-Target: AmazonEC2ContainerServiceV20141113.{action}");
    command.args(["-s", "-w", "\n%{http_code}", "-H", &target, "-d", "{}"]).args(more);
    if !more.iter().any(|word| word.starts_with("http")) {
        command.arg(&endpoint.url);
    }
    let said = Running::start(command).wait(PATIENCE).ok();
    let (body, status) = said.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
}

#[test]
fn a_request_without_a_signature_is_refused_but_for_root_on_the_unix_socket() {
    let (root, _) = root();
    let endpoint = Endpoint::start(&root);
    let (status, answer) = plain(&endpoint, &[], "ListClusters");
    assert_eq!(status, 400);
    assert_eq!(
        answer,
        json!({"__type": "MissingAuthenticationTokenException", "message": "Missing Authentication Token"})
    );
    let socket = endpoint.socket.to_str().unwrap();
    let (status, answer) = plain(&endpoint, &["--unix-socket", socket, "http://localhost/"], "ListClusters");
    assert_eq!(
        (status, &answer["clusterArns"][0]),
        (200, &json!("arn:aws:ecs:us-east-1:000000000000:cluster/default"))
    );
    let (status, answer) =
        plain(&endpoint, &["--http2-prior-knowledge", "--unix-socket", socket, "http://localhost/"], "X");
    assert_eq!((status, &answer["__type"]), (400, &json!("UnknownOperationException")));
    // Another user does not even get to the socket.
    let mut curl = Command::new("curl");
    curl.args(["-s", "--unix-socket", socket, "http://localhost/healthz"]).uid(65534).gid(65534);
    assert_ne!(Running::start(curl).wait(PATIENCE).code(), 0);
}

#[test]
fn a_key_may_do_what_it_was_made_for_and_nothing_once_it_is_removed() {
    let (root, _) = root();
    let endpoint = Endpoint::start(&root);
    let make = |more: &[&str]| root.berth([&["--format", "json", "key", "create"], more].concat()).json();
    let text = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
    let call = |key: &Value, call: &str| {
        let lines = format!("print(json.dumps(code(lambda: client('ecs').{call})))");
        let (id, secret) = (text(key, "AccessKeyId"), text(key, "SecretAccessKey"));
        endpoint.python((&id, &secret), &lines)
    };
    let reader = make(&["--read-only", "reader"]);
    assert_eq!(call(&reader, "list_clusters()"), "done");
    assert_eq!(call(&reader, "create_cluster(clusterName='x')"), "AccessDeniedException");
    let bounded = make(&["--cluster", "staging", "bounded"]);
    assert_eq!(call(&bounded, "create_cluster(clusterName='staging')"), "done");
    assert_eq!(call(&bounded, "list_tasks(cluster='staging')"), "done");
    assert_eq!(call(&bounded, "list_tasks()"), "AccessDeniedException");
    assert_eq!(call(&bounded, "run_task(taskDefinition='x')"), "AccessDeniedException");
    assert_eq!(call(&bounded, "run_task(taskDefinition='x', cluster='staging')"), "ClientException", "there is no x");
    assert_eq!(call(&bounded, "describe_clusters(clusters=['staging', 'default'])"), "AccessDeniedException");
    let of_another = "arn:aws:ecs:eu-west-1:000000000000:task/default/0123456789abcdef0123456789abcdef";
    let looked = format!("describe_tasks(cluster='staging', tasks=['{of_another}'])");
    assert_eq!(call(&bounded, &looked), "AccessDeniedException");
    assert_eq!(
        call(&bounded, "list_tasks(cluster='arn:aws:ecs:eu-west-1:000000000000:cluster/default')"),
        "AccessDeniedException"
    );
    let passing = make(&["--expires-in", "1h", "passing"]);
    assert_eq!(call(&passing, "list_clusters()"), "UnrecognizedClientException", "its token is wanted");
    let lines = "import os\nos.environ['AWS_SESSION_TOKEN'] = GIVEN\nprint(json.dumps(code(lambda: client('ecs').list_clusters())))"
        .replace("GIVEN", &passing["SessionToken"].to_string());
    assert_eq!(endpoint.python((&text(&passing, "AccessKeyId"), &text(&passing, "SecretAccessKey")), &lines), "done");
    root.berth(["key", "rm", &text(&reader, "AccessKeyId")]).ok();
    assert_eq!(call(&reader, "list_clusters()"), "UnrecognizedClientException");
    let listed = root.berth(["--format", "json", "key", "ls"]).ok();
    assert!(
        listed.contains(&text(&bounded, "AccessKeyId")) && !listed.contains(&text(&bounded, "SecretAccessKey")),
        "{listed}"
    );
}

#[test]
fn regions_are_apart_and_the_region_of_a_request_is_the_one_that_it_is_signed_for() {
    let (root, _) = root();
    let endpoint = Endpoint::start(&root);
    let made = "client('ecs', region_name='ap-south-1').create_cluster(clusterName='south')\n\
        print(json.dumps([client('ecs', region_name=r).describe_clusters(clusters=['south'])['failures'] for r in ('ap-south-1', 'eu-west-1')]))";
    let failures = endpoint.python(endpoint.key(), made);
    assert_eq!(failures[0], json!([]));
    assert_eq!(failures[1][0]["reason"], "MISSING");
}

#[test]
fn without_authentication_it_serves_loopback_alone_and_no_web_page() {
    let (root, _) = root();
    let open = root.start(["serve", "--listen", "0.0.0.0:0", "--insecure-no-auth"]).wait(PATIENCE);
    assert!(open.code() == 1 && open.stderr.contains("loopback"), "{open:#?}");
    let endpoint = Endpoint::with(&root, &["--insecure-no-auth"]);
    assert_eq!(plain(&endpoint, &[], "ListClusters").0, 200);
    assert_eq!(plain(&endpoint, &["-H", "Origin: http://127.0.0.1"], "ListClusters").0, 403);
    assert_eq!(plain(&endpoint, &["-H", "Host: rebound.example"], "ListClusters").0, 403);
    assert_eq!(
        endpoint.python(("any", "key"), "print(json.dumps(code(lambda: client('ecs').list_clusters())))"),
        "done"
    );
}

#[test]
fn with_a_certificate_it_speaks_tls_and_http2() {
    let root = Root::new();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    certificate(&root);
    let mut serve = root.command(["serve", "--listen", "127.0.0.1:0", "--socket", "off", "--insecure-no-auth"]);
    serve.args(["--tls-cert", &path("cert.pem"), "--tls-key", &path("key.pem"), "--no-request-log"]);
    let mut child = serve.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stderr.take().unwrap()), &mut line).unwrap();
    let url = line.trim().rsplit(' ').next().unwrap().to_owned();
    let mut curl = Command::new("curl");
    let target = "X-Amz-Target: AmazonEC2ContainerServiceV20141113.ListClusters";
    curl.args(["-s", "--cacert", &path("cert.pem"), "-w", " %{http_version}", "-H", target, "-d", "{}", &url]);
    let said = Running::start(curl).wait(PATIENCE).ok();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.id().try_into().unwrap()),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    assert!(child.wait().unwrap().success());
    assert!(url.starts_with("https://") && said.contains("clusterArns") && said.ends_with(" 2"), "{url}: {said}");
}

#[test]
fn sockets_of_systemd_are_taken_and_readiness_is_told() {
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixDatagram;
    let root = Root::new();
    let notify = UnixDatagram::bind(root.path().join("notify")).unwrap();
    notify.set_read_timeout(Some(PATIENCE)).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // As systemd does it: the socket is descriptor 3, and the variables name the very process.
    let shell = format!("exec 3<&{}; export LISTEN_PID=$$; exec \"$@\"", listener.as_raw_fd());
    nix::fcntl::fcntl(&listener, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    let mut command = Command::new("/bin/bash");
    let serve = root.command(["serve", "--insecure-no-auth", "--no-request-log"]);
    command.args(["-c", &shell, "serve"]).arg(serve.get_program()).args(serve.get_args());
    command.env("LISTEN_FDS", "1").env("NOTIFY_SOCKET", root.path().join("notify"));
    let mut child = command.spawn().unwrap();
    drop(listener);
    let told = |what: &str| {
        let mut buffer = [0; 256];
        let length = notify.recv(&mut buffer).unwrap();
        assert_eq!(String::from_utf8_lossy(&buffer[..length]).trim(), what);
    };
    told("READY=1");
    let mut curl = Command::new("curl");
    curl.args(["-sf", &format!("http://{address}/healthz")]);
    assert!(Running::start(curl).wait(PATIENCE).ok().contains("ok"));
    assert!(!root.path().join("run/ecs.sock").exists(), "nothing but what was handed over");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.id().try_into().unwrap()),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    told("STOPPING=1");
    assert!(child.wait().unwrap().success());
}
