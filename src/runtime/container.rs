//! A container's life through libcontainer: created, then started; removed without it.
//!
//! Called by a short-lived, single-threaded worker in a private mount namespace, in the task's network namespace and in
//! the container's cgroups. libcontainer is a guest there: it changes the caller's working directory, OOM score and
//! dumpable flag, runs its half of the work after a raw clone3, and leaks when it fails; the worker's end cleans up.
//! What it makes is the worker's sibling, hence the supervisor's child. Its state directory is a cache that we only ever
//! delete.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::error::LibcontainerError;
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::syscall::syscall::SyscallType;
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, fchmod, umask};
use nix::unistd::{Gid, Pid, Uid, fchown};

use super::bundle::{self, Bundle, BundleError};
use super::process::{Failure, Program, ProgramError, Report, report_pipe};
use crate::plan::spec::NETWORK_SYSCTLS;
use crate::plan::{ContainerPaths, ContainerPlan};
use crate::sys::process::exit_now;

/// The container could not be created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The plan of its process.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// One of its standard streams.
    #[error("open {path} for the container")]
    Stream {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The pipe on which it reports.
    #[error("make a pipe")]
    Pipe(#[source] io::Error),
    /// libcontainer failed to set it up.
    #[error("create container {id}")]
    Library {
        /// The runtime id.
        id: String,
        /// Why not.
        #[source]
        source: Box<LibcontainerError>,
    },
    /// libcontainer says that it is created, and names no process.
    #[error("container {0} has no process")]
    NoProcess(String),
}

/// A created container did not become its program.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// libcontainer could not reach it.
    #[error("start the container")]
    Library(#[source] Box<LibcontainerError>),
    /// Its report could not be read.
    #[error("read the container's report")]
    Report(#[source] io::Error),
    /// It failed on its last steps.
    #[error("{}", .failure.describe(.program))]
    Program {
        /// The program as the plan names it.
        program: String,
        /// What failed; [`Failure::exit_code`] is also the code that the process exits with.
        failure: Failure,
        /// What the kernel said.
        #[source]
        source: nix::Error,
    },
}

/// A container whose init is set up, and waits to become its program.
pub struct Created {
    /// Its init, a child of the caller's parent.
    pub pid: Pid,
    program: String,
    library: Container,
    report: Report,
}

/// Sets what holds for a task's whole network namespace, in which the caller stands. libcontainer would refuse to: the
/// namespace is not of its making.
pub fn set_network_sysctls() -> io::Result<()> {
    NETWORK_SYSCTLS.iter().try_for_each(|(name, value)| std::fs::write(Path::new("/proc/sys").join(name), value))
}

/// Creates the container: everything but the start of its program. `libcontainer` is the library's state directory, and
/// `filters` the cache of compiled system call filters.
///
/// Until the start its init is killed with the caller's parent; after that it outlives everybody.
pub fn create(
    bundle: Bundle,
    container: &ContainerPlan,
    paths: &ContainerPaths,
    libcontainer: &Path,
    filters: &Path,
) -> Result<Created, CreateError> {
    let program = Rc::new(Program::new(&container.process, filters)?);
    let (report, end) = report_pipe().map_err(CreateError::Pipe)?;
    let (uid, gid) = (container.process.uid, container.process.gid);
    let stdin = open(Path::new("/dev/null"), OpenOptions::new().read(true))?;
    let [stdout, stderr] = [stream(&paths.stdout(), uid, gid)?, stream(&paths.stderr(), uid, gid)?];
    let init = Init { program, report: Rc::new(end) };
    // Mount points in the container are for all of its users, and made with the umask of the caller, who has a
    // stricter one.
    let before = umask(Mode::from_bits_truncate(0o022));
    let built = build(&container.runtime_id, libcontainer, bundle, [stdin, stdout, stderr], init);
    umask(before);
    let library =
        built.map_err(|source| CreateError::Library { id: container.runtime_id.clone(), source: Box::new(source) })?;
    let pid = library.pid().ok_or_else(|| CreateError::NoProcess(container.runtime_id.clone()))?;
    let program = container.process.args.first().cloned().unwrap_or_default();
    Ok(Created { pid: Pid::from_raw(pid.as_raw()), program, library, report })
}

fn build(
    id: &str,
    state: &Path,
    bundle: Bundle,
    [stdin, stdout, stderr]: [OwnedFd; 3],
    init: Init,
) -> Result<Container, LibcontainerError> {
    ContainerBuilder::new(id.to_owned(), SyscallType::default())
        .validate_id()?
        .with_root_path(state)?
        .with_stdin(stdin)
        .with_stdout(stdout)
        .with_stderr(stderr)
        .with_executor(init)
        .as_init(bundle.directory)
        .with_systemd(false)
        .with_detach(true)
        .as_sibling(true)
        .build()
}

impl Created {
    /// Lets the container go, and comes back when its program runs (or has been killed before: its exit tells).
    pub fn start(mut self) -> Result<(), StartError> {
        self.library.start().map_err(|source| StartError::Library(Box::new(source)))?;
        match self.report.wait().map_err(StartError::Report)? {
            None => Ok(()),
            Some(failure) => Err(StartError::Program { program: self.program, failure, source: failure.errno }),
        }
    }
}

/// Removes what is left of a container that has no process: the library's state, by plain deletion (its own way fails
/// on what a kill left, and looks for cgroups), and the bundle. What is missing already is no error.
pub fn remove(container: &ContainerPlan, paths: &ContainerPaths, libcontainer: &Path) -> Result<(), BundleError> {
    let state = libcontainer.join(&container.runtime_id);
    bundle::gone(&state, std::fs::remove_dir_all(&state))?;
    bundle::remove(paths)
}

/// The FIFO behind a standard stream. Open for reading as well, so that the end of the reader is never a SIGPIPE; and
/// the user's own, so that `/dev/stdout` can be opened, which is where many images send their logs.
fn stream(path: &Path, uid: u32, gid: u32) -> Result<OwnedFd, CreateError> {
    let stream = open(path, OpenOptions::new().read(true).write(true))?;
    fchown(&stream, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .and_then(|()| fchmod(&stream, Mode::S_IRUSR | Mode::S_IWUSR))
        .map_err(|errno| CreateError::Stream { path: path.to_owned(), source: errno.into() })?;
    Ok(stream)
}

fn open(path: &Path, options: &OpenOptions) -> Result<OwnedFd, CreateError> {
    let opened = options.open(path).map(|file: File| file.into());
    opened.map_err(|source| CreateError::Stream { path: path.to_owned(), source })
}

/// libcontainer's hook at the end of the set-up: our floor instead of its own.
#[derive(Clone)]
struct Init {
    program: Rc<Program>,
    report: Rc<OwnedFd>,
}

impl Executor for Init {
    /// Runs in init after the start message. The library has nothing to do with what comes then, nor with an error.
    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        exit_now(self.program.run(&self.report).exit_code())
    }

    /// Runs in init before it waits for the start message, for ever if need be. Nobody could tell it from a running
    /// container then; so let it go down with the supervisor, who starts anew.
    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        prctl::set_pdeathsig(Signal::SIGKILL)
            .map_err(|errno| ExecutorValidationError::ArgValidationError(format!("parent-death signal: {errno}")))
    }

    /// The program's environment is given to execve; that of this process does not matter.
    fn setup_envs(&self, _: std::collections::HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }
}
