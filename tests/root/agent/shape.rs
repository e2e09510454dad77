//! The shapes of metadata and statistics as tables: every member with its type, the version that brought it, and when it is
//! there. A document is what its table says if it has those members and no others; so a member that is missing, one that
//! nobody knows, and one of another type are all told.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A member: its path (`[]` is an element of a list, `*` any key of a map), the version since which it is there, the
/// circumstance in which it is there (none: always), and its type.
pub(super) type Row = (&'static str, u8, &'static str, fn(&Value) -> bool);

#[rustfmt::skip]
pub(super) const TASK: &[Row] = &[
    ("Cluster",                              2, "",              text),
    ("TaskARN",                              2, "",              arn),
    ("Family",                               2, "",              text),
    ("Revision",                             2, "",              digits),
    ("ServiceName",                          4, "service",       text),
    ("DesiredStatus",                        2, "",              status),
    ("KnownStatus",                          2, "",              status),
    ("Containers",                           2, "",              list),
    ("Limits",                               2, "sized",         object),
    ("Limits.CPU",                           2, "sized",         float),
    ("Limits.Memory",                        2, "sized",         whole),
    ("PullStartedAt",                        2, "",              time),
    ("PullStoppedAt",                        2, "",              time),
    ("ExecutionStoppedAt",                   2, "stopping",      time),
    ("AvailabilityZone",                     2, "",              text),
    ("AvailabilityZoneID",                   4, "",              text),
    ("LaunchType",                           4, "",              launch_type),
    ("VPCID",                                4, "awsvpc",        vpc),
    ("Group",                                4, "",              text),
    ("ClockDrift",                           4, "",              object),
    ("ClockDrift.ClockErrorBound",           4, "",              float),
    ("ClockDrift.ReferenceTimestamp",        4, "",              time),
    ("ClockDrift.ClockSynchronizationStatus", 4, "",             synchronization),
    ("EphemeralStorageMetrics",              4, "disk",          object),
    ("EphemeralStorageMetrics.Utilized",     4, "disk",          whole),
    ("EphemeralStorageMetrics.Reserved",     4, "disk",          whole),
    ("FaultInjectionEnabled",                4, "",              flag),
    ("TaskTags",                             2, "tags",          object),
    ("TaskTags.*",                           2, "tags",          text),
    ("ContainerInstanceTags",                2, "instance tags", object),
    ("ContainerInstanceTags.*",              2, "instance tags", text),
    // What could not be found out; a store that answers says it all.
    ("Errors",                               2, "errors",        list),
];

