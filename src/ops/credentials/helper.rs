//! Credential helpers: programs named `docker-credential-NAME` that keep secrets elsewhere (docker/docker-credential-helpers).
//! One run is one question: the verb is the argument, the rest goes through standard input and output. A helper has bounded
//! time and output.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::super::environment::Environment;
use crate::image::Credentials;
use crate::sys::pidfd;

/// How long a helper may take.
const TIME: Duration = Duration::from_secs(30);
/// The most that a helper may say, in bytes.
const OUTPUT_MAX: usize = 64 << 10;
/// The most of a failed helper's words that are shown, in characters.
const SHOWN: usize = 200;
/// The user name with which a helper says that its secret is a refresh token.
const TOKEN: &str = "<token>";
/// What helpers say where they have nothing; there is no other sign.
const NOTHING: &str = "credentials not found";

/// What a helper did wrong.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// Its name has a slash, or it is not in the search path.
    #[error("there is no such program in PATH")]
    NotFound,
    /// It cannot be run.
    #[error("run it")]
    Run(#[from] io::Error),
    /// It did not come to an end.
    #[error("no answer in {} seconds", TIME.as_secs())]
    Time,
    /// It said too much.
    #[error("its answer is longer than {OUTPUT_MAX} bytes")]
    Output,
    /// It failed.
    #[error("{0}")]
    Failed(String),
    /// Its answer is none.
    #[error("its answer is not a JSON object with Username and Secret")]
    Answer,
}

/// A helper.
#[derive(Debug)]
pub(super) struct Helper {
    program: PathBuf,
    time: Duration,
}

/// What `get` answers, and what `store` takes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    #[serde(default, rename = "ServerURL")]
    server: &'a str,
    username: String,
    secret: String,
}

impl Helper {
    /// Finds a helper by the end of its name.
    pub(super) fn find(environment: &Environment, name: &str) -> Result<Self, HelperError> {
        let program = environment.program(&format!("docker-credential-{name}")).filter(|_| !name.contains('/'));
        Ok(Self { program: program.ok_or(HelperError::NotFound)?, time: TIME })
    }

    /// Who we are at a server.
    pub(super) fn get(&self, server: &str) -> Result<Option<Credentials>, HelperError> {
        let Some(answer) = self.run("get", server.as_bytes())? else { return Ok(None) };
        // Its own message might show a part of the answer.
        let entry: serde_json::Value = serde_json::from_slice(&answer).map_err(|_| HelperError::Answer)?;
        let text = |name: &str| entry.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
        let (username, secret) = text("Username").zip(text("Secret")).ok_or(HelperError::Answer)?;
        Ok(match username.as_str() {
            TOKEN => Some(Credentials::Identity(secret)),
            "" => None,
            _ => Some(Credentials::Basic { username, password: secret }),
        })
    }

    /// Keeps a name and a password.
    pub(super) fn store(&self, server: &str, username: &str, password: &str) -> Result<(), HelperError> {
        let entry = Entry { server, username: username.to_owned(), secret: password.to_owned() };
        let entry = serde_json::to_vec(&entry).map_err(io::Error::from)?;
        self.run("store", &entry).map(drop)
    }

    /// Forgets a server; to know nothing of it is as good.
    pub(super) fn erase(&self, server: &str) -> Result<(), HelperError> {
        self.run("erase", server.as_bytes()).map(drop)
    }

    /// Asks, and gives the answer; `None` if the helper has nothing.
    fn run(&self, verb: &str, input: &[u8]) -> Result<Option<Vec<u8>>, HelperError> {
        let mut command = Command::new(&self.program);
        command.arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // A group of its own: what it starts ends with it.
        let mut child = command.process_group(0).spawn()?;
        let answer = converse(&mut child, input, Instant::now() + self.time);
        if answer.is_err() {
            // It may have ended meanwhile.
            let _ = killpg(group(&child), Signal::SIGKILL);
        }
        let status = child.wait()?;
        let answer = answer?;
        if status.success() {
            return Ok(Some(answer));
        }
        let words = String::from_utf8_lossy(&answer);
        match words.contains(NOTHING) {
            true => Ok(None),
            false if words.trim().is_empty() => Err(HelperError::Failed(status.to_string())),
            false => Err(HelperError::Failed(words.trim().chars().take(SHOWN).collect())),
        }
    }
}

