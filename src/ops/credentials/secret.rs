//! `repositoryCredentials.credentialsParameter`: a secret of Secrets Manager by name or ARN. A file of that name in the
//! root's own `secrets` directory counts, where people kept them before there was a secret store; then whatever
//! `[secrets]` of the configuration says.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use serde::Deserialize;

use super::super::values::Sources;
use super::{CredentialError, wrong};
use crate::ecs::value_from::{SecretReference, ValueFrom};
use crate::image::Credentials;

/// Secrets Manager's limit for a secret, in bytes.
const SECRET_MAX: u64 = 64 << 10;
/// What an ARN has behind the secret's name: a hyphen and six characters.
const SUFFIX: usize = 7;

#[derive(Deserialize)]
struct Secret {
    username: String,
    password: String,
}

/// The name and password of a secret.
pub(in crate::ops) fn secret(
    sources: &Sources<'_>,
    directory: &Path,
    parameter: &str,
) -> Result<Credentials, CredentialError> {
    if let Some(secret) = of_file(directory, parameter)? {
        return Ok(secret);
    }
    let failed = |source| CredentialError::Secret { name: parameter.to_owned(), source: Box::new(source) };
    let text = sources.secret(&reference(sources, parameter)?).map_err(failed)?;
    // A parser's message may quote what it read.
    let secret: Option<Secret> = serde_json::from_str(&text).ok();
    let secret = secret.ok_or_else(|| CredentialError::NotCredentials(parameter.to_owned()))?;
    Ok(Credentials::Basic { username: secret.username, password: secret.password })
}

/// The secret of a parameter: its ARN, or its name in the task's own region.
fn reference(sources: &Sources<'_>, parameter: &str) -> Result<SecretReference, CredentialError> {
    match parameter.parse() {
        Ok(ValueFrom::Secret(reference)) => Ok(reference),
        Ok(ValueFrom::Parameter { name, region: None }) => Ok(SecretReference {
            arn: name.clone(),
            region: sources.region().to_owned(),
            name,
            json_key: None,
            stage: None,
            version: None,
        }),
        Ok(ValueFrom::Parameter { .. }) | Err(_) => Err(CredentialError::SecretName(parameter.to_owned())),
    }
}

/// The name and password in a file. It must be closed to all but its owner, who must be the caller.
fn of_file(directory: &Path, parameter: &str) -> Result<Option<Credentials>, CredentialError> {
    let names = names(parameter).ok_or_else(|| CredentialError::SecretName(parameter.to_owned()))?;
    for name in &names {
        if let Some(secret) = read(&directory.join(name))? {
            return Ok(Some(Credentials::Basic { username: secret.username, password: secret.password }));
        }
    }
    Ok(None)
}

/// The names that a parameter may mean. An ARN ends in the secret's name, a hyphen and six characters of chance, which may
/// be left out; so a name that ends like that is one too.
fn names(parameter: &str) -> Option<Vec<&str>> {
    let (name, is_arn) = match parameter.strip_prefix("arn:") {
        Some(arn) => (arn.split(':').nth(5)?, arn.split(':').nth(1)? == "secretsmanager"),
        None => (parameter, false),
    };
    if parameter.starts_with("arn:") && !is_arn {
        return None;
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte);
    let component = |part: &str| !matches!(part, "" | "." | "..");
    if name.len() > 512 || !name.bytes().all(plain) || !name.split('/').all(component) {
        return None;
    }
    let cut = name.len().checked_sub(SUFFIX).filter(|cut| is_arn && *cut > 0 && name.as_bytes()[*cut] == b'-');
    Some(std::iter::once(name).chain(cut.map(|cut| &name[..cut])).collect())
}

