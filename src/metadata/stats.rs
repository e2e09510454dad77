//! Statistics in Docker's form, from counters of the control groups and of the network. Pure; called for each request.
//!
//! Every member that monitoring agents read is there, also where it has nothing to say: they fail on a missing one.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::document::Version;
use crate::lifecycle::Timestamp;

/// CPU time in nanoseconds, and what the limit has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpu {
    /// All of it.
    pub total: u64,
    /// In the kernel.
    pub kernel: u64,
    /// In programs.
    pub user: u64,
    /// By processor, where the kernel counts that.
    pub by_processor: Vec<u64>,
    /// Periods in which the limit was looked at.
    pub periods: u64,
    /// Those in which it held.
    pub throttled_periods: u64,
    /// For how long, in nanoseconds.
    pub throttled: u64,
}

/// Memory in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// What is used, the page cache included.
    pub usage: u64,
    /// The most that was, if the kernel knows.
    pub peak: Option<u64>,
    /// The least limit that holds it.
    pub limit: Option<u64>,
    /// How often the limit was met.
    pub failures: u64,
    /// `memory.stat`, key by key.
    pub stat: BTreeMap<String, u64>,
}

/// Reads and writes of one device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Io {
    /// The device's numbers.
    pub device: (u64, u64),
    /// Bytes read and written.
    pub bytes: (u64, u64),
    /// Reads and writes.
    pub count: (u64, u64),
}

/// What a container's groups say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Processors.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Memory,
    /// Disks.
    pub io: Vec<Io>,
    /// Processes and threads.
    pub pids: u64,
    /// How many it may have.
    pub pids_limit: Option<u64>,
}

/// One network interface: bytes, packets, errors, drops.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// What came.
    pub received: [u64; 4],
    /// What went.
    pub sent: [u64; 4],
}

/// All of it at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// When, in nanoseconds since the epoch.
    pub at_ns: i64,
    /// The groups.
    pub counters: Counters,
    /// The interfaces; those of the task, where containers share them.
    pub links: Vec<Link>,
    /// CPU time of the whole host, in nanoseconds.
    pub system: u64,
    /// Processors that are there.
    pub processors: u32,
    /// Memory of the host in bytes, the limit of what has none.
    pub host_memory: u64,
}

/// The document about a container; `before` is an earlier sample, for what changes with time. Rates are version 4's.
pub fn stats_document(version: Version, id: &str, name: &str, before: Option<&Sample>, now: &Sample) -> Value {
    let zero = Timestamp(0);
    let memory = &now.counters.memory;
    let of_memory = json!({
        "usage": memory.usage,
        "max_usage": memory.peak.unwrap_or(memory.usage),
        "stats": memory.stat,
        "limit": memory.limit.unwrap_or(now.host_memory),
        "failcnt": memory.failures,
    });
    let mut document = json!({
        "read": time(Timestamp(now.at_ns / 1_000_000)),
        "preread": time(before.map_or(zero, |sample| Timestamp(sample.at_ns / 1_000_000))),
        "pids_stats": pids(&now.counters),
        "blkio_stats": blkio(&now.counters.io),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": cpu(now),
        "precpu_stats": before.map_or_else(|| cpu(&Sample::default()), cpu),
        "memory_stats": of_memory,
        "name": name,
        "id": id,
        "networks": networks(&now.links),
    });
    if version == Version::V4 {
        document["network_rate_stats"] = rates(before, now);
    }
    document
}

fn cpu(sample: &Sample) -> Value {
    let cpu = &sample.counters.cpu;
    let mut usage = json!({
        "total_usage": cpu.total,
        "usage_in_kernelmode": cpu.kernel,
        "usage_in_usermode": cpu.user,
    });
    if !cpu.by_processor.is_empty() {
        usage["percpu_usage"] = json!(cpu.by_processor);
    }
    json!({
        "cpu_usage": usage,
        "system_cpu_usage": sample.system,
        "online_cpus": sample.processors,
        "throttling_data": {
            "periods": cpu.periods,
            "throttled_periods": cpu.throttled_periods,
            "throttled_time": cpu.throttled,
        },
    })
}

fn pids(counters: &Counters) -> Value {
    let mut pids = json!({ "current": counters.pids });
    if let Some(limit) = counters.pids_limit {
        pids["limit"] = limit.into();
    }
    pids
}