fn group(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a pid is positive and fits"))
}

/// Writes the question, reads the answer to its end, and waits for the helper's.
fn converse(child: &mut Child, input: &[u8], deadline: Instant) -> Result<Vec<u8>, HelperError> {
    if let Some(mut stdin) = child.stdin.take() {
        // A question fits a pipe. A helper that does not read it may still answer.
        let _ = stdin.write_all(input);
    }
    let mut answer = Vec::new();
    if let Some(stdout) = &mut child.stdout {
        let mut buffer = [0; 4096];
        loop {
            wait(&stdout, deadline)?;
            match stdout.read(&mut buffer)? {
                0 => break,
                count => answer.extend_from_slice(&buffer[..count]),
            }
            if answer.len() > OUTPUT_MAX {
                return Err(HelperError::Output);
            }
        }
    }
    wait(pidfd::open(group(child))?, deadline)?;
    Ok(answer)
}

/// Waits until a descriptor can be read: an answer, or the end of a process.
fn wait(fd: impl AsFd, deadline: Instant) -> Result<(), HelperError> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) if left.is_zero() => return Err(HelperError::Time),
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(errno) => return Err(io::Error::from(errno).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A helper that is a script, with a short patience.
    fn helper(directory: &std::path::Path, script: &str) -> Helper {
        let program = directory.join("docker-credential-test");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Helper { program, time: Duration::from_millis(300) }
    }

    fn get(script: &str) -> Result<Option<Credentials>, HelperError> {
        let directory = tempfile::tempdir().unwrap();
        helper(directory.path(), script).get("registry.lan")
    }

    #[test]
    fn a_helper_is_asked_by_its_input() {
        let script = r#"test "$1" = get && read host; printf '{"ServerURL":"%s","Username":"me","Secret":"s-%s"}' "$host" "$host""#;
        let expected = Credentials::Basic { username: "me".into(), password: "s-registry.lan".into() };
        // The question has no newline, which read(1) reports.
        assert_eq!(get(script).unwrap(), Some(expected));
    }

    #[test]
    fn a_user_called_token_has_a_refresh_token() {
        let answer = get(r#"echo '{"Username":"<token>","Secret":"abc"}'"#).unwrap();
        assert_eq!(answer, Some(Credentials::Identity("abc".into())));
    }

    #[test]
    fn a_helper_that_knows_nothing_is_no_failure() {
        assert_eq!(get("echo 'credentials not found in native keychain'; exit 1").unwrap(), None);
        assert!(matches!(get("echo locked; exit 1"), Err(HelperError::Failed(words)) if words == "locked"));
        assert!(matches!(get("exit 3"), Err(HelperError::Failed(words)) if words.contains('3')));
    }

    #[test]
    fn a_helper_that_does_not_end_is_killed_with_all_that_it_started() {
        let before = Instant::now();
        assert!(matches!(get("sleep 100 & sleep 100"), Err(HelperError::Time)));
        assert!(matches!(get("exec >&-; sleep 100"), Err(HelperError::Time)));
        assert!(before.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_helper_that_says_too_much_is_cut_off() {
        assert!(matches!(get("exec yes"), Err(HelperError::Output)));
    }

    #[test]
    fn an_answer_that_is_none_is_not_shown() {
        for script in ["echo '{\"Username\":\"me\"'", "echo '{\"Secret\":\"hush\"}'", "echo hush"] {
            let error = get(script).unwrap_err().to_string();
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
