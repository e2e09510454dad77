//! berth's own part: the launch case, and what tasks cost while they stand: memory of our processes, and listing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::Case;
use bench::Failure;
use bench::host::run;
use bench::measure::{Pace, ms, now};

/// How often a listing is timed.
const LISTINGS: usize = 30;

/// The program with a root of its own.
pub struct Berth {
    program: PathBuf,
    root: PathBuf,
    scratch: PathBuf,
}

/// What standing tasks cost.
#[derive(Default)]
pub struct Standing {
    pub memory: Vec<Memory>,
    /// How many tasks stood, and the sorted times of `berth ps` in ms.
    pub listings: Vec<(usize, Vec<f64>)>,
    /// Seconds that it took to start all tasks one after another.
    pub started: Option<f64>,
    /// Why it ended early, if it did.
    pub failure: Option<String>,
}

/// The memory of our processes while so many tasks stand.
pub struct Memory {
    pub tasks: usize,
    pub processes: usize,
    pub pss_kib: u64,
}

impl Berth {
    /// BERTH_BIN, or the release build.
    pub fn new(top: &Path, scratch: &Path) -> Result<Self, Failure> {
        let program = std::env::var_os("BERTH_BIN").map_or_else(|| top.join("target/release/berth"), PathBuf::from);
        let program = program.canonicalize().map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(Self { program, root: scratch.join("berth"), scratch: scratch.to_owned() })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.root);
        command
    }

    /// A task of one container, with its network, its limits, its logs and its supervisor.
    pub fn case(&self, layout: &Path) -> Result<Case, Failure> {
        run(self.command().args(["image", "import"]).arg(layout))?;
        let file = self.definition("stamp", &["stamp"])?;
        let (program, root) = (self.program.clone(), self.root.clone());
        let command = move |_| {
            let mut command = Command::new(&program);
            command.arg("--root").arg(&root).arg("run").arg(&file);
            command
        };
        Ok(Case { name: "berth run, awsvpc + limits".to_owned(), command: Box::new(command) })
    }

    /// Writes a task definition; gives back its file.
    fn definition(&self, family: &str, command: &[&str]) -> Result<PathBuf, Failure> {
        let definition = json!({
            "family": family,
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "cpu": "256",
            "memory": "512",
            "containerDefinitions": [{ "name": family, "image": "probe", "essential": true, "command": command }],
        });
        let file = self.scratch.join(format!("{family}.json"));
        fs::write(&file, definition.to_string())?;
        Ok(file)
    }

    /// Starts tasks, looks at what they cost at 0, 1 and all of them, and stops them again.
    pub fn standing(&self, tasks: usize, pace: &Pace) -> Standing {
        let mut standing = Standing::default();
        let mut started = Vec::new();
        if let Err(error) = self.stand(tasks, pace, &mut standing, &mut started) {
            standing.failure = Some(error.to_string());
        }
        for task in started {
            if let Err(error) = run(self.command().arg("stop").arg(&task)) {
                standing.failure = Some(format!("stop {task}: {error}"));
            }
        }
        standing
    }

    fn stand(
        &self,
        tasks: usize,
        pace: &Pace,
        standing: &mut Standing,
        started: &mut Vec<String>,
    ) -> Result<(), Failure> {
        // it ends at SIGTERM, so that stopping is not waiting for the timeout
        let file = self.definition("idle", &["trap", "TERM", "--", "0"])?;
        standing.listings.push((0, self.listing(pace)?));
        let before: BTreeSet<u32> = ours().into_iter().collect();
        let start = now();
        for number in 1..=tasks {
            let answer = run(self.command().args(["--format", "json", "run", "-d"]).arg(&file))?;
            started.push(task_id(&serde_json::from_str(&answer)?).ok_or("run -d told no taskArn")?);
            if number == 1 || number == tasks {
                pace.pause();
                let processes: Vec<u32> = ours().into_iter().filter(|pid| !before.contains(pid)).collect();
                let pss_kib = processes.iter().filter_map(|pid| pss(*pid)).sum();
                standing.memory.push(Memory { tasks: number, processes: processes.len(), pss_kib });
            }
        }
        standing.started = Some(ms(now() - start) / 1e3);
        standing.listings.push((tasks, self.listing(pace)?));
        Ok(())
    }

    fn listing(&self, pace: &Pace) -> Result<Vec<f64>, Failure> {
        let mut times = Vec::new();
        for _ in 0..LISTINGS {
            pace.pause();
            let start = now();
            run(self.command().arg("ps"))?;
            times.push(ms(now() - start));
        }
        times.sort_by(f64::total_cmp);
        Ok(times)
    }
}

/// The id in the first task ARN of an answer, whatever is around it.
fn task_id(answer: &Value) -> Option<String> {
    match answer {
        Value::Object(map) => match map.get("taskArn") {
            Some(arn) => Some(arn.as_str()?.rsplit('/').next()?.to_owned()),
            None => map.values().find_map(task_id),
        },
        Value::Array(list) => list.iter().find_map(task_id),
        _ => None,
    }
}

/// The processes that stand for tasks: by their name or their first arguments, for the program may run from a copy.
fn ours() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_ours = |pid: &u32| {
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let supervises = read("cmdline").split(|byte| *byte == 0).any(|word| word == b"supervise");
        supervises || read("comm").starts_with(b"berth")
    };
    pids.filter(is_ours).collect()
}

/// The proportional set size in KiB: private pages, and the share in those of others.
fn pss(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?.split_whitespace().next()?.parse().ok()
}
