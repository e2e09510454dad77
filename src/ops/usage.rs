//! What tasks have used, by Fargate's rules: from the start of the pull to the end, by the second and a minute at least, the
//! CPU and memory of the task's size. What ended stands in the store (written when the task's groups are removed, so that
//! it outlives the task's record); what runs is looked at now.
//!
//! How much CPU a task needs is read from what the kernel keeps, once: nobody samples a task. Its limit is looked at every
//! 100 ms, but in no period in which the task sleeps. So CPU time by periods is the mean over the tenths of a second in which
//! it ran at all: idle hours do not dilute it. It is the least that the peak can be; periods with little work between those
//! with much hide a higher one. A limit that has held the task back is the other bound: its peak is at least that.

use std::collections::BTreeMap;

use serde::Serialize;

use super::config::Prices;
use super::{Engine, OpsError};
use crate::runtime::cgroup::{CPU_PERIOD, Cgroups};
use crate::store::records::{SPENT, Spent};
use crate::sys::time;
use crate::validate::smallest_size;

const SECOND: i64 = 1000;
const DAY: i64 = 24 * 3600 * SECOND;
/// The period of CPU limits, in nanoseconds.
const PERIOD: f64 = 1e9 * CPU_PERIOD as f64 / 1e6;
/// The least that counts of a task.
const LEAST: i64 = 60 * SECOND;
/// A CPU limit that has held a task back for more than this share of its periods is one that it needs.
const HELD_BACK: f64 = 0.01;

/// What is summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageBy {
    /// Each task.
    Task,
    /// The tasks of each service, and of each family without one.
    Service,
    /// What fell into each day (UTC).
    Day,
}

/// One sum.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageSum {
    /// What of: a task's id, a group (`service:web`, `family:job`), a day.
    pub of: String,
    /// How many tasks.
    pub tasks: u64,
    /// vCPU-seconds.
    pub vcpu_seconds: f64,
    /// GB-seconds of memory.
    pub gb_seconds: f64,
    /// What it would have cost, with the configuration's prices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// CPUs that one used on average while it ran, its sleep left out; of the one that used most.
    pub cpu_busy: f64,
    /// The part of that time in which its limit held it back; of the one that was held back most.
    pub cpu_held_back: f64,
    /// The size that they have (the largest): CPU units and MiB.
    pub size: Option<(u32, u32)>,
    /// The smallest size of Fargate that would have done.
    pub fits: Option<(u32, u32)>,
    /// The most memory that one of them had, in bytes.
    pub memory_peak: Option<u64>,
}

/// The use of one task between two times.
struct Span {
    from: i64,
    to: i64,
    spent: Spent,
}

impl Engine {
    /// Sums up what tasks have used since a time (milliseconds since 1970).
    pub fn usage_sums(&mut self, by: UsageBy, since: Option<i64>) -> Result<Vec<UsageSum>, OpsError> {
        let mut all: Vec<Spent> = self.store.list::<Spent>(SPENT)?.into_iter().map(|entry| entry.value).collect();
        let now = time::wall_ns() / 1_000_000;
        for record in self.live_tasks()? {
            let is_known = all.iter().any(|spent| spent.task == record.plan.id);
            if is_known {
                continue;
            }
            let usage = Cgroups::of_host().ok();
            let usage = usage.and_then(|cgroups| cgroups.counters(&record.plan.cgroup, None).ok());
            all.push(Spent::of(&record.plan, usage.as_ref(), now));
        }
        let spans = all.into_iter().filter(|spent| since.is_none_or(|since| spent.stopped_at >= since));
        Ok(sums(by, spans.map(span).collect(), self.config.prices.as_ref()))
    }
}

/// What of a task counts.
fn span(spent: Spent) -> Span {
    let to = spent.stopped_at.max(spent.started_at);
    // Begun seconds count.
    let length = ((to - spent.started_at + SECOND - 1) / SECOND * SECOND).max(LEAST);
    Span { from: spent.started_at, to: spent.started_at + length, spent }
}

fn sums(by: UsageBy, spans: Vec<Span>, prices: Option<&Prices>) -> Vec<UsageSum> {
    let mut groups: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for span in spans {
        match by {
            UsageBy::Task => groups.entry(span.spent.task.clone()).or_default().push(span),
            UsageBy::Service => groups.entry(span.spent.group.clone()).or_default().push(span),
            UsageBy::Day => {
                for (day, part) in days(&span) {
                    groups.entry(day).or_default().push(part);
                }
            }
        }
    }
    groups.into_iter().map(|(of, spans)| sum(of, &spans, prices)).collect()
}

/// A span, cut where days end.
fn days(span: &Span) -> Vec<(String, Span)> {
    let mut parts = Vec::new();
    let mut from = span.from;
    while from < span.to {
        let end = (from.div_euclid(DAY) + 1) * DAY;
        let day = jiff::Timestamp::from_millisecond(from).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let part = Span { from, to: end.min(span.to), spent: span.spent.clone() };
        parts.push((day.strftime("%Y-%m-%d").to_string(), part));
        from = end;
    }
    parts
}

