//! `berth fault` and `berth interrupt`: what may happen to a task, made to happen.

use serde_json::{Map, Value, json};

use super::args::faults::{Action, Fault, Interrupt, Kind};
use super::error::Failure;
use super::output;
use crate::ops::{Engine, FaultAction, FaultKind, Sought};

pub(super) fn fault(engine: &mut Engine, args: &Fault) -> Result<(), Failure> {
    let record = engine.find(args.task.as_str())?;
    let kind = match args.kind {
        Kind::NetworkBlackholePort => FaultKind::BlackholePort,
        Kind::NetworkLatency => FaultKind::Latency,
        Kind::NetworkPacketLoss => FaultKind::PacketLoss,
    };
    let action = match args.action {
        Action::Start => FaultAction::Start,
        Action::Stop => FaultAction::Stop,
        Action::Status => FaultAction::Status,
    };
    let word = match engine.inject(&record, kind, action, &body(args))? {
        Sought::Running => "running\n",
        Sought::Stopped => "stopped\n",
        Sought::NotRunning => "not-running\n",
    };
    Ok(output::write(word)?)
}

/// The request as a container would send it.
fn body(args: &Fault) -> Value {
    let list = |all: &[String]| if all.is_empty() { Value::Null } else { json!(all) };
    let members = [
        ("Port", json!(args.port)),
        ("Protocol", json!(args.protocol)),
        ("TrafficType", json!(args.traffic_type)),
        ("DelayMilliseconds", json!(args.delay_milliseconds)),
        ("JitterMilliseconds", json!(args.jitter_milliseconds.or(args.delay_milliseconds.map(|_| 0)))),
        ("LossPercent", json!(args.loss_percent)),
        ("Sources", list(&args.source)),
        ("SourcesToFilter", list(&args.sources_to_filter)),
    ];
    let given = members.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(given.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

pub(super) fn interrupt(engine: &mut Engine, args: &Interrupt) -> Result<(), Failure> {
    let records = args.tasks.iter().map(|task| engine.find(task.as_str())).collect::<Result<Vec<_>, _>>()?;
    for record in &records {
        engine.interrupt(record, u64::from(args.warning) * 1000)?;
        output::write(&format!("{}\n", record.plan.id))?;
    }
    Ok(())
}
