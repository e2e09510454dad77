//! One file of credentials: docker's `config.json`, or podman's `auth.json`, which has the same form. Read only; `keep`
//! writes them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{CredentialError, key, wrong};
use crate::image::Credentials;

/// The most that is read of a file, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// What a file says.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    content: Content,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Content {
    auths: BTreeMap<String, Auth>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

/// One registry. Docker writes `auth`, base64 of `NAME:PASSWORD`; by hand it may be both in the open.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "lowercase")]
struct Auth {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

/// Nothing secret is ever printed.
impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Auth")
    }
}

impl File {
    /// Reads a file; nothing if there is none. A file that everybody may write is refused: it says which program root runs.
    /// One that everybody may read is not: docker reads it too, and `login` closes it.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, CredentialError> {
        let Some(text) = read(path)? else { return Ok(None) };
        // A parser's message may quote what it read.
        let content = match text.trim().is_empty() {
            true => Content::default(),
            false => serde_json::from_str(&text).map_err(|error| {
                wrong(path, format!("line {}, column {}: not a docker configuration", error.line(), error.column()))
            })?,
        };
        Ok(Some(Self { path: path.to_owned(), content }))
    }

    /// The end of the name of the program that knows a registry.
    pub(super) fn helper(&self, registry: &str) -> Option<&str> {
        let helpers = &self.content.cred_helpers;
        let own = helpers.iter().find(|(key, _)| key::fit(key, registry, "").is_some());
        own.map(|(_, name)| name)
            .or(Some(&self.content.creds_store))
            .filter(|name| !name.is_empty())
            .map(String::as_str)
    }

    /// What stands in the file itself.
    pub(super) fn credentials(&self, registry: &str, repository: &str) -> Result<Option<Credentials>, CredentialError> {
        let fitting =
            self.content.auths.iter().filter_map(|(key, auth)| Some((key::fit(key, registry, repository)?, key, auth)));
        let Some((_, key, auth)) = fitting.max_by_key(|(fit, ..)| *fit) else { return Ok(None) };
        if !auth.identitytoken.is_empty() {
            return Ok(Some(Credentials::Identity(auth.identitytoken.clone())));
        }
        if !auth.registrytoken.is_empty() {
            return Ok(Some(Credentials::Bearer(auth.registrytoken.clone())));
        }
        let (username, password) = match auth.auth.as_str() {
            "" => (auth.username.clone(), auth.password.clone()),
            auth => decoded(auth)
                .ok_or_else(|| wrong(&self.path, format!("auths.{key:?}.auth is not base64 of NAME:PASSWORD")))?,
        };
        // With a helper, docker leaves an empty entry here.
        Ok((!username.is_empty()).then_some(Credentials::Basic { username, password }))
    }
}

fn decoded(auth: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.trim_end_matches('\0').to_owned()))
}

/// What `auth` holds for a name and a password.
pub(super) fn encoded(username: &str, password: &str) -> String {
    STANDARD.encode(format!("{username}:{password}"))
}

/// The whole text of a file; nothing if there is none.
pub(super) fn read(path: &Path) -> Result<Option<String>, CredentialError> {
    let io = |source| CredentialError::Io { verb: "read", path: path.to_owned(), source };
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(io)?,
    };
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(wrong(path, "not a file"));
    }
    if metadata.mode() & 0o002 != 0 {
        return Err(wrong(path, "everybody may write it: chmod o-w"));
    }
    let mut text = String::new();
    let read = file.take(FILE_MAX + 1).read_to_string(&mut text).map_err(io)?;
    match read as u64 > FILE_MAX {
        true => Err(wrong(path, "larger than 1 MiB")),
        false => Ok(Some(text)),
    }
}
