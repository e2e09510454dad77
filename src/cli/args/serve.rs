//! `berth serve`, `berth key` and `berth events`: their options and help texts.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueHint};
use jiff::SignedDuration;

use super::super::input::Since;

/// `berth serve`.
#[derive(Debug, Args)]
#[command(
    after_help = "AWS's own clients call it when AWS_ENDPOINT_URL_ECS names it (AWS_ENDPOINT_URL_STS and AWS_ENDPOINT_URL_EC2 too, \
    for GetCallerIdentity and the describe calls of addresses), with a key of `berth key create`. The region of a request is \
    the one that it is signed for. Root of this host needs no key on the Unix socket.\n\n\
    Tasks do not depend on it: stopped, killed or never started, they run on, and `berth` without it does the same. SIGTERM \
    ends it when the requests that are under way are answered. Sockets of systemd are taken instead of the default ones.\n\n\
    GET /healthz says whether it can answer, GET /metrics (on this host only) shows figures in OpenMetrics' format. Each request is \
    a line of JSON on standard output.\n\n\
    Examples:\n  \
    berth key create me > ~/.berth-key    # once\n  \
    berth serve\n  \
    AWS_ENDPOINT_URL_ECS=http://127.0.0.1:7070 aws ecs list-clusters\n  \
    berth serve --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem\n  \
    curl --unix-socket /run/berth/ecs.sock -H 'X-Amz-Target: AmazonEC2ContainerServiceV20141113.ListClusters' -d '{}' http://localhost/"
)]
pub struct Serve {
    /// Listen on this TCP address; several times for several, off for none [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDRESS:PORT|off")]
    pub listen: Vec<Where<SocketAddr>>,
    /// Listen on this Unix socket, off for none [default: /run/berth/ecs.sock]
    #[arg(long, value_name = "PATH|off", value_hint = ValueHint::FilePath)]
    pub socket: Option<Where<PathBuf>>,
    /// The certificate for TLS on the TCP addresses, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key", value_hint = ValueHint::FilePath)]
    pub tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert", value_hint = ValueHint::FilePath)]
    pub tls_key: Option<PathBuf>,
    /// Ask nobody for a signature: every program on this host can do everything. Only with loopback addresses
    #[arg(long)]
    pub insecure_no_auth: bool,
    /// Requests per second that a key may make, twice as many at once; more are answered with ThrottlingException
    #[arg(long, value_name = "N", default_value = "5000")]
    pub rate: NonZeroU32,
    /// Do not write requests to standard output
    #[arg(long)]
    pub no_request_log: bool,
}

/// Somewhere to listen, or nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where<T> {
    /// `off`.
    Off,
    /// There.
    At(T),
}

impl<T: FromStr> FromStr for Where<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" { Ok(Self::Off) } else { text.parse().map(Self::At) }
    }
}

/// `berth key`.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make an access key for the endpoint, and print it with its secret: this once
    Create(CreateKey),
    /// List access keys; no secret is shown
    #[command(
        after_help = "Examples:\n  berth key ls\n  berth key ls --format json | jq -r '.[] | select(.name == \"ci\").id'"
    )]
    Ls {
        /// Ids only, one a line
        #[arg(short, long)]
        quiet: bool,
    },
    /// Remove access keys: requests that they sign are refused from now on
    #[command(after_help = "Examples:\n  berth key rm AKIAIOSFODNN7EXAMPLE\n  berth key rm $(berth key ls -q)")]
    Rm {
        /// Ids of keys
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

/// `berth key create`.
#[derive(Debug, Args)]
#[command(
    after_help = "On a terminal the key is printed as variables, in a pipe as what `credential_process` in ~/.aws/config \
    reads. A key with --expires-in comes with a session token, and is refused without it.\n\n\
    Examples:\n  \
    export $(berth key create --format table me)\n  \
    berth key create --read-only monitoring\n  \
    berth key create --cluster staging --cluster test ci\n  \
    berth key create --expires-in 12h deploy"
)]
pub struct CreateKey {
    /// Only for actions that describe and list
    #[arg(long)]
    pub read_only: bool,
    /// Only for this cluster and what is in it; may be given several times
    #[arg(long = "cluster", value_name = "NAME")]
    pub clusters: Vec<String>,
    /// For so long: 30m, 12h, 7d
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub expires_in: Option<SignedDuration>,
    /// Who or what the key is for: the name of the user in its ARN
    #[arg(value_name = "NAME", default_value = "berth", value_parser = user_name)]
    pub name: String,
}

fn duration(text: &str) -> Result<SignedDuration, &'static str> {
    // Days are 24 hours here: the key of a machine, not of a calendar.
    let days =
        text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok()).filter(|days| (1..=3650).contains(days));
    let parsed = days.map(|days| SignedDuration::from_hours(24 * days)).or_else(|| text.parse().ok());
    parsed.filter(SignedDuration::is_positive).ok_or("a duration is such as 30m, 12h or 7d")
}

fn user_name(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    match (1..=64).contains(&text.len()) && text.bytes().all(plain) && text != "root" {
        true => Ok(text.to_owned()),
        false => Err("a name is 1 to 64 letters, digits and +=,.@_- and not root"),
    }
}

/// `berth events`.
#[derive(Debug, Args)]
#[command(
    after_help = "Each line is an event as EventBridge carries it: ECS Task State Change, ECS Service Action, ECS Deployment \
    State Change, ECS Container Instance State Change. Without -f it prints what is still on record: the last state of each \
    task, and what services have told.\n\n\
    Examples:\n  \
    berth events -f\n  \
    berth events -f | jq -r 'select(.\"detail-type\" == \"ECS Task State Change\").detail | .taskArn, .lastStatus'\n  \
    berth events --since 1h"
)]
pub struct FollowEvents {
    /// Print what happens from now on, until Ctrl-C
    #[arg(short, long)]
    pub follow: bool,
    /// Print what is on record since then first: 10m, 2h30m, 2026-11-21T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<Since>,
}
