//! Several containers' logs as one, merged by time, and the wake-up when one of them has changed. The waiting is the
//! caller's: it polls `Watch` together with whatever tells it that the writer is done, and then closes the merge.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::error::LogError;
use super::join::Line;
use super::read::Reader;

/// Several logs, read as one.
#[derive(Debug)]
pub struct Merge {
    sources: Vec<(Reader, Option<Line>)>,
}

impl Merge {
    /// The logs in the order in which their lines are named.
    pub fn new(readers: Vec<Reader>) -> Self {
        Self { sources: readers.into_iter().map(|reader| (reader, None)).collect() }
    }

    /// One log more, named by the next number.
    pub fn push(&mut self, reader: Reader) {
        self.sources.push((reader, None));
    }

    /// The oldest of the lines that there are now, and the number of its log; nothing when there is none now. After
    /// `close`, and where all readers read `Until::Now`, nothing means the end.
    pub fn next_line(&mut self) -> Result<Option<(usize, Line)>, LogError> {
        for (reader, line) in &mut self.sources {
            if line.is_none() {
                *line = reader.next_line()?;
            }
        }
        let stamp = |(number, (_, line)): (usize, &(Reader, Option<Line>))| Some((line.as_ref()?.at, number));
        let oldest = self.sources.iter().enumerate().filter_map(stamp).min();
        Ok(oldest.and_then(|(_, number)| Some((number, self.sources[number].1.take()?))))
    }

    /// The writers are done: `next_line` hands out the rest, and then nothing.
    pub fn close(&mut self) {
        for (reader, _) in &mut self.sources {
            reader.close();
        }
    }

    /// How many records of all logs could not be read.
    pub fn damaged(&self) -> u64 {
        self.sources.iter().map(|(reader, _)| reader.damaged()).sum()
    }
}

/// Wakes a reader up when a log has grown or was rotated.
#[derive(Debug)]
pub struct Watch {
    inotify: Inotify,
}

impl Watch {
    /// Watches the logs of a merge. Made before the merge is first read, so that no change falls in between.
    pub fn new(merge: &Merge) -> Result<Self, LogError> {
        let error = |path: &Path, errno: Errno| LogError::Watch { path: path.to_owned(), source: errno.into() };
        let directories: BTreeSet<&Path> = merge.sources.iter().map(|(reader, _)| reader.directory()).collect();
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)
            .map_err(|errno| LogError::Inotify { source: errno.into() })?;
        // The directory and not the file, because the file changes its name.
        let changes = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        for directory in directories {
            let changes = changes | AddWatchFlags::IN_ONLYDIR;
            inotify.add_watch(directory, changes).map_err(|errno| error(directory, errno))?;
        }
        Ok(Self { inotify })
    }

    /// Forgets the changes so far. To be called after a wake-up and before the logs are read again.
    pub fn clear(&self) -> Result<(), LogError> {
        loop {
            match self.inotify.read_events() {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(()),
                Err(errno) => return Err(LogError::Inotify { source: errno.into() }),
            }
        }
    }
}

impl AsFd for Watch {
    /// Readable when something has changed since the last `clear`.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::thread;

    use jiff::Timestamp;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;
    use crate::logs::{LogFile, Query, Stream, Until, encode};

    fn write(file: &mut LogFile, second: i64, text: &str) {
        let mut batch = Vec::new();
        encode(&mut batch, Stream::Stdout, Timestamp::from_second(second).unwrap(), text.as_bytes());
        if file.is_full_for(batch.len()) {
            file.rotate().unwrap();
        }
        file.append(&batch).unwrap();
    }

    fn merge(paths: &[PathBuf], until: Until) -> Merge {
        Merge::new(paths.iter().map(|path| Reader::open(path, Query::default(), until).unwrap()).collect())
    }

    #[test]
    fn lines_of_several_logs_come_in_the_order_of_time() {
        let directory = tempfile::tempdir().unwrap();
        let paths = [directory.path().join("db.log"), directory.path().join("web.log")];
        let mut files = paths.clone().map(|path| LogFile::open(path, 1000, 2).unwrap());
        for (number, second) in [(0, 1), (0, 4), (1, 2), (1, 3), (1, 5)] {
            write(&mut files[number], second, &format!("{second}\n"));
        }
        let mut merge = merge(&paths, Until::Now);
        let lines = std::iter::from_fn(|| merge.next_line().unwrap());
        let lines: Vec<_> = lines.map(|(number, line)| (number, line.message)).collect();
        let expected = [(0, "1"), (1, "2"), (1, "3"), (0, "4"), (1, "5")];
        assert_eq!(lines, expected.map(|(number, text)| (number, text.as_bytes().to_vec())));
    }

    #[test]
    fn a_follower_misses_no_line_of_a_writer_that_rotates_all_the_time() {
        const LINES: usize = 5_000;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("web.log");
        // Enough files that none is dropped before it was read.
        let mut file = LogFile::open(&path, 2_000, 1_000).unwrap();
        let mut merge = merge(&[path], Until::Done);
        let watch = Watch::new(&merge).unwrap();
        let writer = thread::spawn(move || {
            for number in 0..LINES {
                write(&mut file, 1, &format!("{number}\n"));
            }
        });
        let mut expected = 0;
        while expected < LINES {
            watch.clear().unwrap();
            while let Some((_, line)) = merge.next_line().unwrap() {
                assert_eq!(line.message, expected.to_string().as_bytes());
                expected += 1;
            }
            if expected < LINES {
                let mut fds = [PollFd::new(watch.as_fd(), PollFlags::POLLIN)];
                let ready = poll(&mut fds, PollTimeout::try_from(10_000).unwrap()).unwrap();
                assert_eq!(ready, 1, "no wake-up after line {expected}");
            }
        }
        writer.join().unwrap();
        assert_eq!(merge.damaged(), 0);
    }

    #[test]
    fn a_log_that_begins_later_wakes_its_follower_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("web.log");
        let mut merge = merge(std::slice::from_ref(&path), Until::Done);
        let watch = Watch::new(&merge).unwrap();
        assert!(merge.next_line().unwrap().is_none());
        write(&mut LogFile::open(&path, 1000, 2).unwrap(), 1, "first\n");
        let mut fds = [PollFd::new(watch.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut fds, PollTimeout::try_from(10_000).unwrap()).unwrap(), 1);
        let (_, line) = merge.next_line().unwrap().unwrap();
        assert_eq!(line.message, b"first");
    }
}
