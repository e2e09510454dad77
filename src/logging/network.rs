//! `syslog`, `gelf` and `fluentd`: servers by an address.

use std::time::Duration;

use super::options::{LogOptionError, Options};

/// fluentd's port.
pub const FLUENT_PORT: u16 = 24224;
const SYSLOG_PORT: u16 = 514;
const SYSLOG_TLS_PORT: u16 = 6514;
const GELF_PORT: u16 = 12201;

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Datagrams.
    Udp {
        /// A name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// A stream.
    Tcp {
        /// A name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// A stream under TLS.
    Tls {
        /// A name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// A socket of this host, of streams or datagrams, whichever it is.
    Unix(String),
}

/// Whether an address is that of a socket of this host.
pub fn is_unix_address(text: &str) -> bool {
    text.starts_with("unix://") || text.starts_with("unixgram://")
}

/// `scheme://host[:port]` or `unix://path`.
fn address(text: &str, schemes: &[&str], ports: [u16; 2]) -> Result<Address, String> {
    let (scheme, rest) = text.split_once("://").ok_or("it has no scheme, such as tcp://")?;
    if !schemes.contains(&scheme) {
        return Err(format!("the scheme is one of {}", schemes.join(", ")));
    }
    if scheme.starts_with("unix") {
        return match rest.starts_with('/') {
            true => Ok(Address::Unix(rest.to_owned())),
            false => Err("the path of a socket is absolute".to_owned()),
        };
    }
    let rest = rest.trim_end_matches('/');
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            (host, Some(port.parse().map_err(|_| format!("{port:?} is not a port"))?))
        }
        _ => (rest, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() || host.contains(['/', '@', ' ']) {
        return Err("it names no host".to_owned());
    }
    let tls = scheme == "tcp+tls" || scheme == "tls";
    let port = port.unwrap_or(ports[usize::from(tls)]);
    Ok(match scheme {
        "udp" => Address::Udp { host, port },
        _ if tls => Address::Tls { host, port },
        _ => Address::Tcp { host, port },
    })
}

/// What `syslog` was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syslog {
    /// `syslog-address`; the host's own daemon where it is absent.
    pub address: Address,
    /// `syslog-facility`, as its number.
    pub facility: u8,
    /// `syslog-format`.
    pub format: SyslogFormat,
    /// `syslog-tls-...`
    pub tls: SyslogTls,
}

/// The form of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogFormat {
    /// As the C library writes to the local daemon: without a host.
    Local,
    /// RFC 3164.
    Rfc3164,
    /// RFC 5424, seconds.
    Rfc5424,
    /// RFC 5424, microseconds.
    Rfc5424Micro,
}

/// Files, by their paths on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyslogTls {
    /// The server's authority.
    pub authority: Option<String>,
    /// Our certificate.
    pub certificate: Option<String>,
    /// Its key.
    pub key: Option<String>,
    /// Whether the server's certificate does not matter.
    pub trusts_anybody: bool,
}

/// The facilities by their numbers (RFC 5424, 6.2.1), as syslog(3) names them.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "12", "13",
    "14", "15", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];
const DAEMON: u8 = 3;

impl Syslog {
    pub(super) fn read(options: &mut Options) -> Result<Self, LogOptionError> {
        const ADDRESS: &str = "syslog-address";
        let schemes = ["udp", "tcp", "tcp+tls", "unix", "unixgram"];
        let ports = [SYSLOG_PORT, SYSLOG_TLS_PORT];
        let address = match options.text(ADDRESS) {
            None => Address::Unix("/dev/log".to_owned()),
            Some(text) => address(text, &schemes, ports).map_err(|why| options.invalid(ADDRESS, &why))?,
        };
        let facility = match options.text("syslog-facility") {
            None => DAEMON,
            Some(text) => {
                let place = FACILITIES.iter().position(|name| *name == text).and_then(|place| u8::try_from(place).ok());
                let number = text.parse::<u8>().ok().filter(|number| *number < 24);
                place
                    .or(number)
                    .ok_or_else(|| options.invalid("syslog-facility", "it is not a facility's name or number"))?
            }
        };
        let format = match options.text("syslog-format") {
            None => SyslogFormat::Local,
            Some("rfc3164") => SyslogFormat::Rfc3164,
            Some("rfc5424") => SyslogFormat::Rfc5424,
            Some("rfc5424micro") => SyslogFormat::Rfc5424Micro,
            Some(_) => return Err(options.invalid("syslog-format", "it is rfc3164, rfc5424 or rfc5424micro")),
        };
        let tls = SyslogTls {
            authority: options.owned("syslog-tls-ca-cert"),
            certificate: options.owned("syslog-tls-cert"),
            key: options.owned("syslog-tls-key"),
            trusts_anybody: options.flag("syslog-tls-skip-verify")?,
        };
        if tls.certificate.is_some() != tls.key.is_some() {
            return Err(LogOptionError::Missing(if tls.key.is_some() { "syslog-tls-cert" } else { "syslog-tls-key" }));
        }
        Ok(Self { address, facility, format, tls })
    }
}

