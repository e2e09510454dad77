//! The hostile corpus: layers that try to leave their root, to lie, or to be too much, as a table. Beside the root stands
//! a canary tree that must come out as it went in.

use std::fs::{self, File};
use std::io::Seek;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::rules::{Limits, Rule};
use super::settle::settle;
use super::tarball::TarError;
use super::testing::Tar;
use super::trail::Position;
use super::unpack::{UnpackError, Unpacked, unpack};

/// What must become of a layer.
enum Expected {
    /// It breaks this rule.
    Refused(Rule),
    /// Its archive is not valid.
    Archive,
    /// It has too many entries.
    Entries,
    /// It unpacks, and what it asks for is there and nowhere else.
    Harmless(fn(&Path)),
}

use Expected::{Archive, Entries, Harmless, Refused};

struct Ground {
    _dir: tempfile::TempDir,
    canary: PathBuf,
    root: PathBuf,
    below: PathBuf,
}

impl Ground {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [canary, root, below] = ["canary", "root", "below"].map(|name| dir.path().join(name));
        fs::create_dir_all(canary.join("dir")).unwrap();
        fs::write(canary.join("file"), "canary").unwrap();
        fs::write(canary.join("dir/file"), "canary").unwrap();
        fs::create_dir(&root).unwrap();
        fs::create_dir_all(below.join("dir")).unwrap();
        fs::set_permissions(below.join("dir"), fs::Permissions::from_mode(0o1777)).unwrap();
        Self { _dir: dir, canary, root, below }
    }

    fn unpack(&self, layer: &[u8], limits: &Limits) -> Result<Unpacked, UnpackError> {
        let open = |path: &Path| OwnedFd::from(File::open(path).unwrap());
        let mut list = tempfile::tempfile().unwrap();
        let listed = list.try_clone().unwrap();
        let (unpacked, _) = unpack(layer, open(&self.root), Position::Above, listed, limits)?;
        list.rewind().unwrap();
        settle(open(&self.root).as_fd(), &[open(&self.below)], list, limits).unwrap();
        Ok(unpacked)
    }

    /// Everything beside the root: names, owners, modes, links, times and contents.
    fn outside(&self) -> Vec<String> {
        let mut all = Vec::new();
        list(&self.canary, &mut all);
        list(&self.below, &mut all);
        let parent = self.root.parent().unwrap();
        all.extend(fs::read_dir(parent).unwrap().map(|entry| format!("{:?}", entry.unwrap().file_name())));
        all.sort();
        all
    }
}

fn list(path: &Path, all: &mut Vec<String>) {
    let m = path.symlink_metadata().unwrap();
    let content = if m.is_file() { fs::read(path).unwrap() } else { Vec::new() };
    let times = (m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
    all.push(format!("{path:?} {:o} {} {} {} {times:?} {content:?}", m.mode(), m.uid(), m.gid(), m.nlink()));
    if m.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| list(&entry.unwrap().path(), all));
    }
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o7777
}

/// What was written through `link` is where the link leads in a container, and the link is still one.
fn led_to(root: &Path, link: &str, rest: &str) {
    let text = fs::read_link(root.join(link)).unwrap();
    root.join(text.strip_prefix("/").unwrap()).join(rest).symlink_metadata().unwrap();
}

fn is_file(root: &Path, path: &str) {
    assert!(root.join(path).is_file());
}

fn with_size(size: u64) -> Vec<u8> {
    let mut header = Tar::header(b'0', b"a");
    header.set_size(size);
    Tar::default().entry(header, b"").open()
}

fn with_owner(uid: u64) -> Vec<u8> {
    let mut header = Tar::header(b'0', b"a");
    header.set_uid(uid);
    Tar::default().entry(header, b"").end()
}

fn with_mode(kind: u8, name: &str, mode: u32) -> Tar {
    let mut header = Tar::header(kind, name.as_bytes());
    header.set_mode(mode);
    Tar::default().entry(header, b"")
}

fn t() -> Tar {
    Tar::default()
}

