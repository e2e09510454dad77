//! The pause process of a task whose containers share processes or shared memory (`pidMode` task, `ipcMode` task): process 1 of
//! their process namespace, and what keeps their IPC namespace and its `/dev/shm` alive from the first container to the
//! last, whichever of them come and go.
//!
//! A container that may trace others sees it and can get hold of it, so there is nothing to get: it is our own program,
//! executed afresh from the sealed file, as nobody, without capabilities, under the containers' own filter, without a network, in a mount
//! namespace that holds an empty directory and the shared memory. It is started by a worker, is the supervisor's orphan after that, and
//! ends with the task's group.

use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, pivot_root, setsid};

use super::Worker;
use super::protocol::InitFile;
use super::start::write_whole;
use crate::plan::ProcessPlan;
use crate::plan::isolation::{IpcNamespace, Isolation, PidNamespace};
use crate::runtime::init::PAUSE;
use crate::runtime::process::{Failure, Program, ProgramError, Report, Step, report_pipe};
use crate::sys::process::{block_signals, exit_now, fork};
use crate::sys::seal::own_program;
use crate::sys::{mount as tree, pidfd};

/// There is no pause process, or it cannot be joined.
#[derive(Debug, thiserror::Error)]
pub(super) enum PauseError {
    /// Its plan.
    #[error("plan the task's pause process")]
    Program(#[from] ProgramError),
    /// Its making.
    #[error("start the task's pause process")]
    Start(#[source] io::Error),
    /// Its last steps.
    #[error("start the task's pause process: {}", .0.describe("pause"))]
    Failed(Failure, #[source] Errno),
    /// Its group.
    #[error(transparent)]
    Cgroup(#[from] crate::runtime::cgroup::CgroupError),
    /// Its namespaces.
    #[error("join the task's namespaces")]
    Join(#[source] io::Error),
}

/// Who nobody is (`nobody` of most systems).
const NOBODY: u32 = 65_534;

/// The namespaces that a container joins, held open.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// The process namespace, as a path that is good in this process and those that it forks.
    pub(super) pid: Option<PathBuf>,
    /// Where the task's shared memory is mounted.
    pub(super) shm: Option<PathBuf>,
    _pid: Option<OwnedFd>,
}

/// A pause process that lives.
pub(super) struct Pause {
    pid: Pid,
    /// It pins the pid: as long as the process is not reaped, or this says that it is alive, the number is its own.
    pidfd: OwnedFd,
}

impl Worker<'_> {
    /// Ends the pause process of an earlier attempt, which would hold on to the network of that attempt, and starts a new one.
    pub(super) fn renew_pause(&self) -> Result<(), PauseError> {
        if !self.plan.containers.iter().any(|container| shares(&container.isolation)) {
            return Ok(());
        }
        let _lock = self.pause_lock()?;
        if let Some(old) = self.live_pause() {
            // That it is gone already is no error.
            let _ = pidfd::send_signal(&old.pidfd, libc::SIGKILL);
        }
        self.start_pause().map(drop)
    }

    /// The pause process that the container at this place needs, if it needs one. One that has died has taken all with it that
    /// was in its namespaces: then there is a new one.
    pub(super) fn pause_for(&self, place: usize) -> Result<Option<Pause>, PauseError> {
        if !shares(&self.plan.containers[place].isolation) {
            return Ok(None);
        }
        let _lock = self.pause_lock()?;
        self.live_pause().map_or_else(|| self.start_pause(), Ok).map(Some)
    }

    /// Enters the task's IPC namespace and finds its process namespace, as the container at this place is to have them. Called
    /// in a mount namespace of the caller's own.
    pub(super) fn join_pause(&self, pause: &Pause, place: usize) -> Result<Joined, PauseError> {
        let isolation = &self.plan.containers[place].isolation;
        let joined = self.enter(pause, isolation.pid, isolation.ipc).map_err(PauseError::Join)?;
        // What was opened by number was its own if it is alive even now.
        if pidfd::has_exited(&pause.pidfd) {
            return Err(PauseError::Join(io::Error::from(Errno::ESRCH)));
        }
        Ok(joined)
    }

    fn enter(&self, pause: &Pause, pid: PidNamespace, ipc: IpcNamespace) -> io::Result<Joined> {
        let namespace = |kind: &str| {
            open(
                Path::new(&format!("/proc/{}/ns/{kind}", pause.pid)),
                OFlag::O_RDONLY | OFlag::O_CLOEXEC,
                Mode::empty(),
            )
        };
        let mut joined = Joined::default();
        if pid == PidNamespace::Task {
            let fd = namespace("pid")?;
            joined.pid = Some(format!("/proc/self/fd/{}", fd.as_raw_fd()).into());
            joined._pid = Some(fd);
        }
        if ipc == IpcNamespace::Task {
            setns(namespace("ipc")?, CloneFlags::CLONE_NEWIPC)?;
            joined.shm = Some(self.mount_shm(namespace("mnt")?)?);
        }
        Ok(joined)
    }

    /// The task's shared memory, taken out of the pause process's mount namespace into ours.
    fn mount_shm(&self, theirs: OwnedFd) -> io::Result<PathBuf> {
        let ours = open("/proc/self/ns/mnt", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        setns(theirs, CloneFlags::CLONE_NEWNS)?;
        let taken = open("/shm", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).and_then(tree::clone_tree);
        setns(ours, CloneFlags::CLONE_NEWNS)?;
        let directory = self.plan.paths.run.join("shm");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        tree::attach(&taken?, &open(&directory, flags, Mode::empty())?)?;
        Ok(directory)
    }

    fn pause_lock(&self) -> Result<Flock<fs::File>, PauseError> {
        let path = self.plan.paths.pause_file().with_extension("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let locked =
            file.and_then(|file| Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into()));
        locked.map_err(PauseError::Start)
    }

    fn live_pause(&self) -> Option<Pause> {
        let file: InitFile = serde_json::from_slice(&fs::read(self.plan.paths.pause_file()).ok()?).ok()?;
        let pid = Pid::from_raw(file.pid);
        let pidfd = pidfd::open(pid).ok()?;
        let same = pidfd::stat(pid).ok()?.start_time == file.start_time && pidfd::boot_id().ok()? == file.boot_id;
        (same && !pidfd::has_exited(&pidfd)).then_some(Pause { pid, pidfd })
    }

    /// Starts it and waits until it is what it is to be. A process in between makes the namespaces, so that this one keeps
    /// its own.
    fn start_pause(&self) -> Result<Pause, PauseError> {
        let plan = ProcessPlan {
            args: vec!["pause".to_owned()],
            cwd: "/".to_owned(),
            uid: NOBODY,
            gid: NOBODY,
            no_new_privileges: true,
            seccomp: true,
            ..ProcessPlan::default()
        };
        let program = Program::new(&plan, &self.plan.filters)?;
        self.cgroups.join_own(&self.plan.cgroup)?;
        let shm = self.plan.containers.iter().map(|container| container.isolation.shm).max().unwrap_or_default();
        let args = ["pause".to_owned(), PAUSE.to_owned(), self.plan.id.clone()]
            .map(|text| CString::new(text).expect("names and ids have no NUL"));
        let (pause, report) = launch(&program, &args, shm).map_err(PauseError::Start)?;
        if let Some(failure) = report.wait().map_err(PauseError::Start)? {
            return Err(PauseError::Failed(failure, failure.errno));
        }
        self.write_down(&pause).map_err(PauseError::Start)?;
        Ok(pause)
    }

    fn write_down(&self, pause: &Pause) -> io::Result<()> {
        let file = InitFile {
            pid: pause.pid.as_raw(),
            start_time: pidfd::stat(pause.pid)?.start_time,
            boot_id: pidfd::boot_id()?,
            started: true,
            run: 0,
        };
        write_whole(&self.plan.paths.pause_file(), &file)
    }
}

/// Whether a container has something in common with the others of its task.
fn shares(isolation: &Isolation) -> bool {
    isolation.pid == PidNamespace::Task || isolation.ipc == IpcNamespace::Task
}

fn launch(program: &Program, args: &[CString], shm: u64) -> io::Result<(Pause, Report)> {
    let own = own_program()?;
    let (report, end) = report_pipe()?;
    let (pid_in, pid_out) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    fork(|| {
        // No network either: where the task has none of its own, this worker's is the host's.
        let namespaces =
            CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET;
        let begun = unshare(namespaces).and_then(|()| fork(|| pause(program, args, &own, &end, shm).exit_code()));
        match begun {
            // Its number as this namespace has it, which is the host's.
            Ok(pid) => drop(nix::unistd::write(&pid_out, &pid.as_raw().to_ne_bytes())),
            Err(errno) => drop(Failure { step: Step::Prepare, errno }.tell(&end)),
        }
        exit_now(0)
    })?;
    drop((end, pid_out));
    let mut pid = [0; 4];
    match fs::File::from(pid_in).read_exact(&mut pid) {
        Ok(()) => {}
        Err(error) => {
            let failure = report.wait()?;
            return Err(failure.map_or(error, |failure| failure.errno.into()));
        }
    }
    let pid = Pid::from_raw(i32::from_ne_bytes(pid));
    Ok((Pause { pid, pidfd: pidfd::open(pid)? }, report))
}

/// Runs as process 1 of the new namespaces.
fn pause(program: &Program, args: &[CString], own: &OwnedFd, end: &OwnedFd, shm: u64) -> Failure {
    let prepared = setsid().and_then(|_| block_signals()).and_then(|()| no_streams()).and_then(|()| empty_root(shm));
    match prepared {
        Ok(()) => program.run_own(end, own, args),
        Err(errno) => Failure { step: Step::Prepare, errno }.tell(end),
    }
}

/// The worker's streams are between it and the supervisor.
fn no_streams() -> nix::Result<()> {
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)
}

/// A root that holds nothing but the shared memory, and cannot be written. It is mounted over a directory that every host has.
fn empty_root(shm: u64) -> nix::Result<()> {
    const PLACE: &str = "/proc";
    let nothing: Option<&str> = None;
    let tmpfs = |place: &str, options: &str| {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("tmpfs"), place, Some("tmpfs"), flags, Some(options))
    };
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
    tmpfs(PLACE, "size=4k,mode=755")?;
    let directory = format!("{PLACE}/shm");
    nix::unistd::mkdir(directory.as_str(), Mode::from_bits_truncate(0o755))?;
    tmpfs(&directory, &format!("size={}k,mode=1777", shm >> 10))?;
    chdir(PLACE)?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    chdir("/")?;
    mount(nothing, "/", nothing, MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY, nothing)
}
