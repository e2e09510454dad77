//! Signals by name, and the few calls on them that the verbs need.

use std::io;
use std::mem::zeroed;
use std::ptr::null_mut;

/// The signals that a test may name, without `SIG`.
const NAMES: &[(&str, libc::c_int)] = &[
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ABRT", libc::SIGABRT),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("USR2", libc::SIGUSR2),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("CHLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("PWR", libc::SIGPWR),
    ("WINCH", libc::SIGWINCH),
];

/// The number of `TERM`, `SIGTERM` or `15`.
pub fn number(text: &str) -> Option<libc::c_int> {
    let name = text.strip_prefix("SIG").unwrap_or(text);
    let known = NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    known.or_else(|| text.parse().ok().filter(|number| (1..=64).contains(number)))
}

/// The name of a signal without `SIG`, or its number.
pub fn name(number: libc::c_int) -> String {
    let known = NAMES.iter().find(|(_, known)| *known == number);
    known.map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
}

/// Blocks signals. A blocked signal reaches even the init of a pid namespace, where an unhandled one is dropped.
pub fn block(signals: &[libc::c_int]) -> libc::sigset_t {
    // SAFETY: a signal set is plain data, and these calls write only to the sets that they are given.
    unsafe {
        let mut set = zeroed();
        libc::sigemptyset(&mut set);
        for signal in signals {
            libc::sigaddset(&mut set, *signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, &set, null_mut());
        set
    }
}

/// Waits for one of the blocked signals.
pub fn wait(set: &libc::sigset_t) -> io::Result<libc::c_int> {
    let mut signal = 0;
    // SAFETY: both pointers are to values that live through the call.
    match unsafe { libc::sigwait(set, &mut signal) } {
        0 => Ok(signal),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Ignores a signal.
pub fn ignore(signal: libc::c_int) -> io::Result<()> {
    // SAFETY: SIG_IGN runs no code of ours.
    match unsafe { libc::signal(signal, libc::SIG_IGN) } {
        libc::SIG_ERR => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Takes back what Rust's start does to SIGPIPE, so that the program dies of a closed pipe as others do.
pub fn die_of_closed_pipe() {
    // SAFETY: SIG_DFL runs no code of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Lets SIGTERM, SIGINT and SIGQUIT end the program with code 0, as the init of a pid namespace too.
pub fn exit_when_asked() {
    extern "C" fn leave(_: libc::c_int) {
        // SAFETY: _exit is async-signal-safe.
        unsafe { libc::_exit(0) }
    }
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT] {
        // SAFETY: the handler does nothing but leave.
        unsafe { libc::signal(signal, leave as extern "C" fn(libc::c_int) as libc::sighandler_t) };
    }
}

/// Waits for a signal that ends the program, for ever otherwise.
pub fn pause() -> ! {
    loop {
        // SAFETY: no pointer is passed.
        unsafe { libc::pause() };
    }
}
