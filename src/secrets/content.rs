//! What the secret store holds, and how versions come and go. Pure: ids and times are arguments.
//!
//! A secret's versions have ids and stages, as Secrets Manager has them: a stage stands at one version at a time, a new
//! version takes AWSCURRENT, and the one that had it becomes AWSPREVIOUS. A parameter's versions are numbered, as in SSM,
//! and the last one counts; what would be a stage there is a label.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The stage of the version that counts where none is named.
pub(super) const CURRENT: &str = "AWSCURRENT";
/// The stage of the one before.
const PREVIOUS: &str = "AWSPREVIOUS";
/// How many versions are kept that no stage stands at, and how many of a parameter (SSM keeps as many).
const VERSIONS_MAX: usize = 100;
/// The longest name (Secrets Manager; SSM takes more).
const NAME_MAX: usize = 512;
/// Secrets Manager's largest value, and that of an advanced parameter of SSM, in bytes.
const SECRET_MAX: usize = 64 << 10;
const PARAMETER_MAX: usize = 8 << 10;

/// Which of AWS's two stores a value would be in. Each has names of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A parameter of Systems Manager.
    Parameter,
    /// A secret of Secrets Manager.
    Secret,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parameter => "parameter",
            Self::Secret => "secret",
        })
    }
}

impl Kind {
    /// The largest value, in bytes.
    pub(super) fn largest(self) -> usize {
        match self {
            Self::Parameter => PARAMETER_MAX,
            Self::Secret => SECRET_MAX,
        }
    }
}

/// The name of a parameter or of a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a parameter or a secret: letters, digits and /_+=.@- make one, up to 512")]
pub struct NameError(String);

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte);
        match (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(plain) {
            true => Ok(Self(text.to_owned())),
            false => Err(NameError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which version is wanted. Without a word it is the current one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    /// A stage, or a label of a parameter.
    pub stage: Option<String>,
    /// An id, or the number of a parameter's version.
    pub version: Option<String>,
}

/// Everything.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Content {
    parameters: BTreeMap<Name, Item>,
    secrets: BTreeMap<Name, Item>,
}

/// One parameter or secret.
#[derive(Default, Serialize, Deserialize)]
struct Item {
    /// Oldest first.
    versions: Vec<Version>,
    /// The number that the next version of a parameter gets: one that is forgotten is not given again.
    next: u64,
}

/// One of its values. Not printed.
#[derive(Serialize, Deserialize)]
struct Version {
    id: String,
    stages: Vec<String>,
    /// Milliseconds since 1970.
    created_at: i64,
    value: String,
}

/// What may be told of a parameter or a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Its name.
    pub name: Name,
    /// Which of the two it is.
    pub kind: Kind,
    /// Its versions, newest first.
    pub versions: Vec<VersionSummary>,
}

/// What may be told of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionSummary {
    /// Its id, or its number.
    pub id: String,
    /// The stages that stand at it.
    pub stages: Vec<String>,
    /// When it was put, in milliseconds since 1970.
    pub created_at: i64,
}

/// A version that is put.
pub(super) struct New<'a> {
    pub(super) value: &'a str,
    /// Its id, if it is a secret's.
    pub(super) id: String,
    /// The stages that come to stand at it; without any it is AWSCURRENT, for a secret.
    pub(super) stages: &'a [String],
    pub(super) now: i64,
}

/// What a look for a value came to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// The value.
    Value(&'a str),
    /// The parameter or secret is there, the version is not.
    NoVersion,
    /// There is nothing of this name.
    Nothing,
}

/// Values are not printed.
impl fmt::Debug for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value(_) => "Value",
            Self::NoVersion => "NoVersion",
            Self::Nothing => "Nothing",
        })
    }
}

impl Content {
    fn items(&mut self, kind: Kind) -> &mut BTreeMap<Name, Item> {
        match kind {
            Kind::Parameter => &mut self.parameters,
            Kind::Secret => &mut self.secrets,
        }
    }

