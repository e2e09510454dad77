//! Checks of what stands around berth on this host: its configuration, its store, other copies of the program, other roots, and
//! the clock.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Caller, Check, chain, not_seen};
use crate::ops::config::Config;
use crate::plan::Layout;
use crate::runtime::cgroup::delegated;
use crate::store::Store;
use crate::sys::time;

/// Where programs are that people install.
const PATHS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// `config` is the root's configuration file.
pub(super) fn checks(layout: &Layout, config: &Path, caller: Caller) -> Vec<Check> {
    let store = if caller == Caller::Root { store(layout) } else { not_seen("store") };
    vec![configuration(config), store, programs(&copies(&PATHS)), roots(layout), clock()]
}

fn configuration(path: &Path) -> Check {
    let (name, place) = ("configuration", path.display());
    match Config::read(path) {
        Err(error) => Check::fail(name, chain(&error))
            .remedy(format!("mend {place}: /usr/share/doc/berth/config.toml tells what may stand there")),
        Ok(_) if path.exists() => Check::ok(name, format!("{place} can be read")),
        Ok(_) => Check::ok(name, format!("none: there is no {place}, and the defaults hold")),
    }
}

/// One that another version has written may be of a format that this one does not know.
fn store(layout: &Layout) -> Check {
    let (name, path) = ("store", layout.store());
    if !path.exists() {
        return Check::ok(name, "none yet: the first command makes it");
    }
    match Store::open(&path) {
        Ok(_) => Check::ok(name, format!("{} can be read", path.display())),
        Err(error) => Check::fail(name, chain(&error))
            .remedy(format!("use the berth that wrote it; or start anew: mv {0} {0}.old", path.display())),
    }
}

/// The files called berth in these directories; two names of one file are one.
fn copies(directories: &[&str]) -> Vec<PathBuf> {
    let mut found: Vec<(PathBuf, (u64, u64))> = Vec::new();
    for path in directories.iter().map(|directory| Path::new(directory).join("berth")) {
        let Ok(file) = fs::metadata(&path) else { continue };
        let identity = (file.dev(), file.ino());
        if file.is_file() && found.iter().all(|(_, known)| *known != identity) {
            found.push((path, identity));
        }
    }
    found.into_iter().map(|(path, _)| path).collect()
}

/// Units call the package's program and people the first one of their path: two that differ are two versions at one store.
fn programs(copies: &[PathBuf]) -> Check {
    let name = "another berth";
    let Some((first, others)) = copies.split_first() else {
        return Check::ok(name, "none is installed for all users");
    };
    let text = fs::read(first).ok();
    let differs = |path: &&PathBuf| fs::read(path).ok() != text;
    match others.iter().find(differs) {
        None => Check::ok(name, format!("one program, {}", first.display())),
        Some(other) => Check::warn(
            name,
            format!("{} and {} are different programs that share their tasks", first.display(), other.display()),
        )
        .remedy(format!("keep one of them: rm {}; or: apt remove berth", first.display())),
    }
}

/// Roots keep out of each other's way; that there are others explains what else is seen.
fn roots(layout: &Layout) -> Check {
    let own = format!("berth-{}", layout.tag());
    let mut groups = vec![PathBuf::from("/sys/fs/cgroup"), PathBuf::from("/sys/fs/cgroup/pids")];
    if !delegated().is_empty() {
        groups.push(groups[0].join(delegated()));
    }
    let names = groups.iter().filter_map(|group| fs::read_dir(group).ok()).flatten().flatten();
    let others: Vec<String> = names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("berth-") && *name != own)
        .collect();
    match others.as_slice() {
        [] => Check::ok("other roots", "none has tasks here"),
        some => Check::ok("other roots", format!("tasks of {} run here, in networks of their own", some.join(", "))),
    }
}

fn clock() -> Check {
    clock_of(time::clock().map(|clock| clock.is_synchronized))
}

fn clock_of(synchronized: io::Result<bool>) -> Check {
    let name = "clock";
    match synchronized {
        Ok(true) => Check::ok(name, "kept in time"),
        Ok(false) => {
            Check::warn(name, "nobody keeps it in time: registries and AWS refuse a clock that is minutes off")
                .remedy("timedatectl set-ntp true; or: apt install chrony")
        }
        Err(error) => {
            Check::warn(name, format!("the kernel does not say how it is kept: {error}")).remedy("timedatectl status")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::State;

    #[test]
    fn two_programs_that_differ_are_told_and_two_names_of_one_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        for name in ["a", "b", "c"] {
            fs::create_dir(place(name)).unwrap();
        }
        fs::write(place("a/berth"), "one").unwrap();
        std::os::unix::fs::symlink(place("a/berth"), place("b/berth")).unwrap();
        let names = ["a", "b", "c"].map(|name| place(name).to_string_lossy().into_owned());
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(programs(&copies(&names)).state, State::Ok);
        fs::write(place("c/berth"), "two").unwrap();
        let check = programs(&copies(&names));
        assert!(check.state == State::Warn && check.remedy.unwrap().contains("rm "), "{}", check.found);
        assert_eq!(programs(&[]).state, State::Ok);
    }

    #[test]
    fn a_configuration_that_is_wrong_lets_no_task_run() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        assert!(configuration(&path).found.starts_with("none"));
        fs::write(&path, "regoin = 'x'").unwrap();
        let check = configuration(&path);
        assert!(check.state == State::Fail && check.found.contains("regoin"), "{}", check.found);
    }

    #[test]
    fn a_clock_that_nobody_keeps_is_told() {
        assert_eq!(clock_of(Ok(true)).state, State::Ok);
        assert!(clock_of(Ok(false)).remedy.unwrap().contains("timedatectl"));
        assert_eq!(clock_of(Err(io::Error::other("x"))).state, State::Warn);
    }
}
