//! Asking from where a container is: in the network namespace of its first process, with its variables.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use serde_json::Value;

use super::eventually;
use super::root::{Root, Task};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A container, seen from inside.
pub(crate) struct Inside {
    namespace: File,
    pid: i32,
    pub(crate) variables: BTreeMap<String, String>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The JSON of a good answer.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Inside {
    /// Goes into a container that runs.
    pub(crate) fn of(root: &Root, task: &Task, container: &str) -> Self {
        // Until it has become the container's program it has another one's environment, or is another process.
        let (pid, variables) = eventually(Duration::from_secs(20), &format!("{container} has its variables"), || {
            let text = root.group(task, Some(container), "pids", "cgroup.procs");
            let text = text.or_else(|| root.group(task, Some(container), "", "cgroup.procs"))?;
            let pid: i32 = text.lines().next()?.parse().ok()?;
            let text = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
            let pair = |text: &[u8]| {
                let text = String::from_utf8_lossy(text).into_owned();
                text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
            };
            let all: BTreeMap<String, String> = text.split(|byte| *byte == 0).filter_map(pair).collect();
            all.contains_key("AWS_EXECUTION_ENV").then_some((pid, all))
        });
        let namespace = File::open(format!("/proc/{pid}/ns/net")).expect("the process is there");
        Self { namespace, pid, variables }
    }

    /// A variable.
    pub(crate) fn variable(&self, name: &str) -> &str {
        self.variables.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.variables.keys()))
    }

    /// Does something in the container's network.
    pub(crate) fn there<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let there = scope.spawn(|| {
                setns(&self.namespace, CloneFlags::CLONE_NEWNET).expect("enter the container's network");
                act()
            });
            there.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// `GET` of an address, `http://HOST[:PORT]/PATH`.
    pub(crate) fn get(&self, url: &str) -> Answer {
        self.ask("GET", url, "")
    }

    /// A request with a body; again if it came too soon after others.
    pub(crate) fn ask(&self, method: &str, url: &str, body: &str) -> Answer {
        eventually(PATIENCE, &format!("{method} {url} is answered"), || {
            let answer =
                self.there(|| ask(method, url, body)).unwrap_or_else(|error| panic!("{method} {url}: {error}"));
            (answer.status != 429).then_some(answer)
        })
    }

    /// Runs a program in the container's network, with its variables and no others.
    pub(crate) fn command(&self, program: &std::path::Path) -> Command {
        let mut command = Command::new("/usr/bin/nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.pid)).arg(program).env_clear().envs(&self.variables);
        command
    }
}

/// Asks from where the calling thread is.
pub(crate) fn ask(method: &str, url: &str, body: &str) -> std::io::Result<Answer> {
    let rest = url.strip_prefix("http://").expect("it is an address");
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let place = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let place: SocketAddr = place.parse().expect("it is an address");
    let mut stream = TcpStream::connect_timeout(&place, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    let request = format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or(std::io::ErrorKind::InvalidData)?;
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}
