//! Landlock (landlock(7)): a process takes file rights away from itself, for good. As much of it as the kernel has is
//! used (Linux 5.13 and later, and enabled); where it has none, capabilities and owners are what is left. Called by
//! `worker`.

use std::io;
use std::os::fd::BorrowedFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
};

/// The newest rights that we know the meaning of.
const KNOWN: ABI = ABI::V6;

/// From here on the calling thread, and the threads that it starts, can open and make files only beneath `writable`, and
/// open them for reading only beneath `readable`, a directory or a file; a pipe, which is nowhere, can be read as it is. No program can be executed, no device node or
/// socket be made, no port listened on, no process outside be signalled. What is open stays open. Sets no_new_privs.
pub fn confine(writable: BorrowedFd<'_>, readable: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let no = AccessFs::Execute | AccessFs::MakeBlock | AccessFs::MakeSock | AccessFs::IoctlDev;
    let work = AccessFs::from_all(KNOWN) & !no;
    let readable = readable.and_then(|readable| Some((readable, reading(readable)?)));
    let rules = || {
        let ruleset = Ruleset::default()
            .handle_access(AccessFs::from_all(KNOWN))?
            .handle_access(AccessNet::BindTcp)?
            .scope(Scope::from_all(KNOWN))?
            .create()?
            .add_rule(PathBeneath::new(writable, work))?;
        let ruleset = match readable {
            Some((readable, rights)) => ruleset.add_rule(PathBeneath::new(readable, rights))?,
            None => ruleset,
        };
        ruleset.restrict_self()
    };
    rules().map(drop).map_err(io::Error::other)
}

/// The rights to read a directory with all below it, or one file. The kernel knows none for what has no place among files.
fn reading(what: BorrowedFd<'_>) -> Option<BitFlags<AccessFs>> {
    let kind = nix::sys::stat::fstat(what).map(|stat| stat.st_mode & libc::S_IFMT);
    match kind {
        Ok(libc::S_IFDIR) => Some(AccessFs::ReadFile | AccessFs::ReadDir),
        Ok(libc::S_IFREG) => Some(AccessFs::ReadFile.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsFd;
    use std::thread;

    use super::*;

    #[test]
    fn what_is_not_beneath_cannot_be_opened_made_or_linked() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["in", "out", "source"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("file"), "x").unwrap();
        }
        let path = |name: &str| dir.path().join(name);
        let (writable, readable) = (File::open(path("in")).unwrap(), File::open(path("source")).unwrap());
        thread::scope(|scope| {
            // A thread of its own: what it takes from itself it does not get back.
            let confined = scope.spawn(|| {
                confine(writable.as_fd(), Some(readable.as_fd())).unwrap();
                assert!(fs::read(path("out/file")).is_err());
                assert!(fs::write(path("out/new"), "x").is_err());
                assert!(fs::hard_link(path("out/file"), path("in/link")).is_err());
                assert!(fs::rename(path("in/file"), path("out/moved")).is_err());
                assert!(fs::write(path("source/file"), "y").is_err());
                assert_eq!(fs::read(path("source/file")).unwrap(), b"x");
                fs::create_dir(path("in/dir")).unwrap();
                fs::hard_link(path("in/file"), path("in/dir/link")).unwrap();
                assert!(std::process::Command::new("/bin/true").status().is_err());
            });
            confined.join().unwrap();
        });
        assert!(fs::read(path("out/file")).is_ok(), "the other threads are as they were");
    }

    #[test]
    fn a_pipe_that_is_open_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let writable = File::open(dir.path()).unwrap();
        let (mut read, mut write) = io::pipe().unwrap();
        io::Write::write_all(&mut write, b"x").unwrap();
        let confined = thread::spawn(move || {
            confine(writable.as_fd(), Some(read.as_fd())).unwrap();
            let mut byte = [0];
            io::Read::read_exact(&mut read, &mut byte).map(|()| byte)
        });
        assert_eq!(confined.join().unwrap().unwrap(), *b"x");
    }
}
