//! What a task finds at 169.254.170.2, asked from inside: every path, so that what is measured afterwards has worked.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use bench::Failure;
use nix::sched::{CloneFlags, setns};
use nix::unistd::Pid;

const AGENT: &str = "169.254.170.2:80";
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks for every path in the network of a container's first process; how many there are.
pub fn ask_all(pid: Pid) -> Result<usize, Failure> {
    let network = File::open(format!("/proc/{pid}/ns/net"))?;
    let requests = requests(&variables(pid)?)?;
    let asked = thread::scope(|scope| {
        let there = scope.spawn(|| {
            setns(&network, CloneFlags::CLONE_NEWNET).map_err(|errno| errno.to_string())?;
            requests.iter().try_for_each(|(method, path)| ask(method, path))
        });
        there.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    asked.map(|()| requests.len()).map_err(Failure::from)
}

fn variables(pid: Pid) -> Result<BTreeMap<String, String>, Failure> {
    let text = String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/environ"))?).into_owned();
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Methods and paths.
fn requests(variables: &BTreeMap<String, String>) -> Result<Vec<(&'static str, String)>, Failure> {
    let variable = |name: &str| variables.get(name).ok_or_else(|| format!("the container has no {name}"));
    let path = |name: &str| -> Result<String, Failure> {
        let value = variable(name)?;
        Ok(value.strip_prefix("http://169.254.170.2").unwrap_or(value).to_owned())
    };
    let (v3, v4) = (path("ECS_CONTAINER_METADATA_URI")?, path("ECS_CONTAINER_METADATA_URI_V4")?);
    let id = v4.rsplit('/').next().unwrap_or_default();
    let tails = ["", "/task", "/taskWithTags", "/stats", "/task/stats"];
    let mut all: Vec<_> =
        [&v3, &v4].iter().flat_map(|base| tails.map(|tail| ("GET", format!("{base}{tail}")))).collect();
    let v2 = ["metadata".to_owned(), format!("metadata/{id}"), "stats".to_owned(), format!("stats/{id}")];
    all.extend(v2.map(|path| ("GET", format!("/v2/{path}"))));
    all.push(("GET", path("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")?));
    let agent = path("ECS_AGENT_URI")?;
    all.push(("GET", format!("{agent}/task-protection/v1/state")));
    let faults = ["network-blackhole-port", "network-latency", "network-packet-loss"];
    all.extend(faults.map(|fault| ("POST", format!("{agent}/fault/v1/{fault}/status"))));
    Ok(all)
}

fn ask(method: &str, path: &str) -> Result<(), String> {
    // That is what ECS's agent wants to know of a port fault, also for its status.
    let body = if method == "POST" && path.contains("blackhole") {
        r#"{"Port": 5432, "Protocol": "tcp", "TrafficType": "egress"}"#
    } else {
        ""
    };
    let said = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(AGENT)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {AGENT}\r\nContent-Length: {length}\r\n\r\n{body}")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    match said() {
        Ok(text) if text.starts_with("HTTP/1.1 200 ") => Ok(()),
        Ok(text) => Err(format!("{method} {path}: {text}")),
        Err(error) => Err(format!("{method} {path}: {error}")),
    }
}
