//! Groups and streams of `awslogs` in the local store: read across tasks, also those that are over, and followed.

use std::collections::HashSet;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Engine, OpsError};
use crate::ecs::TaskDefinition;
use crate::logging::{Driver, Logging, Multiline};
use crate::logs::{self, Line, Merge, Query, Reader, StreamFile, Until};

/// How often a follower looks for more, in milliseconds.
const LOOK: u16 = 200;

/// Shows a line of a stream, by its place among the streams' names; without one, all that there was is shown.
pub type ShowLine<'a> = &'a mut dyn FnMut(&[String], Option<(usize, Line)>) -> io::Result<()>;

/// The logs of a group.
#[derive(Debug)]
pub struct GroupLogs {
    directories: Vec<PathBuf>,
    prefix: String,
    query: Query,
    known: HashSet<PathBuf>,
    names: Vec<String>,
    merge: Merge,
}

impl Engine {
    /// Opens the streams of a group, in any region, whose names begin with `prefix`.
    pub fn group_logs(&self, group: &str, prefix: &str, query: Query, until: Until) -> Result<GroupLogs, OpsError> {
        let mut directories = Vec::new();
        for region in logs::entries(&self.layout().logs())? {
            let region = region.file_name().unwrap_or_default().to_string_lossy().into_owned();
            directories.push(self.layout().log_group(&region, group));
        }
        let mut group_logs = GroupLogs {
            directories,
            prefix: prefix.to_owned(),
            query,
            known: HashSet::new(),
            names: Vec::new(),
            merge: Merge::new(Vec::new()),
        };
        group_logs.open_new(until)?;
        if group_logs.names.is_empty() && until == Until::Now {
            let (group, prefix) = (group.to_owned(), prefix.to_owned());
            return Err(OpsError::NoStreams { group, prefix, groups: self.group_names()?.join(", ") });
        }
        Ok(group_logs)
    }

    /// Makes a group of the configured region; one that is there stays as it is.
    pub fn create_group(&self, group: &str) -> Result<(), OpsError> {
        let options = [("awslogs-group".to_owned(), group.to_owned())].into();
        Logging::read("awslogs", &options).map_err(|source| OpsError::GroupName { source })?;
        Ok(logs::create_group(&self.layout().log_group(&self.config.region, group))?)
    }

    /// Why a task cannot have its logs, as far as that can be known before its images are here: the place of the container,
    /// and ECS's reason.
    pub(super) fn log_fault(&self, definition: &TaskDefinition, is_fargate: bool) -> Option<(usize, String)> {
        if let Some(fault) = crate::plan::log::fault(definition, is_fargate) {
            return Some(fault);
        }
        if self.config.log.create_groups || self.config.log.cloudwatch {
            return None; // made as it is written to, or somebody else's to know
        }
        definition.container_definitions.iter().enumerate().find_map(|(place, container)| {
            let Driver::AwsLogs(aws) = crate::plan::log::read(container).ok()?.driver else { return None };
            let region = aws.region.as_ref().unwrap_or(&self.config.region);
            let is_there = aws.creates_group || self.layout().log_group(region, &aws.group).is_dir();
            (!is_there).then(|| (place, crate::plan::log::no_group(is_fargate)))
        })
    }

    /// The names of all groups.
    fn group_names(&self) -> Result<Vec<String>, OpsError> {
        let mut names = Vec::new();
        for region in logs::entries(&self.layout().logs())? {
            for group in logs::entries(&region)? {
                names.extend(logs::streams(&[group])?.into_iter().map(|(_, file)| file.group).next());
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Shows lines of a group as they come, also those of streams that begin later, until `interrupt` is readable.
    pub fn follow_group(
        &self,
        group: &mut GroupLogs,
        interrupt: BorrowedFd,
        show: ShowLine<'_>,
    ) -> Result<(), OpsError> {
        let shown = |source| OpsError::Output { source };
        loop {
            while let Some(line) = group.merge.next_line()? {
                show(&group.names, Some(line)).map_err(shown)?;
            }
            show(&group.names, None).map_err(shown)?;
            let mut fds = [PollFd::new(interrupt, PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::from(LOOK)) {
                Ok(1) => return Ok(()),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(OpsError::Output { source: errno.into() }),
            }
            group.query = Query { stream: group.query.stream, since: group.query.since, tail: None };
            group.open_new(Until::Done)?;
        }
    }
}

impl GroupLogs {
    /// The streams' names by their numbers.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The next line, and the number of its stream.
    pub fn next_line(&mut self) -> Result<Option<(usize, Line)>, OpsError> {
        Ok(self.merge.next_line()?)
    }

    /// How many records could not be read.
    pub fn damaged(&self) -> u64 {
        self.merge.damaged()
    }

    fn open_new(&mut self, until: Until) -> Result<(), OpsError> {
        for (path, file) in logs::streams(&self.directories)? {
            if file.stream.starts_with(&self.prefix) && self.known.insert(path.clone()) {
                self.merge.push(reader(path, &file, self.query, until)?);
                self.names.push(file.stream);
            }
        }
        Ok(())
    }
}

fn reader(path: PathBuf, file: &StreamFile, query: Query, until: Until) -> Result<Reader, OpsError> {
    let pattern = file.multiline.as_ref().map(Multiline::regex);
    Ok(Reader::open(path, query, until)?.with_pattern(pattern))
}