#[rustfmt::skip]
pub(super) const CONTAINER: &[Row] = &[
    ("DockerId",                             2, "",              runtime_id),
    ("Name",                                 2, "",              text),
    ("DockerName",                           2, "",              text),
    ("Image",                                2, "",              text),
    ("ImageID",                              2, "",              digest),
    ("Ports",                                2, "ports",         list),
    ("Ports[]",                              2, "ports",         object),
    ("Ports[].ContainerPort",                2, "ports",         whole),
    ("Ports[].Protocol",                     2, "ports",         text),
    ("Ports[].HostPort",                     2, "host ports",    whole),
    ("Ports[].HostIp",                       2, "host ports",    address),
    ("Labels",                               2, "",              object),
    ("Labels.*",                             2, "",              text),
    ("DesiredStatus",                        2, "",              status),
    ("KnownStatus",                          2, "",              status),
    ("ExitCode",                             2, "ended",         whole),
    ("Limits",                               2, "",              object),
    ("Limits.CPU",                           2, "",              whole),
    ("Limits.Memory",                        2, "held",          whole),
    ("CreatedAt",                            2, "",              time),
    ("StartedAt",                            2, "",              time),
    ("FinishedAt",                           2, "ended",         time),
    ("Type",                                 2, "",              normal),
    ("LogDriver",                            2, "logs",          text),
    ("LogOptions",                           2, "logs",          object),
    ("LogOptions.*",                         2, "logs",          text),
    ("ContainerARN",                         2, "",              arn),
    ("Volumes",                              2, "volumes",       list),
    ("Volumes[]",                            2, "volumes",       object),
    ("Volumes[].DockerName",                 2, "volumes",       text),
    ("Volumes[].Destination",                2, "volumes",       text),
    ("Volumes[].Source",                     2, "host volumes",  text),
    ("Health",                               2, "checked",       object),
    ("Health.status",                        2, "checked",       health),
    ("Health.statusSince",                   2, "checked",       time),
    ("Health.exitCode",                      2, "sick",          whole),
    ("Health.output",                        2, "sick",          text),
    ("RestartCount",                         4, "restarts",      whole),
    ("Snapshotter",                          4, "",              text),
    ("Networks",                             2, "",              list),
    ("Networks[]",                           2, "",              object),
    ("Networks[].NetworkMode",               2, "",              text),
    ("Networks[].IPv4Addresses",             2, "",              list),
    ("Networks[].IPv4Addresses[]",           2, "",              address),
    ("Networks[].IPv6Addresses",             2, "IPv6",          list),
    ("Networks[].AttachmentIndex",           4, "awsvpc",        whole),
    ("Networks[].MACAddress",                4, "awsvpc",        mac),
    ("Networks[].IPv4SubnetCIDRBlock",       4, "awsvpc",        block),
    ("Networks[].IPv6SubnetCIDRBlock",       4, "IPv6",          text),
    ("Networks[].DomainNameServers",         4, "awsvpc",        list),
    ("Networks[].DomainNameServers[]",       4, "awsvpc",        address),
    ("Networks[].DomainNameSearchList",      4, "search domains", list),
    ("Networks[].PrivateDNSName",            4, "awsvpc",        text),
    ("Networks[].SubnetGatewayIpv4Address",  4, "awsvpc",        block),
];

#[rustfmt::skip]
pub(super) const STATS: &[Row] = &[
    ("read",                                          2, "",   time),
    ("preread",                                       2, "",   time),
    ("name",                                          2, "",   text),
    ("id",                                            2, "",   runtime_id),
    ("num_procs",                                     2, "",   whole),
    ("storage_stats",                                 2, "",   object),
    ("pids_stats",                                    2, "",   object),
    ("pids_stats.current",                            2, "",   whole),
    ("pids_stats.limit",                              2, "",   whole),
    ("cpu_stats",                                     2, "",   object),
    ("cpu_stats.cpu_usage",                           2, "",   object),
    ("cpu_stats.cpu_usage.total_usage",               2, "",   whole),
    ("cpu_stats.cpu_usage.usage_in_kernelmode",       2, "",   whole),
    ("cpu_stats.cpu_usage.usage_in_usermode",         2, "",   whole),
    ("cpu_stats.cpu_usage.percpu_usage",              2, "v1", list),
    ("cpu_stats.cpu_usage.percpu_usage[]",            2, "v1", whole),
    ("cpu_stats.system_cpu_usage",                    2, "",   whole),
    ("cpu_stats.online_cpus",                         2, "",   whole),
    ("cpu_stats.throttling_data",                     2, "",   object),
    ("cpu_stats.throttling_data.periods",             2, "",   whole),
    ("cpu_stats.throttling_data.throttled_periods",   2, "",   whole),
    ("cpu_stats.throttling_data.throttled_time",      2, "",   whole),
    ("precpu_stats",                                  2, "",   object),
    ("precpu_stats.cpu_usage",                        2, "",   object),
    ("precpu_stats.cpu_usage.total_usage",            2, "",   whole),
    ("precpu_stats.cpu_usage.usage_in_kernelmode",    2, "",   whole),
    ("precpu_stats.cpu_usage.usage_in_usermode",      2, "",   whole),
    ("precpu_stats.cpu_usage.percpu_usage",           2, "v1", list),
    ("precpu_stats.cpu_usage.percpu_usage[]",         2, "v1", whole),
    ("precpu_stats.system_cpu_usage",                 2, "",   whole),
    ("precpu_stats.online_cpus",                      2, "",   whole),
    ("precpu_stats.throttling_data",                  2, "",   object),
    ("precpu_stats.throttling_data.periods",          2, "",   whole),
    ("precpu_stats.throttling_data.throttled_periods", 2, "",  whole),
    ("precpu_stats.throttling_data.throttled_time",   2, "",   whole),
    ("memory_stats",                                  2, "",   object),
    ("memory_stats.usage",                            2, "",   whole),
    ("memory_stats.max_usage",                        2, "",   whole),
    ("memory_stats.limit",                            2, "",   whole),
    ("memory_stats.failcnt",                          2, "",   whole),
    ("memory_stats.stats",                            2, "",   object),
    ("memory_stats.stats.*",                          2, "",   whole),
    ("blkio_stats",                                   2, "",   object),
    ("blkio_stats.io_service_bytes_recursive",        2, "",   list),
    ("blkio_stats.io_serviced_recursive",             2, "",   list),
    ("blkio_stats.io_queue_recursive",                2, "",   list),
    ("blkio_stats.io_service_time_recursive",         2, "",   list),
    ("blkio_stats.io_wait_time_recursive",            2, "",   list),
    ("blkio_stats.io_merged_recursive",               2, "",   list),
    ("blkio_stats.io_time_recursive",                 2, "",   list),
    ("blkio_stats.sectors_recursive",                 2, "",   list),
    ("networks",                                      2, "",   object),
    ("networks.*",                                    2, "",   object),
    ("networks.*.rx_bytes",                           2, "",   whole),
    ("networks.*.rx_packets",                         2, "",   whole),
    ("networks.*.rx_errors",                          2, "",   whole),
    ("networks.*.rx_dropped",                         2, "",   whole),
    ("networks.*.tx_bytes",                           2, "",   whole),
    ("networks.*.tx_packets",                         2, "",   whole),
    ("networks.*.tx_errors",                          2, "",   whole),
    ("networks.*.tx_dropped",                         2, "",   whole),
    ("network_rate_stats",                            4, "",   object),
    ("network_rate_stats.rx_bytes_per_sec",           4, "",   float),
    ("network_rate_stats.tx_bytes_per_sec",           4, "",   float),
];