/// What `gelf` was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gelf {
    /// `gelf-address`, udp or tcp.
    pub address: Address,
    /// `gelf-compression-type`, of datagrams.
    pub compression: Compression,
    /// `gelf-compression-level`, 0 to 9; none where the library chooses.
    pub level: Option<u32>,
    /// `gelf-tcp-reconnect-delay`: how long the first new attempt waits.
    pub pause: Option<Duration>,
}

/// `gelf-compression-level` where none is given, as in Docker.
const FASTEST: u32 = 1;

/// How datagrams are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip.
    Gzip,
    /// zlib.
    Zlib,
    /// Not at all.
    None,
}

impl Gelf {
    pub(super) fn read(options: &mut Options) -> Result<Self, LogOptionError> {
        const ADDRESS: &str = "gelf-address";
        let text = options.required(ADDRESS)?;
        let address = address(text, &["udp", "tcp"], [GELF_PORT; 2]).map_err(|why| options.invalid(ADDRESS, &why))?;
        let kind = options.text("gelf-compression-type");
        let level: Option<i32> = options.number("gelf-compression-level")?;
        if level.is_some_and(|level| !(-1..=9).contains(&level)) {
            return Err(options.invalid("gelf-compression-level", "it is -1 to 9"));
        }
        let is_tcp = matches!(address, Address::Tcp { .. });
        if is_tcp && (kind.is_some() || level.is_some()) {
            return Err(options.invalid("gelf-compression-type", "compression goes with udp only"));
        }
        let reconnects: Option<u32> = options.number("gelf-tcp-max-reconnect")?;
        let delay: Option<u32> = options.number("gelf-tcp-reconnect-delay")?;
        if !is_tcp && (reconnects.is_some() || delay.is_some()) {
            return Err(options.invalid("gelf-tcp-max-reconnect", "connections go with tcp only"));
        }
        let compression = match kind {
            None | Some("gzip") => Compression::Gzip,
            Some("zlib") => Compression::Zlib,
            Some("none") => Compression::None,
            Some(_) => return Err(options.invalid("gelf-compression-type", "it is gzip, zlib or none")),
        };
        let level = level.map_or(Some(FASTEST), |level| u32::try_from(level).ok());
        Ok(Self { address, compression, level, pause: delay.map(|seconds| Duration::from_secs(seconds.into())) })
    }
}

/// What `fluentd` was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fluentd {
    /// `fluentd-address`; this host's where it is absent.
    pub address: Address,
    /// `fluentd-request-ack`: a batch counts as sent when the server says so.
    pub acknowledged: bool,
    /// `fluentd-sub-second-precision`: times have nanoseconds.
    pub nanoseconds: bool,
    /// `fluentd-async`: the container starts whether the server is there or not.
    pub is_async: bool,
    /// `fluentd-retry-wait`, or `fluentd-async-reconnect-interval`: how long the first new attempt waits.
    pub pause: Option<Duration>,
    /// `fluentd-write-timeout`: how long a write may take.
    pub write_timeout: Option<Duration>,
    /// `fluentd-read-timeout`: how long the server's answer may take.
    pub read_timeout: Option<Duration>,
}

/// What `fluentd-async-reconnect-interval` may be, as in Docker.
const RECONNECTS: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(10);

