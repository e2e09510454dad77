//! A container's life through libcontainer: created, then started; removed without it.
//!
//! Called by a short-lived, single-threaded worker in a private mount namespace, in the task's network namespace and in
//! the container's cgroups. libcontainer is a guest there: it changes the caller's working directory, OOM score and
//! dumpable flag, runs its half of the work after a raw clone3, and leaks when it fails; the worker's end cleans up.
//! What it makes is the worker's sibling, hence the supervisor's child. Its state directory is a cache that we only ever
//! delete.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::error::LibcontainerError;
use libcontainer::syscall::syscall::SyscallType;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, fchmod, umask};
use nix::unistd::{Gid, Pid, Uid, fchown, mkfifo};

use super::bundle::{self, Bundle, BundleError};
use super::entry::{Entry, Parts};
use super::nodes::Node;
use super::process::{Failure, Program, ProgramError, Report, report_pipe};
use crate::plan::isolation::{IpcNamespace, Isolation, Parameter, Streams};
use crate::plan::spec::NETWORK_SYSCTLS;
use crate::plan::{ContainerPaths, ContainerPlan};
use crate::sys::seal::own_program;

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
    /// The program of its init.
    #[error("open berth's own program")]
    OwnProgram(#[source] io::Error),
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

/// A kernel parameter could not be set.
#[derive(Debug, thiserror::Error)]
#[error("set the kernel parameter {name} to {value:?}")]
pub struct ParameterError {
    name: String,
    value: String,
    #[source]
    source: io::Error,
}

/// Sets kernel parameters of the namespaces in which the caller stands.
pub fn set_parameters(parameters: &[Parameter]) -> Result<(), ParameterError> {
    parameters.iter().try_for_each(|(path, value)| {
        let failed = |source| ParameterError { name: path.replace('/', "."), value: value.clone(), source };
        // Not made if it is not there: a parameter that this kernel does not have.
        let file = OpenOptions::new().write(true).open(Path::new("/proc/sys").join(path));
        file.and_then(|mut file| file.write_all(value.as_bytes())).map_err(failed)
    })
}

/// Moves the caller to an IPC namespace of the container's own, where it is to have one; libcontainer leaves it there.
pub fn enter_ipc(isolation: &Isolation) -> nix::Result<()> {
    match isolation.ipc {
        IpcNamespace::Own | IpcNamespace::OwnWithoutShm => unshare(CloneFlags::CLONE_NEWIPC),
        // The caller stands in the host's, and has entered the task's.
        IpcNamespace::Host | IpcNamespace::Task => Ok(()),
    }
}

/// Creates the container: everything but the start of its program. `libcontainer` is the library's state directory, and
/// `filters` the cache of compiled system call filters; `nodes` are made in it; `terminal` is where both ends of its terminal
/// are sent, the caller holding the other socket.
///
/// Until the start its init is killed with the caller's parent; after that it outlives everybody.
pub fn create(
    bundle: Bundle,
    container: &ContainerPlan,
    paths: &ContainerPaths,
    libcontainer: &Path,
    filters: &Path,
    nodes: Vec<Node>,
    terminal: Option<OwnedFd>,
) -> Result<Created, CreateError> {
    let program = Program::new(&container.process, filters)?;
    let (report, end) = report_pipe().map_err(CreateError::Pipe)?;
    let (uid, gid) = (container.process.uid, container.process.gid);
    let stdin = match container.isolation.streams {
        Streams::WaitingPipes => waiting_input(&paths.stdin(), uid, gid)?,
        Streams::Pipes | Streams::Terminal => open(Path::new("/dev/null"), OpenOptions::new().read(true))?,
    };
    let [stdout, stderr] = [stream(&paths.stdout(), uid, gid)?, stream(&paths.stderr(), uid, gid)?];
    let init = container.isolation.init.then(own_program).transpose().map_err(CreateError::OwnProgram)?;
    let slave = RefCell::new(None);
    let init = Entry(Rc::new(Parts { program, uid, report: end, nodes, init, terminal, slave }));
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
    init: Entry,
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

/// A FIFO that nobody writes to, though the container itself could: its readers wait, and no death of ours is an end of input.
fn waiting_input(path: &Path, uid: u32, gid: u32) -> Result<OwnedFd, CreateError> {
    match mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR) {
        Ok(()) | Err(Errno::EEXIST) => stream(path, uid, gid),
        Err(errno) => Err(CreateError::Stream { path: path.to_owned(), source: errno.into() }),
    }
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