/// What of a document is not as its table says it should be in such a version and in such circumstances.
pub(super) fn differences(rows: &[Row], version: u8, circumstances: &[&str], document: &Value) -> Vec<String> {
    let mut found = BTreeMap::new();
    collect(rows, "", document, &mut found);
    let mut wrong = Vec::new();
    for (path, since, when, is) in rows {
        let wanted = *since <= version && (when.is_empty() || circumstances.contains(when));
        match found.remove(*path) {
            None if wanted => wrong.push(format!("{path} is missing")),
            None => {}
            Some(values) if !wanted => wrong.push(format!("{path} should not be there: {values:?}")),
            Some(values) => {
                wrong.extend(values.iter().filter(|value| !is(value)).map(|value| format!("{path} is {value}")));
            }
        }
    }
    wrong.extend(found.into_keys().map(|path| format!("{path} is nobody's")));
    wrong
}

/// The values of a document by their paths, those in the lists of `blkio_stats` and `Containers`, which have tables or
/// tests of their own, not among them.
fn collect<'a>(rows: &[Row], path: &str, value: &'a Value, found: &mut BTreeMap<String, Vec<&'a Value>>) {
    let is_row = |path: &str| rows.iter().any(|row| row.0 == path);
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            let any = join(path, "*");
            let named = |name: &str| if is_row(&any) { any.clone() } else { join(path, name) };
            members.iter().map(|(name, value)| (named(name), value)).collect()
        }
        Value::Array(elements) if is_row(&format!("{path}[]")) => {
            elements.iter().map(|value| (format!("{path}[]"), value)).collect()
        }
        _ => return,
    };
    for (path, value) in children {
        collect(rows, &path, value, found);
        found.entry(path).or_default().push(value);
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Fails unless a document is as its table says, and unless it is noticed when any member of it is dropped or is something
/// else.
pub(super) fn check(what: &str, rows: &[Row], version: u8, circumstances: &[&str], document: &Value) {
    let wrong = differences(rows, version, circumstances, document);
    assert!(wrong.is_empty(), "{what}, version {version}: {wrong:#?} in {document:#}");
    let mut places = Vec::new();
    members(document, &mut Vec::new(), &mut places);
    for place in places {
        // Of a map with free keys, one less is no difference.
        let free = rows.iter().any(|row| row.0.ends_with('*') && matches(row.0, &place));
        for change in [None, Some(Value::Object(Map::from_iter([("odd".to_owned(), Value::Null)])))] {
            if change.is_none() && free {
                continue;
            }
            let mut changed = document.clone();
            replace(&mut changed, &place, change);
            assert!(!differences(rows, version, circumstances, &changed).is_empty(), "{what}: unnoticed: {place:?}");
        }
    }
}

/// The paths of all members of objects that no list holds.
fn members(value: &Value, path: &mut Vec<String>, all: &mut Vec<Vec<String>>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        path.push(name.clone());
        all.push(path.clone());
        members(value, path, all);
        path.pop();
    }
}

