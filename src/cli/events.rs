//! `berth events`: a line of JSON for each event.

use std::os::fd::AsFd;
use std::time::Duration;

use super::args::FollowEvents;
use super::error::Failure;
use super::interrupt::interrupts;
use super::output;
use crate::ops::{Engine, Event, EventFollower};

/// How often the store is looked at though the kernel has told of nothing.
const LOOK: Duration = Duration::from_secs(5);

pub(super) fn events(engine: &mut Engine, args: &FollowEvents) -> Result<(), Failure> {
    let mut follower = EventFollower::new(engine);
    if args.follow {
        follower.events(engine)?; // from here on nothing is missed
    }
    if !args.follow || args.since.is_some() {
        let since = args.since.map(|since| since.at(jiff::Timestamp::now()).as_millisecond());
        for event in engine.past_events()?.iter().filter(|event| since.is_none_or(|since| event.at() >= since)) {
            print(event)?;
        }
    }
    if !args.follow {
        return Ok(());
    }
    let interrupts = interrupts()?;
    while !follower.wait(interrupts.as_fd(), LOOK)? {
        for event in &follower.events(engine)? {
            print(event)?;
        }
    }
    Ok(())
}

fn print(event: &Event) -> Result<(), Failure> {
    Ok(output::line(&serde_json::to_string(event)?)?)
}
