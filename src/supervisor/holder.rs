//! The holder: what outlives a loop. It owns the descriptors that must not close and remembers the exits that a dead loop
//! cannot have seen. Entered by the hidden `supervise` command, which `launch` starts.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use super::begin::{self, LoopError};
use super::give_up;
use super::launch::{Answer, Beginning};
use crate::logs::StreamFile;
use crate::plan::{NetworkPlan, TaskPlan};
use crate::sys;
use crate::sys::child::{self, Ended, Otherwise, Which};
use crate::sys::failpoint::{pass, reach};
use crate::sys::lock::{self, Lock};
use crate::sys::pidfd;
use crate::sys::shared::SharedWords;
use crate::sys::spawn::Fork;

/// A process that a loop could not reap itself, and how it ended (128 + n for signal n).
#[derive(Debug, Clone, Copy)]
pub(super) struct Reaped {
    pub(super) pid: i32,
    pub(super) code: i32,
    /// Whether it had become another program by then: a container's first process that had not is a start that failed.
    pub(super) had_executed: bool,
}

impl Reaped {
    /// Of a process that has ended, and is still a zombie.
    fn of(ended: Ended) -> Self {
        let had_executed = pidfd::stat(ended.pid).is_ok_and(|stat| stat.has_executed);
        Self { pid: ended.pid.as_raw(), code: ended.exit.code(), had_executed }
    }

    fn to_words(self) -> [i32; 3] {
        [self.pid, self.code, i32::from(self.had_executed)]
    }

    fn from_words([pid, code, had_executed]: [i32; 3]) -> Self {
        Self { pid, code, had_executed: had_executed != 0 }
    }
}

/// The bytes of one on the pipe to the loop.
const RECORD: usize = 3 * size_of::<i32>();

/// The two FIFOs of a container, and a pipe in which a batch waits until it is on disk.
#[derive(Debug)]
pub(super) struct LogPipes {
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    pub(super) stage: (OwnedFd, OwnedFd),
}

/// All that holder and loop share.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) plan: TaskPlan,
    pub(super) plan_fd: OwnedFd,
    pub(super) host_network: OwnedFd,
    pub(super) program: OwnedFd,
    pub(super) logs: Vec<LogPipes>,
    pub(super) words: SharedWords,
    pub(super) work: Work,
}

/// What a worker does in the process that the loop has forked for it: until its input ends.
pub type Work = fn(&TaskPlan) -> io::Result<()>;

/// A loop that dies at once is started again only after a pause, which grows to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How many loops in a row may die before they have begun, or not even be forked, until the holder takes it that none ever will: some five seconds.
const ATTEMPTS: u32 = 14;
/// The exit code of a loop that ends with an error.
const FAILED: i32 = 1;
/// The exit code of one that did so before it had begun.
const NOT_BEGUN: i32 = 2;
/// The most that a loop says of its error.
const LONGEST_REASON: usize = 1024;

/// Runs the supervisor, whose workers do `work`: descriptors 3 to 6 are the plan, the host's network namespace, the pipe for
/// the one answer that the caller waits for, and the pipe that says when the plan is there. Returns when the task is over.
pub fn supervise(beginning: Beginning, work: Work) -> io::Result<()> {
    let [plan_fd, host_network, answer, go] = sys::spawn::inherited([3, 4, 5, 6]);
    let mut answer = fs::File::from(answer);
    let set_up = detach(beginning).and_then(|()| match fs::File::from(go).read(&mut [0])? {
        0 => Ok(SetUp::Unwanted),
        _ => set_up(plan_fd, host_network, beginning, work),
    });
    // The lock is held by holder and loop together: it says that one of them lives.
    let (base, _lock) = match set_up {
        Ok(SetUp::Done(base, lock)) => (base, lock),
        Ok(SetUp::Taken) => return answer.write_all(&[Answer::Taken as u8]),
        Ok(SetUp::Unwanted) => return Ok(()),
        Err(error) => {
            answer.write_all(&[Answer::Failed as u8])?;
            return answer.write_all(error.to_string().as_bytes());
        }
    };
    hold(&base, beginning, &answer)
}

/// What a supervisor has come to.
enum SetUp {
    /// It has the task.
    Done(Box<Base>, Lock),
    /// Another one has it.
    Taken,
    /// The caller has found no task for it.
    Unwanted,
}

