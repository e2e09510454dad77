//! Who we are at AWS: the environment, the shared files' keys, or a `credential_process`, in the order of AWS's SDKs.
//! What they can do beside that (roles, single sign-on, a cloud's metadata service) is left to
//! `aws configure export-credentials`, which a `credential_process` can run.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::Deserialize;

use super::command::{self, CommandError};
use super::profile::{Profile, SharedFileError};
use super::variables::Variables;

/// Credentials that end sooner than this are fetched anew.
const EARLY: Duration = Duration::from_secs(300);

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// Why we are nobody at AWS.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// There are none.
    #[error(
        "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or aws_access_key_id and \
         aws_secret_access_key or credential_process in profile {profile} of ~/.aws/config or ~/.aws/credentials"
    )]
    None {
        /// The profile that was looked for.
        profile: String,
    },
    /// One half of a pair is missing.
    #[error("{0} is set without {1}")]
    Half(String, String),
    /// There is no such profile.
    #[error("there is no profile {0} in ~/.aws/config or ~/.aws/credentials")]
    NoProfile(String),
    /// A profile gets its credentials in a way of its own.
    #[error(
        "profile {profile} has {entry}, which berth does not do: give it credential_process = \
         aws configure export-credentials --profile {profile} in a profile of another name"
    )]
    Unsupported {
        /// The profile.
        profile: String,
        /// The entry.
        entry: &'static str,
    },
    /// A shared file.
    #[error(transparent)]
    File(#[from] SharedFileError),
    /// The command failed.
    #[error("the credential_process of profile {profile}")]
    Process {
        /// The profile.
        profile: String,
        /// How it failed.
        source: CommandError,
    },
    /// It said something else.
    #[error("the credential_process of profile {profile} did not answer {{\"Version\": 1, \"AccessKeyId\": ...}}")]
    Answer {
        /// The profile.
        profile: String,
    },
    /// What it said is over.
    #[error("the credential_process of profile {profile} gave credentials that ended at {at}")]
    Expired {
        /// The profile.
        profile: String,
        /// When.
        at: Timestamp,
    },
}

/// A key pair, perhaps for some time only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) key: String,
    pub(super) secret: Secret,
    pub(super) token: Option<Secret>,
    pub(super) expires: Option<Timestamp>,
}

impl Credentials {
    /// Whether they should be fetched anew.
    pub(super) fn are_stale(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|at| SystemTime::from(at) < now + EARLY)
    }
}

/// What a `credential_process` says (AWS SDKs reference guide, "Process credential provider").
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    version: u32,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<Timestamp>,
}

/// Looks for credentials. A profile that is asked for by name counts before the variables, as in the SDKs.
pub(super) fn find(variables: &Variables, profile: &Profile, told: Told) -> Result<Credentials, CredentialsError> {
    let environment = of_pair(
        |name| variables.get(name),
        ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"],
        "the environment's",
    );
    match (told, environment?) {
        (Told::Nothing, Some(credentials)) => return Ok(credentials),
        (Told::Profile, _) if !profile.is_known() => {
            return Err(CredentialsError::NoProfile(profile.name().to_owned()));
        }
        _ => {}
    }
    of_profile(profile)
}

/// Whether the configuration names a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It does.
    Profile,
    /// It does not.
    Nothing,
}

fn of_profile(profile: &Profile) -> Result<Credentials, CredentialsError> {
    let name = || profile.name().to_owned();
    let keys = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];
    let found = of_pair(|entry| profile.get(entry), keys, &format!("profile {}'s", profile.name()))?;
    let own_way = ["role_arn", "sso_session", "sso_start_url", "web_identity_token_file", "login_session"];
    let own_way = own_way.into_iter().find(|entry| profile.get(entry).is_some());
    match (own_way, found, profile.get("credential_process")) {
        // A role is taken on with the keys beside it: the keys alone are somebody else.
        (Some(entry), ..) => Err(CredentialsError::Unsupported { profile: name(), entry }),
        (None, Some(found), _) => Ok(found),
        (None, None, Some(line)) => {
            let said = command::run(line).map_err(|source| CredentialsError::Process { profile: name(), source })?;
            of_answer(&said, profile.name())
        }
        (None, None, None) => Err(CredentialsError::None { profile: name() }),
    }
}

