//! Starting our own program as another process: nothing of the caller goes along but what is named here.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use nix::unistd::{Pid, SysconfVar};

use super::child;

/// What becomes of the new process when its parent dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnParentDeath {
    /// It goes on.
    Live,
    /// It is killed (PR_SET_PDEATHSIG).
    Die,
}

/// Starts `program` with these arguments and an empty environment. The new process has exactly the descriptors `fds`, as its
/// 0, 1, 2 ...; all its signals are unblocked and at their defaults.
pub fn spawn(program: BorrowedFd, args: &[&str], fds: &[BorrowedFd], death: OnParentDeath) -> io::Result<Pid> {
    let args: Vec<CString> = args.iter().map(|arg| CString::new(*arg)).collect::<Result<_, _>>()?;
    let mut argv: Vec<*const libc::c_char> = args.iter().map(|arg| arg.as_ptr()).collect();
    argv.push(std::ptr::null());
    let variables = variables(death);
    let mut environment: Vec<*const libc::c_char> = variables.iter().map(|variable| variable.as_ptr()).collect();
    environment.push(std::ptr::null());
    assert!(fds.len() <= MOST, "at most {MOST} descriptors");
    let fds: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let (program, parent) = (program.as_raw_fd(), nix::unistd::getpid());
    super::failpoint::reach("spawn")?;
    let mut start = Start { program, argv: &argv, environment: &environment, fds: &fds, death, parent, error: 0 };
    let pid = vfork(&mut start)?;
    if start.error != 0 {
        nix::sys::wait::waitpid(pid, None)?;
        return Err(io::Error::from_raw_os_error(start.error));
    }
    if death == OnParentDeath::Live {
        left().iter_mut().for_each(|all| all.push(pid));
    }
    Ok(pid)
}

/// What the new process needs to become the program, prepared for it: it may allocate nothing.
struct Start<'a> {
    program: RawFd,
    /// NULL at the end, as is the environment.
    argv: &'a [*const libc::c_char],
    environment: &'a [*const libc::c_char],
    fds: &'a [RawFd],
    death: OnParentDeath,
    parent: Pid,
    /// Its answer if it could not: an errno.
    error: i32,
}

/// Starts the child in this very memory, as vfork(2) does: nothing is copied, however much that is. The caller's thread waits
/// until the child has become the program or has ended; the other threads go on.
fn vfork(start: &mut Start<'_>) -> io::Result<Pid> {
    extern "C" fn child(start: *mut libc::c_void) -> i32 {
        // SAFETY: it is the caller's, who waits in vfork(2)'s way.
        let start = unsafe { &mut *start.cast::<Start<'_>>() };
        start.error = become_program(start);
        127
    }
    let mut stack: Vec<[u128; 16]> = Vec::with_capacity(STACK / size_of::<[u128; 16]>());
    let top = stack.spare_capacity_mut().as_mut_ptr_range().end;
    // No handler of this process may run in the child, which resets them.
    let mut old = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut old))?;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the child has a stack of its own, which with all that it uses outlives it; it calls nothing but
    // async-signal-safe functions, then execs or ends.
    let pid = unsafe { libc::clone(child, top.cast(), flags, (&raw mut *start).cast()) };
    let pid = Errno::result(pid);
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&old), None)?;
    Ok(Pid::from_raw(pid?))
}

/// The stack of a child that has not become a program yet, in bytes.
const STACK: usize = 32 << 10;

/// The environment of a new process: how it is to allocate, if it is to last; while a launch is timed, where to write; and for
/// tests of this program's own failures, which.
fn variables(death: OnParentDeath) -> Vec<CString> {
    let lasts = (death == OnParentDeath::Live).then(|| ALLOCATOR.to_owned());
    let all = lasts.into_iter().chain(super::timing::environment());
    #[cfg(feature = "failpoints")]
    let all = all.chain(super::failpoint::environment());
    all.collect()
}

/// Without glibc's lists of freed pieces for each thread: [`trim_memory`] cannot give back a page that a piece in them is on, and
/// most of what a supervisor has ever used stayed so. That has to be said before the program starts.
const ALLOCATOR: &CStr = c"GLIBC_TUNABLES=glibc.malloc.tcache_count=0";

