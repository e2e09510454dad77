//! Values from AWS: parameters by the batch in each region, secrets one by one. A secret of which several members are
//! wanted is asked for once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use super::Values;
use super::error::{LookupError, Unavailable};
use super::json_key::member;
use super::source::{Sources, checked};
use crate::aws::{AwsError, Client, Service};
use crate::ecs::value_from::{SecretReference, ValueFrom};

/// The most parameters that one call takes (SSM, `GetParameters`).
const BATCH: usize = 10;

/// All values.
pub(super) fn resolve(sources: &Sources<'_>, wanted: &BTreeSet<ValueFrom>) -> Result<Values, Unavailable> {
    let client = sources.client().map_err(|error| match wanted.first() {
        Some(ValueFrom::Parameter { .. }) => Unavailable::Parameters(LookupError::of_call(error)),
        Some(ValueFrom::Secret(_)) | None => Unavailable::Secret(LookupError::of_call(error)),
    })?;
    let mut values = Values::new();
    for (region, names) in by_region(wanted, client.region()) {
        for batch in names.chunks(BATCH) {
            let found = parameters(client, region, batch).map_err(Unavailable::Parameters)?;
            for one in wanted {
                if let ValueFrom::Parameter { name, region: own } = one
                    && own.as_deref().unwrap_or(client.region()) == region
                    && let Some(value) = found.get(name)
                {
                    values.insert(one.clone(), checked(value.clone(), name).map_err(Unavailable::Parameters)?);
                }
            }
        }
    }
    let mut whole: HashMap<SecretReference, String> = HashMap::new();
    for one in wanted {
        let ValueFrom::Secret(reference) = one else { continue };
        let asked = SecretReference { json_key: None, ..reference.clone() };
        if !whole.contains_key(&asked) {
            whole.insert(asked.clone(), secret(client, &asked).map_err(Unavailable::Secret)?);
        }
        let text = &whole[&asked];
        let value = match &reference.json_key {
            Some(key) => member(text, key).map_err(Unavailable::Secret)?,
            None => text.clone(),
        };
        values.insert(one.clone(), checked(value, &reference.arn).map_err(Unavailable::Secret)?);
    }
    Ok(values)
}

/// The names of parameters by the region that is asked for them, each once.
fn by_region<'a>(wanted: &'a BTreeSet<ValueFrom>, own: &'a str) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut regions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for one in wanted {
        if let ValueFrom::Parameter { name, region } = one {
            let names = regions.entry(region.as_deref().unwrap_or(own)).or_default();
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
    }
    regions
}

/// Parameters of one region by the names that were asked for. That one is missing is no error of SSM's.
fn parameters(client: &Client, region: &str, names: &[&str]) -> Result<HashMap<String, String>, LookupError> {
    let body = json!({ "Names": names, "WithDecryption": true });
    let answer = client.call_in(region, Service::Ssm, "GetParameters", &body).map_err(LookupError::of_call)?;
    let list = |name: &str| answer.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let found: HashMap<String, String> = list("Parameters").iter().filter_map(parameter).collect();
    // Those that are missing are named in the answer; one that is not there at all is missing too.
    let missing: Vec<&str> = names.iter().copied().filter(|name| !found.contains_key(*name)).collect();
    match missing.is_empty() {
        true => Ok(found),
        false => Err(LookupError::Invalid { names: missing.join(","), hint: String::new() }),
    }
}

/// A parameter's name as it was asked for, and its value.
fn parameter(answer: &Value) -> Option<(String, String)> {
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    let name = format!("{}{}", text("Name")?, text("Selector").unwrap_or_default());
    Some((name, text("Value")?.to_owned()))
}

/// A secret's text.
pub(super) fn secret(client: &Client, reference: &SecretReference) -> Result<String, LookupError> {
    let mut body = json!({ "SecretId": reference.arn });
    if let Some(stage) = &reference.stage {
        body["VersionStage"] = stage.as_str().into();
    }
    if let Some(version) = &reference.version {
        body["VersionId"] = version.as_str().into();
    }
    let answer = client.call_in(&reference.region, Service::SecretsManager, "GetSecretValue", &body);
    let answer = answer.map_err(|error: AwsError| LookupError::of_secret(&reference.arn, error))?;
    let text = answer.get("SecretString").and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| LookupError::Binary(reference.arn.clone()))
}
