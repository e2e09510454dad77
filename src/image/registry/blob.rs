//! A blob as a stream that outlives its connections: after a cut it goes on where it was, from whichever endpoint has
//! it. It gives exactly as many bytes as the descriptor says; whether they are the right ones is for the reader to say.

use std::io::{self, Read};

use ureq::BodyReader;

use super::error::{Class, RegistryError, RequestError};
use super::follow::{Answer, shown, unread};
use super::http::{Ask, Limit, Verb};
use super::limits::MESSAGE_MAX;
use super::repository::{Repository, refused};
use super::retry::{Retries, chain};
use super::server::Server;
use crate::image::digest::Digest;

/// A blob that is being read.
pub(crate) struct Blob<'a> {
    repository: &'a Repository,
    digest: Digest,
    size: u64,
    /// Bytes that were given to the reader.
    done: u64,
    /// Bytes among them since the last failure.
    fresh: u64,
    stream: Option<Stream>,
    retries: Retries,
    state: State,
}

/// One answer's body, at the place where the reader is.
struct Stream {
    body: BodyReader<'static>,
    url: String,
}

enum State {
    Reading,
    /// All bytes were given and nothing came behind them.
    Complete,
    /// Nothing more comes; why, until somebody takes it.
    Failed(Option<RegistryError>),
}

impl<'a> Blob<'a> {
    pub(super) fn open(repository: &'a Repository, digest: &Digest, size: u64) -> Result<Self, RegistryError> {
        let retries = Retries::of_stream(&repository.timing);
        let mut blob =
            Self { repository, digest: *digest, size, done: 0, fresh: 0, stream: None, retries, state: State::Reading };
        loop {
            match blob.connect() {
                Ok(stream) => blob.stream = Some(stream),
                Err(error) => {
                    blob.again(error)?;
                    continue;
                }
            }
            return Ok(blob);
        }
    }

    /// Why reading failed, once: the `io::Error` that the reader saw has the same words but cannot be taken apart.
    pub(crate) fn failure(&mut self) -> Option<RegistryError> {
        match &mut self.state {
            State::Failed(error) => error.take(),
            State::Reading | State::Complete => None,
        }
    }

    /// Asks for what is left.
    fn connect(&self) -> Result<Stream, RequestError> {
        self.repository.each(|server| self.connect_to(server)).map(|(_, stream)| stream)
    }

    fn connect_to(&self, server: &Server) -> Result<Stream, RequestError> {
        let range = (self.done > 0).then(|| ("range", format!("bytes={}-", self.done)));
        let ask = Ask { verb: Verb::Get, headers: range.into_iter().collect(), limit: Limit::Streaming };
        let answer = server.ask(&format!("blobs/{}", self.digest), &ask)?;
        let url = answer.target.to_string();
        let (skipped, expected) = match answer.status().as_u16() {
            // It does not know ranges, or does not want to: what the reader has already is read again, and dropped.
            200 => (self.done, self.size),
            206 => {
                self.check_range(&answer)?;
                (0, self.size - self.done)
            }
            _ => return Err(refused(answer, &self.digest.to_string())),
        };
        if let Some(length) = answer.length().filter(|length| *length != expected) {
            return Err(RequestError::Size { what: url, expected, actual: length.to_string() });
        }
        let mut body = answer.body()?;
        let dropped = io::copy(&mut (&mut body).take(skipped), &mut io::sink()).map_err(|error| unread(&url, error))?;
        if dropped == skipped { Ok(Stream { body, url }) } else { Err(ended(&url)) }
    }

    /// A 206 must be of what was asked for, and of a blob of this size (RFC 9110 section 14.4).
    fn check_range(&self, answer: &Answer) -> Result<(), RequestError> {
        let said = answer.header("content-range").unwrap_or_default();
        let last = self.size.saturating_sub(1);
        let wanted = format!("bytes {}-{last}/", self.done);
        let total = said.strip_prefix(&wanted);
        if total.is_some_and(|total| total == "*" || total.parse() == Ok(self.size)) {
            return Ok(());
        }
        let (url, range) = (answer.target.to_string(), shown(said, MESSAGE_MAX));
        Err(RequestError::Range { url, from: self.done, size: self.size, range })
    }

    /// Some bytes, from a new connection if there is none; none at the end.
    fn step(&mut self, buffer: &mut [u8]) -> Result<usize, RequestError> {
        if self.stream.is_none() {
            self.stream = Some(self.connect()?);
        }
        let Some(stream) = &mut self.stream else { return Ok(0) };
        if self.done == self.size {
            // One more read: it sees bytes too many, and it lets the connection be used again. All bytes are here, so
            // how else it ends does not matter.
            return match stream.body.read(&mut [0]) {
                Ok(0) | Err(_) => Ok(0),
                Ok(_) => Err(RequestError::Size {
                    what: stream.url.clone(),
                    expected: self.size,
                    actual: format!("more than {}", self.size),
                }),
            };
        }
        let most = usize::try_from(self.size - self.done).unwrap_or(usize::MAX).min(buffer.len());
        match stream.body.read(&mut buffer[..most]) {
            Ok(0) => Err(ended(&stream.url)),
            Ok(length) => Ok(length),
            Err(error) => Err(unread(&stream.url, error)),
        }
    }

    /// Waits for the next attempt, or says that there is none.
    fn again(&mut self, error: RequestError) -> Result<(), RegistryError> {
        self.stream = None;
        if self.fresh >= self.repository.timing.least() {
            self.retries.progressed();
        }
        self.fresh = 0;
        let told = self.repository.told();
        let (digest, retries) = (self.digest, &mut self.retries);
        retries.again(error, told).map_err(|source| RegistryError::Copy {
            digest,
            retries: retries.count(),
            source: Box::new(source),
        })
    }
}

impl Read for Blob<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match self.state {
                State::Reading => {}
                State::Complete => return Ok(0),
                State::Failed(_) => return Err(io::Error::other("the blob could not be read to its end")),
            }
            match self.step(buffer) {
                Ok(0) => {
                    self.stream = None;
                    self.state = State::Complete;
                }
                Ok(length) => {
                    self.done += length as u64;
                    self.fresh += length as u64;
                    return Ok(length);
                }
                Err(error) => {
                    if let Err(error) = self.again(error) {
                        let shown = io::Error::other(chain(&error));
                        self.state = State::Failed(Some(error));
                        return Err(shown);
                    }
                }
            }
        }
    }
}

/// A body that ends before it is complete: a cut, as far as anybody can tell.
fn ended(url: &str) -> RequestError {
    RequestError::Read {
        url: url.into(),
        class: Class::Cut,
        source: io::Error::from(io::ErrorKind::UnexpectedEof).into(),
    }
}
