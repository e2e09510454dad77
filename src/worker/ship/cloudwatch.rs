//! `awslogs` at CloudWatch Logs: the stream made if need be, then batches within the service's limits.

use std::time::Duration;

use serde_json::{Value, json};

use super::destination::{SendError, text};
use crate::aws::{AwsError, Client, Service, Settings, Variables};
use crate::logging::AwsLogs;
use crate::logs::{Count, Event};
use crate::plan::StreamPlan;

/// The most events of a batch, its most bytes, and what an event counts beside its message (API reference, PutLogEvents).
pub(super) const EVENTS: usize = 10_000;
pub(super) const BYTES: usize = 1 << 20;
pub(super) const OVERHEAD: usize = 26;
/// The longest message, in bytes.
const MESSAGE: usize = (256 << 10) - OVERHEAD;
/// The longest time between the first and the last event of a batch, in milliseconds.
const SPAN: i64 = 24 * 3600 * 1000;

/// A stream.
pub(super) struct CloudWatch {
    client: Client,
    stream: StreamPlan,
    settings: AwsLogs,
    ready: bool,
}

/// One message on its way; an event that is too long has several.
struct Entry {
    event: usize,
    at: i64,
    message: String,
}

impl CloudWatch {
    pub(super) fn new(settings: AwsLogs, stream: StreamPlan) -> Result<Self, String> {
        let sending = stream.sending.clone().ok_or("the stream is not sent on")?;
        let endpoint = settings.endpoint.clone().or(sending.endpoint);
        let of = Settings { region: stream.region.clone(), profile: sending.profile, endpoint, endpoints: [].into() };
        let client = Client::new(&of, Variables::of_pairs(sending.variables)).map_err(|error| chain(&error))?;
        Ok(Self { client, stream, settings, ready: false })
    }

    /// Sends a batch; what of it the service did not want.
    pub(super) fn send(&mut self, batch: &[Event]) -> Result<Count, SendError> {
        if !self.ready {
            self.make_stream().map_err(|(_, error)| SendError::Failed(chain(&error)))?;
            self.ready = true;
        }
        let mut entries: Vec<Entry> =
            batch.iter().enumerate().flat_map(|(place, event)| entries(place, event)).collect();
        entries.sort_by_key(|entry| entry.at); // the service wants them in the order of time
        let mut refused = Count::default();
        let mut rest = &entries[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(fitting(rest));
            self.put(now, batch, &mut refused)?;
            rest = later;
        }
        Ok(refused)
    }

    /// How many events wait for each other, and for how long, where the definition says so.
    pub(super) fn limits(&self) -> (Option<usize>, Option<Duration>) {
        let events = self.settings.buffered_events.map(|events| usize::try_from(events).unwrap_or(EVENTS));
        (events, self.settings.flush_seconds.map(|seconds| Duration::from_secs(seconds.into())))
    }

    /// Makes the stream before the container starts, as Docker's driver does; a group that does not exist is the reason why
    /// the task never starts.
    pub(super) fn verify(&mut self) -> Result<(), String> {
        let failed = |(what, error)| format!("failed to create Cloudwatch log {what}: {}", chain(&error));
        self.make_stream().map_err(failed)?;
        self.ready = true;
        Ok(())
    }

    /// An error says what could not be made, the stream or its group.
    fn make_stream(&self) -> Result<(), (&'static str, AwsError)> {
        if !self.settings.creates_stream {
            return Ok(());
        }
        let stream = || self.call("CreateLogStream", json!({ "logStreamName": self.stream.stream }));
        let made = match stream() {
            Err(error) if error.code() == Some("ResourceNotFoundException") && self.settings.creates_group => {
                match self.call("CreateLogGroup", json!({})) {
                    Err(error) if error.code() != Some("ResourceAlreadyExistsException") => {
                        return Err(("group", error));
                    }
                    _ => stream(),
                }
            }
            made => made,
        };
        match made {
            Err(error) if error.code() != Some("ResourceAlreadyExistsException") => Err(("stream", error)),
            _ => Ok(()),
        }
    }

