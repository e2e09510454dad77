//! The process that holds the counts: who starts it again, and that nobody waits in it for anybody else.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use serde_json::json;

use super::services::{Host, PACE, PATIENCE};
use crate::support::command::Running;
use crate::support::scripted::{Reply, Server};
use crate::support::supervised::{exists, strike};
use crate::support::{binary, eventually};

#[test]
fn a_pair_that_is_killed_at_once_is_missed_by_the_tasks_that_it_watched() {
    let host = Host::new();
    host.register("web", &["listen", "80", "one"], &json!({}));
    host.create("2", &[]);
    let old = host.until_running(2);
    let pair = host.scheduler();
    assert_eq!(pair.len(), 2);
    // neither has the time to start the other again
    pair.iter().for_each(|pid| kill(*pid, Signal::SIGSTOP).unwrap());
    pair.iter().for_each(|pid| strike(*pid));
    eventually(PATIENCE, "both are gone", || pair.iter().all(|pid| !exists(*pid)).then_some(()));
    // no command of berth runs here
    eventually(PATIENCE, "another pair", || (host.scheduler().len() == 2).then_some(()));
    let victim = old.keys().next().unwrap();
    strike(host.pid(victim));
    eventually(PATIENCE, "another one takes its place", || {
        Some(host.running()).filter(|tasks| tasks.len() == 2 && !tasks.contains_key(victim))
    });
    host.delete();
}

/// Starts the scheduler in a mount namespace in which root's home has credentials for AWS: it has no variables of its caller.
const WITH_CREDENTIALS: &str = "mount -t tmpfs none /root && mkdir /root/.aws && \
    printf '[default]\naws_access_key_id = AK\naws_secret_access_key = s\n' >/root/.aws/credentials && exec \"$@\"";

#[test]
fn a_service_whose_secrets_are_slow_to_come_keeps_no_other_one_waiting() {
    let host = Host::new();
    let released = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&released);
    let server = Server::start(move |_| {
        let until = Instant::now() + Duration::from_secs(30);
        while !gate.load(Ordering::Relaxed) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        Reply::ok(r#"{"Parameters": [{"Name": "/app/key", "Value": "hush"}], "InvalidParameters": []}"#)
    });
    let asks = format!(
        "[capacity]\ncpu = 100000\nmemory-mib = 100000\n[secrets]\nsource = 'aws'\n[aws]\nendpoint = '{}'\n",
        server.url()
    );
    host.root.configure(&asks);
    host.register("web", &["listen", "80", "one"], &json!({}));
    let secret = json!({ "command": ["env"], "secrets": [{ "name": "KEY", "valueFrom": "/app/key" }] });
    host.register("slow", &["env"], &secret);
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", WITH_CREDENTIALS, "sh"]).arg(binary()).arg("--root").arg(host.root.path());
    command.args(["service", "create", "slow", "--detach", "--task-definition", "slow"]).args(PACE);
    Running::start(command).wait(PATIENCE).ok();
    eventually(PATIENCE, "AWS is asked", || (!server.requests().is_empty()).then_some(()));
    host.create("1", &[]);
    let old = host.until_running(1);
    let victim = old.keys().next().unwrap();
    strike(host.pid(victim));
    eventually(PATIENCE, "another one takes its place", || {
        Some(host.running()).filter(|tasks| tasks.len() == 1 && !tasks.contains_key(victim))
    });
    assert!(!released.load(Ordering::Relaxed) && server.requests().len() == 1, "all that time nobody answered");
    released.store(true, Ordering::Relaxed);
    let printed = eventually(PATIENCE, "the value is there", || {
        let ids = host.root.list(&["-a"]).into_iter().filter(|task| task["group"] == "service:slow");
        let id = ids.map(|task| task["taskArn"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()).next()?;
        let printed = host.root.berth(["logs", &id]).stdout;
        printed.contains("KEY=").then_some(printed)
    });
    assert!(printed.contains("KEY=hush"), "{printed}");
    host.service(&["delete", "--force", "slow"]).ok();
    host.delete();
}
