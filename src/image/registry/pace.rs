//! The least speed of a connection, held below TLS: a server that sends one byte a second keeps every timeout of one
//! read happy, and inside a TLS record nobody above sees a byte of it. Only time spent waiting counts, not time in which
//! we were busy with what came.

use std::time::{Duration, Instant};

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use super::limits::Timing;

/// A server that sends less than it must.
#[derive(Debug, thiserror::Error)]
#[error("the server sent only {bytes} bytes in {seconds:.1} seconds")]
pub(super) struct TooSlow {
    bytes: u64,
    seconds: f64,
}

/// Puts the pace on what the connectors before it made.
#[derive(Debug)]
pub(super) struct PaceConnector {
    window: Duration,
    least: u64,
}

impl PaceConnector {
    pub(super) fn new(timing: &Timing) -> Self {
        Self { window: timing.window, least: timing.least() }
    }
}

impl<In: Transport> Connector<In> for PaceConnector {
    type Out = Paced<In>;

    fn connect(&self, _: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        let (window, least) = (self.window, self.least);
        Ok(chained.map(|inner| Paced { inner, window, least, waited: Duration::ZERO, bytes: 0 }))
    }
}

/// A connection whose waiting is measured.
#[derive(Debug)]
pub(super) struct Paced<T> {
    inner: T,
    window: Duration,
    least: u64,
    waited: Duration,
    bytes: u64,
}

impl<T: Transport> Transport for Paced<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    /// A request begins a new window: the wait for its answer has a timeout of its own.
    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let before = self.inner.buffers().input().len();
        let began = Instant::now();
        let progress = self.inner.await_input(timeout)?;
        self.waited += began.elapsed();
        self.bytes += self.inner.buffers().input().len().saturating_sub(before) as u64;
        if self.waited < self.window {
            return Ok(progress);
        }
        if self.bytes < self.least {
            let slow = TooSlow { bytes: self.bytes, seconds: self.waited.as_secs_f64() };
            return Err(Error::Other(Box::new(slow)));
        }
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        Ok(progress)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
