//! `gelf`: Graylog's format 1.1, one JSON object an event: compressed datagrams, in pieces where they are long, or a stream.

use std::io::{self, Write};
use std::time::Duration;

use flate2::Compression as Level;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

use super::destination::{SendError, hostname, text};
use super::wire::{Kind, Target, Wire};
use crate::logging::{Compression, Gelf as Settings};
use crate::logs::{Event, Stream};
use crate::plan::LogSource;

/// The most bytes of one datagram that pass everywhere, and what a piece of a message has at its head.
const DATAGRAM: usize = 1420;
const HEAD: usize = 12;
/// The most pieces of a message (GELF specification, "Chunking").
const PIECES: usize = 128;

/// A server.
pub(super) struct Gelf {
    wire: Wire,
    compression: Compression,
    level: Level,
    pause: Option<Duration>,
    host: String,
    source: LogSource,
}

impl Gelf {
    pub(super) fn new(settings: Settings, source: LogSource) -> io::Result<Self> {
        let Settings { address, compression, level, pause } = settings;
        let wire = Wire::new(Target::Address(address, None))?;
        let level = level.map_or(Level::default(), Level::new);
        Ok(Self { wire, compression, level, pause, host: hostname(), source })
    }

    /// How long the first new attempt waits.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.pause
    }

    /// Whether the server can be connected to; datagrams need nobody there.
    pub(super) fn verify(&mut self) -> io::Result<()> {
        self.wire.connect().map(drop)
    }

    pub(super) fn send(&mut self, batch: &[Event]) -> Result<(), SendError> {
        let kind = self.wire.connect()?;
        let mut stream = Vec::new();
        for (place, event) in batch.iter().enumerate() {
            let message = self.message(event).to_string();
            match kind {
                Kind::Stream => {
                    stream.extend(message.into_bytes());
                    stream.push(0);
                }
                Kind::Datagrams => self.datagrams(message.as_bytes(), place)?,
            }
        }
        if stream.is_empty() { Ok(()) } else { Ok(self.wire.send(&stream)?) }
    }

    fn message(&self, event: &Event) -> Value {
        let (seconds, source) = (seconds(event), &self.source);
        let mut message = json!({
            "version": "1.1",
            "host": self.host,
            "short_message": text(event),
            "timestamp": seconds,
            "level": match event.stream { Stream::Stdout => 6, Stream::Stderr => 3 },
            "_container_id": source.id,
            "_container_name": source.name,
            "_image_id": source.image_id,
            "_image_name": source.image,
            "_tag": source.tag,
            "_created": jiff::Timestamp::from_millisecond(source.created).map_or(String::new(), |at| at.to_string()),
        });
        for (name, value) in &source.extra {
            message[format!("_{name}")] = value.clone().into();
        }
        message
    }

    fn datagrams(&mut self, message: &[u8], place: usize) -> Result<(), SendError> {
        let packed = pack(message, self.compression, self.level)?;
        if packed.len() <= DATAGRAM {
            return Ok(self.wire.send(&packed)?);
        }
        let pieces = packed.chunks(DATAGRAM - HEAD);
        let count = pieces.len();
        if count > PIECES {
            // The events before it are sent, and so not sent again: at least once they have been.
            return Err(SendError::Refused { events: place + 1, source: format!("a message of {count} datagrams") });
        }
        let id: [u8; 8] = rand::random();
        for (number, piece) in pieces.enumerate() {
            let mut datagram = vec![0x1e, 0x0f];
            datagram.extend(id);
            datagram.extend([number, count].map(|number| u8::try_from(number).unwrap_or(u8::MAX)));
            datagram.extend_from_slice(piece);
            self.wire.send(&datagram)?;
        }
        Ok(())
    }
}

/// Seconds since the epoch, to the millisecond.
pub(super) fn seconds(event: &Event) -> f64 {
    let at: jiff::Timestamp = event.at.as_str().parse().unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.as_millisecond() as f64 / 1000.0
}

fn pack(message: &[u8], compression: Compression, level: Level) -> io::Result<Vec<u8>> {
    match compression {
        Compression::None => Ok(message.to_vec()),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), level);
            encoder.write_all(message)?;
            encoder.finish()
        }
        Compression::Zlib => {
            let mut encoder = ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(message)?;
            encoder.finish()
        }
    }
}
