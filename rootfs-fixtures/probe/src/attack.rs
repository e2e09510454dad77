//! What somebody in a container would try against the host: each attempt in a process of its own, and nothing that would do
//! harm if it succeeded. Arguments that are wrong are refused after the right to ask is: whoever hears of them had it.

use std::ffi::{CStr, CString};
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use crate::Outcome;
use crate::life::{fork, leave, wait};

/// Its name, and the attempt.
type Attack = (&'static str, fn() -> io::Result<()>);

/// A directory of the container's own.
const PLACE: &CStr = c"/attack";
/// An invalid descriptor, pointer or number.
const BAD: i64 = -1;

/// `attack [MARKER]`: makes each attempt and prints `NAME refused ERRNO`, `NAME passed` or `NAME passed ERRNO`. With a file
/// that is not there yet: makes it, waits a moment and fails, to be started again.
pub fn attack(args: &[String]) -> Outcome {
    if let Some(marker) = args.first().filter(|marker| !Path::new(marker).exists()) {
        fs::write(marker, "")?;
        std::thread::sleep(Duration::from_millis(1500));
        return Ok(9);
    }
    fs::create_dir_all("/attack")?;
    for (name, attempt) in ATTACKS {
        let child = fork()?;
        if child == 0 {
            // SAFETY: takes no pointer: a call that waits is ended.
            unsafe { libc::alarm(3) };
            leave(match attempt() {
                Ok(()) => 0,
                Err(error) => error.raw_os_error().unwrap_or(255),
            });
        }
        let status = wait(child)?;
        let errno = if libc::WIFSIGNALED(status) { libc::EINTR } else { libc::WEXITSTATUS(status) };
        match errno {
            0 => println!("{name} passed"),
            libc::EPERM | libc::EACCES | libc::ENOSYS | libc::EROFS => println!("{name} refused {errno}"),
            _ => println!("{name} passed {errno}"),
        }
    }
    println!("done");
    Ok(0)
}

/// A system call, by its number.
fn call(number: libc::c_long, args: [i64; 6]) -> io::Result<()> {
    let [a, b, c, d, e, f] = args;
    // SAFETY: pointers among the arguments are to constants, null or invalid, which the kernel finds out.
    match unsafe { libc::syscall(number, a, b, c, d, e, f) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn text(text: &'static CStr) -> i64 {
    text.as_ptr() as i64
}

fn mount(source: &'static CStr, kind: &'static CStr, flags: libc::c_ulong) -> io::Result<()> {
    call(libc::SYS_mount, [text(source), text(PLACE), text(kind), flags as i64, 0, 0])?;
    call(libc::SYS_umount2, [text(PLACE), i64::from(libc::MNT_DETACH), 0, 0, 0, 0])
}

fn unshare(flag: libc::c_int) -> io::Result<()> {
    call(libc::SYS_unshare, [i64::from(flag), 0, 0, 0, 0, 0])
}

/// What this kernel does not have is as good as a call that it does not know.
fn absent(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound => io::Error::from_raw_os_error(libc::ENOSYS),
        _ => error,
    }
}

/// Opens a file for writing, and writes nothing.
fn writable(path: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(path).map(drop).map_err(absent)
}

/// Something can be read of a file.
fn readable(path: &str) -> io::Result<()> {
    match fs::File::open(path).map_err(absent)?.read(&mut [0]) {
        Ok(0) => Err(io::Error::from_raw_os_error(libc::EACCES)), // masked
        read => read.map(drop),
    }
}

/// A directory shows something.
fn listed(path: &str) -> io::Result<()> {
    let mut entries = fs::read_dir(path).map_err(absent)?;
    entries.next().map(drop).ok_or_else(|| io::Error::from_raw_os_error(libc::EACCES))
}

/// Makes the node of a device and opens it.
fn device(kind: libc::mode_t, major: u32, minor: u32) -> io::Result<()> {
    let path = CString::new(format!("/attack/{kind:o}-{major}-{minor}"))?;
    // SAFETY: the path is a C string that lives through the call.
    let made = unsafe { libc::mknod(path.as_ptr(), kind | 0o600, libc::makedev(major, minor)) };
    match (made, io::Error::last_os_error()) {
        (-1, error) if error.raw_os_error() != Some(libc::EEXIST) => return Err(error),
        _ => {}
    }
    // SAFETY: as above.
    match unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_NONBLOCK) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn socket(family: libc::c_int, kind: libc::c_int) -> io::Result<()> {
    call(libc::SYS_socket, [i64::from(family), i64::from(kind), 0, 0, 0, 0])
}

/// A request about an interface that there is not.
fn interface(request: libc::c_ulong) -> io::Result<()> {
    let mut wanted = [0_u8; 64];
    wanted[..7].copy_from_slice(b"nosuch0");
    // SAFETY: the request is as large as struct ifreq at least, and the socket lives through the call.
    let asked = unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0);
        libc::ioctl(socket, request, wanted.as_mut_ptr())
    };
    if asked == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Takes CAP_SYS_ADMIN beside what it has.
fn administrate() -> io::Result<()> {
    const SYS_ADMIN: u32 = 1 << 21;
    let header = [0x2008_0522_u32, 0];
    let mut sets = [0_u32; 6]; // effective, permitted, inheritable; then the higher halves
    call(libc::SYS_capget, [header.as_ptr() as i64, sets.as_mut_ptr() as i64, 0, 0, 0, 0])?;
    sets[0] |= SYS_ADMIN;
    sets[1] |= SYS_ADMIN;
    call(libc::SYS_capset, [header.as_ptr() as i64, sets.as_ptr() as i64, 0, 0, 0, 0])
}

/// Sets a clock's tick to what it cannot be.
fn adjust_clock() -> io::Result<()> {
    const ADJ_TICK: u64 = 0x4000;
    let wanted = [ADJ_TICK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]; // struct timex
    call(libc::SYS_clock_adjtime, [0, wanted.as_ptr() as i64, 0, 0, 0, 0])
}

/// Joins a namespace, of the container's own first process.
fn join(kind: &str) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let namespace = fs::File::open(format!("/proc/self/ns/{kind}"))?;
    call(libc::SYS_setns, [i64::from(namespace.as_raw_fd()), 0, 0, 0, 0, 0])
}

