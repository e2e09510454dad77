//! The process that sends a task's logs on: to CloudWatch Logs, to other daemons, to the task's own router. One thread for each
//! log; each reads the local files behind the supervisor, from a mark that outlives this process, so that a kill costs
//! nothing but a repetition. Started by the supervisor's loop when there is something to send; ends with its input, and
//! with the loop.
//!
//! It reads what containers wrote and what receivers answer: before it begins it gives up every right but root's own files.

mod cloudwatch;
mod destination;
mod forward;
mod gelf;
mod journald;
mod lane;
mod names;
mod splunk;
mod syslog;
mod tls;
mod wire;

use std::io::{self, BufRead};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::sys::prctl;
use nix::sys::stat::Mode;

use self::destination::Destination;
use self::lane::{Lane, Wake};
use super::protocol::{HOST_NETWORK_FD, PLAN_FD, ShipOrder};
use crate::ecs::LaunchType;
use crate::plan::TaskPlan;
use crate::sys;
use crate::sys::capability::{self, Capabilities};

/// The stack of a thread: TLS and its certificates are the deepest.
const STACK: usize = 512 << 10;

/// Sends until the input ends.
pub fn run() -> io::Result<()> {
    nix::sys::stat::umask(Mode::from_bits_truncate(0o077));
    let [plan, host_network] = sys::spawn::inherited([PLAN_FD, HOST_NETWORK_FD]);
    let plan: TaskPlan = serde_json::from_slice(&sys::spawn::read_whole(&plan)?)?;
    sys::netns::enter(host_network.as_fd())?; // receivers are the host's business, not the task's
    confine()?;
    let mut wakes: Vec<Option<Arc<Wake>>> = Vec::new();
    for (place, container) in plan.containers.iter().enumerate() {
        if container.log.delivery.is_none() {
            wakes.push(None);
            continue;
        }
        let wake = Arc::new(Wake::new()?);
        let lane = Lane::new(&plan, place, Arc::clone(&wake))?;
        std::thread::Builder::new().stack_size(STACK).spawn(move || lane.run())?;
        wakes.push(Some(wake));
    }
    for line in io::stdin().lock().lines() {
        let ShipOrder::Flush(place) = serde_json::from_str(&line?)?;
        if let Some(Some(wake)) = wakes.get(place) {
            wake.flush();
        }
    }
    Ok(())
}

/// Whether the receiver of a container's log is there. For a thread of its own, which ends with it: it is moved to the host's
/// network, and loses every right.
pub(super) fn verify(plan: &TaskPlan, place: usize, host_network: BorrowedFd<'_>) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    sys::netns::enter(host_network).map_err(text)?;
    confine().map_err(text)?;
    let mut destination = Destination::new(plan, place).map_err(text)?;
    match destination.verify() {
        // As Fargate does, which says so.
        Err(_) if matches!(destination, Destination::CloudWatch(_)) && plan.launch_type == LaunchType::Fargate => {
            destination.verify().map_err(|why| format!("create stream has been retried 1 times: {why}"))
        }
        verified => verified,
    }
}

/// Its files are root's own, its sockets are made like anybody's.
fn confine() -> io::Result<()> {
    prctl::set_no_new_privs()?;
    capability::clear_ambient()?;
    Ok(capability::set(Capabilities::NONE, Capabilities::NONE)?)
}
