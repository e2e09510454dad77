//! A receiver of logs, whichever it is: a batch goes in, and either all of it was taken or it is offered again.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use super::cloudwatch::{self, CloudWatch};
use super::forward::Forward;
use super::gelf::Gelf;
use super::journald::Journald;
use super::splunk::Splunk;
use super::syslog::Syslog;
use crate::logging::{Driver, Logging};
use crate::logs::{Count, Event};
use crate::plan::{LogPlan, LogSource, TaskPlan};

/// How long the first event of a batch waits for others.
const LINGER: Duration = Duration::from_millis(20);

/// Why a batch was not taken.
#[derive(Debug)]
pub(super) enum SendError {
    /// It may be next time.
    Failed(String),
    /// The first events of it never will be.
    Refused {
        /// How many.
        events: usize,
        /// Why.
        source: String,
    },
}

impl From<io::Error> for SendError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// How large a batch may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) events: usize,
    pub(super) bytes: usize,
    /// What an event counts beside its bytes.
    pub(super) overhead: usize,
    pub(super) linger: Duration,
}

impl Limits {
    /// What an event counts.
    pub(super) fn size(&self, event: &Event) -> usize {
        event.message.len() + self.overhead
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { events: 1000, bytes: 1 << 20, overhead: 64, linger: LINGER }
    }
}

/// A receiver.
pub(super) enum Destination {
    Syslog(Box<Syslog>),
    Gelf(Box<Gelf>),
    Forward(Box<Forward>),
    Splunk(Box<Splunk>),
    Journald(Box<Journald>),
    CloudWatch(Box<CloudWatch>),
    /// Nobody can be asked, for this reason.
    Unusable(String),
}

impl Destination {
    /// That of the container at a place.
    pub(super) fn new(plan: &TaskPlan, place: usize) -> io::Result<Self> {
        let log = &plan.containers[place].log;
        let logging = match options(plan, place).and_then(|options| read(log, &options)) {
            Ok(logging) => logging,
            Err(reason) => return Ok(Self::Unusable(reason)),
        };
        let source = log.source.clone();
        Ok(match logging.driver {
            Driver::Syslog(syslog) => Self::Syslog(Box::new(Syslog::new(syslog, &source)?)),
            Driver::Gelf(gelf) => Self::Gelf(Box::new(Gelf::new(gelf, source)?)),
            Driver::Fluentd(fluentd) => Self::Forward(Box::new(Forward::to_server(&fluentd, source)?)),
            Driver::Firelens => Self::Forward(Box::new(Forward::to_router(socket(plan, &source)?, source)?)),
            Driver::Splunk(splunk) => match Splunk::new(splunk, source) {
                Ok(splunk) => Self::Splunk(Box::new(splunk)),
                Err(reason) => Self::Unusable(reason),
            },
            Driver::Journald => Self::Journald(Box::new(Journald::new(&source)?)),
            Driver::AwsLogs(aws) => {
                let stream = log.stream.clone().ok_or_else(|| io::Error::other("awslogs has a stream"))?;
                match CloudWatch::new(aws, stream) {
                    Ok(cloudwatch) => Self::CloudWatch(Box::new(cloudwatch)),
                    Err(reason) => Self::Unusable(reason),
                }
            }
            Driver::JsonFile { .. } | Driver::None => Self::Unusable(format!("nothing is sent by {}", log.driver)),
        })
    }

    /// How large its batches may be.
    pub(super) fn limits(&self) -> Limits {
        match self {
            Self::Splunk(_) => Limits { linger: Duration::from_millis(500), overhead: 256, ..Limits::default() },
            Self::CloudWatch(cloudwatch) => {
                let (events, linger) = cloudwatch.limits();
                Limits {
                    events: events.map_or(cloudwatch::EVENTS, |events| events.min(cloudwatch::EVENTS)),
                    bytes: cloudwatch::BYTES,
                    overhead: cloudwatch::OVERHEAD,
                    linger: linger.unwrap_or(Duration::from_millis(500)),
                }
            }
            Self::Syslog(_) | Self::Gelf(_) | Self::Forward(_) | Self::Journald(_) | Self::Unusable(_) => {
                Limits::default()
            }
        }
    }

    /// How long the first new attempt after a failure waits, where the definition says so.
    pub(super) fn pause(&self) -> Option<Duration> {
        match self {
            Self::Gelf(gelf) => gelf.pause(),
            Self::Forward(forward) => forward.pause(),
            Self::Syslog(_) | Self::Splunk(_) | Self::Journald(_) | Self::CloudWatch(_) | Self::Unusable(_) => None,
        }
    }

    /// Whether the receiver is there, as Docker's drivers ask before the container starts. A router is never asked: it starts
    /// with the task.
    pub(super) fn verify(&mut self) -> Result<(), String> {
        let text = |error: io::Error| error.to_string();
        match self {
            Self::Syslog(syslog) => syslog.verify().map_err(text),
            Self::Gelf(gelf) => gelf.verify().map_err(text),
            Self::Forward(forward) => forward.verify().map_err(text),
            Self::Splunk(splunk) => splunk.verify(),
            Self::Journald(journald) => journald.verify(),
            Self::CloudWatch(cloudwatch) => cloudwatch.verify(),
            Self::Unusable(reason) => Err(reason.clone()),
        }
    }

    /// Sends a batch; what of it the receiver did not want, without saying why.
    pub(super) fn send(&mut self, batch: &[Event]) -> Result<Count, SendError> {
        let taken = match self {
            Self::CloudWatch(cloudwatch) => return cloudwatch.send(batch),
            Self::Syslog(syslog) => syslog.send(batch),
            Self::Gelf(gelf) => gelf.send(batch),
            Self::Forward(forward) => forward.send(batch),
            Self::Splunk(splunk) => splunk.send(batch),
            Self::Journald(journald) => journald.send(batch),
            Self::Unusable(reason) => Err(SendError::Failed(reason.clone())),
        };
        taken.map(|()| Count::default())
    }
}

/// The options with the values of the secret ones; those of a router are the router's.
fn options(plan: &TaskPlan, place: usize) -> Result<BTreeMap<String, String>, String> {
    let container = &plan.containers[place];
    let mut options = container.log.options.clone();
    if !container.log.secrets.is_empty() && container.log.driver != "awsfirelens" {
        let secret = crate::secrets::log_options(&container.name, &plan.paths).map_err(|error| error.to_string())?;
        options.extend(secret);
    }
    Ok(options)
}

fn read(log: &LogPlan, options: &BTreeMap<String, String>) -> Result<Logging, String> {
    Logging::read(&log.driver, options).map_err(|error| error.to_string())
}

/// The socket of a container's router, on the host.
fn socket(plan: &TaskPlan, source: &LogSource) -> io::Result<std::path::PathBuf> {
    let router = plan.containers.iter().position(|other| Some(&other.name) == source.router.as_ref());
    let place = router.ok_or_else(|| io::Error::other("the task has no log router"))?;
    Ok(plan.container_paths(place).sockets().join("fluent.sock"))
}

/// A message as text: what is not UTF-8 becomes U+FFFD.
pub(super) fn text(event: &Event) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(&event.message)
}

/// This host's name, for receivers who ask who speaks.
pub(super) fn hostname() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "localhost".to_owned())
}
