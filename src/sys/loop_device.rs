//! Loop devices: block devices whose content is a file (loop(4)). Every device is made to let go of its file by itself
//! when nobody has it open or mounted any more.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use nix::errno::Errno;

/// A loop device, held open.
#[derive(Debug)]
pub struct LoopDevice {
    /// Its number.
    pub number: u32,
    device: File,
}

const LO_FLAGS_AUTOCLEAR: u32 = 4;
/// Somebody else may take the device that the kernel has called free; one more try for each of them.
const ATTEMPTS: usize = 1000;

/// `struct loop_info64` of `linux/loop.h`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` of `linux/loop.h`.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

impl Info {
    const EMPTY: Self = Self {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: 0,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
    };
}

impl LoopDevice {
    /// Gives the file a free device (LOOP_CONFIGURE, Linux 5.8).
    pub fn attach(file: &File) -> io::Result<Self> {
        for _ in 0..ATTEMPTS {
            let device = Self::open(free()?)?;
            let fd = file.as_raw_fd().unsigned_abs();
            let info = Info { flags: LO_FLAGS_AUTOCLEAR, ..Info::EMPTY };
            match configure(&device.device, &Config { fd, block_size: 0, info, reserved: [0; 8] }) {
                Ok(()) => return Ok(device),
                Err(Errno::EBUSY) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(Errno::EBUSY.into())
    }

    /// The device of that number, if it has this very file. As long as it is held it keeps it.
    pub fn of(file: &File, number: u32) -> io::Result<Option<Self>> {
        let device = match Self::open(number) {
            Err(error) if [io::ErrorKind::NotFound].contains(&error.kind()) => return Ok(None),
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => return Ok(None),
            device => device?,
        };
        let wanted = file.metadata()?;
        match status(&device.device) {
            Ok(info) => Ok((info.device == wanted.dev() && info.inode == wanted.ino()).then_some(device)),
            Err(Errno::ENXIO) => Ok(None), // it has none
            Err(errno) => Err(errno.into()),
        }
    }

    /// Its path.
    pub fn path(&self) -> PathBuf {
        path(self.number)
    }

    fn open(number: u32) -> io::Result<Self> {
        let device = OpenOptions::new().read(true).write(true).open(path(number))?;
        Ok(Self { number, device })
    }
}

fn path(number: u32) -> PathBuf {
    format!("/dev/loop{number}").into()
}

/// The number of a device that has no file; the kernel makes one if need be.
fn free() -> io::Result<u32> {
    const LOOP_CTL_GET_FREE: u32 = 0x4C82;
    let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
    // SAFETY: the request takes no argument.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE.into()) };
    let number = Errno::result(number)?;
    Ok(number.unsigned_abs())
}

fn configure(device: impl AsFd, config: &Config) -> nix::Result<()> {
    const LOOP_CONFIGURE: u32 = 0x4C0A;
    // SAFETY: the pointer is to a structure of the layout that the request reads, and outlives the call.
    let result = unsafe { libc::ioctl(device.as_fd().as_raw_fd(), LOOP_CONFIGURE.into(), std::ptr::from_ref(config)) };
    Errno::result(result).map(drop)
}

fn status(device: impl AsFd) -> nix::Result<Info> {
    const LOOP_GET_STATUS64: u32 = 0x4C05;
    let mut info = Info::EMPTY;
    // SAFETY: the pointer is to a structure of the layout that the request fills, and outlives the call.
    let result = unsafe { libc::ioctl(device.as_fd().as_raw_fd(), LOOP_GET_STATUS64.into(), &raw mut info) };
    Errno::result(result).map(|_| info)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_have_the_kernels_sizes() {
        assert_eq!((size_of::<Info>(), size_of::<Config>()), (232, 304));
    }
}
