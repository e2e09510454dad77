//! One profile of AWS's shared files (AWS SDKs reference guide, "Using shared config and credentials files"): sections of
//! `name = value` lines, and indented lines below a name without a value.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::variables::Variables;

/// The most that is read of a file, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// A shared file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("read {path}")]
pub struct SharedFileError {
    path: PathBuf,
    source: io::Error,
}

/// What the files say under one name. Not printed: some of it is secret.
#[derive(Clone, Default)]
pub(super) struct Profile {
    name: String,
    entries: BTreeMap<String, String>,
    services: BTreeMap<String, String>,
    known: bool,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Profile({})", self.name)
    }
}

/// The entries of each section, by the section's heading; an indented entry is `NAME.ENTRY`.
type Sections = BTreeMap<String, BTreeMap<String, String>>;

impl Profile {
    /// Reads the profile of that name; without files it says nothing.
    pub(super) fn read(variables: &Variables, name: Option<&str>) -> Result<Self, SharedFileError> {
        let name = name.or_else(|| variables.get("AWS_PROFILE")).unwrap_or("default");
        let [config, credentials] = variables.shared_files();
        Ok(Self::of_text(name, &text(&config)?, &text(&credentials)?))
    }

    /// What two files say of a profile. Of an entry that both have, that of the credentials counts.
    pub(super) fn of_text(name: &str, config: &str, credentials: &str) -> Self {
        let (config, credentials) = (sections(config), sections(credentials));
        // The configuration's sections are `[profile NAME]`, but for `[default]`, which may be either.
        let own = config.get(&format!("profile {name}")).or_else(|| config.get(name).filter(|_| name == "default"));
        let secret = credentials.get(name);
        let mut entries = own.cloned().unwrap_or_default();
        entries.extend(secret.cloned().unwrap_or_default());
        let services = entries.get("services").and_then(|services| config.get(&format!("services {services}")));
        Self {
            name: name.to_owned(),
            services: services.cloned().unwrap_or_default(),
            known: own.is_some() || secret.is_some(),
            entries,
        }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether a file has it.
    pub(super) fn is_known(&self) -> bool {
        self.known
    }

    /// An entry.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.entries.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The endpoint of a service, named as in a `services` section, or that of all.
    pub(super) fn endpoint(&self, service: &str) -> Option<&str> {
        let own = self.services.get(&format!("{service}.endpoint_url")).map(String::as_str);
        own.or_else(|| self.get("endpoint_url"))
    }
}

/// The text of a file; nothing if there is none.
fn text(path: &Path) -> Result<String, SharedFileError> {
    let failed = |source| SharedFileError { path: path.to_owned(), source };
    let file = match fs::File::open(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(String::new());
        }
        file => file.map_err(failed)?,
    };
    let mut text = String::new();
    file.take(FILE_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

fn sections(text: &str) -> Sections {
    let mut all = Sections::new();
    let (mut section, mut above) = (None, String::new());
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(heading) = trimmed.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let words: Vec<&str> = heading.0.split_whitespace().collect();
            section = Some(words.join(" "));
            all.entry(words.join(" ")).or_default();
            continue;
        }
        let (Some(section), Some((name, value))) = (&section, trimmed.split_once('=')) else { continue };
        // A comment may stand behind a value, after white space.
        let value = value.split(" #").next().unwrap_or_default().split(" ;").next().unwrap_or_default().trim();
        let name = name.trim().to_ascii_lowercase();
        let entries = all.entry(section.clone()).or_default();
        if line.starts_with([' ', '\t']) && !above.is_empty() {
            entries.insert(format!("{above}.{name}"), value.to_owned());
        } else {
            above = if value.is_empty() { name.clone() } else { String::new() };
            entries.insert(name, value.to_owned());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "# mine\n[default]\nregion = eu-west-1\n[profile  team ] ; ours\nRegion=us-east-2 # there\n\
                          s3 =\n  max_concurrent_requests = 20\ncredential_process = /bin/keys --for 'me'\n";

    #[test]
    fn a_profile_is_put_together_from_both_files() {
        let credentials = "[team]\naws_access_key_id = AK\naws_secret_access_key = a=b#c\n";
        let team = Profile::of_text("team", CONFIG, credentials);
        assert!(team.is_known());
        assert_eq!((team.get("region"), team.get("aws_access_key_id")), (Some("us-east-2"), Some("AK")));
        assert_eq!(team.get("aws_secret_access_key"), Some("a=b#c"));
        assert_eq!(team.get("credential_process"), Some("/bin/keys --for 'me'"));
        assert_eq!((team.get("s3"), team.get("max_concurrent_requests")), (None, None));
    }

    #[test]
    fn a_section_without_the_word_profile_is_another_one() {
        assert!(!Profile::of_text("team", "[team]\nregion = x\n", "").is_known());
        assert_eq!(Profile::of_text("default", CONFIG, "").get("region"), Some("eu-west-1"));
        assert!(!Profile::of_text("other", CONFIG, "").is_known());
    }
}
