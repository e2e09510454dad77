//! Fetching images: a worker that may do next to nothing fetches, what it says is shown and checked, and what it has
//! left is published.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use super::OpsError;
use crate::image::{Failure, FailureKind, Image, ImageStore, Job, Progress, Staged};
use crate::sys;
use crate::sys::child::{self, Otherwise, Which};
use crate::sys::pidfd::Exit;
use crate::sys::spawn::OnParentDeath;
use crate::worker::fetch::{COMMAND, Order, Said};

/// How often a fetch is done again because a removal took a layer that it meant to share.
const ATTEMPTS: usize = 5;
/// The longest line that a worker says, in bytes: the documents of all images of one source, escaped.
const LINE_MAX: u64 = 64 << 20;

/// Fetches what a job says and gives back the images that now have the names it says: none if a registry has what it had.
pub(super) fn fetch(
    images: &ImageStore,
    job: &Job,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Image>, OpsError> {
    images.clean()?;
    let source = source(job)?;
    // What is read once cannot be read again.
    let attempts = if source.as_ref().is_none_or(is_seekable) { ATTEMPTS } else { 1 };
    for _ in 0..attempts {
        let staged = match worker(images, job, source.as_ref(), progress) {
            Ok(staged) => staged,
            Err(error) => {
                // What it has not completed only fills the disk. If this fails, the first error is the one to show.
                let _ = images.clean();
                return Err(error);
            }
        };
        if staged.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(images) = images.publish(job, &staged)? {
            return Ok(images);
        }
    }
    Err(OpsError::Restless)
}

/// Opens what is imported.
fn source(job: &Job) -> Result<Option<File>, OpsError> {
    let Job::Import { path, .. } = job else { return Ok(None) };
    let failed = |error| {
        OpsError::Fetch(Failure {
            kind: FailureKind::Source,
            message: format!("import: open {}: {error}", path.display()),
        })
    };
    File::open(path).map(Some).map_err(failed)
}

fn is_seekable(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() || metadata.is_dir())
}

/// Runs a worker to its end.
fn worker(
    images: &ImageStore,
    job: &Job,
    source: Option<&File>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Staged>, OpsError> {
    let failed = |source| OpsError::FetchWorker { source };
    let order = Order { images: images.dir().to_owned(), job: job.clone() };
    let (worker, said) = start(&order, source).map_err(failed)?;
    let outcome = listen(said, progress);
    // It has said all that it will, or is not to be believed.
    if outcome.is_err() {
        let _ = nix::sys::signal::kill(worker, Signal::SIGKILL);
    }
    let exit = end_of(worker).map_err(failed)?;
    match (outcome.map_err(failed)?, exit) {
        (Some(Said::Staged(staged)), _) => Ok(staged),
        (Some(Said::Failed(failure)), _) => Err(OpsError::Fetch(failure)),
        (Some(Said::Progress(_)) | None, Exit::Signal(signal)) => {
            let name =
                Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |signal| signal.to_string());
            Err(failed(io::Error::other(format!("it was ended by {name}"))))
        }
        (Some(Said::Progress(_)) | None, Exit::Code(code)) => {
            Err(failed(io::Error::other(format!("it ended with code {code} and said nothing"))))
        }
    }
}

fn start(order: &Order, source: Option<&File>) -> io::Result<(Pid, OwnedFd)> {
    let program = sys::seal::own_program()?;
    let order = sys::spawn::memory_file(c"fetch", &serde_json::to_vec(order)?)?;
    let null = nix::fcntl::open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    let (said, theirs) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    let mut fds: Vec<BorrowedFd<'_>> = vec![order.as_fd(), theirs.as_fd(), null.as_fd()];
    fds.extend(source.map(AsFd::as_fd));
    let worker = sys::spawn::spawn(program.as_fd(), &["berth", COMMAND], &fds, OnParentDeath::Die)?;
    Ok((worker, said))
}

/// Hears a worker out; gives its last word, if it had one.
fn listen(said: OwnedFd, progress: &mut dyn FnMut(Progress)) -> io::Result<Option<Said>> {
    let mut said = BufReader::new(File::from(said));
    loop {
        let mut line = Vec::new();
        if said.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        match serde_json::from_slice(&line)? {
            Said::Progress(step) => progress(step),
            last => return Ok(Some(last)),
        }
    }
}

fn end_of(worker: Pid) -> io::Result<Exit> {
    let ended = loop {
        match child::ended(Which::Pid(worker), Otherwise::Wait) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            ended => break ended?,
        }
    };
    child::reap(worker)?;
    ended.map(|ended| ended.exit).ok_or_else(|| io::Error::other("it has not ended"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// What is heard of a worker that says this, and how often it told of progress.
    fn heard(text: &str) -> (io::Result<Option<Said>>, usize) {
        let (said, theirs) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
        File::from(theirs).write_all(text.as_bytes()).unwrap();
        let mut steps = 0;
        (listen(said, &mut |_| steps += 1), steps)
    }

    const STEP: &str = "{\"progress\":{\"event\":\"present\",\"layer\":0}}\n";

    #[test]
    fn a_worker_is_heard_until_its_last_word() {
        let (said, steps) = heard(&format!("{STEP}{STEP}{{\"staged\":[]}}\n{STEP}"));
        assert!(matches!(said, Ok(Some(Said::Staged(staged))) if staged.is_empty()));
        assert_eq!(steps, 2);
    }

    #[test]
    fn a_worker_that_ends_in_the_middle_had_no_last_word() {
        assert!(matches!(heard(STEP), (Ok(None), 1)));
        assert!(heard(&format!("{STEP}{{\"stag")).0.is_err());
        assert!(heard("running 1 test\n").0.is_err());
    }
}