    /// Puts a version; gives its id, or its number.
    pub(super) fn put(&mut self, kind: Kind, name: &Name, new: New<'_>) -> String {
        let item = self.items(kind).entry(name.clone()).or_default();
        item.next += 1;
        let (id, stages) = match kind {
            Kind::Parameter => (item.next.to_string(), new.stages.to_vec()),
            Kind::Secret if new.stages.is_empty() => (new.id, vec![CURRENT.to_owned()]),
            Kind::Secret => (new.id, new.stages.to_vec()),
        };
        if kind == Kind::Secret && stages.iter().any(|stage| stage == CURRENT) {
            item.step_back();
        }
        for version in &mut item.versions {
            version.stages.retain(|stage| !stages.contains(stage));
        }
        item.versions.push(Version { id: id.clone(), stages, created_at: new.now, value: new.value.to_owned() });
        item.forget(kind);
        id
    }

    /// A value.
    pub(super) fn get(&self, kind: Kind, name: &str, wanted: &Selector) -> Found<'_> {
        let items = match kind {
            Kind::Parameter => &self.parameters,
            Kind::Secret => &self.secrets,
        };
        let Some(item) = name.parse().ok().and_then(|name: Name| items.get(&name)) else { return Found::Nothing };
        let of_stage = |version: &&Version, stage: &String| version.stages.contains(stage);
        let found = match (&wanted.version, &wanted.stage) {
            (None, None) if kind == Kind::Parameter => item.versions.last(),
            (None, None) => item.versions.iter().find(|version| of_stage(version, &CURRENT.to_owned())),
            (version, stage) => item.versions.iter().find(|one| {
                version.as_ref().is_none_or(|id| one.id == *id)
                    && stage.as_ref().is_none_or(|stage| of_stage(one, stage))
            }),
        };
        found.map_or(Found::NoVersion, |version| Found::Value(&version.value))
    }

    /// Forgets a parameter or a secret with all its versions; whether there was one.
    pub(super) fn remove(&mut self, kind: Kind, name: &Name) -> bool {
        self.items(kind).remove(name).is_some()
    }

    /// Everything but the values, by name.
    pub(super) fn list(&self) -> Vec<Summary> {
        let both = [(Kind::Parameter, &self.parameters), (Kind::Secret, &self.secrets)];
        let all = both.into_iter().flat_map(|(kind, items)| items.iter().map(move |(name, item)| (kind, name, item)));
        let mut all: Vec<Summary> = all.map(|(kind, name, item)| item.summary(kind, name)).collect();
        all.sort_by(|one, two| (&one.name, one.kind).cmp(&(&two.name, two.kind)));
        all
    }
}

impl Item {
    /// The current version becomes the previous one.
    fn step_back(&mut self) {
        let Some(current) = self.versions.iter().position(|one| one.stages.iter().any(|stage| stage == CURRENT)) else {
            return;
        };
        for version in &mut self.versions {
            version.stages.retain(|stage| stage != PREVIOUS);
        }
        self.versions[current].stages.push(PREVIOUS.to_owned());
    }

    /// Drops the oldest versions that nothing stands at.
    fn forget(&mut self, kind: Kind) {
        let spare = |version: &Version| version.stages.is_empty();
        while self.versions.iter().filter(|version| kind == Kind::Parameter || spare(version)).count() > VERSIONS_MAX {
            let Some(oldest) = self.versions.iter().position(spare) else { return };
            self.versions.remove(oldest);
        }
    }

    fn summary(&self, kind: Kind, name: &Name) -> Summary {
        let version = |version: &Version| VersionSummary {
            id: version.id.clone(),
            stages: version.stages.clone(),
            created_at: version.created_at,
        };
        Summary { name: name.clone(), kind, versions: self.versions.iter().rev().map(version).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(content: &mut Content, kind: Kind, id: &str, value: &str, stages: &[&str]) -> String {
        let stages: Vec<String> = stages.iter().map(|stage| (*stage).to_owned()).collect();
        content.put(kind, &"a/b".parse().unwrap(), New { value, id: id.into(), stages: &stages, now: 1 })
    }

    fn get<'a>(content: &'a Content, kind: Kind, stage: &str, version: &str) -> Found<'a> {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        content.get(kind, "a/b", &Selector { stage: some(stage), version: some(version) })
    }

