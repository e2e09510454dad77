//! The one way in: an [`Engine`] on one root, and one function per operation. Every caller (command line, later the HTTP
//! endpoint and the service scheduler) goes through here; none of them needs to be running for a task to live.

mod access_keys;
pub mod actions;
mod capacity;
mod capacity_providers;
mod clusters;
pub mod config;
mod connect;
mod credentials;
mod definitions;
pub mod doctor;
mod engine;
mod environment;
mod error;
mod events;
mod exception;
mod exec;
mod fault;
mod fetch;
mod figures;
mod find;
mod hidden;
pub mod host;
mod images;
mod instances;
mod log_groups;
mod log_status;
mod login;
mod logs;
mod neighbours;
mod paging;
mod platform;
mod protection;
mod provide;
mod pull;
mod registries;
mod resume;
mod roles;
mod run;
mod run_task;
mod secrets;
mod services;
mod serving;
mod stats;
mod storage;
mod tasks;
mod time_scale;
mod usage;
mod values;
mod view;
mod vpc;
mod why;

pub use credentials::Kept;
pub use engine::Engine;
pub use error::OpsError;
pub use events::{Event, EventFollower};
pub use exec::ExecOptions;
pub use fault::TaskFaultError;
pub use figures::{Figures, TaskFigures};
pub use hidden::hidden_command;
pub use images::{DiskUsage, ImageDiskUsage, ImageInspection, ImageView, LayerInspection};
pub use log_groups::{GroupLogs, ShowLine};
pub use log_status::{LogStatus, SentStatus};
pub use login::Registry;
pub use logs::Followed;
pub use neighbours::{Neighbour, XmlAnswer, neighbour};
pub use provide::TaskImages;
pub use pull::PullError;
pub use resume::Resumed;
pub use run::RunOptions;
pub use secrets::PutSecret;
pub use services::{Fetches, Preview, PreviewStep, ServiceRecord, Turn};
pub use serving::{Authentication, Place, RequestLog, ServeOptions, TlsFiles};
pub use stats::{ContainerUsage, TaskUsage};
pub use storage::StorageUsage;
pub use tasks::{TaskList, TaskRecord, Waited};
pub use time_scale::TimeScale;
pub use usage::{UsageBy, UsageSum};
pub use values::LookupError;
pub use why::{ContainerWhy, FailureWhy, HealthWhy, MemoryWhy, Why};

// What callers need of the bands below, so that they import nothing but this one.
pub use crate::ecs::TaskOverride;
pub use crate::ecs::task_definition::NetworkMode;
pub use crate::ecs::volume::TaskVolumeConfiguration;
pub use crate::image::{Digest, ImageReference, LayerSize, Progress, Prune, Pruned};
pub use crate::lifecycle::{LastStatus, StopCode, Timestamp};
pub use crate::logs::{
    Bytes, Line as LogLine, Prefix, Query as LogQuery, Show, Stream as LogStream, Style as LogStyle, Times, Until,
};
pub use crate::metadata::{FaultAction, FaultKind};
pub use crate::net::Sought;
pub use crate::plan::NetworkPlan;
pub use crate::runtime::cgroup::{Pressure, Stall, Usage};
pub use crate::secrets::{Access as KeyAccess, AccessKey, AccessKeyStore, NewAccessKey};
pub use crate::secrets::{Kind as SecretKind, Name as SecretName, Summary as SecretSummary, TaskValues};
pub use crate::sys::tty;
pub use crate::validate::fields::rows::{Row as FieldRow, rows as field_rows};
pub use crate::validate::{
    Problem, Severity, Strictness, ValidTaskDefinition, overridden, parse, parse_overrides, validate,
};
