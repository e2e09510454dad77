//! When the steps of a launch were reached (`berth run --timing`): the named points of `failpoint`, each with the time, in one
//! file, to which every process of ours that is started meanwhile adds. Without that file a point costs the look at one
//! value.
//!
//! The file is opened for each line: a process keeps no descriptor that its container could inherit, and once the file
//! is gone, those that live on add to nothing.

use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::time::monotonic_ns;

/// The variable by which the file is known to the processes that this one starts.
const VARIABLE: &str = "BERTH_TIMING";

/// The file, once somebody has asked.
static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();

/// A point that was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// When, in nanoseconds of CLOCK_MONOTONIC.
    pub at: u64,
    /// By which process.
    pub pid: u32,
    /// Its name.
    pub point: String,
}

/// The file while it is written; it is removed with this.
#[derive(Debug)]
pub struct Timing {
    path: PathBuf,
}

impl Timing {
    /// Makes the file, in a directory that is there. This process and those that it starts add to it from here on. Before any
    /// point is reached, and once: later it has no effect.
    pub fn begin(directory: &Path) -> io::Result<Self> {
        let path = directory.join(format!("berth-timing-{}-{}", std::process::id(), monotonic_ns()));
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        FILE.get_or_init(|| Some(path.clone()));
        Ok(Self { path })
    }

    /// What was reached until now, in the order of time.
    pub fn marks(&self) -> io::Result<Vec<Mark>> {
        let mut marks: Vec<Mark> = fs::read_to_string(&self.path)?.lines().filter_map(parse).collect();
        marks.sort_by_key(|mark| mark.at);
        Ok(marks)
    }
}

impl Drop for Timing {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // one that somebody else has removed is gone too
    }
}

fn parse(line: &str) -> Option<Mark> {
    let mut words = line.splitn(3, ' ');
    let (at, pid, point) = (words.next()?, words.next()?, words.next()?);
    Some(Mark { at: at.parse().ok()?, pid: pid.parse().ok()?, point: point.to_owned() })
}

/// A point is reached. What cannot be written is not: nothing depends on it.
pub(super) fn mark(point: &str) {
    let Some(path) = file() else { return };
    let line = format!("{} {} {point}\n", monotonic_ns(), std::process::id());
    let _ = OpenOptions::new().append(true).open(path).and_then(|mut file| file.write_all(line.as_bytes()));
}

/// What a process of ours is started with.
pub(super) fn environment() -> Option<CString> {
    let path = file()?;
    CString::new([VARIABLE.as_bytes(), b"=", path.as_os_str().as_bytes()].concat()).ok()
}

fn file() -> Option<&'static Path> {
    FILE.get_or_init(|| std::env::var_os(VARIABLE).map(PathBuf::from)).as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_mark_and_its_name_may_have_spaces() {
        let mark = Mark { at: 17, pid: 4, point: "start: the group is made".to_owned() };
        assert_eq!(parse("17 4 start: the group is made"), Some(mark));
        assert_eq!(parse("17 start"), None);
    }
}
