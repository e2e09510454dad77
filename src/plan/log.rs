//! What becomes of a container's output, as data: the local files, who else gets it, who waits for whom. Called by `make`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ContainerNetwork, ContainerPlan, Layout, NetworkPlan, TaskPlan};
use crate::ecs::arn::Owner;
use crate::ecs::container_definition::{ContainerCondition, ContainerDependency, LogConfiguration};
use crate::ecs::{ContainerDefinition, TaskDefinition};
use crate::logging::{self, Delivery, Driver, Facts, Logging, Mode, Multiline, firelens};

/// What a host's configuration says of logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// A file is rotated when it would grow over this many bytes.
    pub max_bytes: u64,
    /// How many files are kept, the current one included.
    pub max_files: u32,
    /// Who waits for whom where a definition does not say (ECS's account setting `defaultLogDriverMode`).
    pub mode: Mode,
    /// What is kept of the groups and streams of tasks that are over.
    pub retention: Retention,
    /// Where CloudWatch Logs is, if `awslogs` goes there, too.
    pub cloudwatch: Option<CloudWatchPlan>,
    /// The journal's socket.
    pub journal: PathBuf,
    /// How long a task that is over waits until its logs are sent, in milliseconds.
    pub drain: u64,
}

/// How much of groups and streams is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Streams that nothing was written to for so many days go.
    pub days: u32,
    /// The oldest streams go when all together hold more bytes.
    pub bytes: u64,
}

/// Where a container's output goes, and how much of it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPlan {
    /// A file is rotated when it would grow over this many bytes.
    pub max_bytes: u64,
    /// How many files are kept, the current one included.
    pub max_files: u32,
    /// ECS's name of the driver; empty where the definition names none.
    #[serde(default)]
    pub driver: String,
    /// Its options, without the secret ones.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// The names of its secret options.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Whether somebody sends the output on, and who waits for whom then.
    #[serde(default)]
    pub delivery: Option<Delivery>,
    /// How long the task's removal waits until it is sent, in milliseconds.
    #[serde(default)]
    pub drain: u64,
    /// The group and stream that it belongs to.
    #[serde(default)]
    pub stream: Option<StreamPlan>,
    /// What begins an event of several lines.
    #[serde(default)]
    pub multiline: Option<Multiline>,
    /// The container as its log's receivers know it.
    #[serde(default)]
    pub source: LogSource,
}

/// A stream of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamPlan {
    /// The region.
    pub region: String,
    /// The group's name.
    pub group: String,
    /// The stream's name.
    pub stream: String,
    /// The directory of its files.
    pub directory: PathBuf,
    /// What is kept of other streams.
    pub retention: Retention,
    /// Where CloudWatch Logs is, if it goes there, too.
    #[serde(default)]
    pub sending: Option<CloudWatchPlan>,
}

/// Where CloudWatch Logs is, and how credentials for it are found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudWatchPlan {
    /// Another endpoint than AWS's own.
    pub endpoint: Option<String>,
    /// A profile of the shared files.
    pub profile: Option<String>,
    /// The caller's `AWS_...` variables, as far as they hold no secret.
    pub variables: BTreeMap<String, String>,
}

/// What receivers of a log are told of its container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSource {
    /// The runtime id.
    pub id: String,
    /// The name on the host, `ecs-FAMILY-REVISION-NAME-...`.
    pub name: String,
    /// The image as the definition names it.
    pub image: String,
    /// The image's digest.
    pub image_id: String,
    /// The tag, filled in.
    pub tag: String,
    /// Labels and variables that go along.
    pub extra: BTreeMap<String, String>,
    /// When the task was asked for, in milliseconds since the epoch.
    pub created: i64,
    /// The journal's socket on the host.
    pub journal: PathBuf,
    /// The container that routes this one's output, by name.
    pub router: Option<String>,
}

impl LogPlan {
    /// Local files and nothing else.
    pub fn local(max_bytes: u64, max_files: u32) -> Self {
        Self {
            max_bytes,
            max_files,
            driver: String::new(),
            options: BTreeMap::new(),
            secrets: Vec::new(),
            delivery: None,
            drain: 0,
            stream: None,
            multiline: None,
            source: LogSource::default(),
        }
    }

    /// Whether the output is kept at all.
    pub fn is_kept(&self) -> bool {
        self.driver != "none"
    }
}

/// Fills in what the definition says of logs: each container's own, and what a router adds to the task. A configuration that
/// makes no sense has been refused before ([`fault`]).
pub(super) fn complete(definition: &TaskDefinition, settings: &LogSettings, layout: &Layout, task: &mut TaskPlan) {
    let router = router(definition).and_then(|(place, router)| Some((place, router.ok()?)));
    let name = router.as_ref().map(|(place, _)| definition.container_definitions[*place].name.clone());
    let (listens, address) = router.as_ref().map_or((None, None), |(place, _)| reach(&task.network, *place));
    for (container, place) in definition.container_definitions.iter().zip(0..task.containers.len()) {
        let subject = Subject { settings, layout, task, place };
        let mut log = plan(container, &subject);
        if log.driver == "awsfirelens" {
            log.source.router.clone_from(&name);
            let container = &mut task.containers[place];
            name.iter().for_each(|router| wait_for(container, router, address));
        }
        task.containers[place].log = log;
    }
    if let Some((place, router)) = router {
        configure(definition, &router, place, listens, task);
    }
}

