//! The table.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Points;
use crate::faults::Experiment;
use crate::lane::Outcome;
use crate::scenarios::SCENARIOS;

/// How many of the slowest recoveries are told of.
const SLOWEST: usize = 5;

/// How much of a failure is shown, in characters.
const SHOWN: usize = 2000;

/// What is counted of a scenario.
#[derive(Debug, Default)]
struct Row {
    experiments: usize,
    fired: usize,
    lost: usize,
    duplicated: usize,
    codes: usize,
    bytes: usize,
    leaks: usize,
    other: usize,
    recoveries: Vec<Duration>,
}

/// All that has been seen.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// How many experiments it takes to try every point with every fault.
    pub(crate) planned: usize,
    tried: usize,
    rows: BTreeMap<&'static str, Row>,
    /// Every recovery, and what it was from.
    slow: Vec<(Duration, String)>,
    failures: Vec<String>,
}

impl Report {
    pub(crate) fn add(&mut self, experiment: &Experiment, outcome: Outcome) {
        let name = SCENARIOS[experiment.scenario].name;
        self.tried += 1;
        let row = self.rows.entry(name).or_default();
        row.experiments += 1;
        row.fired += usize::from(outcome.fired);
        let what =
            format!("{} at {:?}, passed {} times before", experiment.fault.word(), experiment.point, experiment.skip);
        let recovery = outcome.recovery.filter(|_| outcome.fired);
        row.recoveries.extend(recovery);
        self.slow.extend(recovery.map(|time| (time, format!("{name}: {what}"))));
        if let Some(why) = outcome.bad {
            self.add_failure(name, &what, &why);
        }
    }

    /// Something that was not as it should be.
    pub(crate) fn add_failure(&mut self, scenario: &'static str, what: &str, why: &str) {
        let row = self.rows.entry(scenario).or_default();
        *match why {
            why if why.starts_with("lost") => &mut row.lost,
            why if why.contains("duplicated: ") => &mut row.duplicated,
            why if why.contains("exit code: ") => &mut row.codes,
            why if why.contains("log bytes: ") => &mut row.bytes,
            why if why.contains("nothing is left") || why.contains("leaked: ") => &mut row.leaks,
            _ => &mut row.other,
        } += 1;
        let shown: String = why.chars().take(SHOWN).collect(); // a log that is not as it should be is long
        self.failures.push(format!("{scenario}: {what}: {shown}"));
    }

    /// What a lane's root leaves at its end.
    pub(crate) fn add_leaks(&mut self, left: Option<String>) {
        self.failures.extend(left.map(|left| format!("at the end: {left}")));
    }

    pub(crate) fn bad(&self) -> usize {
        self.failures.len()
    }

    pub(crate) fn text(&self, points: &Points) -> String {
        let mut text = format!(
            "\n{:16}{:>7}{:>8}{:>8} |{:>6}{:>6}{:>6}{:>7}{:>7}{:>7} |{:>8}{:>8}{:>8}\n",
            "scenario",
            "points",
            "played",
            "faults",
            "lost",
            "twice",
            "code",
            "bytes",
            "leaks",
            "other",
            "p50 ms",
            "p99",
            "max"
        );
        for (place, scenario) in SCENARIOS.iter().enumerate() {
            let Some(row) = self.rows.get(scenario.name) else { continue };
            let mut sorted = row.recoveries.clone();
            sorted.sort();
            let at = |percent: usize| {
                let rank = (sorted.len() * percent).div_ceil(100).max(1);
                sorted.get(rank - 1).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
            };
            text += &format!(
                "{:16}{:>7}{:>8}{:>8} |{:>6}{:>6}{:>6}{:>7}{:>7}{:>7} |{:>8.0}{:>8.0}{:>8.0}\n",
                scenario.name,
                points.get(&place).map_or(0, BTreeMap::len),
                row.experiments,
                row.fired,
                row.lost,
                row.duplicated,
                row.codes,
                row.bytes,
                row.leaks,
                row.other,
                at(50),
                at(99),
                at(100)
            );
        }
        let all: std::collections::BTreeSet<&String> = points.values().flat_map(BTreeMap::keys).collect();
        let each = self.tried.min(self.planned);
        text += &format!(
            "\n{} points; {each} of {} pairs of point and fault were tried, {} at random\n",
            all.len(),
            self.planned,
            self.tried - each
        );
        let mut slow: Vec<_> = self.slow.iter().collect();
        slow.sort_by(|one, other| other.cmp(one));
        for (time, what) in slow.into_iter().take(SLOWEST) {
            text += &format!("{:>6.0} ms: {what}\n", time.as_secs_f64() * 1e3);
        }
        for failure in &self.failures {
            text += &format!("\nBAD: {failure}\n");
        }
        text
    }
}
