//! `berth logs`, and the screen on which output of containers appears.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use nix::sys::stat::fstat;

use super::args::{Format, Logs, Look};
use super::error::Failure;
use super::interrupt::interrupts;
use super::output::{Output, note};
use super::plain::Colour;
use super::table::Table;
use crate::ops::{
    Bytes, Engine, LogLine, LogQuery, LogStatus, LogStream, LogStyle, Prefix, Show, TaskRecord, Times, Until,
};

pub(super) fn logs(engine: &mut Engine, args: &Logs, format: Option<Format>) -> Result<(), Failure> {
    let Some(task) = &args.task else { return group(engine, args, format) };
    let record = engine.find(task.as_str())?;
    if args.status {
        return Ok(Output::new(format).print(&record.log_status()?, |all| status(all))?);
    }
    if let Some(name) = silent(&record, args.container.as_deref()) {
        note(&format!("{name} has log driver none: its output is not kept"));
    }
    let places = match &args.container {
        Some(name) => vec![record.container(Some(name))?],
        None => (0..record.plan.containers.len()).collect(),
    };
    let since = args.since.map(|since| since.at(jiff::Timestamp::now()));
    let query = LogQuery { stream: None, since, tail: args.tail };
    let mut screen = Screen::new(&record, &places, &args.look, format);
    let mut logs = record.logs(&places, query, if args.follow { Until::Done } else { Until::Now })?;
    if args.follow {
        let interrupts = interrupts()?;
        engine.follow(&record.plan, &mut logs, interrupts.as_fd(), &mut |line| screen.show(line))?;
    } else {
        while let Some(line) = logs.next_line()? {
            screen.show(Some(line))?;
        }
    }
    screen.end()?;
    if logs.damaged() > 0 {
        note(&format!("{} damaged records were passed over", logs.damaged()));
    }
    for log in record.log_status()? {
        if let Some(sent) = log.sent.filter(|sent| sent.dropped_lines + sent.dropped_bytes > 0) {
            let (name, driver) = (log.container, log.driver.unwrap_or_default());
            let (lines, bytes) = (sent.dropped_lines, sent.dropped_bytes);
            note(&format!("{name}: {driver} was not sent {lines} lines ({bytes} bytes): berth logs --status"));
        }
    }
    Ok(())
}

/// A container whose output is not kept, if it is asked for.
fn silent<'a>(record: &'a TaskRecord, container: Option<&str>) -> Option<&'a str> {
    let mut all = record.plan.containers.iter();
    let silent = all.find(|one| !one.log.is_kept() && container.is_none_or(|name| name == one.name));
    silent.map(|one| one.name.as_str())
}

/// The streams of a group, one after the other by time.
fn group(engine: &mut Engine, args: &Logs, format: Option<Format>) -> Result<(), Failure> {
    let since = args.since.map(|since| since.at(jiff::Timestamp::now()));
    let query = LogQuery { stream: None, since, tail: args.tail };
    let until = if args.follow { Until::Done } else { Until::Now };
    if args.create {
        return Ok(engine.create_group(args.group.as_deref().unwrap_or_default())?);
    }
    let (group, prefix) = (args.group.as_deref().unwrap_or_default(), args.stream.as_deref().unwrap_or_default());
    let mut logs = engine.group_logs(group, prefix, query, until)?;
    let mut screen = Screen::of_streams(logs.names().to_vec(), &args.look, format);
    if args.follow {
        let interrupts = interrupts()?;
        let mut known = logs.names().len();
        engine.follow_group(&mut logs, interrupts.as_fd(), &mut |names, line| {
            if names.len() != known {
                known = names.len();
                let new = Screen::of_streams(names.to_vec(), &args.look, format);
                std::mem::replace(&mut screen, new).end()?;
            }
            screen.show(line)
        })?;
    } else {
        while let Some(line) = logs.next_line()? {
            screen.show(Some(line))?;
        }
    }
    screen.end()?;
    if logs.damaged() > 0 {
        note(&format!("{} damaged records were passed over", logs.damaged()));
    }
    Ok(())
}

