//! `[roles]`: where the credentials of tasks' roles come from. The key is a role's ARN or its name, or `*` for all that are not
//! named; a role that is not here has no credentials.

use serde::Deserialize;

/// One role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RoleConfig {
    /// A fixed key, for an AWS that is emulated.
    pub access_key_id: Option<String>,
    /// Its other half.
    pub secret_access_key: Option<RoleSecret>,
    /// And what belongs to it, if it is good for some time only.
    pub session_token: Option<RoleSecret>,
    /// A profile of this host's shared files, whose credentials the task gets.
    pub profile: Option<String>,
    /// Whether the role is taken on at STS, with this host's own identity (`[aws]`).
    pub assume: bool,
    /// The role that is taken on, where it is another one than the task definition's.
    pub assume_arn: Option<String>,
    /// For how many seconds (STS: 900 to 43200; 3600 where nothing else is said).
    pub duration_seconds: Option<u32>,
}

/// A text that is not printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct RoleSecret(pub String);

impl std::fmt::Debug for RoleSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RoleSecret")
    }
}

/// The durations that STS gives.
const DURATIONS: std::ops::RangeInclusive<u32> = 900..=43_200;

impl RoleConfig {
    /// What is wrong with it, beginning with the key.
    pub(super) fn contradiction(&self, name: &str) -> Option<String> {
        let key = format!("roles.{name:?}");
        if self.access_key_id.is_some() != self.secret_access_key.is_some() {
            return Some(format!("{key}: access-key-id and secret-access-key belong together"));
        }
        if self.session_token.is_some() && self.access_key_id.is_none() {
            return Some(format!("{key}: session-token belongs to access-key-id"));
        }
        let sources = [self.access_key_id.is_some(), self.profile.is_some(), self.assume];
        if sources.iter().filter(|is| **is).count() != 1 {
            return Some(format!("{key} must have one of access-key-id, profile and assume = true"));
        }
        if !self.assume && (self.assume_arn.is_some() || self.duration_seconds.is_some()) {
            return Some(format!("{key}: assume-arn and duration-seconds belong to assume = true"));
        }
        let seconds = self.duration_seconds.filter(|seconds| !DURATIONS.contains(seconds));
        seconds.map(|seconds| format!("{key}: duration-seconds {seconds} must be 900 to 43200"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RoleConfig, String> {
        let role: RoleConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        role.contradiction("app").map_or(Ok(role), Err)
    }

    #[test]
    fn a_role_has_one_source() {
        let keys = read("access-key-id = 'A'\nsecret-access-key = 'hush'\nsession-token = 'hush'\n").unwrap();
        assert!(!format!("{keys:?}").contains("hush"));
        assert!(read("profile = 'team'").is_ok() && read("assume = true\nduration-seconds = 900").is_ok());
        let cases = [
            ("", "must have one of"),
            ("profile = 'a'\nassume = true", "must have one of"),
            ("access-key-id = 'A'", "belong together"),
            ("profile = 'a'\nsession-token = 't'", "session-token"),
            ("profile = 'a'\nassume-arn = 'x'", "assume-arn"),
            ("assume = true\nduration-seconds = 60", "900 to 43200"),
            ("rofile = 'a'", "rofile"),
        ];
        for (text, word) in cases {
            let error = read(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
