//! moto: an AWS that we did not write (`tests/support/venv` installs it), on a port of loopback for one test, and boto3 to
//! fill it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::Value;

/// How long the server may take to come up: it is a large Python program.
const PATIENCE: Duration = Duration::from_secs(120);
/// The region of everything here.
pub(crate) const REGION: &str = "us-east-1";

/// A server of its own. It ends with this.
pub(crate) struct Moto {
    server: Child,
    pub(crate) endpoint: String,
}

impl Moto {
    /// Starts one, and waits until it listens.
    pub(crate) fn start() -> Self {
        let mut command = Command::new(program("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", "0"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut server = command.spawn().unwrap_or_else(|error| panic!("moto_server: {error}"));
        let stderr = server.stderr.take().expect("it is piped");
        let (tell, told) = channel();
        // Read to its end, so that its log never fills the pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("Running on ") {
                    tell.send(address.trim().to_owned()).ok();
                }
            }
        });
        match told.recv_timeout(PATIENCE) {
            Ok(endpoint) => Self { server, endpoint },
            Err(_) => {
                server.kill().and_then(|()| server.wait()).ok();
                panic!("moto_server does not listen after {PATIENCE:?}")
            }
        }
    }

    /// Runs a script of Python in which `client(SERVICE)` is a boto3 client of this server; what it prints is JSON.
    pub(crate) fn script(&self, text: &str) -> Value {
        let head = format!(
            "import boto3, json\ndef client(service, **more):\n    return boto3.client(service, region_name='{REGION}', \
             endpoint_url='{}', **more)\n",
            self.endpoint
        );
        let mut command = Command::new(program("python"));
        command.arg("-c").arg(head + text).envs(credentials());
        let output = command.output().unwrap_or_else(|error| panic!("python: {error}"));
        let (said, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{complaints}");
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// What of `config.toml` leads to it.
    pub(crate) fn configuration(&self) -> String {
        format!("[aws]\nendpoint = '{}'\n", self.endpoint)
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.server.kill().and_then(|()| self.server.wait()).ok();
    }
}

/// Credentials that the server takes as long as it does not look.
pub(crate) fn credentials() -> [(&'static str, &'static str); 2] {
    [
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ]
}

/// A program of `target/venv`.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin").join(name);
    assert!(path.exists(), "{} is missing: run tests/support/venv", path.display());
    path
}
