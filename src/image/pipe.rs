//! A pipe between the two threads that work on one layer: a fixed number of buffers goes round, so that its memory is
//! bounded and neither thread copies what the other one made. Called by `layer`.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, Sender, channel};

/// How many buffers there are.
const BUFFERS: usize = 8;
/// The size of each, in bytes.
pub(crate) const BUFFER: usize = 128 << 10;

/// A pipe's two ends.
pub(crate) fn pipe() -> (PipeWriter, PipeReader) {
    let (full, filled) = channel();
    let (free, empty) = channel();
    for _ in 0..BUFFERS {
        free.send(vec![0; BUFFER]).expect("the other end is in this function");
    }
    let reader = PipeReader { filled, free, buffer: Vec::new(), at: 0, length: 0, state: State::Open };
    (PipeWriter { empty, full }, reader)
}

/// What goes through a pipe: a buffer and how much of it is filled. One that is not filled at all is the end.
type Filled = (Vec<u8>, usize);

/// The end that is written to.
pub(crate) struct PipeWriter {
    empty: Receiver<Vec<u8>>,
    full: Sender<Filled>,
}

impl PipeWriter {
    /// Sends all that `source` has, and its end. Stops without an error when nobody reads any more. If `source` fails, the
    /// reader finds the pipe broken.
    pub(crate) fn fill<E>(self, mut source: impl FnMut(&mut [u8]) -> Result<usize, E>) -> Result<(), E> {
        while let Ok(mut buffer) = self.empty.recv() {
            let mut length = 0;
            while length < buffer.len() {
                match source(&mut buffer[length..])? {
                    0 => break,
                    more => length += more,
                }
            }
            if self.full.send((buffer, length)).is_err() || length == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// The end that is read from.
pub(crate) struct PipeReader {
    filled: Receiver<Filled>,
    free: Sender<Vec<u8>>,
    buffer: Vec<u8>,
    at: usize,
    length: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Ended,
}

impl BufRead for PipeReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.length && self.state == State::Open {
            let (buffer, length) =
                self.filled.recv().map_err(|_| io::Error::other("what makes the stream has stopped"))?;
            let used = std::mem::replace(&mut self.buffer, buffer);
            if !used.is_empty() {
                // Whoever writes may be done already.
                let _ = self.free.send(used);
            }
            (self.at, self.length) = (0, length);
            if length == 0 {
                self.state = State::Ended;
            }
        }
        Ok(&self.buffer[self.at..self.length])
    }

    fn consume(&mut self, amount: usize) {
        self.at = self.length.min(self.at + amount);
    }
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = self.fill_buf()?;
        let length = filled.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn more_than_all_buffers_hold_comes_out_as_it_went_in() {
        let bytes: Vec<u8> = (0..3 * BUFFERS * BUFFER + 5).map(|at| (at / 1000) as u8).collect();
        let (writer, mut reader) = pipe();
        let mut out = Vec::new();
        thread::scope(|scope| {
            let mut source = &bytes[..];
            scope.spawn(move || {
                writer.fill(|buffer| {
                    let some = buffer.len().min(7777);
                    source.read(&mut buffer[..some])
                })
            });
            reader.read_to_end(&mut out).unwrap();
        });
        assert!(out == bytes);
    }

    #[test]
    fn a_failed_source_is_not_an_end() {
        let (writer, mut reader) = pipe();
        assert_eq!(writer.fill(|_| Err("failed")), Err("failed"));
        assert!(reader.read(&mut [0; 1]).is_err());
    }

    #[test]
    fn a_reader_that_goes_away_stops_the_writer() {
        let (writer, reader) = pipe();
        drop(reader);
        assert_eq!(writer.fill(|buffer| Ok::<_, ()>(buffer.len())), Ok(()));
    }
}
