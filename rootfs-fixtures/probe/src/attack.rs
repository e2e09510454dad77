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

/// Forces a buffer beyond what the host allows every socket.
fn receive_buffer() -> io::Result<()> {
    let (size, length) = (1 << 20, libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or_default());
    // SAFETY: the option is an int that lives through the call.
    let done = unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0);
        libc::setsockopt(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, (&raw const size).cast(), length)
    };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A netlink request of zeros; the answer is an error's number, or none.
fn netlink(protocol: libc::c_int, kind: u16) -> io::Result<()> {
    const REQUEST_AND_ACK: u16 = 5;
    let mut message = [0_u8; 48];
    message[..4].copy_from_slice(&48_u32.to_ne_bytes());
    message[4..6].copy_from_slice(&kind.to_ne_bytes());
    message[6..8].copy_from_slice(&REQUEST_AND_ACK.to_ne_bytes());
    let mut answer = [0_u8; 512];
    // SAFETY: both buffers live through the calls, with their own lengths.
    let read = unsafe {
        let socket = libc::socket(libc::AF_NETLINK, libc::SOCK_RAW, protocol);
        libc::send(socket, message.as_ptr().cast(), message.len(), 0);
        libc::recv(socket, answer.as_mut_ptr().cast(), answer.len(), 0)
    };
    if read < 20 {
        return Err(io::Error::last_os_error());
    }
    let [.., a, b, c, d] = answer[..20] else { return Ok(()) };
    match (u16::from_ne_bytes([answer[4], answer[5]]), i32::from_ne_bytes([a, b, c, d])) {
        (2, error) if error < 0 => Err(io::Error::from_raw_os_error(-error)), // NLMSG_ERROR
        _ => Ok(()),
    }
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
const SYS_FSCONFIG: libc::c_long = 431;
const SYS_FSMOUNT: libc::c_long = 432;
const SYS_PIDFD_GETFD: libc::c_long = 438;
const SYS_PROCESS_MADVISE: libc::c_long = 440;
const SYS_MOUNT_SETATTR: libc::c_long = 442;
const SYS_QUOTACTL_FD: libc::c_long = 443;
const SYS_HOME_NODE: libc::c_long = 450;

const ATTACKS: &[Attack] = &[
    ("mount-tmpfs", || mount(c"none", c"tmpfs", 0)),
    ("mount-proc", || mount(c"none", c"proc", 0)),
    ("mount-sysfs", || mount(c"none", c"sysfs", 0)),
    ("mount-cgroup2", || mount(c"none", c"cgroup2", 0)),
    ("mount-mqueue", || mount(c"none", c"mqueue", 0)),
    ("mount-devpts", || mount(c"none", c"devpts", 0)),
    ("mount-overlay", || mount(c"none", c"overlay", 0)),
    ("mount-debugfs", || mount(c"none", c"debugfs", 0)),
    ("mount-tracefs", || mount(c"none", c"tracefs", 0)),
    ("mount-securityfs", || mount(c"none", c"securityfs", 0)),
    ("mount-bpffs", || mount(c"none", c"bpf", 0)),
    ("mount-binfmt", || mount(c"none", c"binfmt_misc", 0)),
    ("mount-devtmpfs", || mount(c"none", c"devtmpfs", 0)),
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
    ("fsconfig", || call(SYS_FSCONFIG, [BAD, 0, 0, 0, 0, 0])),
    ("fsmount", || call(SYS_FSMOUNT, [BAD, 0, 0, 0, 0, 0])),
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
    ("quota-by-descriptor", || call(SYS_QUOTACTL_FD, [BAD, 0x8000_0200, 0, 0, 0, 0])),
    ("file-systems", || call(libc::SYS_ustat, [0, 0, 0, 0, 0, 0])),
    ("hang-up", || call(libc::SYS_vhangup, [0; 6])),
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
    ("compare-processes", || call(libc::SYS_kcmp, [BAD, BAD, 0, 0, 0, 0])),
    ("take-descriptor", || call(SYS_PIDFD_GETFD, [BAD, 0, 0, 0, 0, 0])),
    ("advise-process", || call(SYS_PROCESS_MADVISE, [BAD, 0, 0, 0, 0, 0])),
    ("migrate-pages", || call(libc::SYS_migrate_pages, [0, BAD, 0, 0, 0, 0])),
    ("memory-binding", || call(libc::SYS_mbind, [0, 0, BAD, 0, 0, 0])),
    ("memory-nodes", || call(libc::SYS_get_mempolicy, [0, 0, 0, 0, BAD, 0])),
    ("memory-home", || call(SYS_HOME_NODE, [1, 0, BAD, BAD, 0, 0])),
    ("move-pages", || call(libc::SYS_move_pages, [0, 0, 0, 0, 0, 0])),
    ("memory-policy", || call(libc::SYS_set_mempolicy, [0, 0, 0, 0, 0, 0])),
    ("personality", || call(libc::SYS_personality, [0x0040_0000, 0, 0, 0, 0, 0])),
    ("io-uring", || call(libc::SYS_io_uring_setup, [1, BAD, 0, 0, 0, 0])),
    ("io-uring-enter", || call(libc::SYS_io_uring_enter, [BAD, 0, 0, 0, 0, 0])),
    ("io-uring-register", || call(libc::SYS_io_uring_register, [BAD, 0, 0, 0, 0, 0])),
    ("vsock", || socket(libc::AF_VSOCK, libc::SOCK_STREAM)),
    ("interface-down", || interface(libc::SIOCSIFFLAGS as libc::c_ulong)),
    ("interface-address", || interface(libc::SIOCSIFADDR as libc::c_ulong)),
    ("route", || interface(libc::SIOCADDRT as libc::c_ulong)),
    ("link-by-netlink", || netlink(libc::NETLINK_ROUTE, libc::RTM_NEWLINK)),
    ("address-by-netlink", || netlink(libc::NETLINK_ROUTE, libc::RTM_NEWADDR)),
    ("route-by-netlink", || netlink(libc::NETLINK_ROUTE, libc::RTM_NEWROUTE)),
    ("firewall-by-netlink", || netlink(libc::NETLINK_NETFILTER, 0x0a10)), // nftables: which generation is it?
    ("receive-buffer", receive_buffer),
    ("capabilities", administrate),
    ("niceness", || call(libc::SYS_setpriority, [0, 0, -20, 0, 0, 0])),
    ("io-priority", || call(libc::SYS_ioprio_set, [1, 0, 1 << 13, 0, 0, 0])),
    ("core-pattern", || writable("/proc/sys/kernel/core_pattern")),
    ("modprobe-path", || writable("/proc/sys/kernel/modprobe")),
    ("panic-on-oom", || writable("/proc/sys/vm/panic_on_oom")),
    ("sysrq", || writable("/proc/sysrq-trigger")),
    ("interrupts", || writable("/proc/irq/default_smp_affinity")),
    ("huge-pages", || writable("/sys/kernel/mm/transparent_hugepage/enabled")),
    ("address-space-layout", || writable("/proc/sys/kernel/randomize_va_space")),
    ("kernel-messages", || writable("/proc/sys/kernel/printk")),
    ("forwarding", || writable("/proc/sys/net/ipv4/ip_forward")),
    ("drop-caches", || writable("/proc/sys/vm/drop_caches")),
    ("overcommit", || writable("/proc/sys/vm/overcommit_memory")),
    ("processor-offline", || writable("/sys/devices/system/cpu/cpu1/online")),
    ("memory-merging", || writable("/sys/kernel/mm/ksm/run")),
    ("rescan-of-devices", || writable("/sys/bus/pci/rescan")),
    ("interrupt-counts", || readable("/proc/interrupts")),
    ("kernel-core", || readable("/proc/kcore")),
    ("kernel-keys", || readable("/proc/keys")),
    ("kernel-timers", || readable("/proc/timer_list")),
    ("firmware", || listed("/sys/firmware")),
    ("device-memory", || device(libc::S_IFCHR, 1, 1)),
    ("device-ports", || device(libc::S_IFCHR, 1, 4)),
    ("device-kmsg", || device(libc::S_IFCHR, 1, 11)),
    ("device-loop-control", || device(libc::S_IFCHR, 10, 237)),
    ("device-kvm", || device(libc::S_IFCHR, 10, 232)),
    ("device-tun", || device(libc::S_IFCHR, 10, 200)),
    ("device-input", || device(libc::S_IFCHR, 10, 223)),
    ("device-vfio", || device(libc::S_IFCHR, 10, 196)),
    ("device-mapper", || device(libc::S_IFCHR, 10, 236)),
    ("device-console", || device(libc::S_IFCHR, 5, 1)),
    ("device-scsi-disk", || device(libc::S_IFBLK, 8, 0)),
    ("device-fuse", || device(libc::S_IFCHR, 10, 229)),
    ("device-disk", || device(libc::S_IFBLK, 7, 0)),
];
