//! Thirty ways to another task's metadata and credentials, none of which leads there; each asked in the task itself first,
//! where it is answered.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::json;

use super::staying;
use crate::support::inside::Inside;
use crate::support::root::{Root, Task};
use crate::support::{container, eventually, task};

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

fn run(root: &Root, name: &str, port: &str) -> (Task, Inside) {
    let server = container("server", &["listen", port, name], json!({}));
    let mut definition = task(&[staying("app", json!({ "dockerLabels": { "whose": name } })), server]);
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
    let (victim, within) = run(&root, "victim", "8001");
    let (_other, outside) = run(&root, "other", "8002");
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

    // By address: somebody does answer there, but not to these.
    let request = get(&format!("/v4/{id}/task"));
    let control = |place: &Inside| {
        eventually(Duration::from_secs(5), "the victim's own server answers", || {
            let said = place.there(|| said(&format!("{address}:8001"), "x"));
            said.contains("victim").then_some(())
        })
    };
    control(&outside);
    let on_host = |place: &str| said(place, &request);
    eventually(Duration::from_secs(5), "the host reaches the victim's server", || {
        on_host(&format!("{address}:8001")).contains("victim").then_some(())
    });
    for port in [80, 51_679] {
        for place in [format!("{address}:{port}"), format!("169.254.170.2:{port}")] {
            let from_host = on_host(&place);
            assert!(!leaks(&from_host), "the host, {place}: {from_host}");
            let from_other = outside.there(|| said(&place, &request));
            assert!(!leaks(&from_other), "another task, {place}: {from_other}");
            probes += 2;
        }
    }
    // A task that has given up its own endpoint, to send what is meant for it elsewhere.
    let ip = |args: &[&str]| {
        let done = outside.command(std::path::Path::new("/usr/sbin/ip")).args(args).status().unwrap();
        assert!(done.success(), "ip {args:?}");
    };
    ip(&["address", "del", "169.254.170.2/32", "dev", "lo"]);
    for port in [80, 51_679] {
        let answer = outside.there(|| said(&format!("169.254.170.2:{port}"), &request));
        assert!(!leaks(&answer), "by the gateway, {port}: {answer}");
        probes += 1;
    }
    ip(&["route", "add", "169.254.170.2/32", "via", &address, "dev", "eth0", "onlink"]);
    for port in [80, 51_679] {
        let answer = outside.there(|| said(&format!("169.254.170.2:{port}"), &request));
        assert!(!leaks(&answer), "by the victim's address, {port}: {answer}");
        probes += 1;
    }
    assert!(probes >= 30, "{probes} probes");
    assert!(is_victims(&within.there(|| said(AGENT, &request))), "the victim still has its own");
}
