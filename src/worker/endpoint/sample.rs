//! Samples of a task's counters: taken when somebody asks, and kept for the next time, since rates need two.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::lifecycle::{ContainerPhase, TaskState};
use crate::metadata::{Link, Sample, Version, stats_document};
use crate::plan::TaskPlan;
use crate::runtime::cgroup::Cgroups;
use crate::sys::time;

/// Samples that are closer than this tell nothing of rates: the first question of all waits for so long.
const APART: Duration = Duration::from_millis(100);
/// A sample that is at least so old becomes the earlier one, in nanoseconds: agents compare over a second.
const OLD: i64 = 1_000_000_000;
/// The most of a file of the kernel that is read.
const LONGEST: usize = 64 << 10;
/// `/proc/stat` counts hundredths of a second on every architecture.
const TICK: u64 = 10_000_000;

/// The counters of the network's interfaces, in the namespace in which this was opened.
pub(super) struct Links(File);

impl Links {
    pub(super) fn open() -> io::Result<Self> {
        File::open("/proc/thread-self/net/dev").map(Self)
    }

    /// All but `lo`, whose traffic is nobody's.
    fn read(&self) -> Vec<Link> {
        let mut bytes = vec![0; LONGEST];
        let read = self.0.read_at(&mut bytes, 0).unwrap_or_default();
        links(&String::from_utf8_lossy(&bytes[..read]))
    }
}

fn links(text: &str) -> Vec<Link> {
    let line = |line: &str| {
        let (name, figures) = line.split_once(':')?;
        let figures: Vec<u64> = figures.split_whitespace().map_while(|text| text.parse().ok()).collect();
        let four = |from: usize| figures.get(from..from + 4)?.try_into().ok();
        Some(Link { name: name.trim().to_owned(), received: four(0)?, sent: four(8)? })
    };
    text.lines().filter_map(line).filter(|link: &Link| link.name != "lo").collect()
}

/// Two samples of one container.
#[derive(Default)]
struct Pair {
    earlier: Option<Sample>,
    later: Option<Sample>,
}

/// Everything that is sampled.
pub(super) struct Samples {
    cgroups: Cgroups,
    links: Links,
    pairs: BTreeMap<String, Pair>,
}

impl Samples {
    /// The first samples are taken at once, for whoever asks later.
    pub(super) fn new(cgroups: Cgroups, links: Links, plan: &TaskPlan) -> Self {
        let mut samples = Self { cgroups, links, pairs: BTreeMap::new() };
        for place in 0..plan.containers.len() {
            samples.take(plan, place);
        }
        samples
    }

    /// The documents about a container, or about all, by their ids; null for one that does not run.
    pub(super) fn stats(
        &mut self,
        version: Version,
        plan: &TaskPlan,
        state: &TaskState,
        only: Option<&str>,
    ) -> Map<String, Value> {
        let wanted = |id: &str| only.is_none_or(|only| only == id);
        let places: Vec<usize> =
            (0..plan.containers.len()).filter(|place| wanted(&plan.containers[*place].runtime_id)).collect();
        let runs = |place: usize| {
            matches!(state.containers[place].phase, ContainerPhase::Running | ContainerPhase::Stopping { .. })
        };
        if places.iter().any(|place| runs(*place) && !self.is_known(plan, *place)) {
            for place in &places {
                self.take(plan, *place);
            }
            std::thread::sleep(APART);
        }
        let mut all = Map::new();
        for place in places {
            let container = &plan.containers[place];
            self.take(plan, place);
            let pair = self.pairs.get(&container.runtime_id).filter(|_| runs(place));
            let document = pair.and_then(|pair| {
                Some(stats_document(
                    version,
                    &container.runtime_id,
                    &container.name,
                    pair.earlier.as_ref(),
                    pair.later.as_ref()?,
                ))
            });
            all.insert(container.runtime_id.clone(), document.unwrap_or(Value::Null));
        }
        all
    }

    /// Whether there is a sample that is old enough to compare with.
    fn is_known(&self, plan: &TaskPlan, place: usize) -> bool {
        let apart = i64::try_from(APART.as_nanos()).unwrap_or(i64::MAX);
        let old = |sample: &Sample| time::wall_ns() - sample.at_ns >= apart;
        self.pairs
            .get(&plan.containers[place].runtime_id)
            .is_some_and(|pair| pair.earlier.as_ref().is_some_and(old) || pair.later.as_ref().is_some_and(old))
    }

    fn take(&mut self, plan: &TaskPlan, place: usize) {
        let container = &plan.containers[place];
        // Its group is gone with it: then there is nothing to tell.
        let Ok(counters) = self.cgroups.counters(&plan.cgroup, Some(&container.name)) else {
            self.pairs.remove(&container.runtime_id);
            return;
        };
        let (system, processors) = system();
        let now = Sample {
            at_ns: time::wall_ns(),
            counters,
            links: self.links.read(),
            system,
            processors,
            host_memory: host_memory(),
        };
        let pair = self.pairs.entry(container.runtime_id.clone()).or_default();
        // Counters that went back are those of another run, in a group that was made anew.
        let goes_on = |sample: &Sample| sample.counters.cpu.total <= now.counters.cpu.total;
        pair.earlier = pair.earlier.take().filter(goes_on);
        if let Some(later) = pair.later.take().filter(goes_on)
            && (pair.earlier.is_none() || now.at_ns - later.at_ns >= OLD)
        {
            pair.earlier = Some(later);
        }
        pair.later = Some(now);
    }
}

/// CPU time of the host in nanoseconds as Docker sums it (without guests, which are counted already), and its processors.
fn system() -> (u64, u32) {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let ticks: u64 = first.split_whitespace().skip(1).take(7).filter_map(|word| word.parse::<u64>().ok()).sum();
    let processors = lines.filter(|line| line.starts_with("cpu")).count();
    (ticks.saturating_mul(TICK), u32::try_from(processors).unwrap_or(u32::MAX))
}

fn host_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|word| word.parse::<u64>().ok());
    kib.unwrap_or_default() << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_read_as_the_kernel_writes_them() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
                    face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
                    lo:       9       1    0    0    0     0          0         0        9       1    0    0    0     0       0          0\n  \
                    eth0:    1500      10    1    2    0     0          0         0     2500      20    3    4    0     0       0          0\n";
        let found = links(text);
        assert_eq!(found, [Link { name: "eth0".into(), received: [1500, 10, 1, 2], sent: [2500, 20, 3, 4] }]);
    }

    #[test]
    fn the_hosts_own_figures_are_there() {
        let (time, processors) = system();
        assert!(time > 0 && processors > 0 && host_memory() > 0);
    }
}
