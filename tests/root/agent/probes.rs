//! Thirty ways to another task's metadata and credentials, none of which leads there; each beside a control of its own: the
//! same question where it is answered.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::json;

use super::staying;
use crate::support::inside::Inside;
use crate::support::root::{Root, Task};
use crate::support::{eventually, task};

const AGENT: &str = "169.254.170.2:80";
const ROLES: &str = "[roles.victim]\naccess-key-id = 'AKVICTIM'\nsecret-access-key = 'hush'\n\
                     [roles.other]\naccess-key-id = 'AKOTHER'\nsecret-access-key = 'hush'\n";

/// What is said to so much text at an address; nothing where nobody answers.
fn said(place: &str, request: &str) -> String {
    let place: SocketAddr = place.parse().unwrap();
    let Ok(mut stream) = TcpStream::connect_timeout(&place, Duration::from_millis(700)) else { return String::new() };
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut text = Vec::new();
    let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_end(&mut text).map(drop));
    String::from_utf8_lossy(&text).into_owned()
}

fn get(path: &str) -> String {
    with(path, "Host: 169.254.170.2")
}

fn with(path: &str, header: &str) -> String {
    format!("GET {path} HTTP/1.1\r\n{header}\r\n\r\n")
}

/// A way of asking something at an address.
type Way<'a> = &'a dyn Fn(&str, &str) -> String;

/// What somebody is told who asks at an address at which a server of the victim listens meanwhile.
fn opened(victim: &Inside, place: &str, way: Way) -> String {
    let listener = victim.there(|| TcpListener::bind(place)).unwrap_or_else(|error| panic!("{place}: {error}"));
    listener.set_nonblocking(true).unwrap();
    std::thread::scope(|scope| {
        let server = scope.spawn(move || {
            let (mut stream, _) = eventually(Duration::from_secs(5), "somebody asks", || listener.accept().ok());
            // All of the question is read first: what is unread at the end would take the answer along.
            stream.set_nonblocking(false).unwrap();
            let _ = stream.read(&mut [0; 1024]);
            stream.write_all(b"opened").unwrap();
        });
        let answer = way(place, "x");
        server.join().unwrap();
        answer
    })
}

fn run(root: &Root, name: &str) -> (Task, Inside) {
    let mut definition = task(&[staying("app", json!({ "dockerLabels": { "whose": name } }))]);
    definition["family"] = name.into();
    definition["taskRoleArn"] = format!("arn:aws:iam::000000000000:role/{name}").into();
    let task = root.run_detached(&definition);
    let inside = Inside::of(root, &task, "app");
    (task, inside)
}