/// Children that were started to outlive this process, which may outlive them. Whose children a process has is a matter of
/// the whole process; most end long before their children, and keep no list.
static LEFT: Mutex<Option<Vec<Pid>>> = Mutex::new(None);

fn left() -> MutexGuard<'static, Option<Vec<Pid>>> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on, children that nobody waits for are remembered, for [`reap_left`]: for a process that goes on and on.
pub fn keep_children() {
    left().get_or_insert_default();
}

/// Reaps those of the remembered children that have ended.
pub fn reap_left() {
    for all in left().iter_mut() {
        // One that is not our child any more was reaped by somebody else.
        all.retain(|pid| matches!(child::reap(*pid), Ok(None)));
    }
}

/// The most descriptors that a new process can be given: among them one for each hierarchy of cgroup v1.
const MOST: usize = 40;
/// Above every descriptor that the child is to have: parking room while they are put in their places.
const PARKING: RawFd = MOST as RawFd;

/// In the child: arranges descriptors and signals, then execs. Returns the errno of what failed.
fn become_program(start: &Start<'_>) -> i32 {
    // SAFETY: plain system calls on numbers, and on the NULL-terminated lists that the caller keeps alive.
    unsafe {
        if start.death == OnParentDeath::Die {
            die_with(start.parent);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        for signal in 1..32 {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        let program = park(start.program);
        if program < 0 {
            return parking_errno();
        }
        let mut parked = [0; MOST];
        for (fd, parked) in start.fds.iter().zip(&mut parked) {
            *parked = park(*fd);
            if *parked < 0 {
                return parking_errno();
            }
        }
        for (place, parked) in parked.iter().enumerate().take(start.fds.len()) {
            if libc::dup2(*parked, place as RawFd) < 0 {
                return *libc::__errno_location();
            }
        }
        libc::close_range(start.fds.len() as u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32);
        libc::syscall(
            libc::SYS_execveat,
            program,
            c"".as_ptr(),
            start.argv.as_ptr(),
            start.environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
        *libc::__errno_location()
    }
}

/// A copy of a descriptor above [`PARKING`], or -1.
fn park(fd: RawFd) -> RawFd {
    // SAFETY: a plain system call on numbers.
    unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, PARKING) }
}

/// Why [`park`] failed. Where the limit of open files is below the room, fcntl(2) calls that an invalid argument.
fn parking_errno() -> i32 {
    // SAFETY: the place of this thread's errno is always there.
    match unsafe { *libc::__errno_location() } {
        libc::EINVAL => libc::EMFILE,
        errno => errno,
    }
}

/// Which side of a fork this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// The old process; the new one's pid.
    Parent(Pid),
    /// The new process.
    Child,
}

/// Forks a single-threaded process: the new one goes on with a copy of everything.
pub fn fork() -> io::Result<Fork> {
    super::failpoint::reach("fork")?;
    // SAFETY: the caller has one thread, so that no lock can be held by a thread that the child does not have.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(Pid::from_raw(pid))),
    }
}

/// Forks a single-threaded process as [`fork`] does, but what the new one shares with the old one is its memory alone: it has
/// exactly the descriptors `fds`, as its 0, 1, 2 ..., no signal is blocked in it, its command line has these words, and it
/// dies with its parent. If that cannot be, the child hears the error. No destructor of what it has a copy of may run in
/// it: it ends with [`std::process::exit`].
pub fn fork_apart(words: &[&str], fds: &[BorrowedFd]) -> io::Result<(Fork, io::Result<()>)> {
    let parent = nix::unistd::getpid();
    let fds: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    match fork()? {
        Fork::Parent(pid) => Ok((Fork::Parent(pid), Ok(()))),
        Fork::Child => {
            die_with(parent);
            let none = SigSet::empty();
            let apart = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&none), None).map_err(io::Error::from);
            rename(words);
            Ok((Fork::Child, apart.and_then(|()| keep_only(&fds))))
        }
    }
}

/// In a child: it is killed when its parent dies, or ends now if that has died already.
fn die_with(parent: Pid) {
    // SAFETY: plain system calls on numbers.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
        if libc::getppid() != parent.as_raw() {
            libc::_exit(1); // it died before the call above
        }
    }
}

