//! Every option of every log driver, and what follows from it here: a row that says nothing follows is a warning of `validate`.
//! An option without a row does not exist ([`super::Options::finish`] refuses it), so that none can be read and forgotten. The
//! options of a log router (`awsfirelens`) are the router's own, but for the three that stand here.

use std::collections::BTreeMap;

/// What follows from an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// What Docker's driver, or ECS's, does with it.
    Honoured,
    /// Nothing, for this reason.
    Idle(&'static str),
    /// The task does not start.
    Refused,
}

/// An option of a driver.
#[derive(Debug, Clone, Copy)]
pub struct LogOption {
    /// The driver.
    pub driver: &'static str,
    /// The option's name.
    pub name: &'static str,
    /// What follows from it.
    pub effect: Effect,
    /// A value that is not the default, for tests.
    #[cfg_attr(not(test), expect(dead_code, reason = "an example for the test of this table"))]
    sample: &'static str,
}

/// A row of a driver: name, effect, a value that asks for something.
type Row = (&'static str, Effect, &'static str);

use Effect::{Honoured, Idle, Refused};

const FOR_EVER: &str = "a receiver is tried again for as long as the task lives";
const ON_DISK: &str = "what waits is kept in local files; mode and max-buffer-size say how much";
const NO_ATTRIBUTES: &str = "the local files have time, stream and text only";
const NO_PLACE: &str = "a syslog message has no place for it";
const WRITTEN_AT_ONCE: &str = "local files are written at once, and never dropped";

/// What drivers have that send attributes along.
const ATTRIBUTES: &[Row] = &[
    ("tag", Honoured, "t"),
    ("labels", Honoured, "l"),
    ("labels-regex", Honoured, "^l"),
    ("env", Honoured, "E"),
    ("env-regex", Honoured, "^E"),
];

const DELIVERY: &[Row] = &[("mode", Honoured, "non-blocking"), ("max-buffer-size", Honoured, "1m")];

const AWSLOGS: &[Row] = &[
    ("awslogs-group", Honoured, "g"),
    ("awslogs-region", Honoured, "eu-west-1"),
    ("awslogs-endpoint", Honoured, "http://127.0.0.1:1"),
    ("awslogs-stream-prefix", Honoured, "p"),
    ("awslogs-stream", Honoured, "s"),
    ("awslogs-create-group", Honoured, "true"),
    ("awslogs-create-stream", Honoured, "false"),
    ("awslogs-datetime-format", Honoured, "%Y"),
    ("awslogs-multiline-pattern", Honoured, "^x"),
    ("awslogs-force-flush-interval-seconds", Honoured, "9"),
    ("awslogs-max-buffered-events", Honoured, "9"),
    ("awslogs-format", Honoured, "json/emf"),
    ("tag", Honoured, "t"),
];

const SPLUNK: &[Row] = &[
    ("splunk-url", Honoured, "https://other"),
    ("splunk-token", Honoured, "other"),
    ("splunk-source", Honoured, "s"),
    ("splunk-sourcetype", Honoured, "s"),
    ("splunk-index", Honoured, "i"),
    ("splunk-capath", Honoured, "/ca.pem"),
    ("splunk-caname", Refused, "other"),
    ("splunk-insecureskipverify", Honoured, "true"),
    ("splunk-format", Honoured, "raw"),
    ("splunk-verify-connection", Honoured, "false"),
    ("splunk-gzip", Honoured, "true"),
    ("splunk-gzip-level", Honoured, "9"),
    ("splunk-index-acknowledgment", Refused, "true"),
];

const SYSLOG: &[Row] = &[
    ("syslog-address", Honoured, "udp://h"),
    ("syslog-facility", Honoured, "local7"),
    ("syslog-format", Honoured, "rfc5424"),
    ("syslog-tls-ca-cert", Honoured, "/ca.pem"),
    ("syslog-tls-cert", Honoured, "/crt.pem"),
    ("syslog-tls-key", Honoured, "/key.pem"),
    ("syslog-tls-skip-verify", Honoured, "true"),
    ("tag", Honoured, "t"),
    ("labels", Idle(NO_PLACE), "l"),
    ("labels-regex", Idle(NO_PLACE), "^l"),
    ("env", Idle(NO_PLACE), "E"),
    ("env-regex", Idle(NO_PLACE), "^E"),
];