/// Paths and links.
fn ways_out(out: &str) -> Vec<(&'static str, Vec<u8>, Expected)> {
    let deep = "d/".repeat(200) + "x";
    let long = "n".repeat(300);
    let longest = "nnnn/".repeat(1000);
    let deeper = "d/".to_owned() + &"e/".repeat(40) + "x";
    vec![
        ("parent", t().file("../canary/x", "x").end(), Refused(Rule::Parent)),
        ("parent within", t().file("a/../../canary/x", "x").end(), Refused(Rule::Parent)),
        ("parent that stays inside", t().file("a/../b", "x").end(), Refused(Rule::Parent)),
        ("absolute", t().file("/abs", "x").end(), Harmless(|root| assert!(root.join("abs").is_file()))),
        ("parent in PAX", t().pax("path", b"../canary/x").file("a", "x").end(), Refused(Rule::Parent)),
        ("parent in a GNU long name", t().long("../canary/x").file("a", "x").end(), Refused(Rule::Parent)),
        ("NUL in PAX", t().pax("path", b"a\0/../../x").file("a", "x").end(), Refused(Rule::Nul)),
        ("through an absolute link", t().symlink("d", out).file("d/x", "x").end(), Harmless(|r| led_to(r, "d", "x"))),
        ("through a relative link", t().symlink("d", "../b").file("d/x", "x").end(), Harmless(|r| is_file(r, "b/x"))),
        ("up from a link", t().symlink("a/d", "b/../../..").file("a/d/x", "x").end(), Harmless(|r| is_file(r, "x"))),
        ("through a link, deeper", t().symlink("d", out).file("d/e/x", "x").end(), Harmless(|r| led_to(r, "d", "e/x"))),
        ("through a link in the root", t().symlink("d", ".").file("d/x", "x").end(), Harmless(|r| is_file(r, "x"))),
        ("through a link to a file", t().symlink("d", "f").file("f", "").dir("d/x").end(), Refused(Rule::ThroughFile)),
        ("through a loop", t().symlink("d", "d").file("d/x", "x").end(), Refused(Rule::Links)),
        ("through a long loop", t().symlink("d", "e/..").symlink("e", "d/x").dir("d/x").end(), Refused(Rule::Links)),
        ("through a long way", t().symlink("d", &"e/../".repeat(400)).file("d/x", "").end(), Refused(Rule::Links)),
        ("deeper through a link", t().symlink("d", &"e/".repeat(100)).file(&deeper, "").end(), Refused(Rule::Depth)),
        ("a link to a long name", t().symlink("d", &long).file("d/x", "").end(), Refused(Rule::Name)),
        ("through links", t().symlink("a", "b").symlink("b", out).dir("a/x").end(), Harmless(|r| led_to(r, "b", "x"))),
        (
            "a directory replaced by a link and written through",
            t().dir("d").file("d/a", "x").symlink("d", out).file("d/file", "x").end(),
            Harmless(|r| led_to(r, "d", "file")),
        ),
        ("/dev as a link", t().symlink("dev", out).dir("dev/pts").end(), Harmless(|r| led_to(r, "dev", "pts"))),
        ("whiteout through a link", t().symlink("d", out).file("d/.wh.f", "").end(), Harmless(|r| led_to(r, "d", "f"))),
        ("opaque by a link", t().symlink("d", out).file("d/.wh..wh..opq", "").end(), Harmless(|r| led_to(r, "d", ""))),
        ("through a file", t().file("f", "").file("f/x", "x").end(), Refused(Rule::ThroughFile)),
        ("through a FIFO", t().of(b'6', "f").dir("f/x").end(), Refused(Rule::ThroughFile)),
        (
            "a link replaced by a file",
            t().symlink("file", &format!("{out}/file")).file("file", "x").end(),
            Harmless(|root| assert_eq!(fs::read(root.join("file")).unwrap(), b"x")),
        ),
        (
            "a link replaced by a FIFO",
            t().symlink("file", &format!("{out}/file")).of(b'6', "file").end(),
            Harmless(|root| assert!(root.join("file").symlink_metadata().unwrap().file_type().is_fifo())),
        ),
        ("the root as a link", t().symlink(".", out).end(), Refused(Rule::Root)),
        ("the root as a file", t().file("./", "x").end(), Refused(Rule::Root)),
        ("the root as a hard link", t().hardlink("/", "a").end(), Refused(Rule::Root)),
        ("too deep", t().long(&deep).file("a", "x").end(), Refused(Rule::Depth)),
        ("long name", t().long(&long).file("a", "x").end(), Refused(Rule::Name)),
        ("long path", t().long(&longest).file("a", "x").end(), Refused(Rule::Path)),
        ("link without a target", t().symlink("a", "").end(), Refused(Rule::Target)),
        ("link to a long path", t().symlink("a", &longest).end(), Refused(Rule::Path)),
        ("whiteout of nothing", t().file("a/.wh.", "").end(), Refused(Rule::Whiteout)),
        ("whiteout of the parent", t().file("a/.wh...", "").end(), Refused(Rule::Whiteout)),
        ("below a whiteout", t().file(".wh.a/b", "").end(), Refused(Rule::Whiteout)),
        ("opaque root", t().file(".wh..wh..opq", "").end(), Refused(Rule::OpaqueRoot)),
    ]
}

