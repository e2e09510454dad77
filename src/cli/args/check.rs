//! Commands that look at task definitions and at berth itself, and need no root.

use clap::{Args, ValueHint};

use super::super::input::Input;

/// `berth lint`.
#[derive(Debug, Args)]
#[command(
    after_help = "Each mistake is shown with its place in the file. Warnings are what ECS would refuse or berth does not do; \
    they stop nothing.\n\n\
    Examples:\n  \
    berth lint webserver.json\n  \
    berth lint --format json *.json | jq '.[] | select(.valid | not).file'\n\n\
    Exit codes: 0 all can be run (there may be warnings), 1 one has errors, 2 one cannot be read."
)]
pub struct Lint {
    /// Task definitions, - for standard input
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<Input>,
}

/// `berth fields`.
#[derive(Debug, Args)]
#[command(
    after_help = "`berth lint` and `berth run` judge by this very table. FARGATE is what ECS does with a member on Fargate, BERTH \
    what berth does where ECS takes it: yes (as ECS does), no effect (with a warning), refused (by name), or the words that \
    are taken.\n\n\
    Examples:\n  \
    berth fields\n  \
    berth fields healthCheck\n  \
    berth fields 'linux*size'\n  \
    berth fields --format json | jq -r '.[] | select(.berth != \"yes\").field'\n\n\
    Exit codes: 0 done, 1 no member has such a name."
)]
pub struct Fields {
    /// Only members with one of these in their names; upper and lower case are the same, * is anything
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}