const GELF: &[Row] = &[
    ("gelf-address", Honoured, "udp://other"),
    ("gelf-compression-type", Honoured, "zlib"),
    ("gelf-compression-level", Honoured, "9"),
    ("gelf-tcp-max-reconnect", Idle(FOR_EVER), "9"),
    ("gelf-tcp-reconnect-delay", Honoured, "9"),
];

const FLUENTD: &[Row] = &[
    ("fluentd-address", Honoured, "h"),
    ("fluentd-async", Honoured, "true"),
    ("fluentd-async-connect", Honoured, "true"),
    ("fluentd-async-reconnect-interval", Honoured, "2s"),
    ("fluentd-buffer-limit", Idle(ON_DISK), "1m"),
    ("fluentd-max-retries", Idle(FOR_EVER), "9"),
    ("fluentd-retry-wait", Honoured, "2s"),
    ("fluentd-request-ack", Honoured, "true"),
    ("fluentd-sub-second-precision", Honoured, "true"),
    ("fluentd-write-timeout", Honoured, "2s"),
    ("fluentd-read-timeout", Honoured, "2s"),
];

const JSON_FILE: &[Row] = &[
    ("max-size", Honoured, "1m"),
    ("max-file", Honoured, "9"),
    ("compress", Idle("files that have been rotated are kept as they are"), "true"),
    ("mode", Idle(WRITTEN_AT_ONCE), "non-blocking"),
    ("max-buffer-size", Idle(WRITTEN_AT_ONCE), "1m"),
    ("tag", Idle(NO_ATTRIBUTES), "t"),
    ("labels", Idle(NO_ATTRIBUTES), "l"),
    ("labels-regex", Idle(NO_ATTRIBUTES), "^l"),
    ("env", Idle(NO_ATTRIBUTES), "E"),
    ("env-regex", Idle(NO_ATTRIBUTES), "^E"),
];

const FIRELENS: &[Row] = &[("log-driver-buffer-limit", Honoured, "9")];

/// The drivers, and where their rows are.
const DRIVERS: &[(&str, &[&[Row]])] = &[
    ("awslogs", &[AWSLOGS, DELIVERY]),
    ("awsfirelens", &[FIRELENS, DELIVERY]),
    ("splunk", &[SPLUNK, ATTRIBUTES, DELIVERY]),
    ("syslog", &[SYSLOG, DELIVERY]),
    ("gelf", &[GELF, ATTRIBUTES, DELIVERY]),
    ("fluentd", &[FLUENTD, ATTRIBUTES, DELIVERY]),
    ("journald", &[ATTRIBUTES, DELIVERY]),
    ("json-file", &[JSON_FILE]),
    ("none", &[]),
];

/// All options of all drivers.
pub fn log_options() -> impl Iterator<Item = LogOption> {
    DRIVERS.iter().flat_map(|(driver, tables)| {
        let rows = tables.iter().copied().flatten();
        rows.map(move |(name, effect, sample)| LogOption { driver, name, effect: *effect, sample })
    })
}

/// Whether a driver has an option of this name.
pub(super) fn exists(driver: &str, name: &str) -> bool {
    log_options().any(|option| option.driver == driver && option.name == name)
}

