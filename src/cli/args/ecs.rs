//! `berth ecs` and `berth actions`.

use std::sync::LazyLock;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};

use super::super::input::Request;
use crate::ops::actions::actions;

/// `berth ecs`.
#[derive(Debug, Args)]
#[command(
    after_help = "The request is the JSON that the AWS CLI takes with --cli-input-json and that every SDK sends; without one \
    it is {}. The answer is that of the endpoint: `berth serve` and this command are the same code, and no server need run. \
    OPERATION is written as the AWS CLI does (run-task) or as the API (RunTask); `berth actions` lists them all.\n\n\
    Examples:\n  \
    berth ecs list-tasks\n  \
    berth ecs run-task '{\"taskDefinition\": \"web\", \"count\": 2}'\n  \
    berth ecs register-task-definition file://webserver.json\n  \
    berth ecs describe-services '{\"services\": [\"web\"]}' | jq '.services[].runningCount'\n  \
    jq '.desiredCount = 3' web.json | berth ecs update-service -\n\n\
    Exit codes: 0 done; 254 the operation answered with an exception, which stands on standard error as the AWS CLI prints \
    it; 2 wrong usage."
)]
pub struct Ecs {
    /// The region in whose name it is done [default: the configuration's]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// The operation: run-task, RunTask ...
    #[arg(value_name = "OPERATION", hide_possible_values = true, value_parser = operations())]
    pub operation: String,
    /// The request: JSON, file://FILE, or - for standard input
    #[arg(value_name = "JSON|file://FILE|-", default_value = "{}", hide_default_value = true)]
    pub request: Request,
}

/// `berth actions`.
#[derive(Debug, Args)]
#[command(
    after_help = "STATE is done, partly (the remark says what is refused) or refused (UnsupportedFeatureException, by name).\n\n\
    Examples:\n  \
    berth actions\n  \
    berth actions service\n  \
    berth actions --format json | jq -r '.[] | select(.state != \"done\").name'"
)]
pub struct Actions {
    /// Only actions with one of these in their names; upper and lower case are the same
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// The names as the AWS CLI writes them, in the order of the table; clap wants texts that last.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| actions().map(|action| kebab(action.name)).collect());

/// All names, in both forms: a shell completes the one of the AWS CLI.
fn operations() -> PossibleValuesParser {
    let all = actions().zip(NAMES.iter());
    PossibleValuesParser::new(all.map(|(action, name)| PossibleValue::new(name.as_str()).alias(action.name)))
}

/// `RunTask` as `run-task`.
pub fn kebab(name: &str) -> String {
    let mut text = String::new();
    for (place, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && place > 0 {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};

    #[test]
    fn an_operation_is_named_as_the_aws_cli_or_as_the_api_does() {
        for name in ["describe-task-definition", "DescribeTaskDefinition"] {
            let Command::Ecs(args) = Cli::try_parse_from(["berth", "ecs", name]).unwrap().command else {
                panic!("another command")
            };
            assert_eq!(
                super::super::super::ecs::action(&args.operation).map(|one| one.name),
                Some("DescribeTaskDefinition")
            );
        }
        assert!(Cli::try_parse_from(["berth", "ecs", "describe-nothing"]).is_err());
    }
}
