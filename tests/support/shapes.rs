//! Answers held against the output shapes of AWS's own model of ECS (`shapes.py`).

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// Answers by the names of their actions, gathered to be looked at together: Python and the model are slow to start.
#[derive(Debug, Default)]
pub(crate) struct Answers(Vec<Value>);

impl Answers {
    /// Adds an answer.
    pub(crate) fn add(&mut self, action: &str, answer: &Value) {
        self.0.push(json!({ "action": action, "answer": answer }));
    }

    /// Adds the name of an exception.
    pub(crate) fn add_error(&mut self, action: &str, exception: &str) {
        self.0.push(json!({ "action": action, "error": exception }));
    }

    /// Adds a document of another service's.
    pub(crate) fn add_xml(&mut self, service: &str, action: &str, document: &str) {
        self.0.push(json!({ "service": service, "action": action, "xml": document }));
    }

    /// What does not fit, one line each; empty where all does.
    pub(crate) fn problems(&self) -> String {
        let venv = Command::new("tests/support/venv").current_dir(PROJECT).output().expect("bash is there");
        assert!(venv.status.success(), "tests/support/venv: {}", String::from_utf8_lossy(&venv.stderr));
        let mut python = Command::new("target/venv/bin/python");
        python.arg("tests/support/shapes.py").current_dir(PROJECT);
        let piped = python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("it was made");
        let mut input = child.stdin.take().expect("it is piped");
        let lines: String = self.0.iter().map(|line| format!("{line}\n")).collect();
        // It reads all before it is waited for: what it prints is less than a pipe holds, or this would be seen to hang.
        input.write_all(lines.as_bytes()).expect("it reads");
        drop(input);
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}
