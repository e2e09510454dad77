//! Device nodes of the host that a container gets: found on the host by who creates the container, made in it before its
//! program runs, and allowed by the rules of its group.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::{FileStat, Mode, SFlag, major, minor, mknod, stat};
use nix::unistd::{Gid, Uid, chown};

use super::devices::{Access, DEFAULT, EVERYTHING, Kind, Rule};
use crate::plan::isolation::{DevicePlan, Isolation};

/// A directory of devices is not searched deeper than this.
const DEEPEST: usize = 8;
/// Nor for more than this.
const MOST: usize = 4096;
/// What of `/dev` is no device of the host's, or the container has one of its own (runc `devices.GetDevices`).
const NOT_DEVICES: [&str; 7] = ["console", "fd", "mqueue", "ptmx", "pts", "shm", "tty"];

/// A device could not be given to the container.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The host's node.
    #[error("the device {path} of the host")]
    Host {
        /// Its path.
        path: PathBuf,
        /// Why it cannot be looked at.
        #[source]
        source: io::Error,
    },
    /// It is something else.
    #[error("{0} on the host is neither a device nor a directory with devices")]
    NotDevice(PathBuf),
}

/// A node to be made.
#[derive(Debug, Clone)]
pub struct Node {
    path: PathBuf,
    stat: FileStat,
    kind: Kind,
    access: Access,
}

/// The nodes that a container gets; links of the host are followed.
pub fn of_host(isolation: &Isolation) -> Result<Vec<Node>, NodeError> {
    let mut nodes = Vec::new();
    if isolation.privileged {
        let entries = fs::read_dir("/dev").map_err(at(Path::new("/dev")))?;
        for entry in entries {
            let name = entry.map_err(at(Path::new("/dev")))?.file_name();
            if !NOT_DEVICES.iter().any(|known| name == *known) {
                let path = Path::new("/dev").join(name);
                search(&path, &path, Access::ALL, DEEPEST, &mut nodes)?;
            }
        }
    }
    for device in &isolation.devices {
        let (host, inside) = (Path::new(&device.host), Path::new(&device.container));
        let found = stat(host).map_err(|errno| NodeError::Host { path: host.to_owned(), source: errno.into() })?;
        match (kind(&found), is_directory(&found)) {
            (Some(kind), _) => {
                nodes.push(Node { path: inside.to_owned(), stat: found, kind, access: access(device) });
            }
            (None, true) => search(host, inside, access(device), DEEPEST, &mut nodes)?,
            (None, false) => return Err(NodeError::NotDevice(host.to_owned())),
        }
    }
    Ok(nodes)
}

/// What the processes of a container with these nodes may do.
pub fn rules(isolation: &Isolation, nodes: &[Node]) -> Vec<Rule> {
    if isolation.privileged {
        return EVERYTHING.to_vec();
    }
    let own = nodes.iter().map(|node| Rule {
        kind: node.kind,
        major: u32::try_from(major(node.stat.st_rdev)).ok(),
        minor: u32::try_from(minor(node.stat.st_rdev)).ok(),
        access: node.access,
    });
    DEFAULT.into_iter().chain(own).collect()
}

/// Everything below a path of the host. Links are not followed here: they may lead anywhere, and round in circles.
fn search(host: &Path, inside: &Path, access: Access, deep: usize, nodes: &mut Vec<Node>) -> Result<(), NodeError> {
    let found = match nix::sys::stat::lstat(host) {
        Err(Errno::ENOENT) => return Ok(()), // gone since
        found => found.map_err(|errno| NodeError::Host { path: host.to_owned(), source: errno.into() })?,
    };
    if let Some(kind) = kind(&found) {
        nodes.push(Node { path: inside.to_owned(), stat: found, kind, access });
    }
    if !is_directory(&found) || deep == 0 || nodes.len() > MOST {
        return Ok(());
    }
    for entry in fs::read_dir(host).map_err(at(host))? {
        let name = entry.map_err(at(host))?.file_name();
        search(&host.join(&name), &inside.join(&name), access, deep - 1, nodes)?;
    }
    Ok(())
}

fn at(path: &Path) -> impl Fn(io::Error) -> NodeError {
    let path = path.to_owned();
    move |source| NodeError::Host { path: path.clone(), source }
}

fn file_type(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

fn is_directory(stat: &FileStat) -> bool {
    file_type(stat) == SFlag::S_IFDIR
}

fn kind(stat: &FileStat) -> Option<Kind> {
    match file_type(stat) {
        SFlag::S_IFCHR => Some(Kind::Char),
        SFlag::S_IFBLK => Some(Kind::Block),
        _ => None,
    }
}

fn access(device: &DevicePlan) -> Access {
    let part = |may, access| if may { access } else { Access::NONE };
    part(device.read, Access::READ) | part(device.write, Access::WRITE) | part(device.mknod, Access::MKNOD)
}

/// Makes the nodes. Called in the container's root, where every link leads to what it leads to for the container, before
/// anybody else is there.
pub(super) fn make(nodes: &[Node]) -> Result<(), (PathBuf, Errno)> {
    nodes.iter().try_for_each(|node| make_one(node).map_err(|errno| (node.path.clone(), errno)))
}

fn make_one(node: &Node) -> nix::Result<()> {
    if let Some(parent) = node.path.parent() {
        match fs::create_dir_all(parent) {
            Err(error) if !parent.is_dir() => return Err(errno(&error)),
            _ => {}
        }
    }
    let kind = file_type(&node.stat);
    match mknod(&node.path, kind, Mode::empty(), node.stat.st_rdev) {
        Err(Errno::EEXIST) => {
            let there = nix::sys::stat::lstat(&node.path)?;
            if file_type(&there) == kind && there.st_rdev == node.stat.st_rdev {
                return Ok(()); // one of those that every container has
            }
            nix::unistd::unlink(&node.path)?;
            mknod(&node.path, kind, Mode::empty(), node.stat.st_rdev)?;
        }
        made => made?,
    }
    chown(&node.path, Some(Uid::from_raw(node.stat.st_uid)), Some(Gid::from_raw(node.stat.st_gid)))?;
    let mode = Mode::from_bits_truncate(node.stat.st_mode & 0o777);
    nix::sys::stat::fchmodat(nix::fcntl::AT_FDCWD, &node.path, mode, nix::sys::stat::FchmodatFlags::FollowSymlink)
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
