//! Transactions as values: what they require and what they write.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

/// What a transaction takes for granted; if it is not so, nothing is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Precondition {
    Absent(String),
    Present(String),
    Unchanged { key: String, revision: i64 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Write {
    Put { key: String, value: String },
    Delete { key: String },
}

/// Writes that happen together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Txn {
    pub(super) preconditions: Vec<Precondition>,
    pub(super) writes: Vec<Write>,
}

impl Txn {
    /// Requires that no record has this key.
    pub fn require_absent(mut self, key: impl Into<String>) -> Self {
        self.preconditions.push(Precondition::Absent(key.into()));
        self
    }

    /// Requires that there is a record of this key.
    pub fn require_present(mut self, key: impl Into<String>) -> Self {
        self.preconditions.push(Precondition::Present(key.into()));
        self
    }

    /// Requires that a record still is at this revision.
    pub fn require_unchanged(mut self, key: impl Into<String>, revision: i64) -> Self {
        self.preconditions.push(Precondition::Unchanged { key: key.into(), revision });
        self
    }

    /// Writes a record.
    pub fn put(mut self, key: impl Into<String>, value: &impl Serialize) -> Self {
        let value = serde_json::to_string(value).expect("records have string keys and no failing serializer");
        self.writes.push(Write::Put { key: key.into(), value });
        self
    }

    /// All that another transaction requires and writes, too.
    pub fn and(mut self, other: Self) -> Self {
        self.preconditions.extend(other.preconditions);
        self.writes.extend(other.writes);
        self
    }

    /// Deletes a record; that it is absent already is no error.
    pub fn delete(mut self, key: impl Into<String>) -> Self {
        self.writes.push(Write::Delete { key: key.into() });
        self
    }
}

/// Whether the world is as it is taken for.
pub(super) fn holds(db: &Connection, precondition: &Precondition) -> rusqlite::Result<bool> {
    let revision_of = |key: &str| -> rusqlite::Result<Option<i64>> {
        db.query_row("SELECT revision FROM record WHERE key = ?1", [key], |row| row.get(0)).optional()
    };
    match precondition {
        Precondition::Absent(key) => Ok(revision_of(key)?.is_none()),
        Precondition::Present(key) => Ok(revision_of(key)?.is_some()),
        Precondition::Unchanged { key, revision } => Ok(revision_of(key)? == Some(*revision)),
    }
}

/// Makes one write.
pub(super) fn apply(db: &Connection, write: &Write, revision: i64) -> rusqlite::Result<()> {
    match write {
        Write::Put { key, value } => {
            db.execute("INSERT OR REPLACE INTO record VALUES (?1, ?2, ?3)", params![key, revision, value])?
        }
        Write::Delete { key } => db.execute("DELETE FROM record WHERE key = ?1", [key])?,
    };
    Ok(())
}
