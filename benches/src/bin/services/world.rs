//! A root of its own with one registered definition, and services of it.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bench::Failure;
use bench::host::run;
use nix::unistd::Pid;
use serde_json::{Value, json};

/// How often a service is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A definition that asks for nothing.
pub const IDLE: &str = "idle";
/// One for which everything is there that an endpoint can tell.
pub const ASKING: &str = "asking";

/// Room for many tasks, and a role.
const CONFIGURATION: &str = "[capacity]\ncpu = 1000000\nmemory-mib = 1000000\n\
                             [roles.bench]\naccess-key-id = 'AKBENCH'\nsecret-access-key = 'bench'\n";

/// A task that runs.
pub struct Running {
    pub id: String,
    /// `startedAt`, in ms since 1970.
    pub started: f64,
}

/// The program with a root of its own. Its services are deleted at its end.
pub struct World {
    program: PathBuf,
    pub root: PathBuf,
    services: RefCell<Vec<String>>,
}

impl Drop for World {
    fn drop(&mut self) {
        for name in self.services.take() {
            if let Err(error) = self.delete(&name) {
                eprintln!("{error}");
            }
        }
    }
}

impl World {
    /// BERTH_BIN, or the release build; with room for many tasks.
    pub fn new(top: &Path, scratch: &Path) -> Result<Self, Failure> {
        let program = std::env::var_os("BERTH_BIN").map_or_else(|| top.join("target/release/berth"), PathBuf::from);
        let program = program.canonicalize().map_err(|error| format!("{}: {error}", program.display()))?;
        let world = Self { program, root: scratch.join("berth"), services: RefCell::default() };
        fs::create_dir(&world.root)?;
        fs::write(world.root.join("config.toml"), CONFIGURATION)?;
        run(world.command().args(["image", "import"]).arg(top.join("target/fixtures/probe")))?;
        let mut definition = json!({
            "family": IDLE,
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "cpu": "256",
            "memory": "512",
            "containerDefinitions": [
                // it ends at SIGTERM, so that stopping is not waiting for the timeout
                { "name": "idle", "image": "probe", "essential": true, "command": ["trap", "TERM", "--", "0"] },
            ],
        });
        world.register(scratch, &definition)?;
        definition["family"] = json!(ASKING);
        definition["taskRoleArn"] = json!("arn:aws:iam::000000000000:role/bench");
        definition["enableFaultInjection"] = json!(true);
        world.register(scratch, &definition)?;
        Ok(world)
    }

    fn register(&self, scratch: &Path, definition: &Value) -> Result<(), Failure> {
        let file = scratch.join("definition.json");
        fs::write(&file, definition.to_string())?;
        run(self.command().arg("register").arg(&file)).map(drop)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.root);
        command
    }

    /// Creates a service and does not wait.
    pub fn create(&self, name: &str, definition: &str, count: usize) -> Result<(), Failure> {
        let count = count.to_string();
        self.services.borrow_mut().push(name.to_owned());
        let args = ["service", "create", name, "--detach", "--task-definition", definition, "--desired-count", &count];
        run(self.command().args(args)).map(drop)
    }

    /// Deletes a service and waits until nothing of it runs.
    pub fn delete(&self, name: &str) -> Result<(), Failure> {
        self.services.borrow_mut().retain(|one| one != name);
        run(self.command().args(["service", "delete", "--force", name])).map(drop)
    }

    /// The tasks of a service as soon as so many run.
    pub fn until_running(&self, service: &str, count: usize) -> Result<Vec<Running>, Failure> {
        self.until(service, count, &|_| true)
    }

    /// The same, if they are as they should be.
    pub fn until(
        &self,
        service: &str,
        count: usize,
        good: &dyn Fn(&[Running]) -> bool,
    ) -> Result<Vec<Running>, Failure> {
        let since = Instant::now();
        loop {
            let running = self.running(service)?;
            if running.len() == count && good(&running) {
                return Ok(running);
            }
            if since.elapsed() > PATIENCE {
                return Err(format!("{service}: {} of {count} tasks run after {PATIENCE:?}", running.len()).into());
            }
            thread::sleep(LOOK);
        }
    }

    fn running(&self, service: &str) -> Result<Vec<Running>, Failure> {
        let answer: Value = serde_json::from_str(&run(self.command().args(["--format", "json", "ps"]))?)?;
        let group = format!("service:{service}");
        let tasks = answer["tasks"].as_array().ok_or("ps answered no tasks")?.iter();
        let running = tasks.filter(|task| {
            task["group"] == *group && task["lastStatus"] == "RUNNING" && task["desiredStatus"] == "RUNNING"
        });
        let of = |task: &Value| {
            let id = task["taskArn"].as_str()?.rsplit('/').next()?.to_owned();
            Some(Running { id, started: task["startedAt"].as_f64()? * 1000.0 })
        };
        Ok(running.filter_map(of).collect())
    }

    /// The first process of a task's container.
    pub fn pid(&self, task: &str) -> Result<Pid, Failure> {
        let file = self.root.join(format!("run/tasks/{task}/c/idle/init.json"));
        let text: Value = serde_json::from_slice(&fs::read(&file)?)?;
        let pid = text["pid"].as_i64().ok_or_else(|| format!("{}: no pid", file.display()))?;
        Ok(Pid::from_raw(i32::try_from(pid)?))
    }
}

/// The wall clock in ms.
pub fn wall_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1000.0)
}
