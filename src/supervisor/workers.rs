//! The loop's workers: started, asked, listened to, and ended when they take too long.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::{fs, io};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use super::holder::Base;
use crate::sys;
use crate::sys::child::{self, Otherwise, Which};
use crate::sys::spawn::Fork;
use crate::worker::protocol::{NAME, Report, Request};

/// How long one request may take, in milliseconds; ECS's agent gives a container four minutes to be made, which covers a pull.
pub(super) const PATIENCE: u64 = 60_000;
/// A worker's report is short; what is longer is not one.
const LONGEST_REPORT: usize = 64 << 10;

/// A worker and the request that it is at, if any.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) pid: Pid,
    requests: fs::File,
    reports: OwnedFd,
    text: Vec<u8>,
    request: Option<Request>,
    deadline: u64,
    late: bool,
    gone: bool,
}

impl Worker {
    /// Starts a worker that has nothing to do yet.
    pub(super) fn spawn(base: &Base) -> io::Result<Self> {
        let null = nix::fcntl::open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
        let (their_requests, requests) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        let (reports, their_reports) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        let fds = [&their_requests, &their_reports, &null, &base.host_network].map(AsFd::as_fd);
        let pid = match sys::spawn::fork_apart(&["berth", NAME, &base.plan.id], &fds)? {
            (Fork::Parent(pid), _) => pid,
            (Fork::Child, Ok(())) => std::process::exit(i32::from((base.work)(&base.plan).is_err())),
            (Fork::Child, Err(error)) => {
                let report = Report::Failed { reason: format!("ContainerRuntimeError: start a worker: {error}") };
                let line = serde_json::to_string(&report).expect("a report is plain data");
                let _ = fs::File::from(their_reports).write_all(format!("{line}\n").as_bytes());
                std::process::exit(1)
            }
        };
        nix::fcntl::fcntl(&reports, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self {
            pid,
            requests: requests.into(),
            reports,
            text: Vec::new(),
            request: None,
            deadline: u64::MAX,
            late: false,
            gone: false,
        })
    }

    /// Gives it a request, which may take so many milliseconds. A worker that cannot take it is as good as gone: its end is noticed by [`Worker::listen`].
    pub(super) fn ask(&mut self, request: Request, patience: u64, boot_ms: u64) {
        let mut line = serde_json::to_vec(&request).expect("a request is plain data");
        line.push(b'\n');
        let _ = self.requests.write_all(&line);
        self.request = Some(request);
        self.deadline = boot_ms + patience;
    }

    /// What it is at.
    pub(super) fn request(&self) -> Option<Request> {
        self.request
    }

    /// The descriptor to wait on.
    pub(super) fn source(&self) -> BorrowedFd<'_> {
        self.reports.as_fd()
    }

    /// When it must have answered, in milliseconds since boot.
    pub(super) fn deadline(&self) -> u64 {
        self.deadline
    }

    /// Ends it, once: it is too slow.
    pub(super) fn give_up(&mut self) {
        self.late = true;
        self.end();
    }

    /// Ends it, once: what it is at is of no interest any more.
    pub(super) fn end(&mut self) {
        self.deadline = u64::MAX;
        let _ = nix::sys::signal::kill(self.pid, nix::sys::signal::Signal::SIGKILL);
    }

    /// Whether its process has ended.
    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Notes that its process has ended. What it started may hold its pipe open for longer.
    pub(super) fn note_end(&mut self) {
        self.gone |= matches!(child::ended(Which::Pid(self.pid), Otherwise::Return), Ok(Some(_)));
    }

    /// Its report, once it is whole; its end without one is a failure.
    pub(super) fn listen(&mut self) -> Option<Report> {
        let mut buffer = [0; 4096];
        loop {
            match nix::unistd::read(&self.reports, &mut buffer) {
                Ok(0) => return Some(self.failed("the worker ended without a report")),
                Ok(read) => self.text.extend_from_slice(&buffer[..read]),
                Err(Errno::EAGAIN) if self.gone => return Some(self.failed("the worker ended without a report")),
                Err(Errno::EAGAIN) => return None,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Some(self.failed(errno.desc())),
            }
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                return Some(
                    serde_json::from_slice(&line).unwrap_or_else(|_| self.failed("the worker's report is garbled")),
                );
            }
            if self.text.len() > LONGEST_REPORT {
                return Some(self.failed("the worker's report is too long"));
            }
        }
    }

    /// Marks the request as answered: the worker is free for another one.
    pub(super) fn rest(&mut self) {
        self.request = None;
        self.deadline = u64::MAX;
    }

    /// The texts for what took too long are those of ECS's agent, with Fargate's name for the class.
    fn failed(&self, why: &str) -> Report {
        let transition = match self.request.filter(|_| self.late) {
            Some(Request::Prepare) => "created",
            Some(Request::Start { .. }) => "started",
            Some(Request::Check { .. } | Request::Inspect(_) | Request::Sweep { .. } | Request::CleanUp) | None => {
                return Report::Failed { reason: format!("ContainerRuntimeError: {why}") };
            }
        };
        let waited = format!("{}m{}s", PATIENCE / 60_000, PATIENCE / 1000 % 60);
        let what = format!("Could not transition to {transition}; timed out after waiting {waited}");
        Report::Failed { reason: format!("ContainerRuntimeTimeoutError: {what}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is heard of a worker whose pipe has ended.
    fn heard(request: Request, late: bool) -> String {
        let (reports, _) = nix::unistd::pipe().unwrap();
        let requests = fs::File::open("/dev/null").unwrap();
        let (pid, text) = (Pid::from_raw(1), Vec::new());
        let mut worker =
            Worker { pid, requests, reports, text, request: Some(request), deadline: u64::MAX, late, gone: true };
        match worker.listen() {
            Some(Report::Failed { reason }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_takes_too_long_is_told_in_ecss_words() {
        let start = Request::Start { container: 0, run: 0 };
        let class = "ContainerRuntimeTimeoutError: Could not transition to";
        assert_eq!(heard(start, true), format!("{class} started; timed out after waiting 1m0s"));
        assert_eq!(heard(Request::Prepare, true), format!("{class} created; timed out after waiting 1m0s"));
        assert_eq!(heard(start, false), "ContainerRuntimeError: the worker ended without a report");
    }
}
