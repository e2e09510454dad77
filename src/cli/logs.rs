//! `berth logs`, and the screen on which output of containers appears.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use nix::sys::stat::fstat;

use super::args::{Format, Logs, Look};
use super::error::Failure;
use super::interrupt::interrupts;
use super::output::note;
use super::plain::Colour;
use crate::ops::{Bytes, Engine, LogLine, LogQuery, LogStream, LogStyle, Prefix, Show, TaskRecord, Times, Until};

pub(super) fn logs(engine: &mut Engine, args: &Logs, format: Option<Format>) -> Result<(), Failure> {
    let record = engine.find(args.task.as_str())?;
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
    Ok(())
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