fn read(path: &Path) -> Result<Option<Secret>, CredentialError> {
    let io = |source| CredentialError::Io { verb: "read", path: path.to_owned(), source };
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = match fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        file => file.map_err(io)?,
    };
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Ok(None); // a directory of other secrets
    }
    if metadata.mode() & 0o077 != 0 || metadata.uid() != nix::unistd::geteuid().as_raw() {
        return Err(wrong(path, "others can read or change it: it must be root's, with mode 0600"));
    }
    let mut text = String::new();
    let read = file.take(SECRET_MAX + 1).read_to_string(&mut text).map_err(io)?;
    if read as u64 > SECRET_MAX {
        return Err(wrong(path, "larger than 64 KiB"));
    }
    // A parser's message may quote what it read.
    let secret = serde_json::from_str(&text).ok();
    secret.map(Some).ok_or_else(|| wrong(path, "not {\"username\": ..., \"password\": ...}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::super::super::config::Config;
    use super::super::super::secrets::store;
    use super::*;
    use crate::plan::Layout;
    use crate::secrets::Kind;

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:";

    fn put(directory: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_secret_is_found_by_name_by_arn_and_by_an_arn_without_suffix() {
        let directory = tempfile::tempdir().unwrap();
        put(directory.path(), "team/hub-secret", r#"{"username":"me","password":"p","more":1}"#, 0o600);
        let expected = Credentials::Basic { username: "me".into(), password: "p".into() };
        for parameter in
            ["team/hub-secret".into(), format!("{ARN}team/hub-secret-a1B2c3"), format!("{ARN}team/hub-secret")]
        {
            assert_eq!(of_file(directory.path(), &parameter).unwrap().as_ref(), Some(&expected), "{parameter}");
        }
    }

    #[test]
    fn the_suffix_is_an_arns_alone() {
        let directory = tempfile::tempdir().unwrap();
        put(directory.path(), "hub", r#"{"username":"me","password":"p"}"#, 0o600);
        assert_eq!(of_file(directory.path(), "hub-a1B2c3").unwrap(), None);
    }

    #[test]
    fn without_a_file_the_secret_store_is_asked() {
        let directory = tempfile::tempdir().unwrap();
        let (layout, config) = (Layout::below(directory.path()), Config::default());
        let sources = Sources::new(&layout, &config);
        let secret = |parameter: &str| secret(&sources, &layout.secrets(), parameter);
        assert!(matches!(secret("hub"), Err(CredentialError::Secret { .. })));
        let put = |text: &str| {
            let name = "hub".parse().unwrap();
            store(&layout, &config.secrets).put(Kind::Secret, &name, text, &[], "id".into(), 1).unwrap()
        };
        put(r#"{"username":"me","password":"p"}"#);
        let expected = Credentials::Basic { username: "me".into(), password: "p".into() };
        for parameter in ["hub".to_owned(), format!("{ARN}hub"), format!("{ARN}hub-a1B2c3")] {
            assert_eq!(secret(&parameter).unwrap(), expected, "{parameter}");
        }
        put("hush");
        let error = secret("hub").unwrap_err().to_string();
        assert!(error.contains("username") && !error.contains("hush"), "{error}");
    }

    #[test]
    fn a_name_does_not_lead_out_of_the_directory() {
        for parameter in ["../x", "/etc/shadow", "a//b", "", "a b", "arn:aws:ssm:r:1:parameter/x", "arn:aws"] {
            let error = of_file(Path::new("/nonexistent"), parameter).unwrap_err();
            assert!(matches!(error, CredentialError::SecretName(_)), "{parameter}");
        }
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        put(directory.path(), "hub", r#"{"username":"me","password":"hush"}"#, 0o640);
        let error = of_file(directory.path(), "hub").unwrap_err().to_string();
        assert!(error.contains("0600") && !error.contains("hush"), "{error}");
    }

    #[test]
    fn what_is_no_secret_is_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        put(directory.path(), "hub", r#"{"username":"me","password":"hush""#, 0o600);
        let error = of_file(directory.path(), "hub").unwrap_err().to_string();
        assert!(!error.contains("hush") && error.contains("username"), "{error}");
    }
}