/// These descriptors become 0, 1, 2 ...; all others are closed, whoever believes to own them.
fn keep_only(fds: &[RawFd]) -> io::Result<()> {
    let parked: Vec<RawFd> = fds.iter().map(|fd| park(*fd)).collect();
    if parked.iter().any(|fd| *fd < 0) {
        return Err(io::Error::from_raw_os_error(parking_errno()));
    }
    for (place, parked) in (0..).zip(&parked) {
        // SAFETY: a plain system call on numbers; what was open there is nobody's any more.
        Errno::result(unsafe { libc::dup2(*parked, place) })?;
    }
    let first = u32::try_from(fds.len()).expect("they are few");
    // SAFETY: as above.
    Errno::result(unsafe { libc::close_range(first, u32::MAX, 0) }).map(drop).map_err(io::Error::from)
}

/// Has the process's command line be these words. One that is too short for them stays as it is.
fn rename(words: &[&str]) {
    let room: usize = std::env::args_os().map(|arg| arg.len() + 1).sum();
    let mut line: Vec<u8> = words.iter().flat_map(|word| word.bytes().chain([0])).collect();
    if line.len() <= room {
        line.resize(room, 0);
        // SAFETY: the words with which a program was started stand one after the other from argv[0] on, which this is; they
        // are the process's to change (proc_pid_cmdline(5)), and are strings after this as well.
        unsafe { std::ptr::copy_nonoverlapping(line.as_ptr(), program_invocation_name.cast(), room) };
    }
}

unsafe extern "C" {
    /// The program's argv[0] (program_invocation_name(3)).
    static program_invocation_name: *mut libc::c_char;
}

/// Has all threads allocate from two heaps, and large pieces from none: otherwise each thread keeps as much as its largest
/// request has ever taken (mallopt(3)). To be called before there are threads.
pub fn share_heaps() {
    // SAFETY: sets two numbers of the allocator.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10);
    }
}

/// Gives back to the kernel what the allocator holds free (malloc_trim(3)), and what deeper calls have left on the stack. To be
/// called by the main thread, before it waits for long.
pub fn trim_memory() {
    // SAFETY: takes no pointer and only releases pages that the allocator holds free.
    unsafe { libc::malloc_trim(0) };
    trim_stack();
}

/// How far below the present frame an earlier call may have reached, in bytes. The kernel keeps a gap of 1 MiB between the main
/// thread's stack and whatever lies below it (stack_guard_gap), so that nothing else is met.
const DEEPEST: usize = 512 << 10;
/// Room for the frames of the calls that are being made, in bytes.
const SHALLOW: usize = 512;

/// Everything below the caller's frame is what calls that have returned have left.
fn trim_stack() {
    let frame = [0_u8; 1];
    let Some(page) = nix::unistd::sysconf(SysconfVar::PAGE_SIZE).ok().flatten() else { return };
    let below = frame.as_ptr().addr() - SHALLOW;
    let end = below - below % usize::try_from(page).expect("a page has a size");
    let start = std::ptr::without_provenance_mut::<libc::c_void>(end - DEEPEST);
    // SAFETY: there is nothing there but frames that are not used any more: the next one is zero at first, which a frame may be.
    unsafe { libc::madvise(start, DEEPEST, libc::MADV_DONTNEED) };
}

/// Takes the descriptors with which [`spawn`] started this process, to be called once, first thing.
pub fn inherited<const N: usize>(numbers: [RawFd; N]) -> [OwnedFd; N] {
    numbers.map(|number| {
        // SAFETY: the process was started with exactly these descriptors, and nothing else owns them yet.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        // A descriptor that is given at the start is not close-on-exec; from here on it is.
        let _ = nix::fcntl::fcntl(&fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC));
        fd
    })
}

/// A descriptor in memory that holds these bytes and survives an exec when passed on.
pub fn memory_file(name: &CStr, bytes: &[u8]) -> io::Result<OwnedFd> {
    let file = File::from(nix::sys::memfd::memfd_create(name, nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?);
    file.write_all_at(bytes, 0)?;
    Ok(file.into())
}

/// Everything in a file, whatever its position.
pub fn read_whole(fd: impl AsFd) -> io::Result<Vec<u8>> {
    let file = File::from(fd.as_fd().try_clone_to_owned()?);
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