#[test]
fn no_way_leads_to_another_tasks_metadata_or_credentials() {
    let root = Root::with_images(&["probe"]);
    root.configure(ROLES);
    let (victim, within) = run(&root, "victim");
    let (_other, outside) = run(&root, "other");
    let last = |text: &str| text.rsplit('/').next().unwrap().to_owned();
    let id = last(within.variable("ECS_CONTAINER_METADATA_URI_V4"));
    let own = last(outside.variable("ECS_CONTAINER_METADATA_URI_V4"));
    let credentials = last(within.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"));
    let address = victim.address();

    // By path, by header, by method: asked at the agent's address. What the victim is told bears its mark.
    let asked: Vec<(String, String)> = [
        format!("/v4/{id}"),
        format!("/v4/{id}/task"),
        format!("/v4/{id}/taskWithTags"),
        format!("/v4/{id}/stats"),
        format!("/v4/{id}/task/stats"),
        format!("/v3/{id}"),
        format!("/v3/{id}/task"),
        format!("/v3/{id}/stats"),
        format!("/v3/{id}/task/stats"),
        format!("/v2/metadata/{id}"),
        format!("/v2/stats/{id}"),
        format!("/v2/credentials/{credentials}"),
        format!("/v1/credentials?id={credentials}"),
        format!("//v4//{id}"),
        format!("/v2/credentials/{credentials}?{own}"),
    ]
    .into_iter()
    .map(|path| (get(&path), path))
    .chain(
        [
            format!("Host: {address}"),
            format!("Host: 169.254.170.2\r\nX-Forwarded-For: {address}"),
            format!("Host: 169.254.170.2\r\nX-Real-IP: {address}"),
            format!("Host: 169.254.170.2\r\nForwarded: for={address}"),
            format!("Host: 169.254.170.2\r\nX-Original-URL: /v4/{id}\r\nX-Rewrite-URL: /v4/{id}"),
        ]
        .into_iter()
        .flat_map(|header| {
            let paths = [format!("/v4/{id}/task"), format!("/v2/credentials/{credentials}")];
            paths.map(|path| (with(&path, &header), format!("{path} with {header}")))
        }),
    )
    .collect();
    let is_victims = |answer: &str| {
        answer.starts_with("HTTP/1.1 200")
            && (answer.contains(&id) || answer.contains("AKVICTIM") || answer.contains("\"victim\""))
    };
    let leaks =
        |answer: &str| answer.contains("AKVICTIM") || answer.contains(&victim.id) && answer.starts_with("HTTP/1.1 200");
    let mut probes = 0;
    for (request, what) in &asked {
        let at_home = within.there(|| said(AGENT, request));
        assert!(is_victims(&at_home), "control: {what}: {at_home}");
        let elsewhere = outside.there(|| said(AGENT, request));
        assert!(!elsewhere.is_empty() && !leaks(&elsewhere), "{what}: {elsewhere}");
        probes += 1;
    }

    // By address. Port 80 of the agent's address answers the victim itself, which is the control of each question there; on
    // the port behind it, and at the victim's own address, it is a server of the victim's, which whoever asks does reach.
    let questions = [get(&format!("/v4/{id}/task")), get(&format!("/v2/credentials/{credentials}"))];
    let from_host: Way = &said;
    let from_other: Way = &|place, request| outside.there(|| said(place, request));
    let agent = "169.254.170.2:51679";
    let by_address = |whose: &str, way: Way| {
        for request in &questions {
            let at_home = within.there(|| said(AGENT, request));
            assert!(is_victims(&at_home), "control: {whose}, {request}: {at_home}");
            let answer = way(AGENT, request);
            assert!(!leaks(&answer), "{whose}, {request}: {answer}");
        }
        let control = opened(&within, &format!("{address}:51679"), way);
        assert_eq!(control, "opened", "control: {whose}, {agent}");
        let answer = way(agent, &questions[0]);
        assert!(!leaks(&answer), "{whose}, {agent}: {answer}");
        questions.len() + 1
    };
    for (whose, way) in [("the host", from_host), ("another task", from_other)] {
        probes += by_address(whose, way);
        for port in [80, 51_679] {
            let place = format!("{address}:{port}");
            assert_eq!(opened(&within, &place, way), "opened", "control: {whose}, {place}");
            let answer = way(&place, &questions[0]);
            assert!(!leaks(&answer), "{whose}, {place}: {answer}");
            probes += 1;
        }
    }
    // A task that has given up its own endpoint, to send what is meant for it elsewhere.
    let ip = |args: &[&str]| {
        let done = outside.command(std::path::Path::new("/usr/sbin/ip")).args(args).status().unwrap();
        assert!(done.success(), "ip {args:?}");
    };
    ip(&["address", "del", "169.254.170.2/32", "dev", "lo"]);
    probes += by_address("by the gateway", from_other);
    ip(&["route", "add", "169.254.170.2/32", "via", &address, "dev", "eth0", "onlink"]);
    probes += by_address("by the victim's address", from_other);
    assert!(probes >= 30, "{probes} probes");
    assert!(is_victims(&within.there(|| said(AGENT, &questions[0]))), "the victim still has its own");
}
