//! `syslog`: messages in the forms of RFC 3164 and RFC 5424, as Docker's driver writes them, to a local or a remote daemon.
//! Times are UTC.

use std::io;

use super::destination::{SendError, hostname, text};
use super::tls::Tls;
use super::wire::{Kind, Target, Wire};
use crate::logging::{Address, Syslog as Settings, SyslogFormat};
use crate::logs::{Event, Stream};
use crate::plan::LogSource;

/// RFC 5424, 6.2.1.
const ERROR: u16 = 3;
const INFORMATIONAL: u16 = 6;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A daemon.
pub(super) struct Syslog {
    wire: Wire,
    form: Form,
    /// Whether messages in a stream have their length before them (RFC 5425) and not a newline behind.
    counted: bool,
}

/// All that a message has beside its event.
struct Form {
    format: SyslogFormat,
    facility: u16,
    host: String,
    tag: String,
    pid: u32,
}

impl Syslog {
    pub(super) fn new(settings: Settings, source: &LogSource) -> io::Result<Self> {
        let tls = matches!(settings.address, Address::Tls { .. });
        let counted = tls && matches!(settings.format, SyslogFormat::Rfc5424 | SyslogFormat::Rfc5424Micro);
        let form = Form {
            format: settings.format,
            facility: u16::from(settings.facility),
            host: hostname(),
            tag: source.tag.replace(' ', "_"),
            pid: std::process::id(),
        };
        let target = Target::Address(settings.address, tls.then(|| Tls::new(settings.tls)));
        Ok(Self { wire: Wire::new(target)?, form, counted })
    }

    /// Whether the daemon can be connected to; datagrams need nobody there.
    pub(super) fn verify(&mut self) -> io::Result<()> {
        self.wire.connect().map(drop)
    }

    pub(super) fn send(&mut self, batch: &[Event]) -> Result<(), SendError> {
        let kind = self.wire.connect()?;
        let mut stream = Vec::new();
        for event in batch {
            let message = self.form.message(event);
            match kind {
                Kind::Datagrams => self.datagram(message.as_bytes())?,
                Kind::Stream if self.counted => stream.extend(format!("{} {message}", message.len()).into_bytes()),
                Kind::Stream => stream.extend((message + "\n").into_bytes()),
            }
        }
        if stream.is_empty() { Ok(()) } else { Ok(self.wire.send(&stream)?) }
    }

    /// A message that is too long for a datagram is cut: a daemon would cut it as well.
    fn datagram(&mut self, message: &[u8]) -> io::Result<()> {
        let mut length = message.len();
        loop {
            match self.wire.send(&message[..length]) {
                Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EMSGSIZE as i32) && length > 1024 => {
                    length /= 2;
                    self.wire.connect()?;
                }
                sent => return sent,
            }
        }
    }
}

impl Form {
    fn message(&self, event: &Event) -> String {
        let severity = match event.stream {
            Stream::Stdout => INFORMATIONAL,
            Stream::Stderr => ERROR,
        };
        let priority = self.facility * 8 + severity;
        let (at, text, tag, pid, host) = (event.at.as_str(), text(event), &self.tag, self.pid, &self.host);
        match self.format {
            SyslogFormat::Local => format!("<{priority}>{} {tag}[{pid}]: {text}", old_time(at)),
            SyslogFormat::Rfc3164 => format!("<{priority}>{} {host} {tag}[{pid}]: {text}", old_time(at)),
            SyslogFormat::Rfc5424 => format!("<{priority}>1 {}Z {host} {tag} {pid} {tag} - {text}", &at[..19]),
            SyslogFormat::Rfc5424Micro => format!("<{priority}>1 {}Z {host} {tag} {pid} {tag} - {text}", &at[..26]),
        }
    }
}

/// `Nov 21 12:00:00` of `2026-11-21T12:00:00...`: the day with a blank before it where it has one digit.
fn old_time(at: &str) -> String {
    let month = at[5..7].parse::<usize>().ok().and_then(|month| MONTHS.get(month.wrapping_sub(1)));
    let day = at[8..10].parse::<u8>().unwrap_or(1);
    format!("{} {day:>2} {}", month.unwrap_or(&MONTHS[0]), &at[11..19])
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::logs::{Count, Mark, Stamp};

    #[test]
    fn messages_have_the_forms_of_both_standards() {
        let at = "2026-11-01T02:03:04.123456789Z".parse::<Timestamp>().unwrap();
        let event = Event {
            at: Stamp::new(at),
            stream: Stream::Stderr,
            message: b"it fails".to_vec(),
            partial: false,
            count: Count::default(),
            start: Mark::default(),
            end: Mark::default(),
        };
        let of = |format| {
            let form = Form { format, facility: 3, host: "h".to_owned(), tag: "web".to_owned(), pid: 7 };
            form.message(&event)
        };
        assert_eq!(of(SyslogFormat::Local), "<27>Nov  1 02:03:04 web[7]: it fails");
        assert_eq!(of(SyslogFormat::Rfc3164), "<27>Nov  1 02:03:04 h web[7]: it fails");
        assert_eq!(of(SyslogFormat::Rfc5424), "<27>1 2026-11-01T02:03:04Z h web 7 web - it fails");
        assert_eq!(of(SyslogFormat::Rfc5424Micro), "<27>1 2026-11-01T02:03:04.123456Z h web 7 web - it fails");
    }
}