    fn put(&mut self, entries: &[Entry], batch: &[Event], refused: &mut Count) -> Result<(), SendError> {
        let events: Vec<Value> =
            entries.iter().map(|entry| json!({ "timestamp": entry.at, "message": entry.message })).collect();
        let body = json!({ "logStreamName": self.stream.stream, "logEvents": events });
        match self.call("PutLogEvents", body) {
            Ok(answer) => {
                for entry in rejected(entries, &answer["rejectedLogEventsInfo"]) {
                    *refused += batch[entry.event].count;
                }
                Ok(())
            }
            // Sent before, by a process that died before it knew.
            Err(error) if error.code() == Some("DataAlreadyAcceptedException") => Ok(()),
            Err(error) if error.code() == Some("InvalidParameterException") => {
                Err(SendError::Refused { events: batch.len(), source: chain(&error) })
            }
            Err(error) => {
                self.ready = error.code() != Some("ResourceNotFoundException"); // somebody has removed it
                Err(SendError::Failed(chain(&error)))
            }
        }
    }

    fn call(&self, operation: &str, mut body: Value) -> Result<Value, AwsError> {
        body["logGroupName"] = self.stream.group.clone().into();
        let emf = operation == "PutLogEvents" && self.settings.is_emf;
        let headers: &[_] = if emf { &[("x-amzn-logs-format", "json/emf")] } else { &[] };
        self.client.call_with(&self.stream.region, Service::Logs, operation, &body, headers)
    }
}

/// The messages of an event: none where it is empty, which the service does not take.
fn entries(place: usize, event: &Event) -> Vec<Entry> {
    let at: jiff::Timestamp = event.at.as_str().parse().unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let text = text(event);
    let mut rest = text.as_ref();
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (message, more) = rest.split_at(boundary(rest, MESSAGE));
        all.push(Entry { event: place, at: at.as_millisecond(), message: message.to_owned() });
        rest = more;
    }
    all
}

/// The last place between two characters that is not behind a number of bytes.
fn boundary(text: &str, most: usize) -> usize {
    (0..=most.min(text.len())).rev().find(|place| text.is_char_boundary(*place)).unwrap_or(0)
}

/// How many of the first entries one call takes.
fn fitting(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let fits = |entry: &&Entry| {
        bytes += entry.message.len() + OVERHEAD;
        bytes <= BYTES && entry.at - entries[0].at < SPAN
    };
    entries.iter().take(EVENTS).take_while(fits).count().max(1)
}

/// The entries that the service found too old or too new, by its indices.
fn rejected<'a>(entries: &'a [Entry], info: &Value) -> impl Iterator<Item = &'a Entry> {
    let index = |name: &str| info[name].as_u64().and_then(|index| usize::try_from(index).ok());
    let old = [index("tooOldLogEventEndIndex"), index("expiredLogEventEndIndex")].into_iter().flatten().max();
    let (old, new) = (old.unwrap_or(0), index("tooNewLogEventStartIndex").unwrap_or(usize::MAX));
    entries.iter().enumerate().filter(move |(place, _)| *place < old || *place >= new).map(|(_, entry)| entry)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{Mark, Stamp, Stream};

    fn entry(at: i64, bytes: usize) -> Entry {
        Entry { event: 0, at, message: "x".repeat(bytes) }
    }

    #[test]
    fn a_call_keeps_the_services_limits() {
        let of = |entries: Vec<Entry>| fitting(&entries);
        assert_eq!(of((0..20_000).map(|at| entry(at, 1)).collect()), EVENTS);
        assert_eq!(of((0..10).map(|at| entry(at, 200_000)).collect()), 5);
        assert_eq!(of(vec![entry(0, 1), entry(SPAN - 1, 1), entry(SPAN, 1)]), 2);
    }

    #[test]
    fn long_events_are_split_between_characters_and_empty_ones_left_out() {
        let event = |message: Vec<u8>| Event {
            at: Stamp::new(jiff::Timestamp::UNIX_EPOCH),
            stream: Stream::Stdout,
            message,
            partial: false,
            count: Count::default(),
            start: Mark::default(),
            end: Mark::default(),
        };
        let parts = entries(0, &event("\u{fc}".repeat(200_000).into_bytes()));
        assert_eq!(parts.len(), 2);
        assert!(parts.iter().all(|part| part.message.len() <= MESSAGE && part.message.chars().all(|c| c == '\u{fc}')));
        assert!(entries(0, &event(Vec::new())).is_empty());
    }

    #[test]
    fn what_the_service_rejects_is_known_by_its_place() {
        let entries: Vec<Entry> = (0..5).map(|at| entry(at, 1)).collect();
        let places = |info: Value| rejected(&entries, &info).map(|entry| entry.at).collect::<Vec<_>>();
        assert_eq!(places(Value::Null), [0; 0]);
        assert_eq!(places(json!({ "tooOldLogEventEndIndex": 2, "tooNewLogEventStartIndex": 4 })), [0, 1, 4]);
    }
}
