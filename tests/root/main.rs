//! The suite that needs root: real cgroups, namespaces, images and clients.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod agent;
mod attacks;
mod aws;
mod bad_input;
mod begin;
mod callers;
mod cgroup;
mod cycles;
mod damage;
mod edges;
mod endpoint;
mod exhaustion;
mod firelens;
mod first_process;
mod floor;
mod goals;
mod health;
mod hostile;
mod image;
mod images;
mod leak_check;
mod lifecycle;
mod limits;
mod log_forms;
mod log_receivers;
mod log_start;
mod logs;
mod network;
mod network_modes;
mod operations;
mod order;
mod overrides;
mod placed;
mod placement;
mod process;
mod pull;
mod pull_kills;
mod recovery;
mod restart;
mod scheduling;
mod services;
mod shared;
mod task;
mod top;
mod tracing;
mod values;
mod volumes;
mod why;
