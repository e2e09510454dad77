//! Keeping and forgetting credentials as docker does: in the configured helper, else in docker's `config.json`, which is
//! written whole, closed to others, and with all else that stands in it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::super::environment::Environment;
use super::file::{self, File, encoded};
use super::helper::Helper;
use super::{CredentialError, key, wrong};

/// Where credentials were put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// In docker's configuration, readable for whoever can read the file.
    File(PathBuf),
    /// With a helper of this name.
    Helper(String),
}

/// Keeps the name and password for a registry.
pub(in crate::ops) fn keep(
    environment: &Environment,
    registry: &str,
    username: &str,
    password: &str,
) -> Result<Kept, CredentialError> {
    let path = environment.docker_config();
    let (entry, kept) = match helper(environment, &path, registry)? {
        Some((name, helper)) => {
            let stored = helper.store(key::of(registry), username, password);
            stored.map_err(|source| CredentialError::Helper { name: name.clone(), source })?;
            (json!({}), Kept::Helper(name))
        }
        None => (json!({ "auth": encoded(username, password) }), Kept::File(path.clone())),
    };
    change(&path, |auths| {
        auths.retain(|other, _| !same(other, registry));
        auths.insert(key::of(registry).to_owned(), entry);
    })?;
    Ok(kept)
}

/// Forgets a registry; whether docker's configuration knew it.
pub(in crate::ops) fn erase(environment: &Environment, registry: &str) -> Result<bool, CredentialError> {
    let path = environment.docker_config();
    let Some(text) = file::read(&path)? else { return Ok(false) };
    if let Some((name, helper)) = helper(environment, &path, registry)? {
        helper.erase(key::of(registry)).map_err(|source| CredentialError::Helper { name, source })?;
    }
    let content: Value = serde_json::from_str(&text).unwrap_or_default();
    let known = content.get("auths").and_then(Value::as_object);
    if !known.is_some_and(|auths| auths.keys().any(|other| same(other, registry))) {
        return Ok(false);
    }
    change(&path, |auths| auths.retain(|other, _| !same(other, registry)))?;
    Ok(true)
}

/// Whether a key is the registry itself, under any of its names; those of its namespaces are others.
fn same(key: &str, registry: &str) -> bool {
    key::fit(key, registry, "").is_some()
}

fn helper(environment: &Environment, path: &Path, registry: &str) -> Result<Option<(String, Helper)>, CredentialError> {
    let Some(file) = File::read(path)? else { return Ok(None) };
    let Some(name) = file.helper(registry) else { return Ok(None) };
    let helper = Helper::find(environment, name);
    let helper = helper.map_err(|source| CredentialError::Helper { name: name.to_owned(), source })?;
    Ok(Some((name.to_owned(), helper)))
}

fn change(path: &Path, change: impl FnOnce(&mut Map<String, Value>)) -> Result<(), CredentialError> {
    let text = file::read(path)?.filter(|text| !text.trim().is_empty()).unwrap_or_else(|| "{}".to_owned());
    // A parser's message may quote what it read.
    let mut content: Value = serde_json::from_str(&text).map_err(|_| wrong(path, "not a docker configuration"))?;
    let auths = content.as_object_mut().map(|content| content.entry("auths").or_insert_with(|| json!({})));
    let auths = auths.and_then(Value::as_object_mut).ok_or_else(|| wrong(path, "not a docker configuration"))?;
    change(auths);
    let mut text = serde_json::to_string_pretty(&content).map_err(|error| wrong(path, error.to_string()))?;
    text.push('\n');
    replace(path, text.as_bytes()).map_err(|source| CredentialError::Io {
        verb: "write",
        path: path.to_owned(),
        source,
    })
}

/// Writes a file whole. Behind a symbolic link, the file that it leads to.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = path.parent().ok_or_else(|| io::Error::other("it has no directory"))?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let new = path.with_extension(format!("json.{}", std::process::id()));
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).and_then(|mut file| {
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&new, &path)
    });
    if written.is_err() {
        // It is not what anybody wants to find.
        let _ = fs::remove_file(&new);
    }
    written
}
