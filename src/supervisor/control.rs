//! The control socket: how others poke a task's loop, and how they wait for what becomes of the task.
//!
//! A client sends one line. `poke`: the desired state has changed, look. `watch`: from now on a line with each new
//! `lastStatus`, the present one first; the socket closes when the task is over or the loop has died. `follow`: the same,
//! and a line `"LOGS"` when a log has grown, unless such a client has a line to read already. `state`: one line with
//! all that the loop knows of its task.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use serde::Serialize;

use crate::lifecycle::{LastStatus, TaskState};
use crate::sys::pipe;

/// What followers are told of logs.
const LOGS: &str = "LOGS";
/// Nobody needs more at once; further clients wait in the kernel's queue.
const MOST_CLIENTS: usize = 64;

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    watches: bool,
    follows: bool,
}

/// The loop's end.
#[derive(Debug)]
pub(super) struct Control {
    listener: UnixListener,
    clients: Vec<Client>,
}

/// What the clients want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing new.
    Nothing,
    /// The desired state is to be read again.
    Look,
    /// One who watched has gone away.
    Left,
}

impl Control {
    /// Makes the socket anew.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = short(path, |short| UnixListener::bind(short))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, clients: Vec::new() })
    }

    /// The descriptors to wait on.
    pub(super) fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let listener = (self.clients.len() < MOST_CLIENTS).then(|| self.listener.as_fd());
        listener.into_iter().chain(self.clients.iter().map(|client| client.stream.as_fd()))
    }

    /// Takes new clients and reads what the old ones say. `told` is the status that watchers know.
    pub(super) fn run(&mut self, told: LastStatus, task: &TaskState) -> Wish {
        while self.clients.len() < MOST_CLIENTS
            && let Ok((stream, _)) = self.listener.accept()
        {
            if stream.set_nonblocking(true).is_ok() {
                self.clients.push(Client { stream, watches: false, follows: false });
            }
        }
        let mut wish = Wish::Nothing;
        self.clients.retain_mut(|client| {
            let mut line = [0; 16];
            match client.stream.read(&mut line) {
                Ok(0) => {
                    if client.watches && wish == Wish::Nothing {
                        wish = Wish::Left;
                    }
                    false
                }
                Ok(read) if line[..read].starts_with(b"watch") => {
                    client.watches = true;
                    send(client, &told)
                }
                Ok(read) if line[..read].starts_with(b"follow") => {
                    (client.watches, client.follows) = (true, true);
                    send(client, &told)
                }
                Ok(read) if line[..read].starts_with(b"state") => send(client, task),
                Ok(read) if line[..read].starts_with(b"poke") => {
                    wish = Wish::Look;
                    true
                }
                Ok(_) => false,
                Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            }
        });
        wish
    }

    /// Tells everybody who watches.
    pub(super) fn tell(&mut self, status: LastStatus) {
        self.clients.retain_mut(|client| !client.watches || send(client, &status));
    }

    /// Tells everybody who follows that a log has grown. Who has not read the last line yet will look at the logs anyway.
    pub(super) fn tell_of_logs(&mut self) {
        let has_read = |client: &Client| pipe::unread(&client.stream).is_ok_and(|bytes| bytes == 0);
        self.clients.retain_mut(|client| !client.follows || !has_read(client) || send(client, &LOGS));
    }
}

fn send(client: &mut Client, what: &impl Serialize) -> bool {
    let line = format!("{}\n", serde_json::to_string(what).expect("it has string keys and no failing serializer"));
    client.stream.write_all(line.as_bytes()).is_ok()
}

/// A socket's address holds 107 bytes of path: a long one is reached through a descriptor of its directory.
pub fn short<T>(path: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory: OwnedFd = nix::fcntl::open(directory, flags, Mode::empty())?;
    act(&Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name))
}

/// Tells a task's loop to look at the desired state. That nobody listens is no error: whoever begins next looks first.
pub fn poke(path: &Path) -> io::Result<()> {
    match short(path, |short| UnixStream::connect(short)).and_then(|mut stream| stream.write_all(b"poke\n")) {
        Err(error) if nobody_listens(&error) => Ok(()),
        done => done,
    }
}

/// A loop that was asked for its task's state.
#[derive(Debug)]
pub struct Asked(BufReader<UnixStream>);

