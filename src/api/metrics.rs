//! What the endpoint counts, in the text format of OpenMetrics: requests and their latencies since it began, launches of
//! tasks that it has seen, and the figures of the moment at which it is asked.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::ops::Figures;

/// The format of [`Metrics::text`].
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRequest {
    action: &'static str,
    error: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAction {
    action: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfState {
    cluster: String,
    status: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTask {
    cluster: String,
    family: String,
    task: String,
}

type Latencies = Family<OfAction, Histogram, fn() -> Histogram>;

/// All metrics of an endpoint.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<OfRequest, Counter>,
    latencies: Latencies,
    launches: Histogram,
    connections: Gauge,
    moment: Mutex<Moment>,
}

/// What is set anew each time that somebody asks.
#[derive(Debug, Default, Clone)]
struct Moment {
    tasks: Family<OfState, Gauge>,
    cpu: Family<OfTask, Counter<f64, AtomicU64>>,
    memory: Family<OfTask, Gauge>,
    memory_limit: Family<OfTask, Gauge>,
}

/// 0.5 ms to 8 s.
fn request_buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 15))
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("berth");
        let requests = Family::<OfRequest, Counter>::default();
        let latencies = Latencies::new_with_constructor(request_buckets);
        let launches = Histogram::new(exponential_buckets(0.02, 2.0, 14));
        let (connections, moment) = (Gauge::default(), Moment::default());
        registry.register("api_requests", "Requests to the endpoint, by action and exception", requests.clone());
        registry.register_with_unit(
            "api_request_duration",
            "From a request's head to its answer",
            Unit::Seconds,
            latencies.clone(),
        );
        registry.register_with_unit(
            "task_launch_duration",
            "From RunTask to RUNNING, of tasks that got there since the endpoint began",
            Unit::Seconds,
            launches.clone(),
        );
        registry.register("api_connections", "Open connections", connections.clone());
        registry.register("tasks", "Tasks on record, by lastStatus", moment.tasks.clone());
        registry.register_with_unit("task_cpu", "CPU time of a task", Unit::Seconds, moment.cpu.clone());
        registry.register_with_unit("task_memory", "Memory of a task", Unit::Bytes, moment.memory.clone());
        registry.register_with_unit(
            "task_memory_limit",
            "The most memory that a task may have",
            Unit::Bytes,
            moment.memory_limit.clone(),
        );
        Self { registry, requests, latencies, launches, connections, moment: Mutex::new(moment) }
    }

    /// Counts a request.
    pub(super) fn request(&self, action: &'static str, error: Option<&str>, took: Duration) {
        let error = error.unwrap_or_default().to_owned();
        self.requests.get_or_create(&OfRequest { action, error }).inc();
        self.latencies.get_or_create(&OfAction { action }).observe(took.as_secs_f64());
    }

    /// Counts a launch.
    pub(super) fn launch(&self, took: Duration) {
        self.launches.observe(took.as_secs_f64());
    }

    /// Everything as text.
    pub(super) fn text(&self, figures: &Figures, connections: usize) -> String {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        // Two who ask at once must not mix their moments.
        let moment = self.moment.lock().unwrap_or_else(PoisonError::into_inner);
        moment.tasks.clear();
        moment.cpu.clear();
        moment.memory.clear();
        moment.memory_limit.clear();
        for ((cluster, status), count) in &figures.tasks {
            moment.tasks.get_or_create(&OfState { cluster: cluster.clone(), status: status.clone() }).set(*count);
        }
        for one in &figures.running {
            let label = OfTask { cluster: one.cluster.clone(), family: one.family.clone(), task: one.task.clone() };
            moment.cpu.get_or_create(&label).inc_by(Duration::from_nanos(one.cpu_ns).as_secs_f64());
            moment.memory.get_or_create(&label).set(whole(one.memory));
            if let Some(limit) = one.memory_limit {
                moment.memory_limit.get_or_create(&label).set(whole(limit));
            }
        }
        self.connections.set(whole(connections as u64));
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes everything");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::TaskFigures;

    #[test]
    fn figures_are_those_of_the_moment_and_counters_go_on() {
        let metrics = Metrics::new();
        metrics.request("RunTask", None, Duration::from_millis(3));
        metrics.request("RunTask", Some("ClientException"), Duration::from_millis(3));
        metrics.launch(Duration::from_millis(120));
        let mut figures = Figures::default();
        figures.tasks.insert(("default".into(), "RUNNING".into()), 2);
        figures.running.push(TaskFigures {
            task: "t1".into(),
            cluster: "default".into(),
            family: "web".into(),
            cpu_ns: 1_500_000_000,
            memory: 4096,
            memory_limit: None,
        });
        let text = metrics.text(&figures, 3);
        for line in [
            "berth_api_requests_total{action=\"RunTask\",error=\"\"} 1",
            "berth_api_requests_total{action=\"RunTask\",error=\"ClientException\"} 1",
            "berth_api_request_duration_seconds_count{action=\"RunTask\"} 2",
            "berth_task_launch_duration_seconds_count 1",
            "berth_api_connections 3",
            "berth_tasks{cluster=\"default\",status=\"RUNNING\"} 2",
            "berth_task_cpu_seconds_total{cluster=\"default\",family=\"web\",task=\"t1\"} 1.5",
            "berth_task_memory_bytes{cluster=\"default\",family=\"web\",task=\"t1\"} 4096",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
        }
        let text = metrics.text(&Figures::default(), 0);
        assert!(!text.contains("t1") && text.contains("berth_api_requests_total{"), "{text}");
    }
}
