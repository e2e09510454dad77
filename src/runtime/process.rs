//! The security floor: how a process that already stands in a container becomes the program of a [`ProcessPlan`].
//!
//! There is one for both ways in, the container's init (`container`) and an exec (`exec`), so that the second can never
//! have more rights than the first. It starts as root with all capabilities, and ends in execve or in a [`Failure`] that
//! the parent reads from a close-on-exec pipe: when the pipe ends without one, the program runs.

mod report;

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::prctl;
use nix::sys::resource::{Resource, rlim_t, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, chdir, execve, execveat, getcwd};

use self::report::During;
pub use self::report::{Failure, Report, Step, report_pipe};
use super::seccomp::{self, Filter, SeccompError};
use crate::plan::{ALL_CAPABILITIES, ProcessPlan, Rlimit};
use crate::sys::capability::{self, Capabilities};
use crate::sys::process as sys;

/// Where programs without a slash are looked for if the environment has no PATH (Docker's own default).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why a plan cannot be carried out by anybody.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// There is no program in the plan.
    #[error("the container has no command")]
    NoCommand,
    /// A text that the kernel takes up to its first NUL.
    #[error("{0} contains a NUL byte")]
    Nul(&'static str),
    /// A resource limit that Linux does not have.
    #[error("unknown resource limit {0}")]
    Rlimit(String),
    /// A capability that Linux does not have.
    #[error("unknown capability {0}")]
    Capability(String),
    /// The system call filter cannot be had.
    #[error(transparent)]
    Seccomp(#[from] SeccompError),
}

/// A program ready to be executed: a [`ProcessPlan`] in the kernel's words. Made in the parent, so that what can be
/// wrong with the plan is known before anything exists.
pub struct Program {
    /// The paths to try, in order.
    paths: Vec<CString>,
    args: Vec<CString>,
    env: Vec<CString>,
    cwd: CString,
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    capabilities: Capabilities,
    rlimits: Vec<(Resource, rlim_t, rlim_t)>,
    no_new_privileges: bool,
    filter: Option<Filter>,
}

impl Program {
    /// Translates a plan; `filters` is the cache of compiled filters.
    pub fn new(plan: &ProcessPlan, filters: &Path) -> Result<Self, ProgramError> {
        let program = plan.args.first().filter(|program| !program.is_empty()).ok_or(ProgramError::NoCommand)?;
        let path = plan.env.iter().find(|(name, _)| name == "PATH").map_or(DEFAULT_PATH, |(_, path)| path);
        let env = plan.env.iter().map(|(name, value)| text(format!("{name}={value}"), "the environment"));
        let filter = plan.seccomp.then(|| seccomp::filter(filters, &plan.capabilities)).transpose()?;
        Ok(Self {
            paths: paths_to_try(program, path)
                .into_iter()
                .map(|path| text(path, "the command"))
                .collect::<Result<_, _>>()?,
            args: plan.args.iter().map(|arg| text(arg.as_str(), "the command")).collect::<Result<_, _>>()?,
            env: env.collect::<Result<_, _>>()?,
            cwd: text(plan.cwd.as_str(), "the working directory")?,
            uid: plan.uid,
            gid: plan.gid,
            groups: plan.groups.clone(),
            capabilities: capabilities(&plan.capabilities)?,
            rlimits: plan.rlimits.iter().map(rlimit).collect::<Result<_, _>>()?,
            no_new_privileges: plan.no_new_privileges,
            filter,
        })
    }

    /// Becomes the program. Comes back only after a failure, which it has written to `report`; the caller has nothing
    /// left but to exit with [`Failure::exit_code`].
    pub fn run(&self, report: &OwnedFd) -> Failure {
        let failure = match self.become_program(report) {
            Ok(never) => match never {},
            Err(failure) => failure,
        };
        failure.tell(report)
    }

    /// The order is the point:
    ///
    /// 1. What needs nothing, but must not be left: descriptors are closed and not only marked, since the program's
    ///    path, its interpreter or the working directory may lead through `/proc/self/fd` (CVE-2024-21626).
    /// 2. What root may and the user may not: limits, the working directory, the bounding set.
    /// 3. The user, with the permitted capabilities kept, because
    /// 4. the filter needs CAP_SYS_ADMIN as long as no_new_privs is off (as it is by default: it breaks sudo). It
    ///    comes after all that the default profile might forbid, and before
    /// 5. the last capabilities go. From here on there are capset, execve, and to report: write and exit_group, all of
    ///    which every profile must allow anyway.
    fn become_program(&self, report: &OwnedFd) -> Result<Infallible, Failure> {
        self.leave_the_runtime([report.as_fd()]).during(Step::Prepare)?;
        self.give_up_rights()?;
        self.execute().during(Step::Exec)
    }

    /// Becomes the program in a sibling of the caller, which has given up everything by then: for a caller whose children are
    /// in a process namespace where somebody may trace them, and itself is not. What is kept open is `report`, and `more` in
    /// the caller alone. `first` is what the sibling does before all else. The sibling's number as the caller's namespace has it.
    pub fn run_beside(
        &self,
        report: &OwnedFd,
        more: &OwnedFd,
        first: impl FnOnce() -> nix::Result<()>,
    ) -> Result<Pid, Failure> {
        self.leave_the_runtime([report.as_fd(), more.as_fd()]).during(Step::Prepare)?;
        self.give_up_rights()?;
        let last = || match first().during(Step::Prepare).and_then(|()| self.execute().during(Step::Exec)) {
            Ok(never) => match never {},
            Err(failure) => failure.tell(report).exit_code(),
        };
        sys::fork_sibling(last).during(Step::Exec)
    }

    /// All steps but the first and the last.
    fn give_up_rights(&self) -> Result<(), Failure> {
        sys::reset_signals().during(Step::Prepare)?;
        for (resource, soft, hard) in &self.rlimits {
            setrlimit(*resource, *soft, *hard).during(Step::Rlimits)?;
        }
        let in_cwd = self.enter_cwd_as_root().during(Step::Cwd)?;
        self.limit_capabilities().during(Step::Capabilities)?;
        self.become_user().during(Step::User)?;
        if !in_cwd {
            chdir(self.cwd.as_c_str()).during(Step::Cwd)?;
        }
        // A directory outside the root has no path in here.
        getcwd().and_then(|cwd| if cwd.is_absolute() { Ok(()) } else { Err(Errno::ENOENT) }).during(Step::Cwd)?;
        self.give_up_the_rest()
    }

    /// Becomes our own program, given as a sealed file, with the same rights as the plan's and nothing else of it. Signals
    /// stay as they are. Comes back only after a failure, as [`Program::run`].
    pub fn run_own(&self, report: &OwnedFd, program: &OwnedFd, args: &[CString]) -> Failure {
        let failure = match self.become_own(report, program, args) {
            Ok(never) => match never {},
            Err(failure) => failure,
        };
        failure.tell(report)
    }

    fn become_own(&self, report: &OwnedFd, program: &OwnedFd, args: &[CString]) -> Result<Infallible, Failure> {
        prctl::set_pdeathsig(None).during(Step::Init)?;
        sys::close_descriptors_but([report.as_fd(), program.as_fd()]).during(Step::Init)?;
        chdir("/").during(Step::Init)?;
        self.limit_capabilities().during(Step::Capabilities)?;
        self.become_user().during(Step::User)?;
        self.give_up_the_rest()?;
        let no_env: [CString; 0] = [];
        execveat(program, c"", args, &no_env, AtFlags::AT_EMPTY_PATH).during(Step::Init)
    }

    fn give_up_the_rest(&self) -> Result<(), Failure> {
        if self.no_new_privileges {
            prctl::set_no_new_privs().during(Step::Filter)?;
        }
        if let Some(filter) = &self.filter {
            sys::load_filter(filter.program()).during(Step::Filter)?;
        }
        self.drop_capabilities().during(Step::Capabilities)
    }

    fn leave_the_runtime<const N: usize>(&self, kept: [BorrowedFd<'_>; N]) -> nix::Result<()> {
        // Set for the time before the start message; from there on the container outlives whoever started it.
        prctl::set_pdeathsig(None)?;
        sys::close_descriptors_but(kept)?;
        umask(Mode::from_bits_truncate(0o022));
        Ok(())
    }

    /// runc's way: root first, who may go everywhere in the container; the user later where root may not, as on a
    /// network file system. Whether that remains to be done.
    fn enter_cwd_as_root(&self) -> nix::Result<bool> {
        match chdir(self.cwd.as_c_str()) {
            Ok(()) => Ok(true),
            Err(Errno::EPERM | Errno::EACCES) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// The bounding set: what no later execve can give back.
    fn limit_capabilities(&self) -> nix::Result<()> {
        for number in (0..u64::BITS).filter(|number| !self.capabilities.contains(*number)) {
            match capability::drop_bounding(number) {
                // The kernel has no capability of that number, nor of a higher one.
                Err(Errno::EINVAL) => break,
                other => other?,
            }
        }
        Ok(())
    }

    fn become_user(&self) -> nix::Result<()> {
        sys::set_groups(&self.groups)?;
        sys::set_gid(self.gid)?;
        prctl::set_keepcaps(true)?;
        sys::set_uid(self.uid)?;
        prctl::set_keepcaps(false)?;
        // A change from root takes the effective set away, keepcaps or not.
        let permitted = capability::permitted()?;
        capability::set(permitted, permitted)?;
        capability::clear_ambient()
    }

    /// As execve will leave them: all of the bounding set for root, none for anybody else. What the host's own root
    /// does not have cannot be given.
    fn drop_capabilities(&self) -> nix::Result<()> {
        let wanted = if self.uid == 0 { self.capabilities } else { Capabilities::NONE };
        let possible = capability::permitted()? & wanted;
        capability::set(possible, possible)
    }

    /// Tries the paths in order, as execvp(3) does, but for its last resort, the shell. Once a file was found that may
    /// not be executed, that is the error, however many paths follow.
    fn execute(&self) -> nix::Result<Infallible> {
        let mut denied = None;
        for path in &self.paths {
            match execve(path, &self.args, &self.env) {
                Ok(never) => match never {},
                Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(Errno::EACCES) => denied = Some(Errno::EACCES),
                Err(errno) => return Err(errno),
            }
        }
        Err(denied.unwrap_or(Errno::ENOENT))
    }
}

fn text(text: impl Into<Vec<u8>>, what: &'static str) -> Result<CString, ProgramError> {
    CString::new(text).map_err(|_| ProgramError::Nul(what))
}

/// The paths that a program's name stands for: itself if there is a slash in it, else one for each directory of PATH.
/// Relative directories (an empty one is the working directory) are left out: a program is not to be found by accident.
fn paths_to_try(program: &str, path: &str) -> Vec<String> {
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    let directories = path.split(':').filter(|directory| directory.starts_with('/'));
    directories.map(|directory| format!("{}/{program}", directory.trim_end_matches('/'))).collect()
}

fn capabilities(names: &[String]) -> Result<Capabilities, ProgramError> {
    names.iter().try_fold(Capabilities::NONE, |set, name| {
        if name == ALL_CAPABILITIES {
            return Ok(Capabilities(u64::MAX));
        }
        let one = Capabilities::named(name).ok_or_else(|| ProgramError::Capability(name.clone()))?;
        Ok(set | one)
    })
}

/// A resource limit by its ECS name; -1 is unlimited.
fn rlimit(limit: &Rlimit) -> Result<(Resource, rlim_t, rlim_t), ProgramError> {
    let resource = match limit.name.as_str() {
        "as" => Resource::RLIMIT_AS,
        "core" => Resource::RLIMIT_CORE,
        "cpu" => Resource::RLIMIT_CPU,
        "data" => Resource::RLIMIT_DATA,
        "fsize" => Resource::RLIMIT_FSIZE,
        "locks" => Resource::RLIMIT_LOCKS,
        "memlock" => Resource::RLIMIT_MEMLOCK,
        "msgqueue" => Resource::RLIMIT_MSGQUEUE,
        "nice" => Resource::RLIMIT_NICE,
        "nofile" => Resource::RLIMIT_NOFILE,
        "nproc" => Resource::RLIMIT_NPROC,
        "rss" => Resource::RLIMIT_RSS,
        "rtprio" => Resource::RLIMIT_RTPRIO,
        "rttime" => Resource::RLIMIT_RTTIME,
        "sigpending" => Resource::RLIMIT_SIGPENDING,
        "stack" => Resource::RLIMIT_STACK,
        other => return Err(ProgramError::Rlimit(other.to_owned())),
    };
    let value = |number: i64| rlim_t::try_from(number).unwrap_or(libc::RLIM_INFINITY);
    Ok((resource, value(limit.soft), value(limit.hard)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_slash_is_looked_for_in_absolute_directories_only() {
        assert_eq!(paths_to_try("sh", "/usr/bin/:bin::/bin:."), ["/usr/bin/sh", "/bin/sh"]);
        assert_eq!(paths_to_try("sh", ""), [""; 0]);
        assert_eq!(paths_to_try("./sh", "/bin"), ["./sh"]);
        assert_eq!(paths_to_try("/sh", "/bin"), ["/sh"]);
    }

    #[test]
    fn a_limit_of_minus_one_is_unlimited() {
        let limit = |name: &str| Rlimit { name: name.into(), soft: 64, hard: -1 };
        assert_eq!(rlimit(&limit("nofile")).unwrap(), (Resource::RLIMIT_NOFILE, 64, libc::RLIM_INFINITY));
        assert!(matches!(rlimit(&limit("files")), Err(ProgramError::Rlimit(_))));
    }

    #[test]
    fn what_linux_does_not_know_is_refused() {
        assert_eq!(capabilities(&["CAP_ALL".to_owned()]).unwrap(), Capabilities(u64::MAX));
        assert!(matches!(capabilities(&["CHOWN".to_owned()]), Err(ProgramError::Capability(_))));
        assert!(matches!(text("a\0b", "the command"), Err(ProgramError::Nul(_))));
    }
}