/// All that can be done before the task is known: away from the caller's session and directory, into a network namespace.
fn detach(beginning: Beginning) -> io::Result<()> {
    nix::sys::stat::umask(Mode::from_bits_truncate(0o077));
    reach("holder: started")?;
    nix::unistd::setsid()?;
    nix::unistd::chdir("/")?;
    // Under memory pressure the supervisor must outlive its containers to record their exit. A root without
    // CAP_SYS_RESOURCE may not ask for that; its supervisors are as mortal as everybody else.
    let _ = fs::write("/proc/self/oom_score_adj", "-999");
    nix::sys::prctl::set_child_subreaper(true)?;
    match beginning {
        Beginning::New => Ok(nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?),
        Beginning::Adopted => Ok(()),
    }
}

/// Makes everything that must outlive a loop.
fn set_up(plan_fd: OwnedFd, host_network: OwnedFd, beginning: Beginning, work: Work) -> io::Result<SetUp> {
    let plan: TaskPlan = serde_json::from_slice(&sys::spawn::read_whole(&plan_fd)?)?;
    reach("holder: it has its plan")?;
    let Some(lock) = lock::take(&plan.paths.lock())? else { return Ok(SetUp::Taken) };
    reach("holder: it has its lock")?;
    if beginning == Beginning::New {
        write_plan(&plan.paths.plan_file(), &plan_fd)?;
    }
    match (&plan.network, beginning) {
        (NetworkPlan::Awsvpc(_), Beginning::New) => {}
        (NetworkPlan::Awsvpc(_), Beginning::Adopted) => rejoin_network(&plan)?,
        // Its containers have their own; the namespace that was made before the plan was known is given back.
        (NetworkPlan::PerContainer { .. }, _) => sys::netns::enter(host_network.as_fd())?,
    }
    let logs = (0..plan.containers.len()).map(|place| open_logs(&plan, place)).collect::<io::Result<_>>()?;
    reach("holder: the logs are open")?;
    let words = SharedWords::new(plan.containers.len())?;
    let program = nix::fcntl::open("/proc/self/exe", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    let base = Base { plan, plan_fd, host_network, program, logs, words, work };
    Ok(SetUp::Done(Box::new(base), lock))
}

/// Beside the lock, for the case that the store is lost and both halves of the supervisor are too. Whole or not at all.
fn write_plan(file: &Path, plan_fd: &OwnedFd) -> io::Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, sys::spawn::read_whole(plan_fd)?)?;
    fs::rename(new, file)
}

/// The namespace of an adopted task is that of its containers; with none of them left a new one will do.
fn rejoin_network(plan: &TaskPlan) -> io::Result<()> {
    for place in 0..plan.containers.len() {
        let init = super::recover::live_init(&plan.container_paths(place), None);
        // One that has just ended has no namespace any more.
        if init.is_some_and(|init| nix::sched::setns(init.pidfd, nix::sched::CloneFlags::CLONE_NEWNET).is_ok()) {
            return Ok(());
        }
    }
    Ok(nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?)
}

/// FIFOs in the file system, opened for reading and writing: the death of every process of ours leaves the container's end
/// intact, and whoever comes next opens them again.
fn open_logs(plan: &TaskPlan, container: usize) -> io::Result<LogPipes> {
    let paths = plan.container_paths(container);
    for directory in [&paths.run, &plan.paths.logs()] {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let log = &plan.containers[container].log;
    if let Some(stream) = &log.stream {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&stream.directory)?;
        let file = StreamFile {
            region: stream.region.clone(),
            group: stream.group.clone(),
            stream: stream.stream.clone(),
            task: plan.id.clone(),
            container: plan.containers[container].name.clone(),
            multiline: log.multiline.clone(),
        };
        crate::logs::describe(&paths.log, &file).map_err(io::Error::other)?;
    }
    let fifo = |path: &Path| -> io::Result<OwnedFd> {
        match nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        Ok(nix::fcntl::open(path, flags, Mode::empty())?)
    };
    Ok(LogPipes {
        stdout: fifo(&paths.stdout())?,
        stderr: fifo(&paths.stderr())?,
        stage: nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?,
    })
}

/// How a loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The task is over.
    Finished,
    /// It died after it had begun, or was killed.
    Died,
    /// It said that it could not begin, or there was none.
    NotBegun,
}

