//! A root of its own, `berth serve` on it, and an engine of the same root in this process.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bench::Failure;
use bench::host::run;
use berth::ops::Engine;
use berth::ops::actions::{Caller, call};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::client::Client;

/// How many tasks that are only to be in the store may run at once.
const AT_ONCE: usize = 20;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(300);

pub struct World {
    program: PathBuf,
    root: PathBuf,
    server: Child,
    address: String,
    key: (String, String),
    engine: Engine,
    subnet: String,
}

impl World {
    pub fn new(top: &Path, scratch: &Path) -> Result<Self, Failure> {
        let program = std::env::var_os("BERTH_BIN").map_or_else(|| top.join("target/release/berth"), PathBuf::from);
        let program = program.canonicalize().map_err(|error| format!("{}: {error}", program.display()))?;
        let root = scratch.join("berth");
        fs::create_dir(&root)?;
        fs::write(root.join("config.toml"), "[capacity]\ncpu = 10000000\nmemory-mib = 10000000\n")?;
        let berth = |args: &[&str]| run(Command::new(&program).arg("--root").arg(&root).args(args));
        let image = top.join("target/fixtures/probe");
        berth(&["image", "import", &image.to_string_lossy()])?;
        let key: Value = serde_json::from_str(&berth(&["--format", "json", "key", "create", "bench"])?)?;
        let text = |name: &str| key[name].as_str().map(str::to_owned).ok_or("a key has two parts");
        let key = (text("AccessKeyId")?, text("SecretAccessKey")?);
        let mut serve = Command::new(&program);
        serve.arg("--root").arg(&root).args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--rate",
            "1000000",
            "--no-request-log",
        ]);
        let mut server = serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let mut told = BufReader::new(server.stderr.take().ok_or("it is piped")?);
        told.read_line(&mut line)?;
        thread::spawn(move || told.read_to_end(&mut Vec::new()));
        let address = line.trim().rsplit('/').next().unwrap_or_default().to_owned();
        let engine = Engine::open(Some(&root))?;
        let mut world = Self { program, root, server, address, key, engine, subnet: String::new() };
        for (family, command) in [("idle", ["trap", "TERM", "--", "0"].as_slice()), ("brief", &["exit", "0"])] {
            world.client()?.call("RegisterTaskDefinition", &definition(family, command))?;
        }
        let file = scratch.join("first.json");
        fs::write(&file, definition("first", &["exit", "0"]).to_string())?;
        let first = world.berth(&["--format", "json", "run", "-d", &file.to_string_lossy()])?;
        let first: Value = serde_json::from_str(&first)?;
        let details =
            first["tasks"][0]["attachments"][0]["details"].as_array().ok_or("a task has an interface")?.clone();
        let subnet = details.iter().find(|detail| detail["name"] == "subnetId").ok_or("it is in a subnet")?;
        world.subnet = subnet["value"].as_str().unwrap_or_default().to_owned();
        Ok(world)
    }

    fn berth(&self, args: &[&str]) -> Result<String, Failure> {
        run(Command::new(&self.program).arg("--root").arg(&self.root).args(args))
    }

    pub fn client(&self) -> Result<Client, Failure> {
        Client::new(&self.address, self.key.clone())
    }

    fn request(&self, family: &str, count: usize) -> Value {
        json!({
            "taskDefinition": family,
            "launchType": "FARGATE",
            "count": count,
            "networkConfiguration": { "awsvpcConfiguration": { "subnets": [self.subnet] } },
        })
    }

    pub fn run_at_endpoint(&self) -> Result<(), Failure> {
        self.client()?.call("RunTask", &self.request("idle", 1)).map(drop)
    }

    pub fn run_in_process(&mut self) -> Result<(), Failure> {
        let body = self.request("idle", 1).to_string();
        let caller = Caller { region: Some("us-east-1".to_owned()), ..Caller::root() };
        call(&mut self.engine, &caller, "RunTask", body.as_bytes())?;
        Ok(())
    }

    /// So many tasks in the store, a hundred of which run: their ARNs.
    pub fn fill(&self, tasks: usize) -> Result<Vec<String>, Failure> {
        let mut client = self.client()?;
        for _ in 0..tasks.saturating_sub(100) / 10 {
            client.call("RunTask", &self.request("brief", 10))?;
            while listed(&client.call("ListTasks", &json!({}))?) > AT_ONCE {
                thread::sleep(Duration::from_millis(5));
            }
        }
        let mut arns = Vec::new();
        for _ in 0..10 {
            let run = client.call("RunTask", &self.request("idle", 10))?;
            let tasks = run["tasks"].as_array().ok_or("RunTask answers tasks")?;
            arns.extend(tasks.iter().filter_map(|task| task["taskArn"].as_str().map(str::to_owned)));
        }
        self.until("the others have stopped", |tasks| {
            tasks.iter().filter(|task| task["lastStatus"] == "RUNNING").count() == 100
        })?;
        Ok(arns)
    }

    fn until(&self, what: &str, good: impl Fn(&[Value]) -> bool) -> Result<(), Failure> {
        let since = Instant::now();
        loop {
            let answer: Value = serde_json::from_str(&self.berth(&["--format", "json", "ps"])?)?;
            if answer["tasks"].as_array().is_some_and(|tasks| good(tasks) && tasks.len() <= 100) {
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                return Err(format!("after {PATIENCE:?} still not: {what}").into());
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Keeps the server on some of the CPUs; what it starts later is kept there too.
    pub fn keep_on(&self, cpus: &[usize]) -> Result<(), Failure> {
        let mut set = CpuSet::new();
        cpus.iter().try_for_each(|cpu| set.set(*cpu))?;
        for thread in fs::read_dir(format!("/proc/{}/task", self.server.id()))? {
            let id = thread?.file_name().to_string_lossy().parse()?;
            sched_setaffinity(Pid::from_raw(id), &set)?;
        }
        Ok(())
    }

    /// Connections that send half a request.
    pub fn stall(&self, count: usize) -> Result<Vec<TcpStream>, Failure> {
        let stall = |_| {
            let mut stream = TcpStream::connect(&self.address)?;
            stream.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{")?;
            Ok(stream)
        };
        (0..count).map(stall).collect()
    }

    pub fn stop_all(&self) -> Result<(), Failure> {
        let ids = self.berth(&["ps", "-q"])?;
        let ids: Vec<&str> = ids.lines().collect();
        if !ids.is_empty() {
            self.berth(&[&["stop"][..], &ids].concat())?;
        }
        Ok(())
    }
}

/// How many tasks an answer of ListTasks has.
fn listed(answer: &Value) -> usize {
    answer["taskArns"].as_array().map_or(0, Vec::len)
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop_all().ok();
        self.server.kill().and_then(|()| self.server.wait()).ok();
    }
}

fn definition(family: &str, command: &[&str]) -> Value {
    json!({
        "family": family,
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [{ "name": family, "image": "probe", "essential": true, "command": command }],
    })
}
