//! The local store of groups and streams: `REGION/GROUP/STREAM/ID.log`, one log for each container that ever wrote to the
//! stream, and beside it a description, since the names of directories are written in other letters. Streams outlive their
//! tasks; the oldest go when there are too many.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::error::LogError;
use super::tally::with_end;
use crate::logging::Multiline;
use crate::plan::Retention;

/// What a log of the store is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamFile {
    /// The region.
    pub region: String,
    /// The group's name.
    pub group: String,
    /// The stream's name.
    pub stream: String,
    /// The task's id.
    pub task: String,
    /// The container's name.
    pub container: String,
    /// What begins an event of several lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiline: Option<Multiline>,
}

/// Writes the description of the log at `path`, whose directory is there.
pub fn describe(path: &Path, file: &StreamFile) -> Result<(), LogError> {
    let (path, new) = (path.with_extension("json"), with_end(path, ".json.new"));
    let text = serde_json::to_vec(file).expect("a description is plain data");
    fs::write(&new, text).map_err(|source| LogError::Create { path: new.clone(), source })?;
    fs::rename(&new, &path).map_err(|source| LogError::Rotate { from: new, to: path, source })
}

/// Keeps the directory of a group that was made on purpose when its last stream goes.
const KEPT: &str = "group";

/// Makes a group that is there without a stream.
pub fn create_group(directory: &Path) -> Result<(), LogError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| LogError::Create { path, source }
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed(directory))?;
    let kept = directory.join(KEPT);
    fs::File::create(&kept).map(drop).map_err(failed(&kept))
}

/// The logs of a group's streams, in the order of their names. `groups` are its directories, one for each region.
pub fn streams(groups: &[PathBuf]) -> Result<Vec<(PathBuf, StreamFile)>, LogError> {
    let mut all = Vec::new();
    for stream in groups.iter().map(|group| entries(group)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
        for path in entries(&stream)?.into_iter().filter(|path| path.extension().is_some_and(|end| end == "json")) {
            // One that is gone by now, or is not ours, is passed over.
            let file = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<StreamFile>(&text).ok());
            all.extend(file.map(|file| (path.with_extension("log"), file)));
        }
    }
    all.sort_by(|(one, a), (two, b)| (&a.stream, one).cmp(&(&b.stream, two)));
    Ok(all)
}

/// What is in a directory; nothing in one that is not there.
pub fn entries(directory: &Path) -> Result<Vec<PathBuf>, LogError> {
    match fs::read_dir(directory) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(source) => Err(LogError::Read { path: directory.to_owned(), source }),
    }
}

/// All files of one log.
#[derive(Debug)]
struct Held {
    files: Vec<PathBuf>,
    bytes: u64,
    written: SystemTime,
}

/// Removes the logs that are too old, then the oldest until the others are small enough together. Those of tasks that live
/// stay.
pub fn prune(root: &Path, retention: Retention, lives: impl Fn(&str) -> bool) -> Result<(), LogError> {
    let groups: Vec<PathBuf> = below(&below(&[root.to_owned()])?)?;
    let mut all: Vec<Held> = Vec::new();
    let mut total = 0;
    for (log, file) in streams(&groups)? {
        let held = held(&log)?;
        total += held.bytes;
        if !lives(&file.task) {
            all.push(held);
        }
    }
    all.sort_by_key(|held| held.written);
    let oldest = SystemTime::now() - Duration::from_secs(u64::from(retention.days) * 86_400);
    for held in all {
        if held.written >= oldest && total <= retention.bytes {
            break;
        }
        total -= held.bytes;
        for file in &held.files {
            // The description goes last in order, and somebody else may be at it, too.
            let _ = fs::remove_file(file);
        }
        let stream = held.files.first().and_then(|file| file.parent());
        for directory in stream.into_iter().flat_map(Path::ancestors).take(3) {
            let _ = fs::remove_dir(directory); // only an empty one goes
        }
    }
    Ok(())
}

fn below(directories: &[PathBuf]) -> Result<Vec<PathBuf>, LogError> {
    Ok(directories.iter().map(|one| entries(one)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

fn held(log: &Path) -> Result<Held, LogError> {
    let id = log.file_stem().unwrap_or_default().to_owned();
    let directory = log.parent().unwrap_or(Path::new("/"));
    let mut held = Held { files: Vec::new(), bytes: 0, written: SystemTime::UNIX_EPOCH };
    for file in entries(directory)? {
        let name = file.file_name().unwrap_or_default().as_encoded_bytes();
        if name.strip_prefix(id.as_encoded_bytes()).is_some_and(|rest| rest.starts_with(b".")) {
            let Ok(metadata) = file.symlink_metadata() else { continue };
            held.bytes += metadata.len();
            held.written = held.written.max(metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
            held.files.push(file);
        }
    }
    held.files.sort_by_key(|file| file.extension().is_some_and(|end| end == "json"));
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Layout;

    fn log(layout: &Layout, group: &str, stream: &str, task: &str, bytes: usize) -> PathBuf {
        let directory = layout.log_stream("r", group, stream);
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join(format!("{task}-1.log"));
        fs::write(&path, vec![b'x'; bytes]).unwrap();
        fs::write(with_end(&path, ".1"), "old").unwrap();
        let (region, container) = ("r".to_owned(), "web".to_owned());
        let (group, stream, task) = (group.to_owned(), stream.to_owned(), task.to_owned());
        describe(&path, &StreamFile { region, group, stream, task, container, multiline: None }).unwrap();
        path
    }

    #[test]
    fn streams_of_a_group_are_found_by_their_names() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::below(root.path());
        let paths = [log(&layout, "/g", "p/web/b", "b", 1), log(&layout, "/g", "p/web/a", "a", 1)];
        log(&layout, "/other", "x", "c", 1);
        let found = streams(&[layout.log_group("r", "/g"), layout.log_group("nowhere", "/g")]).unwrap();
        let names: Vec<_> = found.iter().map(|(path, file)| (path, file.stream.as_str())).collect();
        assert_eq!(names, [(&paths[1], "p/web/a"), (&paths[0], "p/web/b")]);
    }

    #[test]
    fn the_oldest_go_first_and_those_of_tasks_that_live_stay() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::below(root.path());
        let paths = ["a", "b", "c"].map(|task| log(&layout, "g", task, task, 1000));
        for (path, age) in paths.iter().zip([3000, 2000, 1000]) {
            for file in [path.clone(), with_end(path, ".1"), path.with_extension("json")] {
                let at = SystemTime::now() - Duration::from_secs(age);
                fs::File::options().write(true).open(file).unwrap().set_modified(at).unwrap();
            }
        }
        prune(&layout.logs(), Retention { days: 1, bytes: 1 << 20 }, |_| false).unwrap();
        assert!(paths.iter().all(|path| path.exists()));
        prune(&layout.logs(), Retention { days: 1, bytes: 2500 }, |task| task == "a").unwrap();
        assert_eq!(paths.each_ref().map(|path| path.exists()), [true, false, true]);
        assert!(!layout.log_stream("r", "g", "b").exists(), "its directory goes with it");
        create_group(&layout.log_group("r", "made")).unwrap();
        create_group(&layout.log_group("r", "made")).unwrap();
        prune(&layout.logs(), Retention { days: 1, bytes: 0 }, |_| false).unwrap();
        let left = entries(&layout.logs().join("r")).unwrap();
        assert_eq!(left, [layout.log_group("r", "made")], "a group that was made on purpose stays without a stream");
    }
}