fn hard_links(out: &str) -> Vec<(&'static str, Vec<u8>, Expected)> {
    let file = format!("{out}/file");
    vec![
        ("to the parent", t().hardlink("h", "../canary/file").end(), Refused(Rule::Parent)),
        ("to an absolute path", t().hardlink("h", &file).end(), Refused(Rule::HardlinkTarget)),
        ("through a link", t().symlink("d", out).hardlink("h", "d/file").end(), Refused(Rule::HardlinkTarget)),
        (
            "through a link within, and to itself through it",
            t().file("e/f", "x").symlink("d", "e").hardlink("h", "d/f").hardlink("d/f", "e/f").end(),
            Harmless(|root| assert_eq!(root.join("e/f").metadata().unwrap().nlink(), 2)),
        ),
        (
            "to a link, then written through",
            t().symlink("l", &file).hardlink("h", "l").file("h", "x").end(),
            Harmless(|root| assert_eq!(fs::read(root.join("h")).unwrap(), b"x")),
        ),
        ("to a directory", t().dir("d").hardlink("h", "d").end(), Refused(Rule::HardlinkKind)),
        ("to a whiteout", t().file(".wh.a", "").hardlink("h", "a").end(), Refused(Rule::HardlinkKind)),
        ("to a whiteout's name", t().file(".wh.a", "").hardlink("h", ".wh.a").end(), Refused(Rule::HardlinkKind)),
        ("to nothing", t().hardlink("h", "nothing").end(), Refused(Rule::HardlinkTarget)),
        ("to the layer below", t().hardlink("h", "dir/x").end(), Refused(Rule::HardlinkTarget)),
        (
            "to itself",
            t().file("f", "x").hardlink("f", "./f").end(),
            Harmless(|root| assert_eq!(fs::read(root.join("f")).unwrap(), b"x")),
        ),
        ("to itself, missing", t().hardlink("f", "f").end(), Refused(Rule::HardlinkTarget)),
        (
            "to what it replaces",
            t().dir("d").file("d/f", "x").hardlink("d", "d/f").end(),
            Refused(Rule::HardlinkTarget),
        ),
        (
            "in place of a directory",
            t().file("f", "x").dir("d").file("d/f", "y").hardlink("d", "f").end(),
            Harmless(|root| assert_eq!(root.join("d").metadata().unwrap().nlink(), 2)),
        ),
    ]
}

