//! `berth key`: access keys of the endpoint. A secret is shown when it is made, and never again.

use serde::Serialize;
use serde_json::json;

use super::age::ago;
use super::args::{CreateKey, Format, Keys};
use super::error::Failure;
use super::output::{self, Output, note};
use super::table::Table;
use crate::ops::{AccessKey, Engine, KeyAccess, NewAccessKey};

pub(super) fn key(engine: &Engine, command: Keys, output: Output) -> Result<(), Failure> {
    match command {
        Keys::Create(args) => create(engine, args, output),
        Keys::Ls { quiet } => list(engine, quiet, output),
        Keys::Rm { ids } => remove(engine, &ids),
    }
}

fn create(engine: &Engine, args: CreateKey, output: Output) -> Result<(), Failure> {
    let now = jiff::Timestamp::now();
    let expires = args.expires_in.map(|duration| now.checked_add(duration)).transpose()?;
    let access = if args.read_only { KeyAccess::ReadOnly } else { KeyAccess::Full };
    let expires_at = expires.map(jiff::Timestamp::as_millisecond);
    let key =
        engine.create_access_key(NewAccessKey { name: args.name, access, clusters: args.clusters, expires_at })?;
    match output.format() {
        Format::Table => {
            output::line(&format!("AWS_ACCESS_KEY_ID={}", key.id))?;
            output::line(&format!("AWS_SECRET_ACCESS_KEY={}", key.secret))?;
            key.token.iter().try_for_each(|token| output::line(&format!("AWS_SESSION_TOKEN={token}")))?;
        }
        Format::Json => {
            let mut value = json!({ "Version": 1, "AccessKeyId": key.id, "SecretAccessKey": key.secret });
            if let (Some(token), Some(at)) = (&key.token, expires) {
                value["SessionToken"] = token.as_str().into();
                value["Expiration"] = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
            }
            output.print_json(&value)?;
        }
    }
    Ok(())
}

/// A key as it is listed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: String,
    name: String,
    access: KeyAccess,
    /// Empty: all.
    clusters: Vec<String>,
    created_at: String,
    expires_at: Option<String>,
    #[serde(skip)]
    created: i64,
}

fn row(key: &AccessKey) -> Row {
    let time = |at: i64| jiff::Timestamp::from_millisecond(at).map(|time| time.to_string()).unwrap_or_default();
    Row {
        id: key.id.clone(),
        name: key.name.clone(),
        access: key.access,
        clusters: key.clusters.clone(),
        created_at: time(key.created_at),
        expires_at: key.expires_at.map(time),
        created: key.created_at,
    }
}

fn list(engine: &Engine, quiet: bool, output: Output) -> Result<(), Failure> {
    let rows: Vec<Row> = engine.access_keys().list()?.iter().map(|key| row(key)).collect();
    if quiet {
        return Ok(rows.iter().try_for_each(|row| output::line(&row.id))?);
    }
    Ok(output.print(&rows, |rows| table(rows))?)
}

fn table(rows: &[Row]) -> Table {
    let now = jiff::Timestamp::now().as_millisecond();
    let mut table = Table::new(["ID", "NAME", "ACCESS", "CLUSTERS", "CREATED", "EXPIRES"]);
    for row in rows {
        let access = match row.access {
            KeyAccess::ReadOnly => "read-only",
            KeyAccess::Full => "full",
        };
        let clusters = if row.clusters.is_empty() { "all".to_owned() } else { row.clusters.join(", ") };
        let expires = row.expires_at.as_deref().unwrap_or("never");
        table.row([row.id.as_str(), &row.name, access, &clusters, &ago(row.created, now), expires]);
    }
    table
}

fn remove(engine: &Engine, ids: &[String]) -> Result<(), Failure> {
    let mut all_known = true;
    for id in ids {
        match engine.remove_access_key(id)? {
            true => output::line(id)?,
            false => {
                note(&format!("there is no key {id}"));
                all_known = false;
            }
        }
    }
    if all_known { Ok(()) } else { Err(Failure::Silent) }
}
