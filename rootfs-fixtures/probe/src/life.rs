//! Verbs about the life of a process: ends, signals, children.

use std::thread;
use std::time::Duration;

use crate::signal;
use crate::{Outcome, Usage, optional, required};

/// `exit N`
pub fn exit(args: &[String]) -> Outcome {
    Ok(required(args, 0)?)
}

/// `sleep [SECONDS]`: handles nothing, so that the init of a pid namespace ends by SIGKILL alone.
pub fn sleep(args: &[String]) -> Outcome {
    match optional(args, 0)? {
        Some(seconds) => thread::sleep(Duration::try_from_secs_f64(seconds).map_err(|_| Usage)?),
        None => signal::pause(),
    }
    Ok(0)
}

/// `trap SIGNAL... [-- N]`: says `ready`, prints the name of each signal received; leaves with N at the first one.
pub fn trap(args: &[String]) -> Outcome {
    let mut halves = args.split(|arg| arg == "--");
    let signals = numbers(halves.next().unwrap_or_default())?;
    let code: Option<u8> = halves.next().map(|rest| required(rest, 0)).transpose()?;
    let set = signal::block(&signals);
    println!("ready");
    loop {
        println!("{}", signal::name(signal::wait(&set)?));
        if let Some(code) = code {
            return Ok(code);
        }
    }
}

/// `ignore SIGNAL...`: says `ready` and stays, whatever is sent.
pub fn ignore(args: &[String]) -> Outcome {
    for signal in numbers(args)? {
        signal::ignore(signal)?;
    }
    println!("ready");
    signal::pause()
}

fn numbers(names: &[String]) -> Result<Vec<libc::c_int>, Usage> {
    let signals: Vec<_> = names.iter().map(|name| signal::number(name).ok_or(Usage)).collect::<Result<_, _>>()?;
    if signals.is_empty() { Err(Usage) } else { Ok(signals) }
}

/// `forks N`: makes children that stay until one is refused, at most N; prints how many and why it ended; then they go.
pub fn forks(args: &[String]) -> Outcome {
    let most: usize = required(args, 0)?;
    let mut children = Vec::new();
    let mut end = String::from("enough");
    while children.len() < most {
        match fork() {
            Ok(0) => signal::pause(),
            Ok(child) => children.push(child),
            Err(error) => {
                end = error.to_string();
                break;
            }
        }
    }
    println!("forks={} end={end}", children.len());
    for child in children {
        // SAFETY: the child is ours and has not been waited for, so the number is still its own.
        unsafe { libc::kill(child, libc::SIGKILL) };
        wait(child)?;
    }
    Ok(0)
}

/// `zombies N`: makes N orphans that end at once, and stays. They become zombies of whoever adopts them.
pub fn zombies(args: &[String]) -> Outcome {
    let number: usize = required(args, 0)?;
    for _ in 0..number {
        match fork()? {
            0 => {
                let end = i32::from(fork().is_err());
                leave(end);
            }
            child => wait(child)?,
        };
    }
    println!("orphans={number}");
    signal::exit_when_asked();
    signal::pause()
}

/// fork(2). The program has one thread where this is called.
pub fn fork() -> std::io::Result<libc::pid_t> {
    // SAFETY: with one thread the child has a whole copy of the program, no lock held by anybody.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error()),
        child => Ok(child),
    }
}

/// Waits for a child; its raw wait status.
pub fn wait(child: libc::pid_t) -> std::io::Result<libc::c_int> {
    let mut status = 0;
    // SAFETY: the pointer is to a value that lives through the call.
    match unsafe { libc::waitpid(child, &mut status, 0) } {
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok(status),
    }
}

/// Ends a forked child at once, without the exit handlers of its parent.
pub fn leave(code: i32) -> ! {
    // SAFETY: _exit only ends the process.
    unsafe { libc::_exit(code) }
}