/// Asks a task's loop for its state; fails when no loop listens.
pub fn ask(path: &Path) -> io::Result<Asked> {
    let mut stream = short(path, |short| UnixStream::connect(short))?;
    stream.write_all(b"state\n")?;
    Ok(Asked(BufReader::new(stream)))
}

impl Asked {
    /// What it says; nothing when the loop has ended since, or is silent for so long.
    pub fn answer(mut self, patience: Duration) -> Option<TaskState> {
        let mut line = String::new();
        self.0.get_ref().set_read_timeout(Some(patience)).ok()?;
        self.0.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }
}

/// Whether an error of connecting or writing says that there is no loop, or that it has ended since.
pub(super) fn nobody_listens(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound};
    matches!(error.kind(), NotFound | ConnectionRefused | BrokenPipe | ConnectionReset)
}

/// A task seen from outside.
#[derive(Debug)]
pub struct Watch {
    lines: BufReader<UnixStream>,
}

/// What a loop tells those who follow its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The task's status.
    Status(LastStatus),
    /// There is more to read in a log.
    Logs,
}

/// Begins to watch a task; fails when no loop listens.
pub fn watch(path: &Path) -> io::Result<Watch> {
    Watch::new(path, b"watch\n")
}

/// Begins to watch a task and its logs; fails when no loop listens. A loop of a berth that knows no such wish closes the
/// connection without a word.
pub fn follow(path: &Path) -> io::Result<Watch> {
    Watch::new(path, b"follow\n")
}

impl Watch {
    fn new(path: &Path, wish: &[u8]) -> io::Result<Self> {
        let mut stream = short(path, |short| UnixStream::connect(short))?;
        stream.write_all(wish)?;
        Ok(Self { lines: BufReader::new(stream) })
    }

    /// The next status; `None` when the loop is gone: finished, or dead.
    pub fn next_status(&mut self) -> Option<LastStatus> {
        serde_json::from_str(&self.next_line()?).ok()
    }

    /// What has come next; `None` when the loop is gone: finished, or dead.
    pub fn next_news(&mut self) -> Option<News> {
        let line = self.next_line()?;
        match serde_json::from_str(&line).ok() {
            Some(LOGS) => Some(News::Logs),
            _ => serde_json::from_str(&line).ok().map(News::Status),
        }
    }

    fn next_line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line),
        }
    }

    /// Whether a status has been read already that nobody has asked for.
    pub fn has_more(&self) -> bool {
        !self.lines.buffer().is_empty()
    }

    /// The descriptor behind it, for waiting.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.lines.get_ref().as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::Timestamp;

    #[test]
    fn a_loop_that_is_gone_before_or_after_the_connection_is_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        poke(&path).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        poke(&path).unwrap();
        let (mut stream, other) = UnixStream::pair().unwrap();
        drop(other);
        let error = stream.write_all(b"poke\n").unwrap_err();
        assert!(nobody_listens(&error), "{error}");
    }

    #[test]
    fn a_follower_is_told_of_logs_once_until_it_has_read_that_and_a_watcher_never() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let mut control = Control::bind(&path).unwrap();
        let (mut follower, mut watcher) = (follow(&path).unwrap(), watch(&path).unwrap());
        control.run(LastStatus::Pending, &TaskState::new(&[], Timestamp(1), Timestamp(2)));
        assert_eq!(follower.next_news(), Some(News::Status(LastStatus::Pending)));
        (0..1_000_000).for_each(|_| control.tell_of_logs());
        assert_eq!(follower.next_news(), Some(News::Logs));
        control.tell_of_logs();
        control.tell(LastStatus::Running);
        drop(control);
        let rest: Vec<_> = std::iter::from_fn(|| follower.next_news()).collect();
        assert_eq!(rest, [News::Logs, News::Status(LastStatus::Running)]);
        let told: Vec<_> = std::iter::from_fn(|| watcher.next_status()).collect();
        assert_eq!(told, [LastStatus::Pending, LastStatus::Running]);
    }

    #[test]
    fn a_loop_tells_its_state_and_one_that_ends_before_tells_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let mut control = Control::bind(&path).unwrap();
        let task = TaskState::new(&[], Timestamp(1), Timestamp(2));
        let asked = ask(&path).unwrap();
        assert_eq!(control.run(LastStatus::Running, &task), Wish::Nothing);
        assert_eq!(asked.answer(Duration::from_secs(10)), Some(task.clone()));
        let asked = ask(&path).unwrap();
        drop(control);
        assert_eq!(asked.answer(Duration::from_secs(10)), None);
    }
}
