//! Both directions of a data channel: what was sent is kept until the client has acknowledged it, and sent again when that takes
//! too long; what arrives is put in order, acknowledged, and taken once. Time and chance are arguments.
//!
//! What is kept is bounded: [`Channel::room`] says how much may be sent, and input that comes too far ahead, or for
//! which the receiver has no room, is not acknowledged, so that the client sends it again.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::message::{Message, MessageKind, PayloadType};
use super::payload::Acknowledgement;

/// The most messages that wait for an acknowledgement.
const WINDOW: usize = 128;
/// The most messages that wait for one before them.
const AHEAD: i64 = 64;
/// How soon, and how late, a message is sent again that is not acknowledged; before the first acknowledgement, `LATEST`.
const SOONEST: Duration = Duration::from_millis(200);
const LATEST: Duration = Duration::from_secs(1);

/// What makes a message unlike all others.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// Now.
    pub now: Instant,
    /// Now, in milliseconds since the epoch.
    pub created: u64,
    /// A new UUID.
    pub id: u128,
}

#[derive(Debug)]
struct Sent {
    sequence: i64,
    bytes: Vec<u8>,
    at: Instant,
    again: bool,
}

/// What has come of a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// What is to be taken now, in order.
    pub taken: Vec<(PayloadType, Vec<u8>)>,
    /// What is to be sent back.
    pub acknowledgement: Option<Vec<u8>>,
}

/// A data channel, from the side that has the terminal.
#[derive(Debug, Default)]
pub struct Channel {
    next: i64,
    unacknowledged: VecDeque<Sent>,
    expected: i64,
    ahead: BTreeMap<i64, Message>,
    round_trip: Option<RoundTrip>,
}

/// How long acknowledgements take, and how much that differs (RFC 6298).
#[derive(Debug, Clone, Copy)]
struct RoundTrip {
    smoothed: Duration,
    variation: Duration,
}

impl RoundTrip {
    fn with(before: Option<Self>, took: Duration) -> Self {
        match before {
            None => Self { smoothed: took, variation: took / 2 },
            Some(Self { smoothed, variation }) => {
                Self { variation: (variation * 3 + smoothed.abs_diff(took)) / 4, smoothed: (smoothed * 7 + took) / 8 }
            }
        }
    }
}

impl Channel {
    /// How many messages may be sent now.
    pub fn room(&self) -> usize {
        WINDOW.saturating_sub(self.unacknowledged.len())
    }

    /// Whether the client has acknowledged everything.
    pub fn is_settled(&self) -> bool {
        self.unacknowledged.is_empty()
    }

    /// How many messages the client has not acknowledged.
    pub fn waiting(&self) -> usize {
        self.unacknowledged.len()
    }

    /// A message to the client, which is kept until it is acknowledged.
    pub fn send(&mut self, payload_type: PayloadType, payload: Vec<u8>, stamp: Stamp) -> Vec<u8> {
        let flags = u64::from(self.next == 0);
        let message = Message {
            kind: MessageKind::OutputStreamData,
            created: stamp.created,
            sequence: self.next,
            flags,
            id: stamp.id,
            payload_type,
            payload,
        };
        let bytes = message.encode();
        let sent = Sent { sequence: self.next, bytes: bytes.clone(), at: stamp.now, again: false };
        self.unacknowledged.push_back(sent);
        self.next += 1;
        bytes
    }

    /// When the first message without an acknowledgement is to be sent again.
    pub fn due(&self) -> Option<Instant> {
        let wait = self.round_trip.map_or(LATEST, |trip| (trip.smoothed + trip.variation * 4).clamp(SOONEST, LATEST));
        self.unacknowledged.front().map(|sent| sent.at + wait)
    }

    /// That message, if it is due.
    pub fn resend(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.due().filter(|due| *due <= now)?;
        let sent = self.unacknowledged.front_mut()?;
        (sent.at, sent.again) = (now, true);
        Some(sent.bytes.clone())
    }

