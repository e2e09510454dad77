//! `berth image login` and `logout`.

use std::io::{self, Read};

use super::super::args::Login;
use super::super::error::Failure;
use super::super::output::{line, note};
use super::super::prompt::{Echo, ask};
use super::super::terminal;
use crate::ops::{Engine, Kept, Registry};

/// The longest password, in bytes: tokens are long.
const PASSWORD_MAX: u64 = 64 << 10;

pub(super) fn login(engine: &Engine, args: &Login) -> Result<(), Failure> {
    let registry = registry(&args.registry)?;
    if !args.password_stdin && !terminal::is_interactive() {
        let advice = "standard input is no terminal: give -u NAME and --password-stdin";
        return Err(Failure::Usage(advice.to_owned()));
    }
    let username = match &args.username {
        Some(username) => username.clone(),
        None => ask("Username: ", Echo::Shown)?.trim().to_owned(),
    };
    let password = match args.password_stdin {
        true => read_password()?,
        false => ask("Password: ", Echo::Hidden)?,
    };
    let password = password.trim_end_matches(['\r', '\n']);
    if username.is_empty() || username.contains(':') || password.is_empty() {
        return Err(Failure::Usage("a name without a colon and a password are needed".to_owned()));
    }
    let kept = engine.login(&registry, &username, password)?;
    match kept {
        Kept::File(path) => note(&format!(
            "the password stands in {} in the clear; a credential helper (credsStore) would keep it better",
            path.display()
        )),
        Kept::Helper(name) => note(&format!("the password is kept by docker-credential-{name}")),
    }
    Ok(line(&format!("logged in to {registry}"))?)
}

pub(super) fn logout(engine: &Engine, name: &str) -> Result<(), Failure> {
    let registry = registry(name)?;
    match engine.logout(&registry)? {
        true => Ok(line(&format!("logged out of {registry}"))?),
        false => {
            note(&format!("not logged in to {registry}"));
            Ok(())
        }
    }
}

fn registry(text: &str) -> Result<Registry, Failure> {
    text.parse().map_err(|error: <Registry as std::str::FromStr>::Err| Failure::Usage(error.to_string()))
}

fn read_password() -> Result<String, Failure> {
    let mut password = String::new();
    let read = io::stdin().lock().take(PASSWORD_MAX + 1).read_to_string(&mut password)?;
    match read as u64 > PASSWORD_MAX {
        true => Err(Failure::Usage("the password is longer than 64 KiB".to_owned())),
        false => Ok(password),
    }
}
