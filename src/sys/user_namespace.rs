//! User namespaces that nobody lives in: they only say how ids are mapped.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::waitpid;
use nix::unistd::{pipe2, read, write};

use super::process::exit_now;
use super::spawn::{Fork, fork};

/// A user namespace in which one user and one group have other numbers than outside: `(inside, outside)`. The caller must
/// have a single thread.
pub fn mapping(user: (u32, u32), group: (u32, u32)) -> io::Result<OwnedFd> {
    let (made, tell) = pipe2(OFlag::O_CLOEXEC)?;
    let (wait, done) = pipe2(OFlag::O_CLOEXEC)?;
    let child = match fork()? {
        Fork::Parent(child) => child,
        Fork::Child => {
            drop(done);
            let entered = unshare(CloneFlags::CLONE_NEWUSER).is_ok();
            let _ = write(&tell, &[u8::from(entered)]);
            let _ = read(&wait, &mut [0]); // until the parent has closed its end
            exit_now(0)
        }
    };
    drop(tell);
    let namespace = (|| {
        let mut entered = [0];
        if read(&made, &mut entered)? != 1 || entered != [1] {
            return Err(io::Error::other("a process could not enter a user namespace"));
        }
        let map = |(inside, outside): (u32, u32)| format!("{inside} {outside} 1");
        std::fs::write(format!("/proc/{child}/uid_map"), map(user))?;
        std::fs::write(format!("/proc/{child}/gid_map"), map(group))?;
        File::open(format!("/proc/{child}/ns/user"))
    })();
    drop(done);
    drop(wait);
    waitpid(child, None)?;
    namespace.map(OwnedFd::from)
}
