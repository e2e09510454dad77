//! A program run with a deadline, its output caught.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Finished {
    /// The exit code; panics if a signal ended it.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by a signal: {self:#?}"))
    }

    /// Standard output; panics unless the exit code is 0.
    pub(crate) fn ok(self) -> String {
        assert!(self.status.success(), "{self:#?}");
        self.stdout
    }

    /// Standard output as JSON; panics unless the exit code is 0.
    pub(crate) fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("not JSON ({error}): {text}"))
    }
}

/// A program that runs.
pub(crate) struct Running {
    child: Child,
    since: Instant,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
    /// For messages.
    what: String,
}

impl Running {
    /// Starts a program with nothing on standard input.
    pub(crate) fn start(command: Command) -> Self {
        Self::reading(command, Stdio::null())
    }

    /// Starts a program that reads this.
    pub(crate) fn reading(mut command: Command, input: impl Into<Stdio>) -> Self {
        let what = format!("{command:?}");
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let since = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
        let stdout = drain(child.stdout.take().expect("it is piped"));
        let stderr = drain(child.stderr.take().expect("it is piped"));
        Self { child, since, stdout, stderr, what }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("a pid fits"))
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap_or_else(|error| panic!("{signal} to {}: {error}", self.what));
    }

    /// Waits for its end and for the end of its output; kills it and panics if either takes longer than `patience`.
    pub(crate) fn wait(mut self, patience: Duration) -> Finished {
        let deadline = Instant::now() + patience;
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
                Ok(None) => {
                    let said = self.abandon();
                    panic!("{} still runs after {patience:?}\n{said}", self.what);
                }
                Err(error) => panic!("{}: {error}", self.what),
            }
        };
        let took = self.since.elapsed();
        let output = |from: &Receiver<Vec<u8>>, name: &str| {
            // a process that stays behind and holds our pipe would hang every script that calls the program
            let bytes = from.recv_timeout(deadline.saturating_duration_since(Instant::now()).max(GRACE));
            let bytes = bytes.unwrap_or_else(|_| panic!("{} ended, but its {name} is still held open", self.what));
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (stdout, stderr) = (output(&self.stdout, "stdout"), output(&self.stderr, "stderr"));
        Finished { status, stdout, stderr, took }
    }

    /// Kills it; what it said so far.
    fn abandon(&mut self) -> String {
        self.child.kill().and_then(|()| self.child.wait()).ok();
        let said = |from: &Receiver<Vec<u8>>| {
            String::from_utf8_lossy(&from.recv_timeout(GRACE).unwrap_or_default()).into_owned()
        };
        format!("stdout: {}\nstderr: {}", said(&self.stdout), said(&self.stderr))
    }
}

/// How long output may take to arrive after its writer ended.
const GRACE: Duration = Duration::from_secs(1);

/// Reads a stream to its end in a thread of its own, so that neither of two streams can block the other.
fn drain(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // what was read before an error is worth more than the error
        stream.read_to_end(&mut bytes).ok();
        sender.send(bytes).ok();
    });
    receiver
}
