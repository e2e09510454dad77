//! What can go wrong, and the directory through which the program is told of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a point can do with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It has somebody to tell.
    Telling,
    /// It has not: only death makes a difference there.
    Mute,
}

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The process that is there gets SIGKILL.
    Kill,
    /// Its parent, if that is one of ours, gets SIGKILL.
    KillParent,
    /// No space is left.
    NoSpace,
    /// The disk fails.
    Io,
    /// No descriptor is left.
    NoDescriptor,
    /// A fork is refused, or memory.
    Again,
}

impl Fault {
    const ALL: [Self; 6] = [Self::Kill, Self::KillParent, Self::NoSpace, Self::Io, Self::NoDescriptor, Self::Again];

    /// Those that a point of a kind can have.
    pub(crate) fn of(kind: Kind) -> &'static [Self] {
        match kind {
            Kind::Telling => &Self::ALL,
            Kind::Mute => &Self::ALL[..2],
        }
    }

    /// The word that the program knows it by.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::KillParent => "kill-parent",
            Self::NoSpace => "ENOSPC",
            Self::Io => "EIO",
            Self::NoDescriptor => "EMFILE",
            Self::Again => "EAGAIN",
        }
    }
}

/// One thing that goes wrong in one scenario.
#[derive(Debug, Clone)]
pub(crate) struct Experiment {
    pub(crate) scenario: usize,
    pub(crate) point: String,
    pub(crate) fault: Fault,
    /// How often the point is passed before.
    pub(crate) skip: u32,
}

/// The directory that BERTH_FAILPOINTS names.
#[derive(Debug)]
pub(crate) struct Faults {
    directory: tempfile::TempDir,
}

impl Faults {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("berth-chaos-").tempdir().expect("make a directory");
        Self { directory }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn arm(&self, experiment: &Experiment) {
        self.disarm();
        for number in 1..=experiment.skip {
            fs::write(self.path(&format!("skip.{number}")), "").expect("write");
        }
        // Whole at once: a process of an earlier experiment may be looking.
        let text = format!("{} {}", experiment.point, experiment.fault.word());
        fs::write(self.path("new"), text).expect("write");
        fs::rename(self.path("new"), self.path("armed")).expect("rename");
    }

    /// From here on nothing goes wrong; whether something has.
    pub(crate) fn disarm(&self) -> bool {
        let fired = self.path("fired").exists();
        for entry in fs::read_dir(self.directory()).expect("it is ours").flatten() {
            fs::remove_file(entry.path()).ok();
        }
        fired
    }

    /// The points that have been reached.
    pub(crate) fn hits(&self) -> BTreeMap<String, Kind> {
        let text = fs::read_to_string(self.path("hits")).unwrap_or_default();
        let points = text.lines().filter_map(|line| line.split_once(' '));
        points.map(|(kind, point)| (point.to_owned(), if kind == "e" { Kind::Telling } else { Kind::Mute })).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }
}