/// The container starts after the router, stops before it, and may speak to it by itself.
fn wait_for(container: &mut ContainerPlan, router: &str, address: Option<Ipv4Addr>) {
    if !container.depends_on.iter().any(|other| other.container_name == router) {
        let container_name = router.to_owned();
        container.depends_on.push(ContainerDependency { container_name, condition: ContainerCondition::Start });
    }
    let Some(address) = address else { return };
    for (name, value) in [("FLUENT_HOST", address.to_string()), ("FLUENT_PORT", firelens::PORT.to_owned())] {
        container.process.env.retain(|(known, _)| known != name);
        container.process.env.push((name.to_owned(), value));
    }
}

/// Where the router's port listens, and where the others find it; nowhere in host mode, as in ECS.
fn reach(network: &NetworkPlan, router: usize) -> (Option<&'static str>, Option<Ipv4Addr>) {
    match network {
        NetworkPlan::Awsvpc(_) => (Some("127.0.0.1"), Some(Ipv4Addr::LOCALHOST)),
        NetworkPlan::PerContainer { containers, .. } => match containers.get(router) {
            Some(ContainerNetwork::Bridge { link, .. }) => (Some("0.0.0.0"), Some(link.address.address)),
            Some(ContainerNetwork::Host { .. } | ContainerNetwork::Loopback) | None => (None, None),
        },
    }
}

/// The router finds its configuration in its place, and the directory where its socket is to be.
fn configure(
    definition: &TaskDefinition,
    router: &firelens::Router,
    place: usize,
    listens: Option<&'static str>,
    task: &mut TaskPlan,
) {
    let owner = Owner { region: task.region.clone(), account: task.account.clone() };
    let arn = owner.task(&task.cluster, &task.id).to_string();
    let facts = firelens::TaskFacts {
        cluster: &task.cluster,
        task_arn: &arn,
        definition: format!("{}:{}", task.family, task.revision),
        listens,
    };
    if let Ok(text) = firelens::configuration(router, &facts, &routes(definition)) {
        let container = &mut task.containers[place];
        container.files.push((router.kind.config_path().to_owned(), text));
        container.socket_directory = Some(firelens::SOCKET_DIRECTORY.to_owned());
        let secret =
            |log: &LogConfiguration| log.log_driver == "awsfirelens" && log.secret_options.iter().flatten().count() > 0;
        if definition.container_definitions.iter().filter_map(|one| one.log_configuration.as_ref()).any(secret) {
            container.process.private.get_or_insert_default();
        }
    }
}

/// What a container's log is planned from.
struct Subject<'a> {
    settings: &'a LogSettings,
    layout: &'a Layout,
    task: &'a TaskPlan,
    place: usize,
}

fn plan(container: &ContainerDefinition, subject: &Subject) -> LogPlan {
    let Subject { settings, layout, task, place } = subject;
    let runtime_id = &task.containers[*place].runtime_id;
    let mut plan = LogPlan::local(settings.max_bytes, settings.max_files);
    let Some(configuration) = &container.log_configuration else { return plan };
    let Ok(logging) = read(container) else { return plan };
    plan.driver = configuration.log_driver.clone();
    plan.options = configuration.options.clone().unwrap_or_default();
    plan.secrets = configuration.secret_options.iter().flatten().map(|secret| secret.name.clone()).collect();
    let delivery = logging.delivery(settings.mode);
    plan.source = source(container, &logging, subject);
    match logging.driver {
        Driver::None => {}
        Driver::JsonFile { max_size, max_file } => {
            plan.max_bytes = max_size.unwrap_or(plan.max_bytes);
            plan.max_files = max_file.unwrap_or(plan.max_files);
        }
        Driver::AwsLogs(aws) => {
            let otherwise = if logging.tag.is_some() { &plan.source.tag } else { runtime_id };
            let stream = aws.stream_name(&container.name, &task.id, otherwise);
            let region = aws.region.unwrap_or_else(|| task.region.clone());
            let directory = layout.log_stream(&region, &aws.group, &stream);
            let (retention, sending) = (settings.retention, settings.cloudwatch.clone());
            plan.delivery = sending.is_some().then_some(delivery);
            plan.stream = Some(StreamPlan { region, group: aws.group, stream, directory, retention, sending });
            plan.multiline = aws.multiline;
        }
        Driver::Firelens
        | Driver::Splunk(_)
        | Driver::Syslog(_)
        | Driver::Journald
        | Driver::Gelf(_)
        | Driver::Fluentd(_) => plan.delivery = Some(delivery),
    }
    if let Some(delivery) = plan.delivery {
        plan.drain = settings.drain;
        plan.make_room(delivery);
    }
    plan
}

