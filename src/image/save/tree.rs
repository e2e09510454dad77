//! A layer's tree as a tar stream: what unpacking made of an archive, turned back. The same tree gives the same bytes
//! always: entries are sorted, nothing but what unpacking keeps is written, and of times only that of the last change of
//! content. Whiteouts and opaque directories are written in the form that archives have (image-spec, layer.md).

use std::collections::HashMap;
use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, readlinkat};
use nix::sys::stat::{FileStat, SFlag, fstat, fstatat};
use tar::{EntryType, Header};

use super::super::trail::{is, is_whiteout, open_dir};
use crate::sys::beneath::{open_beneath, xattr, xattr_names};

const BLOCK: usize = 512;
/// The longest name or link that a header takes, in bytes, and the highest number of seven octal digits.
const NAME_MAX: usize = 100;
const OWNER_MAX: u32 = 0o777_7777;
const SIZE_MAX: u64 = 0o777_7777_7777;
/// The longest value of an extended attribute (Linux's XATTR_SIZE_MAX).
const XATTR_MAX: usize = 65536;

/// Writes the tree below `root`.
pub(super) fn write_tree(root: BorrowedFd<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = Writer { out, linked: HashMap::new() };
    let stat = fstat(root)?;
    writer.directory(root, &stat, b"./")?;
    writer.out.write_all(&[0; 2 * BLOCK])
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    /// Where an inode with several names was written first.
    linked: HashMap<u64, Vec<u8>>,
}

impl Writer<'_> {
    /// Writes a directory, which is called `path` with a slash at its end, and all below it. The depth is that of the
    /// layer, which unpacking has bounded.
    fn directory(&mut self, dir: BorrowedFd<'_>, stat: &FileStat, path: &[u8]) -> io::Result<()> {
        let attributes = attributes(dir)?;
        self.header(EntryType::Directory, path, b"", stat, 0, &attributes.kept)?;
        let prefix = if path == b"./" { b"" } else { path };
        if attributes.opaque {
            self.marker(&[prefix, b".wh..wh..opq"].concat())?;
        }
        for name in names(dir)? {
            self.entry(dir, &name, &[prefix, name.as_bytes()].concat())?;
        }
        Ok(())
    }

    fn entry(&mut self, parent: BorrowedFd<'_>, name: &OsStr, path: &[u8]) -> io::Result<()> {
        let stat = fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        if is_whiteout(&stat) {
            let at = path.len() - name.len();
            return self.marker(&[&path[..at], b".wh.", &path[at..]].concat());
        }
        if is(&stat, SFlag::S_IFDIR) {
            return self.directory(open_dir(parent, name)?.as_fd(), &stat, &[path, b"/"].concat());
        }
        if stat.st_nlink > 1 {
            if let Some(first) = self.linked.get(&stat.st_ino).cloned() {
                return self.header(EntryType::Link, path, &first, &stat, 0, &[]);
            }
            self.linked.insert(stat.st_ino, path.to_vec());
        }
        if is(&stat, SFlag::S_IFLNK) {
            let target = readlinkat(parent, name)?;
            return self.header(EntryType::Symlink, path, target.as_bytes(), &stat, 0, &[]);
        }
        if is(&stat, SFlag::S_IFIFO) {
            return self.header(EntryType::Fifo, path, b"", &stat, 0, &[]);
        }
        let file = open_beneath(parent, name, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW)?;
        self.file(File::from(file), path)
    }

    fn file(&mut self, file: File, path: &[u8]) -> io::Result<()> {
        let stat = fstat(&file)?;
        if !is(&stat, SFlag::S_IFREG) {
            return Err(io::Error::other("something that no layer has"));
        }
        let size = u64::try_from(stat.st_size).map_err(io::Error::other)?;
        self.header(EntryType::Regular, path, b"", &stat, size, &attributes(file.as_fd())?.kept)?;
        if io::copy(&mut file.take(size), self.out)? != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.pad(size)
    }

    /// An empty file that only says something about layers below.
    fn marker(&mut self, path: &[u8]) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        self.finish(header, path, b"", Vec::new())
    }

    fn header(
        &mut self,
        kind: EntryType,
        path: &[u8],
        link: &[u8],
        stat: &FileStat,
        size: u64,
        attributes: &[(Vec<u8>, Vec<u8>)],
    ) -> io::Result<()> {
        let mut extended = Vec::new();
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(stat.st_mode & 0o7777);
        for (key, id) in [("uid", stat.st_uid), ("gid", stat.st_gid)] {
            if id > OWNER_MAX {
                record(&mut extended, key.as_bytes(), id.to_string().as_bytes());
            }
        }
        header.set_uid(u64::from(stat.st_uid.min(OWNER_MAX)));
        header.set_gid(u64::from(stat.st_gid.min(OWNER_MAX)));
        if size > SIZE_MAX {
            record(&mut extended, b"size", size.to_string().as_bytes());
        }
        header.set_size(size.min(SIZE_MAX));
        if stat.st_mtime < 0 || stat.st_mtime_nsec != 0 {
            record(&mut extended, b"mtime", time(stat.st_mtime, stat.st_mtime_nsec).as_bytes());
        }
        header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or_default());
        for (name, value) in attributes {
            record(&mut extended, &[b"SCHILY.xattr.", &name[..]].concat(), value);
        }
        self.finish(header, path, link, extended)
    }

    /// Writes a header, after the extended one that it may need.
    fn finish(&mut self, mut header: Header, path: &[u8], link: &[u8], mut extended: Vec<u8>) -> io::Result<()> {
        for (key, text) in [(&b"path"[..], path), (b"linkpath", link)] {
            if text.len() > NAME_MAX {
                record(&mut extended, key, text);
            }
        }
        if !extended.is_empty() {
            let mut before = Header::new_ustar();
            before.set_entry_type(EntryType::XHeader);
            before.set_size(extended.len() as u64);
            before.as_old_mut().name[..3].copy_from_slice(b"pax");
            before.set_cksum();
            self.out.write_all(before.as_bytes())?;
            self.out.write_all(&extended)?;
            self.pad(extended.len() as u64)?;
        }
        let old = header.as_old_mut();
        for (field, text) in [(&mut old.name, path), (&mut old.linkname, link)] {
            let length = text.len().min(NAME_MAX);
            field[..length].copy_from_slice(&text[..length]);
        }
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let over = usize::try_from(size % BLOCK as u64).expect("less than a block");
        self.out.write_all(&[0; BLOCK][..(BLOCK - over) % BLOCK])
    }
}

