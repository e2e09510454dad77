//! The values of one task: variables that stand neither in its plan nor anywhere that `describe` reads, by container. One
//! file in the task's run directory, root's alone, written by whoever starts the task before its supervisor is, read by
//! the workers that start processes in its containers, and gone with the directory.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::plan::{ProcessPlan, TaskPaths};

/// The variables of each container that has any, in order. Not printed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskValues(pub BTreeMap<String, Vec<(String, String)>>);

impl std::fmt::Debug for TaskValues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Where the secret options of a container's log stand: no container has a name with a colon.
pub fn log_values(container: &str) -> String {
    format!("{container}:log")
}

/// Where the fixed keys of a task's role stand, each under the name that ECS has for it.
pub const ROLE_VALUES: &str = ":role";

/// The fixed keys of a task's role.
pub fn role_values(paths: &TaskPaths) -> Result<Vec<(String, String)>, ValuesError> {
    let gone = || ValuesError::Gone { container: ROLE_VALUES.to_owned() };
    read(paths, gone)?.0.remove(ROLE_VALUES).ok_or_else(gone)
}

/// The whole file. A parser's message may quote what it read.
fn read(paths: &TaskPaths, gone: impl Fn() -> ValuesError) -> Result<TaskValues, ValuesError> {
    let path = paths.values();
    let text = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(gone()),
        text => text.map_err(|source| ValuesError::File { verb: "read", path, source })?,
    };
    serde_json::from_slice(&text).map_err(|_| gone())
}

/// The secret options of a container's log.
pub fn log_options(container: &str, paths: &TaskPaths) -> Result<Vec<(String, String)>, ValuesError> {
    let gone = || ValuesError::Gone { container: container.to_owned() };
    read(paths, gone)?.0.remove(&log_values(container)).ok_or_else(gone)
}

/// The values of a task cannot be handed on.
#[derive(Debug, thiserror::Error)]
pub enum ValuesError {
    /// The file cannot be read or written.
    #[error("{verb} {path}")]
    File {
        /// What was tried.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It is not there, or holds something else.
    #[error("the values of container {container} are gone: whoever started the task died before they were written")]
    Gone {
        /// The container.
        container: String,
    },
}

impl TaskValues {
    /// Writes the file, if there is anything to write.
    pub fn write(&self, paths: &TaskPaths) -> Result<(), ValuesError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let path = paths.values();
        self.write_whole(paths).map_err(|source| ValuesError::File { verb: "write", path, source })
    }

    /// Workers may be told to start as soon as the file has its name.
    fn write_whole(&self, paths: &TaskPaths) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&paths.run)?;
        let path = paths.values();
        let new = path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        fs::rename(&new, &path)
    }
}

/// The plan of a process with the values of its container. What the definition and ECS itself set is not changed by them.
pub fn complete(process: &ProcessPlan, container: &str, paths: &TaskPaths) -> Result<ProcessPlan, ValuesError> {
    let mut process = process.clone();
    let Some(private) = process.private.take() else { return Ok(process) };
    let gone = || ValuesError::Gone { container: container.to_owned() };
    let own = read(paths, gone)?.0.remove(container).ok_or_else(gone)?;
    for (name, value) in own.into_iter().filter(|(name, _)| !private.fixed.contains(name)) {
        match process.env.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => process.env.push((name, value)),
        }
    }
    Ok(process)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;
    use crate::plan::{Layout, PrivateEnvironment};

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn process(fixed: &[&str]) -> ProcessPlan {
        let fixed = fixed.iter().map(|name| (*name).to_owned()).collect();
        ProcessPlan {
            env: pairs(&[("PATH", "/bin"), ("MODE", "fixed")]),
            private: Some(PrivateEnvironment { fixed }),
            ..ProcessPlan::default()
        }
    }

    fn paths(directory: &Path) -> TaskPaths {
        Layout::below(directory).task("t")
    }

    #[test]
    fn values_take_the_place_of_the_images_and_not_of_the_definitions() {
        let directory = tempfile::tempdir().unwrap();
        let paths = paths(directory.path());
        let own = pairs(&[("PATH", "/opt/bin"), ("MODE", "file"), ("KEY", "hush")]);
        let values = TaskValues(BTreeMap::from([("web".to_owned(), own)]));
        values.write(&paths).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&paths.values()), mode(&paths.run)), (0o600, 0o700));
        let complete = complete(&process(&["MODE"]), "web", &paths).unwrap();
        assert_eq!(complete.env, pairs(&[("PATH", "/opt/bin"), ("MODE", "fixed"), ("KEY", "hush")]));
        assert!(!format!("{values:?}").contains("hush"));
    }

    #[test]
    fn a_container_whose_values_are_gone_does_not_start_without_them() {
        let directory = tempfile::tempdir().unwrap();
        let paths = paths(directory.path());
        assert!(matches!(complete(&process(&[]), "web", &paths), Err(ValuesError::Gone { .. })));
        TaskValues(BTreeMap::from([("db".to_owned(), Vec::new())])).write(&paths).unwrap();
        assert!(matches!(complete(&process(&[]), "web", &paths), Err(ValuesError::Gone { .. })));
        assert!(complete(&process(&[]), "db", &paths).is_ok());
    }

    #[test]
    fn without_values_there_is_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let paths = paths(directory.path());
        TaskValues::default().write(&paths).unwrap();
        assert!(!paths.run.exists());
        let plain = ProcessPlan { private: None, ..process(&[]) };
        assert_eq!(complete(&plain, "web", &paths).unwrap(), plain);
    }
}