    /// All messages without an acknowledgement: the client has a new connection.
    pub fn resend_all(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let again = |sent: &mut Sent| {
            (sent.at, sent.again) = (now, true);
            sent.bytes.clone()
        };
        self.unacknowledged.iter_mut().map(again).collect()
    }

    /// Takes a message of the client. Stream data is not taken as long as there is no room for it.
    pub fn receive(&mut self, message: Message, stamp: Stamp, room: Room) -> Received {
        match message.kind {
            MessageKind::Acknowledge => {
                if let Ok(told) = serde_json::from_slice::<Acknowledgement>(&message.payload) {
                    self.acknowledged(told.sequence, stamp.now);
                }
                Received::default()
            }
            MessageKind::InputStreamData => self.input(message, stamp, room),
            // What only this side says, or what asks it to wait: it waits for acknowledgements anyway.
            MessageKind::OutputStreamData
            | MessageKind::ChannelClosed
            | MessageKind::StartPublication
            | MessageKind::PausePublication => Received::default(),
        }
    }

    fn acknowledged(&mut self, sequence: i64, now: Instant) {
        let Some(place) = self.unacknowledged.iter().position(|sent| sent.sequence == sequence) else { return };
        let Some(sent) = self.unacknowledged.remove(place) else { return };
        // Of one that was sent twice nobody knows which has been acknowledged (Karn).
        if !sent.again {
            self.round_trip = Some(RoundTrip::with(self.round_trip, now.saturating_duration_since(sent.at)));
        }
    }

    fn input(&mut self, message: Message, stamp: Stamp, room: Room) -> Received {
        let ahead = message.sequence.saturating_sub(self.expected);
        if ahead >= AHEAD || (ahead >= 0 && room == Room::None) {
            return Received::default();
        }
        let acknowledgement = Some(acknowledge(&message, stamp));
        // One from the past was acknowledged before, and the client has not heard of it.
        if ahead >= 0 {
            self.ahead.entry(message.sequence).or_insert(message);
        }
        let mut taken = Vec::new();
        while let Some(message) = self.ahead.remove(&self.expected) {
            self.expected += 1;
            taken.push((message.payload_type, message.payload));
        }
        Received { taken, acknowledgement }
    }
}

/// Whether whoever takes input can take more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It can.
    Some,
    /// It cannot.
    None,
}