/// Forks loops until one of them has brought the task to its end, or until it is clear that none can begin. The caller's pipe
/// stays open: should the first loop die before it has answered, the next one does.
fn hold(base: &Base, beginning: Beginning, mut answer: &fs::File) -> io::Result<()> {
    let mut exits: Vec<Reaped> = Vec::new();
    let mut start = begin::Start::from(beginning);
    let (mut pause, mut failures) = (Duration::ZERO, 0);
    loop {
        let (exits_in, exits_out) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let (why_in, why_out) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let began = sys::time::boot_ms();
        let end = match sys::spawn::fork() {
            Ok(Fork::Child) => {
                drop(exits_out);
                let ended = begin::run(base, start, answer, &exits, exits_in);
                // The loop was the last one who needed the holder: no destructor of its copies may run.
                std::process::exit(match ended {
                    Ok(()) => 0,
                    Err(LoopError::NotBegun(error)) => {
                        say_why(&why_out, &error);
                        NOT_BEGUN
                    }
                    Err(LoopError::Failed(_)) => FAILED,
                })
            }
            Ok(Fork::Parent(pid)) => {
                pass("holder: the loop is forked");
                start = begin::Start::Again;
                drop((exits_in, why_out));
                sys::spawn::trim_memory();
                wait_for_end(pid, &exits_out, &mut exits)?
            }
            Err(error) => {
                say_why(&why_out, &error); // no memory or no pid just now
                End::NotBegun
            }
        };
        failures = match end {
            End::Finished => return Ok(()),
            End::Died => 0,
            End::NotBegun => failures + 1,
        };
        if failures == ATTEMPTS {
            let reason = read_reason(&why_in);
            let over = give_up::give_up(base, &reason);
            // Whoever waits hears it in either case; one whose containers run is held on to.
            let _ = answer.write_all(&[&[Answer::Lost as u8], reason.as_bytes()].concat());
            if over {
                return Ok(());
            }
            failures = 0;
        }
        let quick = sys::time::boot_ms() - began < 1000;
        pause = if quick { (pause * 2).clamp(Duration::from_millis(1), LONGEST_PAUSE) } else { Duration::ZERO };
        std::thread::sleep(pause);
    }
}

/// For the holder, should this have been the last attempt.
fn say_why(why_out: &OwnedFd, error: &io::Error) {
    let text: String = error.to_string().chars().take(LONGEST_REASON / 4).collect();
    let _ = nix::unistd::write(why_out, text.as_bytes());
}

/// What the last attempt has said.
fn read_reason(why_in: &OwnedFd) -> String {
    let mut text = [0; LONGEST_REASON];
    match nix::unistd::read(why_in, &mut text) {
        Ok(read @ 1..) => String::from_utf8_lossy(&text[..read]).into_owned(),
        Ok(0) | Err(_) => "it does not say why".to_owned(),
    }
}

/// Reaps until the loop is gone. The loop is told of an end before the process is reaped: one that a loop finds gone has been
/// told.
fn wait_for_end(event_loop: Pid, exits_out: &OwnedFd, exits: &mut Vec<Reaped>) -> io::Result<End> {
    loop {
        match child::ended(Which::Any, Otherwise::Wait) {
            Ok(Some(ended)) => {
                let reaped = Reaped::of(ended);
                if ended.pid != event_loop {
                    pass("holder: an orphan has ended");
                    exits.push(reaped);
                    tell(exits_out, reaped);
                }
                child::reap(ended.pid)?;
                if ended.pid == event_loop {
                    return Ok(match reaped.code {
                        0 => End::Finished,
                        NOT_BEGUN => End::NotBegun,
                        _ => End::Died,
                    });
                }
            }
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A loop that is gone or does not read finds the exit in the list that its successor inherits.
fn tell(exits_out: &OwnedFd, reaped: Reaped) {
    let record = reaped.to_words().map(i32::to_ne_bytes);
    let _ = nix::unistd::write(exits_out, record.as_flattened());
}

/// Reads the records that [`tell`] wrote.
pub(super) fn told(exits_in: &OwnedFd) -> Vec<Reaped> {
    let mut all = Vec::new();
    let mut record = [[0; 4]; 3];
    while let Ok(RECORD) = nix::unistd::read(exits_in, record.as_flattened_mut()) {
        all.push(Reaped::from_words(record.map(i32::from_ne_bytes)));
    }
    all
}
