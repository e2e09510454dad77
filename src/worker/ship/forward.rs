//! The forward protocol of fluentd and fluent-bit (version 1, "Forward mode"): one MessagePack array a batch, to a server or to
//! the task's own router.

use std::io;
use std::time::Duration;

use rmp::encode;

use super::destination::{SendError, text};
use super::tls::Tls;
use super::wire::{Limits, Target, Wire};
use crate::logging::{Address, Fluentd, SyslogTls};
use crate::logs::Event;
use crate::plan::LogSource;

/// The type of an extension that is a time with nanoseconds.
const EVENT_TIME: i8 = 0;
/// The longest answer.
const ANSWER: usize = 1024;

/// A server, or a router.
pub(super) struct Forward {
    wire: Wire,
    source: LogSource,
    acknowledged: bool,
    nanoseconds: bool,
    pause: Option<Duration>,
    is_async: bool,
}

impl Forward {
    pub(super) fn to_server(settings: &Fluentd, source: LogSource) -> io::Result<Self> {
        let address = settings.address.clone();
        let tls = matches!(address, Address::Tls { .. }).then(|| Tls::new(SyslogTls::default()));
        let (acknowledged, nanoseconds) = (settings.acknowledged, settings.nanoseconds);
        let usual = Limits::default();
        let write = settings.write_timeout.unwrap_or(usual.write);
        let read = settings.read_timeout.unwrap_or(usual.read);
        let wire = Wire::with_limits(Target::Address(address, tls), Limits { write, read })?;
        Ok(Self { wire, source, acknowledged, nanoseconds, pause: settings.pause, is_async: settings.is_async })
    }

    pub(super) fn to_router(socket: std::path::PathBuf, source: LogSource) -> io::Result<Self> {
        let wire = Wire::new(Target::Container(socket))?;
        Ok(Self { wire, source, acknowledged: false, nanoseconds: true, pause: None, is_async: true })
    }

    /// How long the first new attempt waits.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.pause
    }

    /// Whether the server can be connected to, where the container is not to start without.
    pub(super) fn verify(&mut self) -> io::Result<()> {
        if self.is_async { Ok(()) } else { self.wire.connect().map(drop) }
    }

    pub(super) fn send(&mut self, batch: &[Event]) -> Result<(), SendError> {
        self.wire.connect()?;
        let chunk = self.acknowledged.then(|| format!("{:032x}", rand::random::<u128>()));
        let message = self.message(batch, chunk.as_deref()).map_err(|error| SendError::Failed(error.to_string()))?;
        self.wire.send(&message)?;
        match chunk {
            None => Ok(()),
            Some(chunk) => self.acknowledge(&chunk),
        }
    }

    /// The answer is a map of one entry, `ack`: our chunk's name.
    fn acknowledge(&mut self, chunk: &str) -> Result<(), SendError> {
        let mut answer = Vec::new();
        let mut buffer = [0; ANSWER];
        while answer.len() < ANSWER {
            match self.wire.receive(&mut buffer)? {
                0 => return Err(SendError::Failed("the server closed the connection without an answer".to_owned())),
                read => answer.extend_from_slice(&buffer[..read]),
            }
            if answer.windows(chunk.len()).any(|window| window == chunk.as_bytes()) {
                return Ok(());
            }
        }
        Err(SendError::Failed("the server acknowledged something else".to_owned()))
    }

    fn message(&self, batch: &[Event], chunk: Option<&str>) -> Result<Vec<u8>, encode::ValueWriteError> {
        let mut out = Vec::new();
        let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        encode::write_array_len(&mut out, 3)?;
        encode::write_str(&mut out, &self.source.tag)?;
        encode::write_array_len(&mut out, length(batch.len()))?;
        for event in batch {
            encode::write_array_len(&mut out, 2)?;
            self.time(&mut out, event)?;
            let text = text(event);
            let mut pairs = vec![
                ("container_id", self.source.id.as_str()),
                ("container_name", self.source.name.as_str()),
                ("source", event.stream.name()),
                ("log", &text),
            ];
            pairs.extend(self.source.extra.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            pairs.extend(event.partial.then_some(("partial_message", "true")));
            encode::write_map_len(&mut out, length(pairs.len()))?;
            for (name, value) in pairs {
                encode::write_str(&mut out, name)?;
                encode::write_str(&mut out, value)?;
            }
        }
        encode::write_map_len(&mut out, 1 + u32::from(chunk.is_some()))?;
        encode::write_str(&mut out, "size")?;
        encode::write_uint(&mut out, batch.len() as u64)?;
        if let Some(chunk) = chunk {
            encode::write_str(&mut out, "chunk")?;
            encode::write_str(&mut out, chunk)?;
        }
        Ok(out)
    }

    fn time(&self, out: &mut Vec<u8>, event: &Event) -> Result<(), encode::ValueWriteError> {
        let at: jiff::Timestamp = event.at.as_str().parse().unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        if !self.nanoseconds {
            return encode::write_uint(out, at.as_second().unsigned_abs()).map(drop);
        }
        encode::write_ext_meta(out, 8, EVENT_TIME)?;
        out.extend(u32::try_from(at.as_second()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend(at.subsec_nanosecond().unsigned_abs().to_be_bytes());
        Ok(())
    }
}
