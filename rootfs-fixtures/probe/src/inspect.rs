//! Verbs that tell what the process sees: its identity, descriptors, mounts, network.

use std::ffi::CStr;
use std::fs;
use std::net::Ipv4Addr;

use crate::Outcome;

/// The lines of `/proc/self/status` that `id` repeats.
const STATUS: &[&str] =
    &["Pid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters"];

/// `id`: uid, gid (real, effective, saved, file system), groups, capability sets, no_new_privs, seccomp, as key=value.
pub fn id(_: &[String]) -> Outcome {
    let status = fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.split_whitespace().collect::<Vec<_>>().join(","))
    };
    for (key, name) in [("uid", "Uid"), ("gid", "Gid"), ("groups", "Groups")] {
        println!("{key}={}", field(name).unwrap_or_default());
    }
    for name in STATUS {
        if let Some(value) = field(name) {
            println!("{name}={value}");
        }
    }
    println!("oom_score_adj={}", fs::read_to_string("/proc/self/oom_score_adj")?.trim());
    println!("cwd={}", std::env::current_dir()?.display());
    Ok(0)
}

/// `fds`: each open descriptor and what it is, without the one that lists them.
pub fn fds(_: &[String]) -> Outcome {
    let mut open: Vec<(u32, String)> = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let number = entry.file_name().to_string_lossy().parse()?;
        let target = fs::read_link(entry.path())?;
        open.push((number, target.display().to_string()));
    }
    open.retain(|(_, target)| !(target.starts_with("/proc/") && target.ends_with("/fd")));
    open.sort();
    for (number, target) in open {
        println!("{number} {target}");
    }
    Ok(0)
}

/// `mounts`: each mount point, file system type, mount options and super block options.
pub fn mounts(_: &[String]) -> Outcome {
    for line in fs::read_to_string("/proc/self/mountinfo")?.lines() {
        // proc_pid_mountinfo(5): id parent device root POINT OPTIONS [tags] - TYPE source SUPER
        let (mount, file_system) = line.split_once(" - ").ok_or("mountinfo without a separator")?;
        let (mount, file_system): (Vec<_>, Vec<_>) = (mount.split(' ').collect(), file_system.split(' ').collect());
        let ([_, _, _, _, point, options, ..], [kind, _, options_of_super]) = (&mount[..], &file_system[..]) else {
            return Err(format!("unknown line in mountinfo: {line}").into());
        };
        println!("{point} {kind} {options} {options_of_super}");
    }
    Ok(0)
}

/// `addresses`: host name, interfaces with MAC and MTU, addresses, IPv4 routes.
pub fn addresses(_: &[String]) -> Outcome {
    println!("hostname {}", fs::read_to_string("/proc/sys/kernel/hostname")?.trim());
    let mut links: Vec<_> = interfaces()?;
    links.sort();
    for line in links {
        println!("{line}");
    }
    for line in fs::read_to_string("/proc/net/route")?.lines().skip(1) {
        println!("{}", route(line).ok_or("unknown line in /proc/net/route")?);
    }
    Ok(0)
}

/// A line of `/proc/net/route`: device, destination, gateway, flags, ..., mask in the eighth column; addresses are
/// hexadecimal in network order as a little-endian machine prints them.
fn route(line: &str) -> Option<String> {
    let column: Vec<&str> = line.split_whitespace().collect();
    let address = |index: usize| Some(Ipv4Addr::from(u32::from_str_radix(column.get(index)?, 16).ok()?.to_le_bytes()));
    let (destination, gateway, mask) = (address(1)?, address(2)?, address(7)?);
    let prefix = mask.to_bits().count_ones();
    Some(format!("route {destination}/{prefix} via {gateway} dev {}", column.first()?))
}

/// `link NAME mac MAC mtu MTU state STATE` and `address NAME ADDRESS/PREFIX`, from getifaddrs(3).
fn interfaces() -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut head = std::ptr::null_mut();
    // SAFETY: the pointer is to a value that lives through the call; the list is freed below.
    if unsafe { libc::getifaddrs(&mut head) } == -1 {
        return Err(std::io::Error::last_os_error().into());
    }
    let mut lines = Vec::new();
    let mut next = head;
    // SAFETY: each entry of the list is valid until freeifaddrs, and the list ends with a null pointer.
    while let Some(entry) = unsafe { next.as_ref() } {
        // SAFETY: the name of an entry is a C string.
        let name = unsafe { CStr::from_ptr(entry.ifa_name) }.to_string_lossy();
        // SAFETY: an address, where there is one, has at least its family.
        match unsafe { entry.ifa_addr.as_ref() }.map(|address| i32::from(address.sa_family)) {
            Some(libc::AF_PACKET) => lines.push(link(&name, entry.ifa_flags)),
            Some(libc::AF_INET) => {
                let (address, mask) = (ipv4(entry.ifa_addr), ipv4(entry.ifa_netmask));
                lines.push(format!("address {name} {address}/{}", mask.to_bits().count_ones()));
            }
            _ => (),
        }
        next = entry.ifa_next;
    }
    // SAFETY: the list is getifaddrs' own and is not used after this.
    unsafe { libc::freeifaddrs(head) };
    Ok(lines)
}

fn link(name: &str, flags: libc::c_uint) -> String {
    let read = |file: &str| fs::read_to_string(format!("/sys/class/net/{name}/{file}")).unwrap_or_default();
    let state = if flags & libc::IFF_UP.unsigned_abs() == 0 { "down" } else { "up" };
    format!("link {name} mac {} mtu {} {state}", read("address").trim(), read("mtu").trim())
}

/// The address of a sockaddr that is known to be of family AF_INET.
fn ipv4(address: *const libc::sockaddr) -> Ipv4Addr {
    // SAFETY: the caller has looked at the family.
    let address = unsafe { address.cast::<libc::sockaddr_in>().read() };
    Ipv4Addr::from(address.sin_addr.s_addr.to_ne_bytes())
}
