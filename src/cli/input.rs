//! The values that people type: tasks, files, times, variables. Each is parsed once, here; nothing is looked up.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use std::str::FromStr;

use crate::ecs::arn::TaskDefinitionName;
use jiff::{SignedDuration, Timestamp, civil, tz};

/// A task as people name it: an ARN, an id, or the beginning of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskName(String);

impl TaskName {
    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TaskName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = match text.strip_prefix("arn:") {
            Some(arn) if arn.contains(":task/") => arn.rsplit('/').next().unwrap_or(arn),
            Some(_) => return Err("this ARN is not a task's"),
            None => text,
        };
        let digits = id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        match digits && (1..=36).contains(&id.len()) {
            true => Ok(Self(text.to_owned())),
            false => Err("a task is named by its id (32 hexadecimal digits), the beginning of it, or its ARN"),
        }
    }
}

/// A file to read, or standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// `-`.
    Stdin,
    /// A path.
    Path(PathBuf),
}

impl Input {
    /// The registered task definition that it names, if there is no such file.
    pub fn registered(&self) -> Option<&str> {
        let Self::Path(path) = self else { return None };
        path.to_str().filter(|name| name.parse::<TaskDefinitionName>().is_ok() && !path.exists())
    }

    /// Its whole text. More than `limit` bytes is an error: it is not what it is taken for.
    pub fn read(&self, limit: u64) -> io::Result<String> {
        let mut text = String::new();
        let read = match self {
            Self::Stdin => io::stdin().lock().take(limit + 1).read_to_string(&mut text)?,
            Self::Path(path) => std::fs::File::open(path)?.take(limit + 1).read_to_string(&mut text)?,
        };
        match read as u64 > limit {
            true => Err(io::Error::other(format!("it is larger than {limit} bytes"))),
            false => Ok(text),
        }
    }
}

impl From<OsString> for Input {
    fn from(text: OsString) -> Self {
        if text == "-" { Self::Stdin } else { Self::Path(text.into()) }
    }
}

impl fmt::Display for Input {
    /// As messages name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("<stdin>"),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

/// JSON on the command line itself, or `@FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// The text.
    Text(String),
    /// Where it is.
    File(Input),
}

impl Json {
    /// Its whole text; at most `limit` bytes of a file.
    pub fn read(&self, limit: u64) -> io::Result<String> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(file) => file.read(limit),
        }
    }
}

impl FromStr for Json {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix('@') {
            Some("") => Err("the name of a file stands behind the @"),
            Some(file) => Ok(Self::File(Input::from(OsString::from(file)))),
            None => Ok(Self::Text(text.to_owned())),
        }
    }
}

/// A request as the AWS CLI takes it: JSON, `file://FILE`, or `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request(Json);

impl Request {
    /// Its whole text; at most `limit` bytes of a file.
    pub fn read(&self, limit: u64) -> io::Result<String> {
        self.0.read(limit)
    }

    /// As messages name it.
    pub fn name(&self) -> String {
        match &self.0 {
            Json::Text(_) => "the request".to_owned(),
            Json::File(file) => file.to_string(),
        }
    }
}

impl FromStr for Request {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.strip_prefix("file://")) {
            (_, Some("")) => Err("the name of a file stands behind file://"),
            (_, Some(path)) => Ok(Self(Json::File(Input::Path(path.into())))),
            ("-", None) => Ok(Self(Json::File(Input::Stdin))),
            (_, None) => Ok(Self(Json::Text(text.to_owned()))),
        }
    }
}

/// A time in the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// So long ago: `10m`, `2h30m`.
    Ago(SignedDuration),
    /// At that time: `2026-11-21T12:00:00Z`, `2026-11-21`.
    At(Timestamp),
}

impl Since {
    /// The point in time.
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(duration) => now.saturating_sub(duration).unwrap_or(Timestamp::MIN),
            Self::At(time) => time,
        }
    }
}

impl FromStr for Since {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let in_utc = |time: civil::DateTime| time.to_zoned(tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
        let duration = text.parse::<SignedDuration>().ok().filter(|duration| !duration.is_negative());
        let time = || text.parse::<Timestamp>().ok().or_else(|| in_utc(text.parse().ok()?));
        let since = duration.map(Self::Ago).or_else(|| time().map(Self::At));
        since.ok_or("a time is a duration such as 10m or 2h30m, or a date such as 2026-11-21T12:00:00Z")
    }
}

/// A variable of the environment, `KEY=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The name, not empty.
    pub key: String,
    /// The value, perhaps empty.
    pub value: String,
}

impl FromStr for Assignment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Self { key: key.to_owned(), value: value.to_owned() }),
            _ => Err("a variable is given as KEY=VALUE"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(text: &str) -> Result<TaskName, &'static str> {
        text.parse()
    }

    #[test]
    fn a_task_is_an_id_or_its_beginning_or_an_arn() {
        let arn = "arn:aws:ecs:us-east-1:123456789012:task/default/0123456789abcdef0123456789abcdef";
        assert_eq!(task(arn).unwrap().as_str(), arn);
        assert!(task("3f2A").is_ok() && task("0123456789abcdef0123456789abcdef").is_ok());
        assert!(task("arn:aws:ecs:us-east-1:123456789012:cluster/default").is_err());
        assert!(task("web").is_err() && task("").is_err() && task("../x").is_err());
    }

    #[test]
    fn a_time_is_a_duration_or_a_date() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let at = |text: &str| text.parse::<Since>().unwrap().at(now).to_string();
        assert_eq!(at("10m"), "2026-11-21T11:50:00Z");
        assert_eq!(at("2h30m"), "2026-11-21T09:30:00Z");
        assert_eq!(at("2026-11-21"), "2026-11-21T00:00:00Z");
        assert_eq!(at("2026-11-21T10:00:00"), "2026-11-21T10:00:00Z");
        assert_eq!(at("2026-11-21T10:00:00+01:00"), "2026-11-21T09:00:00Z");
        assert!("-10m".parse::<Since>().is_err() && "yesterday".parse::<Since>().is_err());
    }

    #[test]
    fn a_time_before_all_time_is_the_first() {
        assert_eq!("30000y".parse::<Since>().ok().map(|since| since.at(Timestamp::UNIX_EPOCH)), None);
        let long = SignedDuration::from_secs(i64::MAX);
        assert_eq!(Since::Ago(long).at(Timestamp::UNIX_EPOCH), Timestamp::MIN);
    }

    #[test]
    fn a_variable_keeps_all_behind_the_first_equals_sign() {
        let variable: Assignment = "A=b=c".parse().unwrap();
        assert_eq!((variable.key.as_str(), variable.value.as_str()), ("A", "b=c"));
        assert!("A".parse::<Assignment>().is_err() && "=b".parse::<Assignment>().is_err());
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("big");
        std::fs::write(&path, "0123456789").unwrap();
        assert_eq!(Input::Path(path.clone()).read(10).unwrap(), "0123456789");
        assert!(Input::Path(path).read(9).is_err());
    }
}
