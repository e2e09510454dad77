//! `berth events --follow`, as long as a test wants to hear.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::root::Root;

/// Somebody who follows the events of a root. At its end he is gone.
pub(crate) struct Follower {
    file: PathBuf,
    child: Child,
}

impl Follower {
    /// Follows from some moment soon: it follows when it has told of something.
    pub(crate) fn start(root: &Root) -> Self {
        let file = root.path().join("events.jsonl");
        let mut command = root.command(["events", "-f"]);
        command.stdin(Stdio::null()).stdout(File::create(&file).expect("make the file"));
        Self { file, child: command.spawn().expect("start it") }
    }

    /// What it has told so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.file).expect("read the file");
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}
