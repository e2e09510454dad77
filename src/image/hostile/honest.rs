//! What honest layers ask for is there when they are unpacked: modes, times, attributes, the order of entries. That the
//! corpus is refused says something only because this is not.

use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::super::rules::Limits;
use super::super::tarball::TarError;
use super::super::testing::Tar;
use super::super::trail::Position;
use super::super::unpack::{UnpackError, Unpacked, unpack};
use super::ground::Ground;
use super::t;

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o7777
}

fn with_mode(kind: u8, name: &str, mode: u32) -> Tar {
    let mut header = Tar::header(kind, name.as_bytes());
    header.set_mode(mode);
    Tar::default().entry(header, b"")
}

#[test]
fn what_a_layer_says_is_kept_whatever_the_umask() {
    let ground = Ground::new();
    let layer = with_mode(b'0', "suid", 0o4755).dir("d").raw(&with_mode(b'5', "sticky", 0o1777).open());
    let layer = layer.file("d/f", "content").symlink("l", "/etc/passwd").of(b'6', "fifo");
    let layer =
        layer.pax("mtime", b"-1.25").file("old", "").pax("SCHILY.xattr.user.x", b"line\nline").file("x", "").end();
    let unpacked = ground.unpack(&layer, &Limits::default()).unwrap();
    assert_eq!(unpacked, Unpacked { size: 7, entries: 8, devices: 0 });
    let root = &ground.root;
    assert_eq!(mode(&root.join("suid")), 0o4755);
    assert_eq!(mode(&root.join("sticky")), 0o1777);
    assert_eq!(mode(&root.join("fifo")), 0o644);
    assert_eq!(fs::read_link(root.join("l")).unwrap(), Path::new("/etc/passwd"));
    assert_eq!(root.join("d").metadata().unwrap().mtime(), 1_000_000, "the file in it must not change its time");
    let old = root.join("old").metadata().unwrap();
    assert_eq!((old.mtime(), old.mtime_nsec()), (-2, 750_000_000));
    let mut value = [0; 16];
    let file = File::open(root.join("x")).unwrap();
    assert_eq!(crate::sys::beneath::xattr(&file, c"user.x", &mut value), Ok(&b"line\nline"[..]));
}

#[test]
fn an_implied_directory_is_as_it_is_below() {
    let ground = Ground::new();
    ground.unpack(&t().file("dir/f", "x").file("new/f", "x").end(), &Limits::default()).unwrap();
    assert_eq!(mode(&ground.root.join("dir")), 0o1751);
    assert_eq!(mode(&ground.root.join("new")), 0o755);
}

#[test]
fn a_later_entry_takes_an_earlier_ones_place() {
    let ground = Ground::new();
    let layer = t().dir("dev").file("dev/x", "x").file("dev", "file").file("proc", "x").symlink("proc", "y");
    let layer = layer.dir("d").file("d/kept", "x").raw(&with_mode(b'5', "d", 0o700).open()).end();
    ground.unpack(&layer, &Limits::default()).unwrap();
    assert_eq!(fs::read(ground.root.join("dev")).unwrap(), b"file");
    assert_eq!(fs::read_link(ground.root.join("proc")).unwrap(), Path::new("y"));
    assert!(ground.root.join("d/kept").exists());
    assert_eq!(mode(&ground.root.join("d")), 0o700);
}

#[test]
fn a_directory_in_a_links_place_leaves_the_links_target_alone() {
    let ground = Ground::new();
    let layer = with_mode(b'5', "d", 0o7777).symlink("l", "d").raw(&with_mode(b'5', "l", 0o700).open()).end();
    let root = ground.open_root();
    // The lowest layer: on another one the directory would be marked as opaque, which takes root.
    let list = tempfile::tempfile().unwrap();
    unpack(&layer[..], root, Position::Lowest, list, &Limits::default()).unwrap();
    assert_eq!((mode(&ground.root.join("d")), mode(&ground.root.join("l"))), (0o7777, 0o700));
}

#[test]
fn whiteouts_are_devices_without_numbers() {
    let ground = Ground::new();
    ground.unpack(&t().file("dir/.wh.gone", "").file("f", "").file(".wh.f", "").end(), &Limits::default()).unwrap();
    let gone = ground.root.join("dir/gone").symlink_metadata().unwrap();
    assert!(gone.file_type().is_char_device());
    assert_eq!(gone.rdev(), 0);
    assert!(ground.root.join("f").is_file(), "a whiteout does not speak of its own layer");
}

#[test]
fn an_error_names_the_entry_and_the_rule() {
    let ground = Ground::new();
    let error = ground.unpack(&t().file("a\x1b[2J/../b", "x").end(), &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "the entry `a\\x1b[2J/../b` is refused");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "a path must not have `..`");
    let error = ground.unpack(&t().of(b'S', "s").end(), &Limits::default()).unwrap_err();
    assert!(matches!(error, UnpackError::Archive(TarError::Sparse(name)) if name == "`s`"));
}