fn status(all: &[LogStatus]) -> Table {
    let mut table =
        Table::new(["CONTAINER", "DRIVER", "MODE", "SENT", "DROPPED", "DROPPED BYTES", "WAITING BYTES", "REMARK"]);
    for log in all {
        let driver = log.driver.as_deref().unwrap_or("-");
        let stream = log.group.iter().zip(&log.stream).map(|(group, stream)| format!("{group} {stream}")).next();
        match &log.sent {
            None => table.row([&log.container, driver, "-", "-", "-", "-", "-", &stream.unwrap_or_default()]),
            Some(sent) => {
                let [lines, dropped, bytes, waiting] =
                    [sent.lines, sent.dropped_lines, sent.dropped_bytes, sent.waiting_bytes].map(|n| n.to_string());
                let remark = sent.error.clone().or(stream).unwrap_or_default();
                table.row([&log.container, driver, sent.mode, &lines, &dropped, &bytes, &waiting, &remark]);
            }
        }
    }
    table
}

/// Standard output and standard error of containers on those of this process.
pub(super) struct Screen {
    stdout: Show,
    /// None where both streams are the same file, terminal or pipe: then a line that is open on one is ended for the other.
    stderr: Option<Show>,
    format: Option<Format>,
    out: Vec<u8>,
    err: Vec<u8>,
}

/// What is gathered before it is written.
const BUFFER: usize = 32 << 10;

impl Screen {
    /// Names stand before the lines where there are several containers, and on a terminal; raw bytes go to programs,
    /// escaped ones to people: each stream for itself.
    pub(super) fn new(record: &TaskRecord, places: &[usize], look: &Look, format: Option<Format>) -> Self {
        let names: Vec<String> = places.iter().map(|place| record.plan.containers[*place].name.clone()).collect();
        Self::of(names, look, format)
    }

    /// The same for streams of a group.
    fn of_streams(names: Vec<String>, look: &Look, format: Option<Format>) -> Self {
        let mut screen = Self::of(names, look, format);
        screen.stdout = screen.stdout.of_streams();
        screen
    }

    fn of(names: Vec<String>, look: &Look, format: Option<Format>) -> Self {
        let stdout = Show::new(names.clone(), style(&io::stdout(), &names, look));
        let stderr = (!is_same(&io::stdout(), &io::stderr())).then(|| {
            let style = style(&io::stderr(), &names, look);
            Show::new(names, style)
        });
        Self { stdout, stderr, format, out: Vec::new(), err: Vec::new() }
    }

    /// Shows a line; without one, writes what has been gathered.
    pub(super) fn show(&mut self, line: Option<(usize, LogLine)>) -> io::Result<()> {
        let Some((number, line)) = line else { return self.flush() };
        match (self.format, line.stream) {
            (Some(Format::Json), _) => self.stdout.json(&mut self.out, number, &line),
            (_, LogStream::Stdout) => self.stdout.text(&mut self.out, number, &line),
            (_, LogStream::Stderr) => {
                self.flush()?; // what came earlier stands earlier
                self.stderr.as_mut().unwrap_or(&mut self.stdout).text(&mut self.err, number, &line);
            }
        }
        if self.out.len() + self.err.len() > BUFFER { self.flush() } else { Ok(()) }
    }

    /// Ends lines that are still open, so that what follows stands on its own.
    pub(super) fn end(mut self) -> io::Result<()> {
        if let Some(show) = &mut self.stderr {
            show.end_line(&mut self.err);
        }
        self.stdout.end_line(&mut self.out);
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().write_all(&self.err)?;
        io::stdout().write_all(&self.out)?;
        io::stdout().flush()?;
        self.out.clear();
        self.err.clear();
        Ok(())
    }
}

fn style(stream: &impl IsTerminal, names: &[String], look: &Look) -> LogStyle {
    let is_terminal = stream.is_terminal();
    let prefix = match (names.len() > 1 || is_terminal, Colour::of(stream)) {
        (false, _) => Prefix::None,
        (true, Colour::On) => Prefix::Coloured,
        (true, Colour::Off) => Prefix::Plain,
    };
    let bytes = if look.raw || !is_terminal { Bytes::Raw } else { Bytes::Escaped };
    let times = if look.timestamps { Times::Shown } else { Times::Hidden };
    LogStyle { bytes, prefix, times }
}

/// Whether two descriptors are of one file.
fn is_same(one: &impl AsFd, two: &impl AsFd) -> bool {
    match (fstat(one), fstat(two)) {
        (Ok(one), Ok(two)) => (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino),
        _ => false,
    }
}