fn of_pair<'a>(
    get: impl Fn(&str) -> Option<&'a str>,
    [key, secret, token]: [&str; 3],
    whose: &str,
) -> Result<Option<Credentials>, CredentialsError> {
    match (get(key), get(secret)) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(CredentialsError::Half(format!("{whose} {key}"), secret.to_owned())),
        (None, Some(_)) => Err(CredentialsError::Half(format!("{whose} {secret}"), key.to_owned())),
        (Some(key), Some(secret)) => Ok(Some(Credentials {
            key: key.to_owned(),
            secret: Secret(secret.to_owned()),
            token: get(token).map(|token| Secret(token.to_owned())),
            expires: None,
        })),
    }
}

fn of_answer(said: &[u8], profile: &str) -> Result<Credentials, CredentialsError> {
    let wrong = || CredentialsError::Answer { profile: profile.to_owned() };
    // A parser's message may quote what it read.
    let answer: Answer = serde_json::from_slice(said).map_err(|_| wrong())?;
    if answer.version != 1 {
        return Err(wrong());
    }
    if let Some(at) = answer.expiration.filter(|at| *at <= Timestamp::now()) {
        return Err(CredentialsError::Expired { profile: profile.to_owned(), at });
    }
    Ok(Credentials {
        key: answer.access_key_id,
        secret: Secret(answer.secret_access_key),
        token: answer.session_token.map(Secret),
        expires: answer.expiration,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKENV"), ("AWS_SECRET_ACCESS_KEY", "s")];

    fn key(variables: &[(&str, &str)], config: &str, told: Told) -> Result<String, CredentialsError> {
        let profile = Profile::of_text("default", config, "");
        find(&Variables::of(variables.iter().copied()), &profile, told).map(|found| found.key)
    }

    #[test]
    fn the_environment_counts_unless_a_profile_is_asked_for() {
        let config = "[default]\naws_access_key_id = AKFILE\naws_secret_access_key = s\n";
        assert_eq!(key(&PAIR, config, Told::Nothing).unwrap(), "AKENV");
        assert_eq!(key(&PAIR, config, Told::Profile).unwrap(), "AKFILE");
        assert_eq!(key(&[], config, Told::Nothing).unwrap(), "AKFILE");
        assert!(matches!(key(&PAIR, "", Told::Profile), Err(CredentialsError::NoProfile(name)) if name == "default"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = key(&[("AWS_ACCESS_KEY_ID", "AK")], "", Told::Nothing).unwrap_err().to_string();
        assert!(error.contains("AWS_SECRET_ACCESS_KEY"), "{error}");
        assert!(matches!(key(&[], "", Told::Nothing), Err(CredentialsError::None { .. })));
        let role = "[default]\nrole_arn = arn:x\naws_access_key_id = AK\naws_secret_access_key = s\n";
        let error = key(&[], role, Told::Nothing).unwrap_err().to_string();
        assert!(error.contains("role_arn") && error.contains("export-credentials"), "{error}");
    }

    #[test]
    fn a_process_is_asked_and_its_answer_is_not_shown() {
        let of = |answer: &str| key(&[], &format!("[default]\ncredential_process = echo '{answer}'\n"), Told::Nothing);
        let answer = r#"{"Version": 1, "AccessKeyId": "AKP", "SecretAccessKey": "hush", "SessionToken": "t", "Expiration": "2999-01-01T00:00:00Z"}"#;
        assert_eq!(of(answer).unwrap(), "AKP");
        for wrong in [r#"{"Version": 2, "AccessKeyId": "A", "SecretAccessKey": "hush"}"#, r#"{"hush": 1"#] {
            let error = of(wrong).unwrap_err().to_string();
            assert!(error.contains("default") && !error.contains("hush"), "{error}");
        }
        let over = answer.replace("2999", "1999");
        assert!(matches!(of(&over), Err(CredentialsError::Expired { .. })));
    }

    #[test]
    fn what_ends_soon_is_stale() {
        let until = |at: Option<Timestamp>| Credentials {
            key: String::new(),
            secret: Secret(String::new()),
            token: None,
            expires: at,
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let at = |seconds: i64| Some(Timestamp::from_second(1_000_000 + seconds).unwrap());
        assert!(until(at(299)).are_stale(now) && !until(at(301)).are_stale(now) && !until(None).are_stale(now));
    }
}
