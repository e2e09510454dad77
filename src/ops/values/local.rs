//! Values from the local store. Regions and accounts of ARNs are not looked at: names are.

use std::collections::BTreeSet;

use super::super::secrets::store;
use super::Values;
use super::error::{LookupError, Unavailable};
use super::json_key::member;
use super::source::{Sources, checked};
use crate::ecs::value_from::{SecretReference, ValueFrom};
use crate::secrets::{Found, Kind, Selector, Snapshot};

/// What an ARN has behind a secret's name: a hyphen and six characters.
const SUFFIX: usize = 7;

/// The store as it is now.
pub(super) fn snapshot(sources: &Sources<'_>) -> Result<Snapshot, LookupError> {
    Ok(store(sources.layout, &sources.config.secrets).snapshot()?)
}

/// All values, from one state of the store. Parameters come first, and all that are missing are named at once, as SSM
/// does.
pub(super) fn resolve(sources: &Sources<'_>, wanted: &BTreeSet<ValueFrom>) -> Result<Values, Unavailable> {
    let snapshot = snapshot(sources).map_err(|error| match wanted.first() {
        Some(ValueFrom::Parameter { .. }) => Unavailable::Parameters(error),
        Some(ValueFrom::Secret(_)) | None => Unavailable::Secret(error),
    })?;
    let mut values = Values::new();
    let mut missing = Vec::new();
    for one in wanted {
        match one {
            ValueFrom::Parameter { name, .. } => match parameter(&snapshot, name) {
                Some(value) => drop(values.insert(one.clone(), value)),
                None => missing.push(name.as_str()),
            },
            ValueFrom::Secret(_) => {}
        }
    }
    if let Some(first) = missing.first() {
        let hint = format!(" (berth secret put --kind parameter {first})");
        return Err(Unavailable::Parameters(LookupError::Invalid { names: missing.join(","), hint }));
    }
    for one in wanted {
        if let ValueFrom::Secret(reference) = one {
            let whole = secret(&snapshot, reference).map_err(Unavailable::Secret)?;
            let value = match &reference.json_key {
                Some(key) => member(&whole, key).map_err(Unavailable::Secret)?,
                None => whole,
            };
            values.insert(one.clone(), checked(value, &reference.arn).map_err(Unavailable::Secret)?);
        }
    }
    Ok(values)
}

/// A parameter by its name, perhaps with a version or a label behind it. `/name` and `name` have one ARN.
fn parameter(snapshot: &Snapshot, name: &str) -> Option<String> {
    let (name, selector) = match name.split_once(':') {
        None => (name, Selector::default()),
        Some((name, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            (name, Selector { version: Some(number.to_owned()), stage: None })
        }
        Some((name, label)) => (name, Selector { stage: Some(label.to_owned()), version: None }),
    };
    let other = name.strip_prefix('/').map_or_else(|| format!("/{name}"), str::to_owned);
    [name, &other].into_iter().find_map(|name| match snapshot.get(Kind::Parameter, name, &selector) {
        Found::Value(value) => Some(value.to_owned()),
        Found::NoVersion | Found::Nothing => None,
    })
}

/// A secret by its name, or without what an ARN has behind it.
pub(super) fn secret(snapshot: &Snapshot, reference: &SecretReference) -> Result<String, LookupError> {
    let selector = Selector { stage: reference.stage.clone(), version: reference.version.clone() };
    let name = reference.name.as_str();
    let cut = name.len().checked_sub(SUFFIX).filter(|cut| *cut > 0 && name.as_bytes()[*cut] == b'-');
    let mut found = Found::Nothing;
    for name in [Some(name), cut.map(|cut| &name[..cut])].into_iter().flatten() {
        found = snapshot.get(Kind::Secret, name, &selector);
        if found != Found::Nothing {
            break;
        }
    }
    let missing = |said: String| Err(LookupError::Missing { arn: reference.arn.clone(), said });
    match found {
        Found::Value(value) => Ok(value.to_owned()),
        Found::NoVersion => missing(no_version(reference)),
        Found::Nothing => {
            let name = cut.map_or(name, |cut| &name[..cut]);
            missing(format!(
                "ResourceNotFoundException: Secrets Manager can't find the specified secret. (berth secret put {name})"
            ))
        }
    }
}

/// Secrets Manager's words.
fn no_version(reference: &SecretReference) -> String {
    match (&reference.stage, &reference.version) {
        (Some(_), Some(_)) => "InvalidRequestException: You provided a VersionStage that is not associated to the \
                               provided VersionId."
            .to_owned(),
        (None, Some(id)) => {
            format!(
                "ResourceNotFoundException: Secrets Manager can't find the specified secret value for VersionId: {id}"
            )
        }
        (stage, None) => {
            let stage = stage.as_deref().unwrap_or("AWSCURRENT");
            format!(
                "ResourceNotFoundException: Secrets Manager can't find the specified secret value for staging label: {stage}"
            )
        }
    }
}