impl Fluentd {
    pub(super) fn read(options: &mut Options) -> Result<Self, LogOptionError> {
        const ADDRESS: &str = "fluentd-address";
        let ports = [FLUENT_PORT; 2];
        let address = match options.text(ADDRESS) {
            None => Address::Tcp { host: "127.0.0.1".to_owned(), port: FLUENT_PORT },
            Some(text) => {
                let text = if text.contains("://") { text.to_owned() } else { format!("tcp://{text}") };
                address(&text, &["tcp", "tls", "unix"], ports).map_err(|why| options.invalid(ADDRESS, &why))?
            }
        };
        let asked = [options.flag("fluentd-async")?, options.flag("fluentd-async-connect")?];
        // The log waits on disk, and connections are made again for as long as the task lives: nothing follows from these.
        options.size("fluentd-buffer-limit")?;
        let _: Option<u32> = options.number("fluentd-max-retries")?;
        const INTERVAL: &str = "fluentd-async-reconnect-interval";
        let interval = options.duration(INTERVAL)?;
        if interval.is_some_and(|interval| !RECONNECTS.contains(&interval)) {
            return Err(options.invalid(INTERVAL, "it is 100ms to 10s"));
        }
        // To a socket zero is no limit at all, as in Docker.
        let limit = |limit: Option<Duration>| limit.filter(|limit| !limit.is_zero());
        Ok(Self {
            address,
            acknowledged: options.flag("fluentd-request-ack")?,
            nanoseconds: options.flag("fluentd-sub-second-precision")?,
            is_async: asked.contains(&true),
            pause: options.duration("fluentd-retry-wait")?.or(interval),
            write_timeout: limit(options.duration("fluentd-write-timeout")?),
            read_timeout: limit(options.duration("fluentd-read-timeout")?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::options;
    use super::*;

    fn read<T>(of: fn(&mut Options) -> Result<T, LogOptionError>, pairs: &[(&str, &str)]) -> Result<T, String> {
        let all = options(pairs);
        of(&mut Options::new("x", &all)).map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_have_a_scheme_a_host_and_perhaps_a_port() {
        let of = |text: &str| read(Syslog::read, &[("syslog-address", text)]).map(|syslog| syslog.address);
        let host = || "h".to_owned();
        assert_eq!(of("udp://h").unwrap(), Address::Udp { host: host(), port: 514 });
        assert_eq!(of("tcp+tls://h").unwrap(), Address::Tls { host: host(), port: 6514 });
        assert_eq!(of("tcp://[::1]:99").unwrap(), Address::Tcp { host: "::1".to_owned(), port: 99 });
        assert_eq!(of("unixgram:///dev/log").unwrap(), Address::Unix("/dev/log".to_owned()));
        for text in ["h:514", "http://h", "tcp://", "tcp://h:x", "unix://relative", "tcp://h:70000"] {
            assert!(of(text).unwrap_err().contains("syslog-address"), "{text}");
        }
        let of = |text: &str| read(Fluentd::read, &[("fluentd-address", text)]).map(|fluentd| fluentd.address);
        assert_eq!(of("h").unwrap(), Address::Tcp { host: host(), port: 24224 });
    }

    #[test]
    fn facilities_go_by_name_or_number() {
        let of = |text: &str| read(Syslog::read, &[("syslog-facility", text)]).map(|syslog| syslog.facility);
        assert_eq!((of("local7"), of("4"), of("daemon")), (Ok(23), Ok(4), Ok(3)));
        assert!(of("24").is_err() && of("nobody").is_err());
    }

    #[test]
    fn compression_goes_with_datagrams_only() {
        let udp = ("gelf-address", "udp://h");
        let tcp = ("gelf-address", "tcp://h");
        assert_eq!(read(Gelf::read, &[udp]).unwrap().compression, Compression::Gzip);
        assert!(read(Gelf::read, &[tcp, ("gelf-compression-type", "gzip")]).is_err());
        assert!(read(Gelf::read, &[udp, ("gelf-tcp-max-reconnect", "3")]).is_err());
        assert!(read(Gelf::read, &[]).unwrap_err().contains("must specify a value for log opt 'gelf-address'"));
    }
}
