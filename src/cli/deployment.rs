//! A deployment while it goes: on a terminal one block that is rewritten, elsewhere its events, a line each, as they come.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::error::Failure;
use super::interrupt::interrupts;
use super::output::note;
use super::plain::plain;
use super::service::find;
use crate::ecs::service::{Deployment, Service};
use crate::ops::Engine;

/// How often the service is looked at.
const PACE: Duration = Duration::from_millis(200);

/// How the watching ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Watched {
    /// One deployment, complete, as many tasks as wanted.
    Steady,
    /// The deployment failed, or was rolled back.
    Failed(String),
    /// The person has seen enough.
    Left,
    /// The time is over.
    TooLong,
}

/// Shows a service until it is steady.
pub(super) fn watch(engine: &Engine, service: &Service, patience: Duration) -> Result<Watched, Failure> {
    let (arn, since) = (service.service_arn.to_string(), Instant::now());
    let interrupts = interrupts()?;
    let mut screen = Screen { live: io::stderr().is_terminal(), lines: 0, shown: Vec::new(), last_event: None };
    screen.last_event = service.events.first().map(|event| event.id.clone());
    let wanted = service.deployments.first().map(|primary| primary.id.clone());
    loop {
        let now = find(engine, None, &arn)?;
        screen.show(&now);
        let primary = now.deployments.first();
        let went_back = primary.is_some_and(|primary| Some(&primary.id) != wanted.as_ref());
        match primary {
            None => return Ok(Watched::Left), // deleted meanwhile
            Some(primary) if primary.rollout_state == "FAILED" => {
                return Ok(Watched::Failed(primary.rollout_state_reason.clone()));
            }
            Some(primary) if is_steady(&now, primary) && went_back => {
                return Ok(Watched::Failed(format!("the deployment failed, and {} is in force again", primary.id)));
            }
            Some(primary) if is_steady(&now, primary) => return Ok(Watched::Steady),
            Some(_) => {}
        }
        if since.elapsed() > patience {
            return Ok(Watched::TooLong);
        }
        if let Ok(Some(_)) = interrupts.read_signal() {
            note("not watching any longer: the service goes on by itself");
            return Ok(Watched::Left);
        }
        std::thread::sleep(PACE);
    }
}

fn is_steady(service: &Service, primary: &Deployment) -> bool {
    service.deployments.len() == 1
        && primary.rollout_state == "COMPLETED"
        && service.running_count == service.desired_count
        && service.pending_count == 0
}

struct Screen {
    live: bool,
    lines: usize,
    /// What stands there.
    shown: Vec<String>,
    last_event: Option<String>,
}

impl Screen {
    fn show(&mut self, service: &Service) {
        let new = service.events.iter().take_while(|event| Some(&event.id) != self.last_event.as_ref());
        let new: Vec<&str> = new.map(|event| event.message.as_str()).collect();
        self.last_event = service.events.first().map(|event| event.id.clone());
        let block = if self.live { block(service) } else { Vec::new() };
        if new.is_empty() && block == self.shown {
            return;
        }
        let mut text = String::new();
        if self.live && self.lines > 0 {
            text.push_str(&format!("\x1b[{}A\x1b[J", self.lines)); // up, and clear to the end
        }
        for message in new.iter().rev() {
            text.push_str(&format!("{}\n", plain(message)));
        }
        self.lines = block.len();
        block.iter().for_each(|line| text.push_str(&format!("{line}\n")));
        self.shown = block;
        // That nobody looks is no reason to stop.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// A line for each deployment.
fn block(service: &Service) -> Vec<String> {
    let line = |one: &Deployment| {
        let definition = format!("{}:{}", one.task_definition.family, one.task_definition.revision);
        format!(
            "  {:<8} {definition:<24} {:>3} running {:>3} pending {:>3} wanted {:>3} failed  {}",
            one.status, one.running_count, one.pending_count, one.desired_count, one.failed_tasks, one.rollout_state
        )
    };
    service.deployments.iter().map(line).collect()
}