fn sum(of: String, spans: &[Span], prices: Option<&Prices>) -> UsageSum {
    let total = |per: fn(&Spent) -> f64| -> f64 {
        spans.iter().map(|span| (span.to - span.from) as f64 / SECOND as f64 * per(&span.spent)).sum()
    };
    let (vcpu_seconds, gb_seconds) = (total(vcpus), total(gigabytes));
    let cost = prices.map(|prices| (vcpu_seconds * prices.vcpu_hour + gb_seconds * prices.gb_hour) / 3600.0);
    let sizes = || spans.iter().filter_map(|span| Some((span.spent.cpu?, span.spent.memory?)));
    let most = |of: fn(&Spent) -> f64| spans.iter().map(|span| of(&span.spent)).fold(0.0, f64::max);
    let needs = spans.iter().map(|span| needs(&span.spent)).reduce(|one, two| (one.0.max(two.0), one.1.max(two.1)));
    UsageSum {
        of,
        tasks: spans.len() as u64,
        vcpu_seconds,
        gb_seconds,
        cost,
        cpu_busy: most(busy),
        cpu_held_back: most(held_back),
        size: sizes().max(),
        fits: needs.and_then(|(cpu, memory)| smallest_size(cpu, memory)),
        memory_peak: spans.iter().filter_map(|span| span.spent.memory_peak).max(),
    }
}

fn vcpus(spent: &Spent) -> f64 {
    f64::from(spent.cpu.unwrap_or_default()) / 1024.0
}

fn gigabytes(spent: &Spent) -> f64 {
    f64::from(spent.memory.unwrap_or_default()) / 1024.0
}

/// CPU units and MiB that a task needed.
fn needs(spent: &Spent) -> (u32, u32) {
    let own = spent.cpu.unwrap_or_default();
    let cpu = if held_back(spent) > HELD_BACK { own } else { (busy(spent) * 1024.0).ceil() as u32 };
    let memory = spent.memory_peak.map(|bytes| bytes.div_ceil(1 << 20)).and_then(|mib| u32::try_from(mib).ok());
    (cpu, memory.or(spent.memory).unwrap_or_default())
}

/// CPUs that a task used while it ran; without a limit nothing tells when that was, and it is the mean over its life.
fn busy(spent: &Spent) -> f64 {
    let life = (spent.stopped_at - spent.started_at).max(1) as f64 * 1e6;
    let ran = spent.periods as f64 * PERIOD;
    spent.cpu_ns as f64 / if spent.periods > 0 { ran.min(life) } else { life }
}

/// The part of the time in which a task ran and its limit held it back.
fn held_back(spent: &Spent) -> f64 {
    spent.throttled as f64 / spent.periods.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(started_at: i64, stopped_at: i64) -> Spent {
        Spent {
            task: "t".into(),
            group: "service:web".into(),
            cpu: Some(1024),
            memory: Some(2048),
            started_at,
            stopped_at,
            cpu_ns: 0,
            periods: 36_000,
            throttled: 0,
            memory_peak: Some(600 << 20),
        }
    }

    fn one(by: UsageBy, spent: Spent) -> Vec<UsageSum> {
        sums(by, vec![span(spent)], Some(&Prices { vcpu_hour: 0.04, gb_hour: 0.004 }))
    }

    #[test]
    fn a_minute_counts_at_least_and_then_every_begun_second() {
        let seconds = |ms: i64| one(UsageBy::Task, spent(0, ms))[0].vcpu_seconds;
        assert_eq!([seconds(1), seconds(60_000), seconds(60_001), seconds(90_500)], [60.0, 60.0, 61.0, 91.0]);
    }

    #[test]
    fn what_goes_on_over_midnight_belongs_to_both_days() {
        let found = one(UsageBy::Day, spent(DAY - 100_000, DAY + 50_000));
        let days: Vec<_> = found.iter().map(|sum| (sum.of.as_str(), sum.vcpu_seconds)).collect();
        assert_eq!(days, [("1970-01-01", 100.0), ("1970-01-02", 50.0)]);
    }

    #[test]
    fn the_cost_is_that_of_the_size_and_the_fit_that_of_the_peak() {
        let hour = one(UsageBy::Service, spent(0, 3_600_000)).remove(0);
        assert_eq!((hour.of.as_str(), hour.tasks, hour.gb_seconds), ("service:web", 1, 7200.0));
        assert!((hour.cost.unwrap() - 0.048).abs() < 1e-9, "{hour:?}");
        assert_eq!((hour.size, hour.fits), (Some((1024, 2048)), Some((256, 1024))));
        let held_back = Spent { throttled: 500, ..spent(0, 3_600_000) };
        assert_eq!(one(UsageBy::Task, held_back)[0].fits, Some((1024, 2048)), "it needed what it had");
        let busy = Spent { cpu_ns: 1_440_000_000_000, ..spent(0, 3_600_000) };
        assert_eq!(one(UsageBy::Task, busy)[0].fits, Some((512, 1024)), "0.4 CPUs all the time");
        let rarely = Spent { cpu_ns: 2_000_000_000, periods: 21, ..spent(0, 3_600_000) };
        let sum = one(UsageBy::Task, rarely).remove(0);
        assert_eq!(sum.fits, Some((1024, 2048)), "0.95 CPUs while it ran");
        assert!(sum.cpu_busy > 0.95 && sum.cpu_held_back == 0.0, "{sum:?}");
        let unlimited = Spent { periods: 0, ..spent(0, 3_600_000) };
        assert_eq!(one(UsageBy::Task, unlimited)[0].fits, Some((256, 1024)));
    }
}