fn acknowledge(message: &Message, stamp: Stamp) -> Vec<u8> {
    let told = Acknowledgement {
        kind: message.kind.name().to_owned(),
        id: uuid::Uuid::from_u128(message.id).to_string(),
        sequence: message.sequence,
        is_sequential: true,
    };
    let message = Message {
        kind: MessageKind::Acknowledge,
        created: stamp.created,
        sequence: 0,
        flags: 3, // the first and the last of its kind
        id: stamp.id,
        payload_type: PayloadType::Other(0),
        payload: serde_json::to_vec(&told).unwrap_or_default(),
    };
    message.encode()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stamp(now: Instant) -> Stamp {
        Stamp { now, created: 1, id: 5 }
    }

    fn message(kind: MessageKind, sequence: i64, payload: &[u8]) -> Message {
        let (payload_type, payload) = (PayloadType::Output, payload.to_vec());
        Message { kind, created: 1, sequence, flags: 0, id: 9, payload_type, payload }
    }

    fn input(channel: &mut Channel, sequence: i64, room: Room) -> Received {
        let text = sequence.to_string();
        channel.receive(message(MessageKind::InputStreamData, sequence, text.as_bytes()), stamp(Instant::now()), room)
    }

    fn acknowledgement_of(sequence: i64) -> Message {
        let text = format!(
            r#"{{"AcknowledgedMessageType":"output_stream_data","AcknowledgedMessageId":"x","AcknowledgedMessageSequenceNumber":{sequence},"IsSequentialMessage":true}}"#
        );
        message(MessageKind::Acknowledge, 0, text.as_bytes())
    }

    fn numbers(received: &Received) -> Vec<i64> {
        received.taken.iter().map(|(_, text)| String::from_utf8_lossy(text).parse().unwrap()).collect()
    }

    #[test]
    fn input_is_put_in_order_and_taken_once() {
        let mut channel = Channel::default();
        assert!(input(&mut channel, 1, Room::Some).taken.is_empty());
        assert_eq!(numbers(&input(&mut channel, 0, Room::Some)), [0, 1]);
        let again = input(&mut channel, 1, Room::Some);
        assert!(again.taken.is_empty() && again.acknowledgement.is_some(), "its acknowledgement was lost");
        assert_eq!(numbers(&input(&mut channel, 2, Room::Some)), [2]);
    }

    #[test]
    fn an_acknowledgement_names_what_has_arrived() {
        let mut channel = Channel::default();
        let bytes = input(&mut channel, 0, Room::Some).acknowledgement.unwrap();
        let told: serde_json::Value = serde_json::from_slice(&Message::decode(&bytes).unwrap().payload).unwrap();
        assert_eq!(told["AcknowledgedMessageType"], "input_stream_data");
        assert_eq!(told["AcknowledgedMessageSequenceNumber"], 0);
        assert_eq!(told["AcknowledgedMessageId"], "00000000-0000-0000-0000-000000000009");
        assert_eq!(told["IsSequentialMessage"], true);
    }

    #[test]
    fn input_without_room_or_too_far_ahead_is_not_acknowledged() {
        let mut channel = Channel::default();
        assert_eq!(input(&mut channel, 0, Room::None), Received::default());
        assert_eq!(input(&mut channel, AHEAD, Room::Some), Received::default());
        assert_eq!(numbers(&input(&mut channel, 0, Room::Some)), [0]);
        assert!(input(&mut channel, i64::MIN, Room::Some).taken.is_empty());
        assert!(input(&mut channel, i64::MAX, Room::Some).taken.is_empty());
    }

    #[test]
    fn what_is_not_acknowledged_is_sent_again_and_then_forgotten() {
        let (mut channel, start) = (Channel::default(), Instant::now());
        let bytes = channel.send(PayloadType::Output, b"x".to_vec(), stamp(start));
        assert_eq!(channel.resend(start), None);
        assert_eq!(channel.due(), Some(start + LATEST));
        assert_eq!(channel.resend(start + LATEST), Some(bytes.clone()));
        assert_eq!(channel.resend(start + LATEST), None, "once in a while");
        assert_eq!(channel.resend_all(start), [bytes]);
        channel.receive(acknowledgement_of(7), stamp(start), Room::Some);
        assert!(!channel.is_settled());
        channel.receive(acknowledgement_of(0), stamp(start), Room::None);
        assert!(channel.is_settled() && channel.due().is_none());
    }

    #[test]
    fn quick_acknowledgements_make_quick_resends_and_the_window_is_bounded() {
        let (mut channel, start) = (Channel::default(), Instant::now());
        channel.send(PayloadType::Output, Vec::new(), stamp(start));
        channel.receive(acknowledgement_of(0), stamp(start + Duration::from_millis(1)), Room::Some);
        let mut sent = 0;
        while channel.room() > 0 {
            channel.send(PayloadType::Output, Vec::new(), stamp(start));
            sent += 1;
        }
        assert_eq!((sent, channel.due()), (WINDOW, Some(start + SOONEST)));
    }

    proptest! {
        // Whatever is lost, doubled or turned round on the way, what is taken is what was sent.
        #[test]
        fn all_of_the_input_is_taken_in_order(tries in proptest::collection::vec((0..20_i64, any::<bool>()), 0..200)) {
            let mut channel = Channel::default();
            let mut taken = Vec::new();
            for (sequence, room) in tries {
                let room = if room { Room::Some } else { Room::None };
                taken.extend(numbers(&input(&mut channel, sequence, room)));
            }
            for sequence in 0..20 {
                taken.extend(numbers(&input(&mut channel, sequence, Room::Some)));
            }
            prop_assert_eq!(taken, (0..20).collect::<Vec<i64>>());
        }
    }
}