fn blkio(all: &[Io]) -> Value {
    let of = |what: fn(&Io) -> (u64, u64)| -> Value {
        let two = |io: &Io| {
            let (read, written) = what(io);
            let (major, minor) = io.device;
            let entry = |op: &str, value| json!({ "major": major, "minor": minor, "op": op, "value": value });
            [entry("read", read), entry("write", written)]
        };
        all.iter().flat_map(two).collect()
    };
    json!({
        "io_service_bytes_recursive": of(|io| io.bytes),
        "io_serviced_recursive": of(|io| io.count),
        "io_queue_recursive": [], "io_service_time_recursive": [], "io_wait_time_recursive": [],
        "io_merged_recursive": [], "io_time_recursive": [], "sectors_recursive": [],
    })
}

fn networks(links: &[Link]) -> Value {
    let entry = |link: &Link| {
        let ([rx_bytes, rx_packets, rx_errors, rx_dropped], [tx_bytes, tx_packets, tx_errors, tx_dropped]) =
            (link.received, link.sent);
        let figures = json!({
            "rx_bytes": rx_bytes, "rx_packets": rx_packets, "rx_errors": rx_errors, "rx_dropped": rx_dropped,
            "tx_bytes": tx_bytes, "tx_packets": tx_packets, "tx_errors": tx_errors, "tx_dropped": tx_dropped,
        });
        (link.name.clone(), figures)
    };
    Value::Object(links.iter().map(entry).collect::<Map<_, _>>())
}

/// Bytes a second between two samples.
fn rates(before: Option<&Sample>, now: &Sample) -> Value {
    let sum = |sample: &Sample, of: fn(&Link) -> u64| sample.links.iter().map(of).sum::<u64>();
    let rate = |of: fn(&Link) -> u64| {
        let Some(before) = before else { return 0.0 };
        let seconds = (now.at_ns - before.at_ns) as f64 / 1e9;
        if seconds <= 0.0 { 0.0 } else { sum(now, of).saturating_sub(sum(before, of)) as f64 / seconds }
    };
    json!({ "rx_bytes_per_sec": rate(|link| link.received[0]), "tx_bytes_per_sec": rate(|link| link.sent[0]) })
}

fn time(at: Timestamp) -> String {
    match at.0 {
        0 => "0001-01-01T00:00:00Z".to_owned(), // Go's zero, which agents know
        ms => jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_ns: i64, received: u64) -> Sample {
        let link = Link { name: "eth0".into(), received: [received, 2, 0, 0], sent: [5, 1, 0, 0] };
        Sample { at_ns, links: vec![link], system: 9, processors: 2, host_memory: 1 << 30, ..Sample::default() }
    }

    #[test]
    fn a_first_sample_has_every_member_and_no_rate() {
        let document = stats_document(Version::V4, "id", "web", None, &sample(1_000_000_000, 10));
        for member in [
            "/precpu_stats/cpu_usage/total_usage",
            "/precpu_stats/system_cpu_usage",
            "/cpu_stats/online_cpus",
            "/cpu_stats/throttling_data/throttled_time",
            "/memory_stats/stats",
            "/memory_stats/limit",
            "/blkio_stats/io_service_bytes_recursive",
            "/networks/eth0/rx_dropped",
            "/pids_stats/current",
        ] {
            assert!(document.pointer(member).is_some(), "{member} in {document:#}");
        }
        assert_eq!(document["preread"], "0001-01-01T00:00:00Z");
        assert_eq!(document["network_rate_stats"]["rx_bytes_per_sec"], 0.0);
    }

    #[test]
    fn rates_are_told_by_the_newest_version_alone() {
        let now = sample(1_000_000_000, 10);
        for (version, told) in [(Version::V2, false), (Version::V3, false), (Version::V4, true)] {
            let document = stats_document(version, "id", "web", None, &now);
            assert_eq!(document.get("network_rate_stats").is_some(), told, "{version:?}");
        }
    }

    #[test]
    fn rates_are_those_between_the_samples() {
        let (before, now) = (sample(1_000_000_000, 10), sample(3_000_000_000, 1010));
        let document = stats_document(Version::V4, "id", "web", Some(&before), &now);
        assert_eq!(document["network_rate_stats"]["rx_bytes_per_sec"], 500.0);
        assert_eq!(document["memory_stats"]["limit"], 1 << 30);
    }
}
