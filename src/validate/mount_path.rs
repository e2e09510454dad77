//! Where in a container something can be mounted. Called by the rules, and by `plan`, which sorts and compares these paths.

/// What the runtime mounts itself: a mount over or below it would hide what the container's floor rests on.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// A container's path without doubled, trailing and `.` parts; what is wrong with it if nothing can be mounted there.
pub fn mount_path(path: &str) -> Result<String, &'static str> {
    if path.is_empty() {
        return Err("is empty");
    }
    if !path.starts_with('/') {
        return Err("is not absolute");
    }
    if path.contains('\0') {
        return Err("holds a NUL");
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err("goes up by ..");
    }
    if parts.is_empty() {
        return Err("is the container's root");
    }
    let clean = format!("/{}", parts.join("/"));
    match KERNEL.iter().any(|kernel| is_below(&clean, kernel)) {
        true => Err("lies in /proc, /sys or /dev"),
        false => Ok(clean),
    }
}

/// Whether a clean path is another one or lies below it.
fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for path in ["/a/b", "//a///b/", "/./a/./b/."] {
            assert_eq!(mount_path(path).as_deref(), Ok("/a/b"));
        }
        assert_eq!(mount_path("/devices").as_deref(), Ok("/devices"));
    }

    #[test]
    fn nothing_is_mounted_over_the_root_the_kernels_files_or_by_a_path_that_goes_up() {
        for path in ["", "a", "/", "/.", "/a/../b", "/proc", "/proc/self", "//sys/fs", "/dev/shm", "/a\0"] {
            assert!(mount_path(path).is_err(), "{path:?}");
        }
    }
}
