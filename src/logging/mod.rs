//! What a container's `logConfiguration` asks for, read from its driver's name and options: who gets the output, in which
//! form, and who waits for whom. Pure. `validate` reads it to warn, `plan` to decide, whoever sends output once more, with
//! the values of `secretOptions` among the options.

mod awslogs;
pub mod firelens;
mod network;
mod options;
mod pattern;
mod splunk;
mod table;
mod tag;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use awslogs::AwsLogs;
pub use network::{Address, Compression, FLUENT_PORT, Fluentd, Gelf, Syslog, SyslogFormat, SyslogTls, is_unix_address};
pub use options::{LogOptionError, size};
pub use pattern::Multiline;
pub use splunk::{Gzip, Splunk, SplunkFormat};
pub use table::{Effect, LogOption, idle, log_options};
pub use tag::{Facts, render};

use options::Options;

/// ECS's `max-buffer-size` where none is given, in bytes.
pub const BUFFER: u64 = 10 << 20;

/// Where output goes beside (or instead of) the local files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// Nowhere: nothing is kept.
    None,
    /// Into local files of this size and number, where they are given.
    JsonFile {
        /// The most bytes of one file.
        max_size: Option<u64>,
        /// The most files.
        max_file: Option<u32>,
    },
    /// To a group and stream of CloudWatch Logs, or of the local store of the same shape.
    AwsLogs(AwsLogs),
    /// To the task's own log router.
    Firelens,
    /// To an HTTP event collector.
    Splunk(Splunk),
    /// To a syslog daemon.
    Syslog(Syslog),
    /// To the host's journal.
    Journald,
    /// To a Graylog server.
    Gelf(Gelf),
    /// To a fluentd or fluent-bit.
    Fluentd(Fluentd),
}

/// What becomes of output that cannot be sent as quickly as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// The container waits.
    Blocking,
    /// The oldest is not sent, and counted.
    NonBlocking {
        /// How many bytes may wait.
        max_buffer: u64,
    },
}

/// A log configuration that makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    /// The driver.
    pub driver: Driver,
    /// `mode` and `max-buffer-size`; none where `mode` is not said.
    pub mode: Option<Mode>,
    /// `max-buffer-size` in bytes.
    pub max_buffer: u64,
    /// The template of `tag`.
    pub tag: Option<String>,
    /// What is sent along with each record.
    pub extra: Extra,
}

/// `mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The container waits.
    Blocking,
    /// It does not.
    NonBlocking,
}

/// Labels and variables that go along with each record (`labels`, `labels-regex`, `env`, `env-regex`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extra {
    labels: Vec<String>,
    labels_regex: Option<String>,
    env: Vec<String>,
    env_regex: Option<String>,
}

