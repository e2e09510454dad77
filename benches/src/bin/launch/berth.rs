//! berth's own part: the launch case, and what the parts of a task's life and
//! many standing tasks cost.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::Case;
use bench::Failure;
use bench::host::run;
use bench::measure::{Pace, ms, now, percentile};

/// How often a listing is timed.
const LISTINGS: usize = 30;

const STAMP_ONLY: &[&str] = &["stamp"];
/// It ends at SIGTERM, so that stopping is not waiting for the timeout.
const IDLE: &[&str] = &["trap", "TERM", "--", "0"];

/// The program with a root of its own.
pub struct Berth {
    program: PathBuf,
    root: PathBuf,
    scratch: PathBuf,
}

/// What standing tasks cost.
#[derive(Default)]
pub struct Standing {
    /// At each number of tasks that was asked for, 0 first.
    pub stands: Vec<Stand>,
    /// How long the first command took after the store was lost, in ms.
    pub rebuilt_ms: Option<f64>,
    /// Why it ended early, if it did.
    pub failure: Option<String>,
}

/// What so many standing tasks cost. All times are sorted, in ms.
#[derive(Default)]
pub struct Stand {
    pub tasks: usize,
    pub processes: usize,
    pub pss_kib: u64,
    /// `berth ps`.
    pub ps: Vec<f64>,
    /// `berth describe` of one task.
    pub describe: Vec<f64>,
    /// `run -d` of each task since the number before.
    pub starts: Vec<f64>,
    /// How long all of those took, in s.
    pub seconds: f64,
}

impl Stand {
    pub fn ps_ms(&self, percent: usize) -> f64 {
        percentile(&self.ps, percent)
    }

    pub fn describe_ms(&self, percent: usize) -> f64 {
        percentile(&self.describe, percent)
    }

    pub fn start_ms(&self, percent: usize) -> f64 {
        percentile(&self.starts, percent)
    }

    pub fn kib_each(&self) -> f64 {
        self.pss_kib as f64 / self.tasks as f64
    }
}