impl LogPlan {
    /// What waits to be sent waits in the local files: they must hold as much.
    fn make_room(&mut self, delivery: Delivery) {
        let waits = match delivery {
            Delivery::Blocking => self.max_bytes,
            Delivery::NonBlocking { max_buffer } => max_buffer,
        };
        // The file that is being written, and one that may just have begun.
        let files = waits.div_ceil(self.max_bytes).saturating_add(2);
        self.max_files = self.max_files.max(u32::try_from(files).unwrap_or(u32::MAX));
    }
}

fn source(container: &ContainerDefinition, logging: &Logging, subject: &Subject) -> LogSource {
    let task = subject.task;
    let plan = &task.containers[subject.place];
    // As the ECS agent names containers; the hexadecimal digits are the task's.
    let name = format!("ecs-{}-{}-{}-{:.20}", task.family, task.revision, container.name, task.id);
    let facts = Facts { id: &plan.runtime_id, name: &name, image: &plan.image, image_id: &plan.image_digest };
    let tag = match logging.driver {
        Driver::Firelens => format!("{}-firelens-{}", container.name, task.id),
        _ => logging::render(logging.tag.as_deref(), &facts),
    };
    let labels = container.docker_labels.iter().flatten().map(|(name, value)| (name.as_str(), value.as_str()));
    let env = plan.process.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    LogSource {
        id: plan.runtime_id.clone(),
        image: plan.image.clone(),
        image_id: plan.image_digest.clone(),
        tag,
        extra: logging.extra.of(labels, env),
        created: task.created_at,
        journal: subject.settings.journal.clone(),
        router: None,
        name,
    }
}

/// Reads a container's configuration. What a secret option holds is not known yet: it is taken as said.
pub fn read(container: &ContainerDefinition) -> Result<Logging, logging::LogOptionError> {
    let Some(configuration) = &container.log_configuration else { return Logging::read("", &BTreeMap::new()) };
    let mut options = configuration.options.clone().unwrap_or_default();
    for secret in configuration.secret_options.iter().flatten() {
        options.insert(secret.name.clone(), stand_in(&secret.name).to_owned());
    }
    Logging::read(&configuration.log_driver, &options)
}

/// A value that any option of such a name would accept.
fn stand_in(name: &str) -> &'static str {
    match name {
        "splunk-url" => "https://secret",
        "gelf-address" | "syslog-address" => "udp://secret",
        _ => "secret",
    }
}

/// The router of a task: the place of its container, and what it is asked to be.
pub fn router(definition: &TaskDefinition) -> Option<(usize, Result<firelens::Router, firelens::RouterError>)> {
    let mut containers = definition.container_definitions.iter().enumerate();
    containers.find_map(|(place, container)| {
        let configuration = container.firelens_configuration.as_ref()?;
        let none = BTreeMap::new();
        let options = configuration.options.as_ref().unwrap_or(&none);
        Some((place, firelens::Router::read(&configuration.r#type, options)))
    })
}

/// The ways out that the containers' `awsfirelens` ask for. A secret option is a variable of the router.
pub fn routes(definition: &TaskDefinition) -> Vec<firelens::Route<'_>> {
    let uses = definition.container_definitions.iter().enumerate().filter_map(|(place, container)| {
        let configuration = container.log_configuration.as_ref().filter(|log| log.log_driver == "awsfirelens")?;
        let mut options = configuration.options.clone().unwrap_or_default();
        for secret in configuration.secret_options.iter().flatten() {
            options.insert(secret.name.clone(), format!("${{{}}}", secret_variable(&secret.name, place)));
        }
        Some((container.name.as_str(), options))
    });
    uses.collect()
}

/// The router's variable for a secret option of the container at a place.
pub fn secret_variable(option: &str, place: usize) -> String {
    format!("{option}_{place}")
}

/// ECS's reason for a task whose log cannot be had.
fn words(is_fargate: bool, what: &str) -> String {
    match is_fargate {
        true => format!("ResourceInitializationError: failed to validate logger args: {what}"),
        false => format!("CannotStartContainerError: failed to initialize logging driver: {what}"),
    }
}

/// The reason where the group of `awslogs` does not exist in the local store; the words are CloudWatch Logs' own.
pub fn no_group(is_fargate: bool) -> String {
    let retried = if is_fargate { "create stream has been retried 1 times: " } else { "" };
    let why =
        "failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist.";
    words(is_fargate, &format!("{retried}{why}"))
}

/// Why a task cannot start for its logs: the place of the container, and ECS's reason.
pub fn fault(definition: &TaskDefinition, is_fargate: bool) -> Option<(usize, String)> {
    for (place, container) in definition.container_definitions.iter().enumerate() {
        if let Err(error) = read(container) {
            return Some((place, words(is_fargate, &error.to_string())));
        }
    }
    let (place, router) = router(definition)?;
    let task = firelens::TaskFacts { cluster: "", task_arn: "", definition: String::new(), listens: None };
    let configured = router.and_then(|router| firelens::configuration(&router, &task, &routes(definition)));
    let error = configured.err()?;
    Some((place, format!("ResourceInitializationError: failed to create firelens config: {error}")))
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