/// Headers that lie, and kinds of entries.
fn headers() -> Vec<(&'static str, Vec<u8>, Expected)> {
    let nothing: fn(&Path) = |root| assert_eq!(fs::read_dir(root).unwrap().count(), 0);
    let mut damaged = t().file("a", "x").end();
    damaged[0] = b'b';
    let many: Vec<u8> = (0..64).fold(t(), |tar, at| tar.file(&format!("f{at}"), "")).end();
    let implied = (0..4).fold(t(), |tar, at| tar.file(&format!("{at}/a/b/c/d/e/f/g/h/i/j/k"), "")).end();
    let attributes = (0..80).fold(t(), |tar, at| tar.pax(&format!("SCHILY.xattr.user.{at}"), b"x"));
    let mut extended = Tar::header(b'x', b"pax");
    extended.set_size(1 << 40);
    vec![
        ("a device", t().of(b'3', "null").end(), Harmless(nothing)),
        ("a block device below a link", t().of(b'4', "sda").end(), Harmless(nothing)),
        ("aufs's own", t().file(".wh..wh.plnk", "").dir(".wh..wh.aufs").end(), Harmless(nothing)),
        ("cut off in a header", t().file("a", "x").open()[..300].to_vec(), Archive),
        ("cut off in content", t().file("a", &"x".repeat(2000)).open()[..1024].to_vec(), Archive),
        ("a size without content", with_size(1 << 40), Archive),
        ("a size over the largest offset", with_size(u64::MAX), Archive),
        ("a damaged header", damaged, Archive),
        ("text instead of an archive", b"#!/bin/sh\nrm -rf /\n".repeat(100), Archive),
        ("a sparse file", t().of(b'S', "a").end(), Archive),
        ("a PAX sparse file", t().pax("GNU.sparse.major", b"1").file("a", "x").end(), Archive),
        ("a huge extended header", t().entry(extended, b"").open(), Archive),
        ("many extended headers", (0..40).fold(t(), |tar, _| tar.long(&"n".repeat(1 << 15))).end(), Archive),
        ("PAX that is not", t().raw(&bad_pax(b"99 path=a\n")).file("a", "x").end(), Archive),
        ("PAX with a negative size", t().pax("size", b"-1").file("a", "x").end(), Archive),
        ("an unknown type", t().of(b'V', "a").end(), Archive),
        ("a multi-volume type", t().of(b'M', "a").end(), Archive),
        ("uid -1", with_owner(u64::from(u32::MAX)), Refused(Rule::Owner)),
        ("uid over 32 bits", with_owner(1 << 33), Refused(Rule::Owner)),
        ("many attributes", attributes.file("a", "x").end(), Refused(Rule::Xattr)),
        (
            "attributes for overlayfs",
            t().pax("SCHILY.xattr.trusted.overlay.redirect", b"/etc").dir("d").end(),
            Harmless(|root| assert!(root.join("d").is_dir())),
        ),
        ("many entries", many, Entries),
        ("many implied directories", implied, Entries),
    ]
}

fn bad_pax(record: &[u8]) -> Vec<u8> {
    let mut header = Tar::header(b'x', b"pax");
    header.set_size(record.len() as u64);
    t().entry(header, record).open()
}

#[test]
fn no_layer_leaves_its_root_and_every_rule_is_named() {
    let few = Limits { entries: 40, ..Limits::default() };
    let count = [ways_out as fn(&str) -> _, hard_links, |_| headers()].iter().map(|make| make("/x").len()).sum();
    for at in 0..count {
        let ground = Ground::new();
        let out = ground.canary.to_str().unwrap().to_owned();
        let cases = ways_out(&out).into_iter().chain(hard_links(&out)).chain(headers());
        let (name, layer, expected) = cases.into_iter().nth(at).unwrap();
        let before = ground.outside();
        let result = ground.unpack(&layer, &few);
        assert_eq!(ground.outside(), before, "{name}: something outside changed");
        match (expected, result) {
            (Refused(rule), Err(UnpackError::Refused { rule: found, .. })) => assert_eq!(found, rule, "{name}"),
            (Archive, Err(UnpackError::Archive(_))) | (Entries, Err(UnpackError::Entries(40))) => {}
            (Harmless(check), Ok(_)) => check(&ground.root),
            (_, result) => panic!("{name}: {result:?}"),
        }
    }
}

#[test]
fn a_layer_with_any_byte_changed_stays_in_its_root() {
    let ground = Ground::new();
    let out = ground.canary.to_str().unwrap();
    let layer = t().dir("d").file("d/f", "x").symlink("l", out).hardlink("h", "d/f").pax("path", b"p/q").file("a", "x");
    let layer = layer.symlink("m", "../canary").file("m2/../x", "y").end();
    let before = ground.outside();
    let mut random = 1_u64;
    for _ in 0..1500 {
        let mut mutated = layer.clone();
        for _ in 0..3 {
            // Knuth's MMIX generator: the same bytes in every run.
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = usize::try_from(random >> 33).unwrap() % (mutated.len() - 1024);
            mutated[at] =
                [b'/', b'.', 0, b'1', b'2', b'5', b'd', b'l', b'm'][usize::try_from(random >> 20).unwrap() % 9];
        }
        for header in mutated.chunks_mut(512) {
            let mut fixed = tar::Header::from_byte_slice(header).clone();
            fixed.set_cksum();
            header.copy_from_slice(fixed.as_bytes());
        }
        let _ = ground.unpack(&mutated, &Limits::default());
    }
    assert_eq!(ground.outside(), before);
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
    assert_eq!(mode(&ground.root.join("dir")), 0o1777);
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
    let root = File::open(&ground.root).unwrap().into();
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
