//! `berth secret`: its commands, options and help texts.

use std::ffi::OsString;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::super::input::Input;

/// `berth secret`.
#[derive(Debug, Subcommand)]
pub enum Secret {
    /// Put a value, or a new version of it
    Put(PutSecret),
    /// List parameters and secrets; no value is shown
    #[command(after_help = "Examples:\n  \
        berth secret ls\n  \
        berth secret ls --format json | jq -r '.[] | .name, .versions[0].id'")]
    Ls {
        /// What task definitions write as valueFrom, one a line
        #[arg(short, long)]
        quiet: bool,
    },
    /// Remove parameters and secrets with all their versions; tasks that run keep what they were given
    Rm(RemoveSecrets),
}

/// `berth secret put`.
#[derive(Debug, Args)]
#[command(
    after_help = "A secret is one of Secrets Manager, with the stages AWSCURRENT and AWSPREVIOUS; a parameter is one of SSM, \
    with numbered versions. NAME is a name or an ARN. An ARN says which of the two it is; a name that begins with / is a \
    parameter's, any other one a secret's, unless --kind says otherwise. Printed is what a task definition writes as \
    valueFrom.\n\n\
    The value is asked for on a terminal, or read from standard input or from FILE, less one newline at its end. It is kept \
    encrypted, with a key that only root can read ([secrets] key-file in config.toml says where).\n\n\
    Examples:\n  \
    berth secret put app/db-password\n  \
    jq -n '{username: \"app\", password: $pw}' --arg pw \"$PW\" | berth secret put app/db\n  \
    berth secret put --file tls.key /app/tls/key\n  \
    berth secret put --kind parameter log-level <<< debug"
)]
pub struct PutSecret {
    /// Read the value from this file
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<OsString>,
    /// What NAME is the name of
    #[arg(short, long, value_name = "parameter|secret", hide_possible_values = true)]
    pub kind: Option<Kind>,
    /// Give the version this stage (a parameter's: this label) instead of AWSCURRENT; may be given several times
    #[arg(long = "stage", value_name = "STAGE")]
    pub stages: Vec<String>,
    /// A name, or the ARN of a parameter or a secret
    #[arg(value_name = "NAME")]
    pub name: SecretTarget,
}

impl PutSecret {
    /// The file, if one is named.
    pub fn input(&self) -> Option<Input> {
        self.file.clone().map(Input::from)
    }
}

/// `berth secret rm`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  berth secret rm app/db-password\n  berth secret rm --kind parameter log-level")]
pub struct RemoveSecrets {
    /// What the names are names of
    #[arg(short, long, value_name = "parameter|secret", hide_possible_values = true)]
    pub kind: Option<Kind>,
    /// Names, or ARNs
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<SecretTarget>,
}

/// Which of the two stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Systems Manager's.
    Parameter,
    /// Secrets Manager's.
    Secret,
}

/// A parameter or a secret as people name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretTarget {
    /// The name.
    pub name: String,
    /// Which it is, as far as the text says it.
    said: Option<Kind>,
}

impl SecretTarget {
    /// Which of the two it is, and what an option says of it counts before what its name looks like.
    pub fn kind(&self, option: Option<Kind>) -> Kind {
        let looks = if self.name.starts_with('/') { Kind::Parameter } else { Kind::Secret };
        self.said.or(option).unwrap_or(looks)
    }
}

impl FromStr for SecretTarget {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "this ARN is neither a parameter's nor a secret's";
        if !text.starts_with("arn:") {
            return Ok(Self { name: text.to_owned(), said: None });
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let (name, kind) = match parts[..] {
            [_, _, "ssm", _, _, resource] => (resource.strip_prefix("parameter/").map(parameter), Kind::Parameter),
            [_, _, "secretsmanager", _, _, resource] => {
                (resource.strip_prefix("secret:").map(str::to_owned), Kind::Secret)
            }
            _ => return Err(WRONG),
        };
        Ok(Self { name: name.ok_or(WRONG)?, said: Some(kind) })
    }
}

/// A parameter's name as its ARN has it: one with a slash in it begins with one.
fn parameter(path: &str) -> String {
    if path.contains('/') { format!("/{path}") } else { path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str, option: Option<Kind>) -> (String, Kind) {
        let target: SecretTarget = text.parse().unwrap();
        (target.name.clone(), target.kind(option))
    }

    #[test]
    fn an_arn_or_an_option_or_the_name_says_what_it_is() {
        assert_eq!(target("app/db", None), ("app/db".into(), Kind::Secret));
        assert_eq!(target("/app/db", None), ("/app/db".into(), Kind::Parameter));
        assert_eq!(target("db", Some(Kind::Parameter)), ("db".into(), Kind::Parameter));
        let secret = "arn:aws:secretsmanager:r:1:secret:app/db-a1B2c3";
        assert_eq!(target(secret, Some(Kind::Parameter)), ("app/db-a1B2c3".into(), Kind::Secret));
        assert_eq!(target("arn:aws:ssm:r:1:parameter/app/db", None), ("/app/db".into(), Kind::Parameter));
        assert!("arn:aws:s3:::b/k".parse::<SecretTarget>().is_err());
    }
}
