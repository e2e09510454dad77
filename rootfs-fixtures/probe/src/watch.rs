//! A verb that does what a container with CAP_SYS_PTRACE may do: it takes hold of every process that it sees, as early as it
//! can, and tells what there is to be had.

use std::collections::{BTreeSet, HashSet};
use std::ffi::c_void;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::ptr::null_mut;

use crate::Outcome;

/// What is read of one mapping at most, in bytes.
const LARGEST: u64 = 8 << 20;

/// `watch MARKER...`: for ever. `own PERMITTED BOUNDING` are its own capabilities, `held EXE PERMITTED BOUNDING` those of each
/// process that it takes hold of, `fd TARGET` what such a process has open, `found EXE MARKER` that its memory has a marker.
pub fn watch(args: &[String]) -> Outcome {
    let own = std::process::id();
    let (permitted, bounding) = capabilities(own).ok_or("its own capabilities cannot be read")?;
    println!("own {permitted} {bounding}");
    println!("ready");
    let (mut held, mut told) = (HashSet::new(), BTreeSet::new());
    loop {
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            if pid == own || !held.insert(pid) {
                continue;
            }
            for line in look(pid, args) {
                if line.starts_with("held ") || told.insert(line.clone()) {
                    println!("{line}");
                }
            }
        }
    }
}

/// What there is to be had of a process; it goes on afterwards.
fn look(pid: u32, markers: &[String]) -> Vec<String> {
    let target = pid as libc::pid_t;
    let nothing: *mut c_void = null_mut();
    // SAFETY: these requests take no pointer; the process is another one.
    let stopped = unsafe {
        libc::ptrace(libc::PTRACE_SEIZE, target, nothing, nothing) == 0
            && libc::ptrace(libc::PTRACE_INTERRUPT, target, nothing, nothing) == 0
            && libc::waitpid(target, null_mut(), libc::__WALL) == target
    };
    if !stopped {
        return Vec::new(); // it is gone, or not to be had
    }
    let mut lines = Vec::new();
    let exe = fs::read_link(format!("/proc/{pid}/exe")).map_or("?".to_owned(), |path| path.display().to_string());
    if let Some((permitted, bounding)) = capabilities(pid) {
        lines.push(format!("held {exe} {permitted} {bounding}"));
    }
    for fd in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
        lines.extend(fs::read_link(fd.path()).map(|link| format!("fd {}", link.display())));
    }
    let memory = memory(pid);
    for marker in markers {
        // The marker in this process's own words is no find.
        let wanted = marker.replace('_', "-");
        if memory.windows(wanted.len()).any(|window| window == wanted.as_bytes()) {
            lines.push(format!("found {exe} {marker}"));
        }
    }
    // SAFETY: as above.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, target, nothing, nothing) };
    lines
}

/// All that a process can write to, one mapping after the other.
fn memory(pid: u32) -> Vec<u8> {
    let mut all = Vec::new();
    let (Ok(maps), Ok(mem)) = (fs::read_to_string(format!("/proc/{pid}/maps")), File::open(format!("/proc/{pid}/mem")))
    else {
        return all;
    };
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else { continue };
        let ends = range.split_once('-').map(|(a, b)| (u64::from_str_radix(a, 16), u64::from_str_radix(b, 16)));
        let Some((Ok(start), Ok(end))) = ends else { continue };
        if rights.starts_with("rw") {
            let mut bytes = vec![0; usize::try_from((end - start).min(LARGEST)).unwrap_or(0)];
            let read = mem.read_at(&mut bytes, start).unwrap_or(0);
            all.extend_from_slice(&bytes[..read]);
        }
    }
    all
}

/// The permitted and the bounding set of a process, in hexadecimal.
fn capabilities(pid: u32) -> Option<(String, String)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let set = |name: &str| Some(status.lines().find_map(|line| line.strip_prefix(name))?.trim().to_owned());
    Some((set("CapPrm:")?, set("CapBnd:")?))
}