impl Extra {
    /// Those of a container's labels and variables that are asked for.
    pub fn of<'a>(
        &self,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        env: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> BTreeMap<String, String> {
        let chosen = |names: &[String], regex: &Option<String>, name: &str| {
            let regex = regex.as_deref().and_then(|regex| regex::Regex::new(regex).ok());
            names.iter().any(|known| known == name) || regex.is_some_and(|regex| regex.is_match(name))
        };
        let labels = labels.filter(|(name, _)| chosen(&self.labels, &self.labels_regex, name));
        let env = env.filter(|(name, _)| chosen(&self.env, &self.env_regex, name));
        labels.chain(env).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

impl Logging {
    /// Reads driver and options; a driver that there is not is as good as none at all, since `validate` has refused it.
    pub fn read(driver: &str, options: &BTreeMap<String, String>) -> Result<Self, LogOptionError> {
        if driver == "awsfirelens" {
            return Self::read_firelens(options);
        }
        let mut options = Options::new(driver, options);
        let mode = mode(&mut options)?;
        let max_buffer = options.size("max-buffer-size")?;
        if max_buffer.is_some() && mode == Some(Mode::Blocking) {
            return Err(options.invalid("max-buffer-size", "it goes with mode non-blocking only"));
        }
        let (tag, extra) = common(driver, &mut options)?;
        let driver = match driver {
            "none" => Driver::None,
            "awslogs" => Driver::AwsLogs(AwsLogs::read(&mut options)?),
            "splunk" => Driver::Splunk(Splunk::read(&mut options)?),
            "syslog" => Driver::Syslog(Syslog::read(&mut options)?),
            "gelf" => Driver::Gelf(Gelf::read(&mut options)?),
            "fluentd" => Driver::Fluentd(Fluentd::read(&mut options)?),
            "journald" => Driver::Journald,
            _ => json_file(&mut options)?,
        };
        options.finish()?;
        let logging = Self { driver, mode, max_buffer: max_buffer.unwrap_or(BUFFER), tag, extra };
        Ok(match logging.driver {
            Driver::JsonFile { .. } => logging.bare(),
            Driver::Syslog(_) => Self { extra: Extra::default(), ..logging },
            _ => logging,
        })
    }

    /// The router's options are free, but for the two that say how its socket is fed.
    fn read_firelens(options: &BTreeMap<String, String>) -> Result<Self, LogOptionError> {
        let own = |name: &&String| firelens::OWN_OPTIONS.contains(&name.as_str());
        let own: BTreeMap<String, String> =
            options.iter().filter(|(name, _)| own(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
        let mut options = Options::new("awsfirelens", &own);
        let limit: Option<u64> = options.number("log-driver-buffer-limit")?;
        let max_buffer = options.size("max-buffer-size")?.unwrap_or(BUFFER);
        let mode = mode(&mut options)?;
        // ECS's figure is a number of lines held in memory; here the lines wait on disk and bytes are counted.
        let max_buffer = limit.map_or(max_buffer, |lines| lines.saturating_mul(firelens::LINE));
        Ok(Self { driver: Driver::Firelens, mode, max_buffer, tag: None, extra: Extra::default() })
    }

    /// Without all that local files have no place for.
    fn bare(self) -> Self {
        Self { mode: None, max_buffer: BUFFER, tag: None, extra: Extra::default(), ..self }
    }

    /// Who waits for whom, where the definition does not say so by `default`, the account setting of ECS.
    pub fn delivery(&self, default: Mode) -> Delivery {
        match self.mode.unwrap_or(default) {
            Mode::Blocking => Delivery::Blocking,
            Mode::NonBlocking => Delivery::NonBlocking { max_buffer: self.max_buffer },
        }
    }
}

fn mode(options: &mut Options) -> Result<Option<Mode>, LogOptionError> {
    match options.text("mode") {
        None => Ok(None),
        Some("blocking") => Ok(Some(Mode::Blocking)),
        Some("non-blocking") => Ok(Some(Mode::NonBlocking)),
        Some(_) => Err(options.invalid("mode", "it is blocking or non-blocking")),
    }
}

fn json_file(options: &mut Options) -> Result<Driver, LogOptionError> {
    let max_file = options.number("max-file")?.map(|count: u32| count.max(1));
    let max_size = options.size("max-size")?;
    // Local files are compressed by nobody: they are small, and read back at any time.
    if options.flag("compress")? && (max_size.is_none() || max_file.is_none_or(|count| count < 2)) {
        return Err(options.invalid("compress", "it goes with max-size, and with a max-file of 2 or more"));
    }
    Ok(Driver::JsonFile { max_size, max_file })
}

/// The options of all drivers but `none`.
fn common(driver: &str, options: &mut Options) -> Result<(Option<String>, Extra), LogOptionError> {
    if driver == "none" {
        return Ok((None, Extra::default()));
    }
    let tag = options.text("tag").map(str::to_owned);
    if let Some(fault) = tag.as_deref().and_then(tag::fault) {
        return Err(options.invalid("tag", &fault));
    }
    if driver == "awslogs" {
        return Ok((tag, Extra::default()));
    }
    let list = |text: Option<&str>| {
        let names = text.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let extra = Extra {
        labels: list(options.text("labels")),
        labels_regex: options.regex("labels-regex")?,
        env: list(options.text("env")),
        env_regex: options.regex("env-regex")?,
    };
    Ok((tag, extra))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Options from pairs.
    pub(crate) fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn read(driver: &str, pairs: &[(&str, &str)]) -> Result<Logging, String> {
        Logging::read(driver, &options(pairs)).map_err(|error| error.to_string())
    }

    #[test]
    fn an_option_that_the_driver_does_not_have_is_refused_in_dockers_words() {
        let group = ("awslogs-group", "g");
        assert_eq!(
            read("awslogs", &[group, ("awslogs-gruop", "x")]).unwrap_err(),
            "unknown log opt 'awslogs-gruop' for awslogs log driver"
        );
        assert_eq!(
            read("json-file", &[group]).unwrap_err(),
            "unknown log opt 'awslogs-group' for json-file log driver"
        );
        assert_eq!(read("awslogs", &[]).unwrap_err(), "must specify a value for log opt 'awslogs-group'");
        assert_eq!(read("none", &[("max-size", "1m")]).unwrap_err(), "unknown log opt 'max-size' for none log driver");
    }

    #[test]
    fn without_a_mode_the_default_counts() {
        let logging = read("awslogs", &[("awslogs-group", "g"), ("max-buffer-size", "1m")]).unwrap();
        assert_eq!(logging.delivery(Mode::NonBlocking), Delivery::NonBlocking { max_buffer: 1 << 20 });
        assert_eq!(logging.delivery(Mode::Blocking), Delivery::Blocking);
        let logging = read("awslogs", &[("awslogs-group", "g"), ("mode", "non-blocking")]).unwrap();
        assert_eq!(logging.delivery(Mode::Blocking), Delivery::NonBlocking { max_buffer: BUFFER });
        let both = [("awslogs-group", "g"), ("mode", "blocking"), ("max-buffer-size", "1m")];
        assert!(read("awslogs", &both).unwrap_err().contains("max-buffer-size"));
        assert!(read("syslog", &[("mode", "sometimes")]).unwrap_err().contains("'mode'"));
    }

    #[test]
    fn json_files_have_a_size_and_a_number() {
        let logging = read("json-file", &[("max-size", "20k"), ("max-file", "3"), ("labels", "a,b")]).unwrap();
        assert_eq!(logging.driver, Driver::JsonFile { max_size: Some(20 << 10), max_file: Some(3) });
        for (name, value) in [("max-size", "-1"), ("max-size", "0"), ("max-file", "many"), ("compress", "perhaps")] {
            let error = read("json-file", &[(name, value)]).unwrap_err();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }

    #[test]
    fn the_routers_options_are_free() {
        let logging = read("awsfirelens", &[("Name", "stdout"), ("log-driver-buffer-limit", "100")]).unwrap();
        assert_eq!(logging.max_buffer, 100 * firelens::LINE);
        assert!(read("awsfirelens", &[("log-driver-buffer-limit", "x")]).is_err());
    }

    #[test]
    fn labels_and_variables_go_along_by_name_or_pattern() {
        let pairs = [("labels", "team, tier"), ("env-regex", "^APP_")];
        let extra = read("gelf", &[pairs[0], pairs[1], ("gelf-address", "udp://h:1")]).unwrap().extra;
        let labels = [("team", "a"), ("other", "b")];
        let env = [("APP_X", "1"), ("PATH", "/")];
        let all = extra.of(labels.into_iter(), env.into_iter());
        assert_eq!(all, options(&[("APP_X", "1"), ("team", "a")]));
    }
}
