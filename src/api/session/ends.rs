//! The two ends of a session: the client's connection, and the process with its terminal.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use futures_util::stream::SplitStream;
use futures_util::{SinkExt, StreamExt};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_tungstenite::tungstenite::{self, Bytes};

use super::Socket;
use crate::ops::ExecTerminal;

/// Bytes of the terminal in one message, as the agent has it.
const PIECE: usize = 1024;
/// Pieces that are read of a process that has ended: more than a terminal keeps.
const LAST_PIECES: usize = 96;
/// Messages that wait for the connection to take them. What has no place is sent again in time.
const QUEUE: usize = 256;
/// How long a connection may take nothing.
const STUCK: Duration = Duration::from_secs(60);

/// The client's connection, as long as it lasts.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) from: SplitStream<Socket>,
    pub(super) to: mpsc::Sender<tungstenite::Message>,
    pub(super) writer: AbortHandle,
}

impl Client {
    pub(super) fn new(socket: Socket) -> Self {
        let (mut sink, from) = socket.split();
        let (to, mut queue) = mpsc::channel::<tungstenite::Message>(QUEUE);
        let writer = tokio::spawn(async move {
            while let Some(message) = queue.recv().await {
                if !matches!(tokio::time::timeout(STUCK, sink.send(message)).await, Ok(Ok(()))) {
                    return;
                }
            }
            let _ = tokio::time::timeout(STUCK, sink.close()).await;
        });
        Self { from, to, writer: writer.abort_handle() }
    }

    pub(super) fn send(&self, bytes: Vec<u8>) {
        let _ = self.to.try_send(tungstenite::Message::Binary(Bytes::from(bytes)));
    }
}

/// The process and its terminal.
#[derive(Debug)]
pub(super) struct Process {
    // Goes first: the process hears of that.
    pub(super) terminal: Option<AsyncFd<OwnedFd>>,
    pub(super) exec: ExecTerminal,
    pub(super) worker: AsyncFd<OwnedFd>,
    /// How much is read when it has ended: others may have the terminal, too, and write for ever.
    pub(super) last_pieces: usize,
}

impl Process {
    pub(super) fn new(mut exec: ExecTerminal) -> io::Result<Self> {
        let worker = watched(exec.worker.try_clone()?, Interest::READABLE)?;
        let terminal = exec.terminal.take();
        let terminal = terminal.map(|fd| watched(fd, Interest::READABLE | Interest::WRITABLE)).transpose()?;
        Ok(Self { terminal, exec, worker, last_pieces: LAST_PIECES })
    }
}

/// What there is to be read; none of it at the end.
pub(super) fn read_now(terminal: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; PIECE];
    let count = nix::unistd::read(terminal, &mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}

pub(super) async fn read(terminal: &AsyncFd<OwnedFd>) -> io::Result<Vec<u8>> {
    terminal.async_io(Interest::READABLE, read_now).await
}

pub(super) async fn write(terminal: &AsyncFd<OwnedFd>, bytes: &[u8]) -> io::Result<usize> {
    let bytes = &bytes[..bytes.len().min(PIECE)];
    terminal.async_io(Interest::WRITABLE, |terminal| Ok(nix::unistd::write(terminal, bytes)?)).await
}

#[expect(
    deprecated,
    reason = "its successor is unsafe code, for descriptors that are not what they say; this one is owned"
)]
fn watched(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, interest)
}
