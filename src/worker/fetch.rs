//! The process that fetches an image: it reads what strangers made, from the network too, and so gives up next to all that
//! it could do before it reads the first byte of it. What it says is one JSON object a line, the last one being how it
//! ended. Started by `ops`, as another process than the supervisors' workers; it has threads.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};

use crate::image::{Failure, Fetch, Job, Progress, Staged, Tell};
use crate::sys;
use crate::sys::capability::{self, Capabilities};

/// The name that starts the program as such a worker; its descriptor 0 has an [`Order`], its descriptor 3 is what is
/// imported.
pub const COMMAND: &str = "fetch-worker";
/// The descriptor of the file or directory that is imported.
const SOURCE_FD: i32 = 3;

/// What unpacking a layer takes: owners, files in directories that their owner may not enter, modes and times of others'
/// files, set-user-ID bits, file capabilities.
const KEPT: [&str; 5] = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_SETFCAP"];

/// What is to be fetched, and for which store.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// The store's directory.
    pub images: PathBuf,
    /// What.
    pub job: Job,
}

/// One line of what the worker says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Said {
    /// How far it is.
    Progress(Progress),
    /// The end: everything is in the staging directory.
    Staged(Vec<Staged>),
    /// The end: it came to nothing.
    Failed(Failure),
}

/// Fetches.
pub fn run() -> io::Result<()> {
    nix::sys::stat::umask(Mode::from_bits_truncate(0o077));
    let order: Order = serde_json::from_reader(io::stdin().lock())?;
    let source = match &order.job {
        Job::Pull(_) => None,
        Job::Import { .. } => Some(inherited_source()),
    };
    let tell: Tell = Arc::new(|progress| {
        // If nobody listens any more our parent is gone, and the signal that ends us with it is on its way.
        let _ = say(&Said::Progress(progress));
    });
    say(&match fetch(order, source, tell)? {
        Ok(staged) => Said::Staged(staged),
        Err(error) => Said::Failed(Failure::from(&error)),
    })
}

fn inherited_source() -> File {
    let [source] = sys::spawn::inherited([SOURCE_FD]);
    source.into()
}

/// Opens what is needed, gives up everything else, and only then begins.
fn fetch(order: Order, source: Option<File>, tell: Tell) -> io::Result<Result<Vec<Staged>, crate::image::FetchError>> {
    let fetch = match Fetch::open(order.job, source, &order.images, tell) {
        Ok(fetch) => fetch,
        Err(error) => return Ok(Err(error)),
    };
    confine(fetch.staging(), fetch.source().map(AsFd::as_fd))?;
    Ok(fetch.run())
}

/// Rights are a thread's: there must be no other one yet. What is made from here on stands in a directory that only root
/// may enter, with the mode that was asked for: no file of a layer then needs a change of mode of its own.
fn confine(staging: BorrowedFd<'_>, source: Option<BorrowedFd<'_>>) -> io::Result<()> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("a thread was started before the process was confined"));
    }
    nix::sys::stat::umask(Mode::empty());
    // A layer's trail of open directories can be deep, and there are several layers at once.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let kept = KEPT.map(|name| Capabilities::named(name).expect("the name stands in the table"));
    let kept = kept.into_iter().fold(Capabilities::NONE, |all, one| all | one);
    prctl::set_no_new_privs()?;
    sys::landlock::confine(staging, source)?;
    for number in (0..u64::BITS).filter(|number| !kept.contains(*number)) {
        match capability::drop_bounding(number) {
            Err(Errno::EINVAL) => break, // the kernel has none of that number, nor of a higher one
            dropped => dropped?,
        }
    }
    capability::clear_ambient()?;
    let kept = capability::permitted()? & kept;
    Ok(capability::set(kept, kept)?)
}

fn say(said: &Said) -> io::Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}