const SYS_OPEN_TREE: libc::c_long = 428;
const SYS_MOVE_MOUNT: libc::c_long = 429;
const SYS_FSOPEN: libc::c_long = 430;
const SYS_FSPICK: libc::c_long = 433;
const SYS_MOUNT_SETATTR: libc::c_long = 442;

const ATTACKS: &[Attack] = &[
    ("mount-tmpfs", || mount(c"none", c"tmpfs", 0)),
    ("mount-proc", || mount(c"none", c"proc", 0)),
    ("mount-sysfs", || mount(c"none", c"sysfs", 0)),
    ("mount-cgroup2", || mount(c"none", c"cgroup2", 0)),
    ("mount-mqueue", || mount(c"none", c"mqueue", 0)),
    ("mount-devpts", || mount(c"none", c"devpts", 0)),
    ("mount-bind-root", || mount(c"/", c"none", libc::MS_BIND)),
    ("mount-propagation", || call(libc::SYS_mount, [0, text(c"/"), 0, (libc::MS_REC | libc::MS_SHARED) as i64, 0, 0])),
    ("remount-proc-sys", || {
        mount(c"/proc/sys", c"none", libc::MS_BIND)?;
        call(libc::SYS_mount, [0, text(c"/proc"), 0, (libc::MS_REMOUNT | libc::MS_BIND) as i64, 0, 0])
    }),
    ("umount-proc", || call(libc::SYS_umount2, [text(c"/attack"), 0, 0, 0, 0, 0])),
    ("open-tree-clone", || call(SYS_OPEN_TREE, [i64::from(libc::AT_FDCWD), text(c"/"), 1, 0, 0, 0])),
    ("move-mount", || call(SYS_MOVE_MOUNT, [BAD, text(c""), BAD, text(c""), 4, 0])),
    ("fsopen", || call(SYS_FSOPEN, [text(c"tmpfs"), 0, 0, 0, 0, 0])),
    ("fspick", || call(SYS_FSPICK, [i64::from(libc::AT_FDCWD), text(c"/"), 0, 0, 0, 0])),
    ("mount-setattr", || call(SYS_MOUNT_SETATTR, [i64::from(libc::AT_FDCWD), text(c"/attack"), 0, 0, 32, 0])),
    ("pivot-root", || call(libc::SYS_pivot_root, [text(c"/attack"), text(c"/attack"), 0, 0, 0, 0])),
    ("unshare-mount", || unshare(libc::CLONE_NEWNS)),
    ("unshare-pid", || unshare(libc::CLONE_NEWPID)),
    ("unshare-network", || unshare(libc::CLONE_NEWNET)),
    ("unshare-uts", || unshare(libc::CLONE_NEWUTS)),
    ("unshare-ipc", || unshare(libc::CLONE_NEWIPC)),
    ("unshare-cgroup", || unshare(libc::CLONE_NEWCGROUP)),
    ("unshare-user", || unshare(libc::CLONE_NEWUSER)),
    ("clone-user", || call(libc::SYS_clone, [i64::from(libc::CLONE_NEWUSER | libc::CLONE_FS), 0, 0, 0, 0, 0])),
    ("setns-mount", || join("mnt")),
    ("setns-network", || join("net")),
    ("setns-uts", || join("uts")),
    ("init-module", || call(libc::SYS_init_module, [0, 0, text(c""), 0, 0, 0])),
    ("finit-module", || call(libc::SYS_finit_module, [BAD, text(c""), 0, 0, 0, 0])),
    ("delete-module", || call(libc::SYS_delete_module, [text(c"nosuch"), 0, 0, 0, 0, 0])),
    ("kexec-load", || call(libc::SYS_kexec_load, [0, BAD, 0, 0, 0, 0])),
    ("reboot", || call(libc::SYS_reboot, [1, 2, 3, 0, 0, 0])),
    ("swapon", || call(libc::SYS_swapon, [text(c"/nosuch"), 0, 0, 0, 0, 0])),
    ("swapoff", || call(libc::SYS_swapoff, [text(c"/nosuch"), 0, 0, 0, 0, 0])),
    ("accounting", || call(libc::SYS_acct, [text(c"/nosuch"), 0, 0, 0, 0, 0])),
    ("quota", || call(libc::SYS_quotactl, [0x8000_0200, text(c"/nosuch"), 0, 0, 0, 0])),
    ("kernel-log", || call(libc::SYS_syslog, [9, 0, 0, 0, 0, 0])),
    ("set-time", || call(libc::SYS_settimeofday, [BAD, 0, 0, 0, 0, 0])),
    ("set-clock", || call(libc::SYS_clock_settime, [0, BAD, 0, 0, 0, 0])),
    ("adjust-clock", adjust_clock),
    ("host-name", || call(libc::SYS_sethostname, [text(c"x"), BAD, 0, 0, 0, 0])),
    ("domain-name", || call(libc::SYS_setdomainname, [text(c"x"), BAD, 0, 0, 0, 0])),
    ("io-privilege", || call(libc::SYS_iopl, [3, 0, 0, 0, 0, 0])),
    ("io-ports", || call(libc::SYS_ioperm, [0, 1, 1, 0, 0, 0])),
    ("bpf", || call(libc::SYS_bpf, [5, BAD, 8, 0, 0, 0])),
    ("perf", || call(libc::SYS_perf_event_open, [BAD, 0, BAD, BAD, 0, 0])),
    ("userfaultfd", || call(libc::SYS_userfaultfd, [0, 0, 0, 0, 0, 0])),
    ("keyctl", || call(libc::SYS_keyctl, [BAD, 0, 0, 0, 0, 0])),
    ("add-key", || call(libc::SYS_add_key, [0, 0, 0, 0, BAD, 0])),
    ("request-key", || call(libc::SYS_request_key, [0, 0, 0, BAD, 0, 0])),
    ("open-by-handle", || call(libc::SYS_open_by_handle_at, [BAD, BAD, 0, 0, 0, 0])),
    ("fanotify", || call(libc::SYS_fanotify_init, [0, 0, 0, 0, 0, 0])),
    ("move-pages", || call(libc::SYS_move_pages, [0, 0, 0, 0, 0, 0])),
    ("memory-policy", || call(libc::SYS_set_mempolicy, [0, 0, 0, 0, 0, 0])),
    ("personality", || call(libc::SYS_personality, [0x0040_0000, 0, 0, 0, 0, 0])),
    ("io-uring", || call(libc::SYS_io_uring_setup, [1, BAD, 0, 0, 0, 0])),
    ("vsock", || socket(libc::AF_VSOCK, libc::SOCK_STREAM)),
    ("interface-down", || interface(libc::SIOCSIFFLAGS as libc::c_ulong)),
    ("interface-address", || interface(libc::SIOCSIFADDR as libc::c_ulong)),
    ("route", || interface(libc::SIOCADDRT as libc::c_ulong)),
    ("capabilities", administrate),
    ("niceness", || call(libc::SYS_setpriority, [0, 0, -20, 0, 0, 0])),
    ("io-priority", || call(libc::SYS_ioprio_set, [1, 0, 1 << 13, 0, 0, 0])),
    ("core-pattern", || writable("/proc/sys/kernel/core_pattern")),
    ("modprobe-path", || writable("/proc/sys/kernel/modprobe")),
    ("panic-on-oom", || writable("/proc/sys/vm/panic_on_oom")),
    ("sysrq", || writable("/proc/sysrq-trigger")),
    ("interrupts", || writable("/proc/irq/default_smp_affinity")),
    ("huge-pages", || writable("/sys/kernel/mm/transparent_hugepage/enabled")),
    ("kernel-core", || readable("/proc/kcore")),
    ("kernel-keys", || readable("/proc/keys")),
    ("kernel-timers", || readable("/proc/timer_list")),
    ("firmware", || listed("/sys/firmware")),
    ("device-memory", || device(libc::S_IFCHR, 1, 1)),
    ("device-ports", || device(libc::S_IFCHR, 1, 4)),
    ("device-kmsg", || device(libc::S_IFCHR, 1, 11)),
    ("device-loop-control", || device(libc::S_IFCHR, 10, 237)),
    ("device-fuse", || device(libc::S_IFCHR, 10, 229)),
    ("device-disk", || device(libc::S_IFBLK, 7, 0)),
];