/// Appends a PAX record: its length, which counts its own digits, then key and value (pax(1), "pax Extended Header").
fn record(extended: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3; // a space, an equals sign, a newline
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    extended.extend_from_slice(format!("{length} ").as_bytes());
    extended.extend_from_slice(key);
    extended.push(b'=');
    extended.extend_from_slice(value);
    extended.push(b'\n');
}

/// A time as PAX writes it: decimal, and below zero with all its digits below zero.
fn time(seconds: i64, nanoseconds: i64) -> String {
    let all = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    let (sign, all) = (if all < 0 { "-" } else { "" }, all.unsigned_abs());
    let text = format!("{sign}{}.{:09}", all / 1_000_000_000, all % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[derive(Default)]
struct Attributes {
    kept: Vec<(Vec<u8>, Vec<u8>)>,
    opaque: bool,
}

/// The attributes that unpacking keeps, sorted, and what overlayfs goes by.
fn attributes(fd: BorrowedFd<'_>) -> io::Result<Attributes> {
    let mut attributes = Attributes::default();
    let mut buffer = vec![0; XATTR_MAX];
    let mut names = xattr_names(fd)?;
    names.sort();
    for name in names {
        let is_kept = name.as_bytes().starts_with(b"user.") || name.as_c_str() == c"security.capability";
        if !is_kept && name.as_c_str() != OPAQUE {
            continue;
        }
        let value = match xattr(fd, &name, &mut buffer) {
            Err(Errno::ENODATA) => continue,
            value => value?,
        };
        match is_kept {
            true => attributes.kept.push((name.to_bytes().to_vec(), value.to_vec())),
            false => attributes.opaque = value == b"y",
        }
    }
    Ok(attributes)
}

const OPAQUE: &CStr = c"trusted.overlay.opaque";

/// The names in a directory, sorted.
fn names(dir: BorrowedFd<'_>) -> io::Result<Vec<OsString>> {
    let mut listing = Dir::from_fd(open_dir(dir, OsStr::new("."))?)?;
    let mut names = Vec::new();
    for entry in listing.iter() {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    names.sort();
    Ok(names)
}