    #[test]
    fn a_new_version_takes_the_current_stage_and_leaves_the_previous_one() {
        let mut content = Content::default();
        for (id, value) in [("v1", "one"), ("v2", "two"), ("v3", "three")] {
            assert_eq!(put(&mut content, Kind::Secret, id, value, &[]), id);
        }
        assert_eq!(get(&content, Kind::Secret, "", ""), Found::Value("three"));
        assert_eq!(get(&content, Kind::Secret, "AWSPREVIOUS", ""), Found::Value("two"));
        assert_eq!(get(&content, Kind::Secret, "", "v1"), Found::Value("one"));
        assert_eq!(get(&content, Kind::Secret, "AWSCURRENT", "v1"), Found::NoVersion);
        assert_eq!(content.get(Kind::Secret, "a", &Selector::default()), Found::Nothing);
        assert_eq!(content.get(Kind::Parameter, "a/b", &Selector::default()), Found::Nothing);
    }

    #[test]
    fn a_stage_of_ones_own_stands_at_one_version_and_leaves_the_current_one_alone() {
        let mut content = Content::default();
        put(&mut content, Kind::Secret, "v1", "one", &[]);
        put(&mut content, Kind::Secret, "v2", "two", &["test"]);
        put(&mut content, Kind::Secret, "v3", "three", &["test"]);
        assert_eq!(get(&content, Kind::Secret, "", ""), Found::Value("one"));
        assert_eq!(get(&content, Kind::Secret, "test", ""), Found::Value("three"));
        assert_eq!(get(&content, Kind::Secret, "test", "v2"), Found::NoVersion);
    }

    #[test]
    fn parameters_are_numbered_and_the_last_one_counts() {
        let mut content = Content::default();
        assert_eq!(put(&mut content, Kind::Parameter, "", "one", &["live"]), "1");
        assert_eq!(put(&mut content, Kind::Parameter, "", "two", &[]), "2");
        assert_eq!(get(&content, Kind::Parameter, "", ""), Found::Value("two"));
        assert_eq!(get(&content, Kind::Parameter, "live", ""), Found::Value("one"));
        for _ in 0..VERSIONS_MAX + 5 {
            put(&mut content, Kind::Parameter, "", "x", &[]);
        }
        let listed = content.list();
        assert_eq!(listed[0].versions.len(), VERSIONS_MAX);
        assert_eq!(listed[0].versions[0].id, (VERSIONS_MAX + 7).to_string());
        assert_eq!(get(&content, Kind::Parameter, "live", ""), Found::Value("one"), "a label keeps its version");
    }

    #[test]
    fn a_list_holds_no_value() {
        let mut content = Content::default();
        put(&mut content, Kind::Secret, "v1", "hush", &[]);
        put(&mut content, Kind::Parameter, "", "hush", &[]);
        let text = serde_json::to_string(&content.list()).unwrap();
        assert!(!text.contains("hush") && text.contains("a/b"), "{text}");
        assert!(content.remove(Kind::Secret, &"a/b".parse().unwrap()));
        assert!(!content.remove(Kind::Secret, &"a/b".parse().unwrap()));
        assert_eq!(content.list().len(), 1);
    }

    #[test]
    fn names_are_those_of_both_stores() {
        for name in ["/app/db/password", "db", "a@b+c=d_e.f-g"] {
            assert!(name.parse::<Name>().is_ok(), "{name}");
        }
        for name in ["", "a b", "a:b", "ä", &"x".repeat(513)] {
            assert!(name.parse::<Name>().is_err(), "{name}");
        }
    }
}