fn matches(row: &str, place: &[String]) -> bool {
    let parts: Vec<&str> = row.split('.').collect();
    parts.len() == place.len() && parts.iter().zip(place).all(|(part, name)| *part == "*" || part == name)
}

fn replace(document: &mut Value, place: &[String], by: Option<Value>) {
    let [above @ .., last] = place else { return };
    let mut object = document;
    for name in above {
        object = &mut object[name];
    }
    let members = object.as_object_mut().expect("it has members");
    match by {
        Some(value) => drop(members.insert(last.clone(), value)),
        None => drop(members.remove(last)),
    }
}

fn text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

fn begins(value: &Value, with: &str) -> bool {
    value.as_str().is_some_and(|text| text.starts_with(with))
}

fn one_of(value: &Value, words: &[&str]) -> bool {
    value.as_str().is_some_and(|text| words.contains(&text))
}

fn arn(value: &Value) -> bool {
    begins(value, "arn:aws:ecs:")
}

fn vpc(value: &Value) -> bool {
    begins(value, "vpc-")
}

fn digest(value: &Value) -> bool {
    begins(value, "sha256:")
}

fn digits(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<u32>().is_ok())
}

/// 32 hexadecimal digits, a hyphen, ten digits.
fn runtime_id(value: &Value) -> bool {
    let halves = value.as_str().and_then(|text| text.split_once('-'));
    halves.is_some_and(|(task, own)| {
        task.len() == 32
            && task.bytes().all(|byte| byte.is_ascii_hexdigit())
            && own.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn status(value: &Value) -> bool {
    one_of(value, &["NONE", "PULLED", "CREATED", "RUNNING", "STOPPED"])
}

fn health(value: &Value) -> bool {
    one_of(value, &["HEALTHY", "UNHEALTHY"])
}

fn launch_type(value: &Value) -> bool {
    one_of(value, &["FARGATE", "EC2"])
}

fn synchronization(value: &Value) -> bool {
    one_of(value, &["SYNCHRONIZED", "NOT_SYNCHRONIZED"])
}

fn normal(value: &Value) -> bool {
    value == "NORMAL"
}

/// RFC 3339 in UTC, with a fraction or without.
pub(super) fn time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok() && text.ends_with('Z'))
}

fn address(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<std::net::Ipv4Addr>().is_ok())
}

fn block(value: &Value) -> bool {
    let halves = value.as_str().and_then(|text| text.split_once('/'));
    halves.is_some_and(|(first, length)| address(&first.into()) && length.parse::<u8>().is_ok_and(|bits| bits <= 32))
}

fn mac(value: &Value) -> bool {
    let pair = |pair: &str| pair.len() == 2 && u8::from_str_radix(pair, 16).is_ok();
    value.as_str().is_some_and(|text| text.split(':').filter(|part| pair(part)).count() == 6 && text.len() == 17)
}

fn whole(value: &Value) -> bool {
    value.is_u64()
}

fn float(value: &Value) -> bool {
    value.is_f64()
}

fn flag(value: &Value) -> bool {
    value.is_boolean()
}

fn list(value: &Value) -> bool {
    value.is_array()
}

fn object(value: &Value) -> bool {
    value.is_object()
}