/// What parts of a task's life cost. All times are sorted, in ms.
pub struct Parts {
    /// To the first instruction of a task's one container.
    pub one: Vec<f64>,
    /// To that of its ninth.
    pub nine: Vec<f64>,
    /// `berth rm --force` of a task that runs: killed, and nothing left.
    pub removal: Vec<f64>,
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
        let file = self.definition("stamp", &[STAMP_ONLY])?;
        let (program, root) = (self.program.clone(), self.root.clone());
        let command = move |_| {
            let mut command = Command::new(&program);
            command.arg("--root").arg(&root).arg("run").arg(&file);
            command
        };
        Ok(Case { name: "berth run, awsvpc + limits".to_owned(), command: Box::new(command) })
    }

    /// Writes a task definition of containers with these commands; gives back its file. The last one is essential, and
    /// starts when the others have.
    fn definition(&self, family: &str, commands: &[&[&str]]) -> Result<PathBuf, Failure> {
        let last = commands.len() - 1;
        let name = |place: usize| format!("{family}-{place}");
        let containers = commands.iter().enumerate().map(|(place, command)| {
            let others = (0..last).filter(|_| place == last);
            let depends: Vec<Value> =
                others.map(|other| json!({ "containerName": name(other), "condition": "START" })).collect();
            json!({ "name": name(place), "image": "probe", "essential": place == last, "command": command,
                    "dependsOn": depends })
        });
        let definition = json!({
            "family": family,
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "cpu": "256",
            "memory": "512",
            "containerDefinitions": containers.collect::<Vec<_>>(),
        });
        let file = self.scratch.join(format!("{family}.json"));
        fs::write(&file, definition.to_string())?;
        Ok(file)
    }

    /// One container and nine, in turn; and the removal of a task that runs.
    pub fn parts(&self, samples: usize, pace: &Pace) -> Result<Parts, Failure> {
        let [one, nine] =
            [("one", 1), ("nine", 9)].map(|(name, count)| self.definition(name, &[STAMP_ONLY].repeat(count)));
        let (one, nine, idle) = (one?, nine?, self.definition("idle", &[IDLE])?);
        let mut parts = Parts { one: vec![], nine: vec![], removal: vec![] };
        for _ in 0..samples {
            for (file, times) in [(&one, &mut parts.one), (&nine, &mut parts.nine)] {
                pace.pause();
                times.push(last_stamp(self.command().arg("run").arg(file))?);
            }
            let task = self.start(&idle)?;
            pace.pause();
            let start = now();
            run(self.command().args(["rm", "--force", &task]))?;
            parts.removal.push(ms(now() - start));
        }
        for times in [&mut parts.one, &mut parts.nine, &mut parts.removal] {
            times.sort_by(f64::total_cmp);
        }
        Ok(parts)
    }

    fn start(&self, file: &Path) -> Result<String, Failure> {
        let answer = run(self.command().args(["--format", "json", "run", "-d"]).arg(file))?;
        Ok(task_id(&serde_json::from_str(&answer)?).ok_or("run -d told no taskArn")?)
    }

    /// Starts tasks, looks at what they cost at each of these numbers, and stops them again.
    pub fn standing(&self, numbers: &[usize], pace: &Pace) -> Standing {
        let mut standing = Standing::default();
        let mut started = Vec::new();
        if let Err(error) = self.stand(numbers, pace, &mut standing, &mut started) {
            standing.failure = Some(error.to_string());
        }
        for some in started.chunks(100) {
            if let Err(error) = run(self.command().arg("stop").args(some)) {
                standing.failure = Some(format!("stop: {error}"));
            }
        }
        standing
    }

    fn stand(
        &self,
        numbers: &[usize],
        pace: &Pace,
        standing: &mut Standing,
        started: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let file = self.definition("idle", &[IDLE])?;
        // Room for any number of them.
        fs::write(self.root.join("config.toml"), "[capacity]\ncpu = 10000000\nmemory-mib = 10000000\n")?;
        let before: BTreeSet<u32> = ours().into_iter().collect();
        standing.stands.push(Stand { ps: self.timed(pace, &["ps"])?, ..Stand::default() });
        for number in numbers {
            let mut stand = Stand { tasks: *number, ..Stand::default() };
            let since = now();
            while started.len() < *number {
                let start = now();
                started.push(self.start(&file)?);
                stand.starts.push(ms(now() - start));
            }
            stand.starts.sort_by(f64::total_cmp);
            stand.seconds = ms(now() - since) / 1e3;
            pace.pause();
            let processes: Vec<u32> = ours().into_iter().filter(|pid| !before.contains(pid)).collect();
            stand.processes = processes.len();
            stand.pss_kib = processes.iter().filter_map(|pid| pss(*pid)).sum();
            stand.ps = self.timed(pace, &["ps"])?;
            stand.describe = self.timed(pace, &["describe", &started[number / 2]])?;
            standing.stands.push(stand);
        }
        for file in ["store.db", "store.db-wal", "store.db-shm"] {
            fs::remove_file(self.root.join(file)).or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })?;
        }
        let start = now();
        let known = run(self.command().args(["ps", "-q"]))?.lines().count();
        standing.rebuilt_ms = Some(ms(now() - start));
        match known == started.len() {
            true => Ok(()),
            false => Err(format!("{known} of {} tasks are known after the store was lost", started.len()).into()),
        }
    }

    /// A command's times.
    fn timed(&self, pace: &Pace, args: &[&str]) -> Result<Vec<f64>, Failure> {
        let mut times = Vec::new();
        for _ in 0..LISTINGS {
            pace.pause();
            let start = now();
            run(self.command().args(args))?;
            times.push(ms(now() - start));
        }
        times.sort_by(f64::total_cmp);
        Ok(times)
    }
}

/// From the start of the command to the last of the stamps that its containers print, in ms.
fn last_stamp(command: &mut Command) -> Result<f64, Failure> {
    let start = now();
    let text = run(command)?;
    let stamps = text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse::<u64>().ok());
    let last = stamps.filter(|stamp| (start..now()).contains(stamp)).max().ok_or("no container printed a stamp")?;
    Ok(ms(last - start))
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
