//! One experiment after another in one root.

use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::faults::{Experiment, Faults, Kind};
use crate::scenarios::SCENARIOS;
use crate::support::command::{Finished, Running};
use crate::support::root::Root;
use crate::support::{binary, eventually};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How much is shown of what was there when an experiment failed.
const SHOWN: usize = 8;

/// How an experiment ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Whether the point was reached: with a fault before it, or with other luck, it may not be.
    pub(crate) fired: bool,
    /// How long it took, once nothing went wrong any more, until all was as it should be.
    pub(crate) recovery: Option<Duration>,
    /// What was not.
    pub(crate) bad: Option<String>,
}

/// A root in which experiments take place, one at a time.
pub(crate) struct Lane {
    root: Option<Root>,
    faults: Faults,
}

impl Lane {
    pub(crate) fn new() -> Self {
        Self { root: None, faults: Faults::new() }
    }

    /// Plays a scenario in which nothing goes wrong; the points that it reaches.
    pub(crate) fn discover(&mut self, scenario: fn(&Play<'_>, &mut Stage)) -> Result<BTreeMap<String, Kind>, String> {
        self.play(scenario, None).map(|(_, hits)| hits)
    }

    /// Plays a scenario in which one thing does.
    pub(crate) fn run(&mut self, experiment: &Experiment) -> Outcome {
        let played = self.play(SCENARIOS[experiment.scenario].play, Some(experiment));
        let bad = played.as_ref().err().cloned();
        match played {
            Ok((stage, _)) => Outcome { fired: stage.fired, recovery: stage.recovery, bad },
            Err(_) => Outcome { fired: true, recovery: None, bad },
        }
    }

    pub(crate) fn play(
        &mut self,
        scenario: fn(&Play<'_>, &mut Stage),
        experiment: Option<&Experiment>,
    ) -> Result<(Stage, BTreeMap<String, Kind>), String> {
        self.faults.disarm();
        let root = match self.root.take() {
            Some(root) => root,
            None => fresh()?,
        };
        let mut stage = Stage { fired: false, recovery: None, hits: BTreeMap::new(), since: None };
        let played = catch_unwind(AssertUnwindSafe(|| {
            scenario(&Play { root: &root, faults: &self.faults, experiment }, &mut stage);
            stage.settle();
            root.berth(["rm", "--stopped"]).ok();
            let left = || root.present();
            eventually(Duration::from_secs(10), "nothing is left", || left().is_empty().then_some(()));
        }));
        self.faults.disarm();
        match played {
            Ok(()) => {
                self.root = Some(root);
                let hits = std::mem::take(&mut stage.hits);
                if hits.is_empty() {
                    return Err(format!("{} has no points: it was not built with `failpoints`", binary().display()));
                }
                Ok((stage, hits))
            }
            Err(panic) => {
                let left = root.present();
                let left = left.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("\n");
                let _ = catch_unwind(AssertUnwindSafe(|| drop(root)));
                Err(format!("{}\n{left}", said(panic.as_ref())))
            }
        }
    }

    /// What the last root leaves.
    pub(crate) fn end(self) -> Option<String> {
        let root = self.root?;
        catch_unwind(AssertUnwindSafe(|| drop(root))).err().map(|panic| said(panic.as_ref()))
    }
}

fn fresh() -> Result<Root, String> {
    let made = catch_unwind(|| {
        let root = Root::with_images(&["probe"]);
        root.configure("[capacity]\ncpu = 100000\nmemory-mib = 100000\n");
        root
    });
    made.map_err(|panic| said(panic.as_ref()))
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a text").to_owned()
}

/// What has become of the fault while a scenario is played.
pub(crate) struct Stage {
    fired: bool,
    recovery: Option<Duration>,
    hits: BTreeMap<String, Kind>,
    since: Option<Instant>,
}

impl Stage {
    /// All is as it should be again.
    pub(crate) fn settle(&mut self) {
        if let Some(since) = self.since.take() {
            self.recovery = Some(since.elapsed());
        }
    }
}

/// What a scenario plays with.
pub(crate) struct Play<'a> {
    pub(crate) root: &'a Root,
    faults: &'a Faults,
    experiment: Option<&'a Experiment>,
}

impl Play<'_> {
    /// From here on something may go wrong, in all processes that [`Self::risk`] has started.
    pub(crate) fn arm(&self) {
        self.faults.disarm();
        self.experiment.into_iter().for_each(|experiment| self.faults.arm(experiment));
    }

    /// Calls the program with points in it at which something goes wrong once they are armed.
    pub(crate) fn risk<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Finished {
        let mut command = self.root.command(args);
        command.env("BERTH_FAILPOINTS", self.faults.directory());
        Running::start(command).wait(PATIENCE)
    }

    /// From here on nothing goes wrong any more.
    pub(crate) fn calm(&self, stage: &mut Stage) {
        stage.hits.append(&mut self.faults.hits());
        stage.fired |= self.faults.disarm();
        stage.since = Some(Instant::now());
    }

    /// All tasks, the stopped ones too. Whoever lists them tends those that have lost their supervisor.
    pub(crate) fn tasks(&self) -> Vec<Value> {
        self.root.list(&["-a"])
    }

    /// The one task of the scenario once it has one of these states, or none if there is none.
    pub(crate) fn until(&self, states: &[&str]) -> Option<Value> {
        eventually(PATIENCE, &format!("the task is {}", states.join(" or ")), || {
            let mut tasks = self.tasks();
            assert!(tasks.len() <= 1, "duplicated: {} tasks for one run", tasks.len());
            match tasks.pop() {
                None => Some(None),
                Some(task) => states.contains(&task["lastStatus"].as_str()?).then_some(Some(task)),
            }
        })
    }
}