/// The options from which nothing follows, and why not. One that asks for nothing ("false", "") is not among them.
pub fn idle<'a>(driver: &str, options: &'a BTreeMap<String, String>) -> Vec<(&'a str, &'static str)> {
    let asks = |name: &str| options.get(name).is_some_and(|value| !value.is_empty());
    let says = |name: &str, value: &str| options.get(name).is_some_and(|said| said == value);
    let begins = |name: &str, scheme: &str| options.get(name).is_some_and(|said| said.starts_with(scheme));
    let why = |name: &str| {
        let row = log_options().find(|option| option.driver == driver && option.name == name)?;
        if let Idle(why) = row.effect {
            return Some(why);
        }
        // What depends on another option.
        match name {
            "max-buffer-size" if driver == "awsfirelens" && asks("log-driver-buffer-limit") => {
                Some("log-driver-buffer-limit counts instead")
            }
            "awslogs-stream" if asks("awslogs-stream-prefix") => Some("awslogs-stream-prefix counts instead"),
            "tag" if driver == "awslogs" && (asks("awslogs-stream-prefix") || asks("awslogs-stream")) => {
                Some("the stream has its name already")
            }
            "splunk-gzip-level" if !asks("splunk-gzip") || says("splunk-gzip", "false") => {
                Some("splunk-gzip is not true")
            }
            "splunk-capath" | "splunk-insecureskipverify" if begins("splunk-url", "http:") => {
                Some("the address is not one of https")
            }
            "syslog-tls-ca-cert" | "syslog-tls-cert" | "syslog-tls-key" | "syslog-tls-skip-verify"
                if !begins("syslog-address", "tcp+tls:") =>
            {
                Some("the address is not one of tcp+tls")
            }
            "gelf-compression-level" if says("gelf-compression-type", "none") => Some("nothing is compressed"),
            _ => None,
        }
    };
    let set = options.iter().filter(|(_, value)| !matches!(value.as_str(), "" | "false" | "0" | "f" | "F"));
    set.filter_map(|(name, _)| Some((name.as_str(), why(name)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::options;
    use super::super::{Driver, Logging};
    use super::*;

    /// What a driver cannot do without, and what an option needs beside it.
    fn around(option: &LogOption) -> BTreeMap<String, String> {
        let needed: &[(&str, &str)] = match (option.driver, option.name) {
            ("awslogs", _) => &[("awslogs-group", "other")],
            ("splunk", "splunk-gzip-level") => {
                &[("splunk-url", "https://h"), ("splunk-token", "t"), ("splunk-gzip", "true")]
            }
            ("splunk", _) => &[("splunk-url", "https://h"), ("splunk-token", "t")],
            ("syslog", "syslog-tls-cert") => &[("syslog-tls-key", "/k"), ("syslog-address", "tcp+tls://h")],
            ("syslog", "syslog-tls-key") => &[("syslog-tls-cert", "/c"), ("syslog-address", "tcp+tls://h")],
            ("syslog", name) if name.starts_with("syslog-tls") => &[("syslog-address", "tcp+tls://h")],
            ("gelf", "gelf-tcp-max-reconnect" | "gelf-tcp-reconnect-delay") => &[("gelf-address", "tcp://h")],
            ("gelf", _) => &[("gelf-address", "udp://h")],
            ("json-file", "compress") => &[("max-size", "2m"), ("max-file", "3")],
            _ => &[],
        };
        options(needed)
    }

    #[test]
    fn every_option_is_read_or_warned_of_or_refused() {
        let mut seen = 0;
        for option in log_options() {
            let before = around(&option);
            let with: BTreeMap<String, String> =
                before.clone().into_iter().chain([(option.name.to_owned(), option.sample.to_owned())]).collect();
            let (bare, read) = (Logging::read(option.driver, &before), Logging::read(option.driver, &with));
            let warned = idle(option.driver, &with).iter().any(|(name, _)| *name == option.name);
            match option.effect {
                // Half of a pair cannot be left out.
                Honoured => {
                    assert!(read.is_ok() && read != bare && !warned, "{option:?}: {read:?}");
                }
                Idle(_) => assert!(read.is_ok() && read == bare && warned, "{option:?}: {read:?}"),
                Refused => assert!(read.is_err(), "{option:?}"),
            }
            seen += 1;
        }
        assert!(seen > 80, "{seen} options");
    }

    #[test]
    fn an_option_that_depends_on_another_is_warned_of_without_it() {
        let idle = |driver: &str, pairs: &[(&str, &str)]| {
            idle(driver, &options(pairs)).into_iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(idle("syslog", &[("syslog-address", "tcp://h"), ("syslog-tls-skip-verify", "true")]).len(), 1);
        assert_eq!(idle("splunk", &[("splunk-gzip-level", "3"), ("splunk-gzip", "false")]), ["splunk-gzip-level"]);
        assert_eq!(idle("awslogs", &[("awslogs-stream", "s"), ("awslogs-stream-prefix", "p")]), ["awslogs-stream"]);
        assert_eq!(idle("json-file", &[("compress", "false"), ("max-size", "1m")]), [""; 0]);
    }

    #[test]
    fn the_options_of_a_router_are_its_own() {
        let logging = Logging::read("awsfirelens", &options(&[("Name", "stdout"), ("anything", "x")])).unwrap();
        assert_eq!(logging.driver, Driver::Firelens);
        assert!(Logging::read("awsfirelens", &options(&[("mode", "sometimes")])).is_err());
    }
}
