//! Paths that lead out of the root, or are no paths.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::super::rules::Rule;
use super::super::testing::Tar;
use super::Control::Naive;
use super::{Case, t, tree, twin};

pub(super) fn cases(out: &Path) -> Vec<Case> {
    let mut all = parents();
    all.extend(absolute(out));
    all.extend(extended(out));
    all.extend(roots());
    all.extend(too_long());
    all.extend(taken_literally());
    all
}

/// `..`, in every place of a path and for every kind of entry.
fn parents() -> Vec<Case> {
    let file = |name: &str| Case::refused(format!("file {name}"), Rule::Parent, t().file(name, "x"), Naive);
    let mut all: Vec<_> = [
        "../canary/new",
        "./../canary/new",
        "../canary/file",
        ".//.././canary/new",
        "..//canary//new",
        "a/../../canary/new",
        "a/b/../../../canary/new",
        "a/../../canary/dir/../new",
        "./a/./.././../canary/file",
        "../root/../canary/new",
    ]
    .into_iter()
    .map(file)
    .collect();
    let inside =
        |name: &str| Case::refused(format!("inside {name}"), Rule::Parent, t().file(name, "x"), twin(ok(name)));
    all.extend(["a/../b", "a/b/../../c", "a/..b/../c"].into_iter().map(inside));
    let case = |name: &str, tar: Tar| Case::refused(name, Rule::Parent, tar, Naive);
    all.extend([
        case("directory", t().dir("../canary/new")),
        case("directory with a slash", t().dir("../canary/new/")),
        case("directory that is there", t().dir("../canary/dir")),
        case("directory above the root", t().dir("..")),
        case("directory above the root, with a slash", t().dir("../")),
        case("directory above the root, with more", t().dir(".././")),
        case("symbolic link", t().symlink("../canary/new", "x")),
        case("symbolic link over a file", t().symlink("../canary/file", "x")),
        case("hard link", t().file("a", "x").hardlink("../canary/new", "a")),
        case("FIFO", t().of(b'6', "../canary/new")),
        case("character device", t().of(b'3', "../canary/new")),
        case("block device", t().of(b'4', "../canary/new")),
        case("contiguous file", t().of(b'7', "../canary/new")),
        case("file of the oldest type", before_posix("../canary/new")),
        case("directory of the oldest type", before_posix("../canary/dir/")),
        case("behind a harmless entry", t().file("a", "x").dir("b").file("b/../../canary/new", "x")),
    ]);
    all.push(Case::refused(
        "the parent as a link",
        Rule::Parent,
        t().symlink("..", "canary"),
        twin(t().symlink("a", "x")),
    ));
    all.push(Case::refused("directory a/..", Rule::Parent, t().dir("a/.."), twin(t().dir("a/."))));
    all
}

/// An entry of type NUL: a directory if its name ends with a slash.
fn before_posix(name: &str) -> Tar {
    let mut header = Tar::header(b'0', name.as_bytes());
    header.as_mut_bytes()[156] = 0;
    t().entry(header, b"")
}

/// The same path with its `..` taken for a name.
fn ok(name: &str) -> Tar {
    t().file(&name.replace("../", "p/"), "x")
}

/// Absolute paths are meant below the root.
fn absolute(out: &Path) -> Vec<Case> {
    let out = out.to_str().unwrap();
    let below = |name: &str| {
        let name = name.to_owned();
        move |root: &Path| root.join(name.trim_start_matches('/')).symlink_metadata().is_ok()
    };
    let (new, file) = (format!("{out}/new"), format!("{out}/file"));
    let case = |name: &str, path: &str, tar: Tar| Case::unpacked(format!("absolute: {name}"), below(path), tar, Naive);
    let mut all = vec![
        case("file", &new, t().file(&new, "x")),
        case("file that is there", &file, t().file(&file, "y")),
        case("two slashes", &new, t().file(&format!("//{out}/new"), "x")),
        case("dots", &new, t().file(&format!("/.{out}/./new"), "x").file(&format!("{out}/new"), "x")),
        case("directory", &new, t().dir(&new)),
        case("symbolic link", &new, t().symlink(&new, "x")),
        case("FIFO", &new, t().of(b'6', &new)),
        case("hard link", &new, t().file("a", "x").hardlink(&new, "a")),
        case("PAX", &new, t().pax("path", new.as_bytes()).file("a", "x")),
        case("GNU long name", &new, t().long(&new).file("a", "x")),
    ];
    let up = format!("{out}/dir/../new");
    all.push(Case::refused("absolute with ..", Rule::Parent, t().long(&up).file("a", "x"), Naive));
    all.push(Case::refused("/..", Rule::Parent, t().file("/../a", "x"), twin(t().file("/a", "x"))));
    all
}

/// Names that come from another place than the header.
fn extended(out: &Path) -> Vec<Case> {
    let mut prefixed = tar::Header::new_ustar();
    prefixed.as_mut_bytes()[..257 - 156].copy_from_slice(&Tar::header(b'0', b"new").as_bytes()[..257 - 156]);
    prefixed.as_mut_bytes()[101..157].copy_from_slice(&Tar::header(b'0', b"new").as_bytes()[101..157]);
    prefixed.as_ustar_mut().unwrap().prefix[..9].copy_from_slice(b"../canary");
    let parent = |name: &str, tar: Tar| Case::refused(name, Rule::Parent, tar, Naive);
    let evil = b"../canary/new";
    vec![
        parent("PAX path", t().pax("path", evil).file("a", "x")),
        parent("PAX path of a directory", t().pax("path", b"../canary/dir").dir("a")),
        parent("PAX path of a link", t().pax("path", evil).symlink("a", "x")),
        parent("PAX path, the second one", t().pax("path", b"a").pax("path", evil).file("a", "x")),
        parent("GNU long name", t().long("../canary/new").file("a", "x")),
        parent("GNU long name with a NUL", t().long("../canary/new\0").file("a", "x")),
        parent("GNU long name behind PAX", t().pax("path", b"a").long("../canary/new").file("a", "x")),
        parent("PAX behind a GNU long name", t().long("a").pax("path", evil).file("a", "x")),
        parent("the prefix of ustar", t().entry(prefixed, b"")),
        Case::refused(
            "NUL in PAX",
            Rule::Nul,
            t().pax("path", b"a\0/../../x").file("a", "x"),
            twin(t().file("a", "x")),
        ),
        Case::refused("NUL at the end in PAX", Rule::Nul, t().pax("path", b"a\0").file("a", "x"), twin(t().dir("a"))),
        Case::refused("only NUL in PAX", Rule::Nul, t().pax("path", b"\0").file("a", "x"), twin(t().of(b'6', "a"))),
        Case::unpacked(
            "a global PAX path is not taken over",
            |root| root.join("a").is_file() && tree(root).len() == 1,
            global(b"30 path=../canary/everything\n").file("a", "x"),
            twin(t().file("b", "x")),
        ),
        Case::unpacked(
            "an empty PAX path takes nothing but itself back",
            |root| root.join("a").is_file(),
            t().pax("path", b"").file("a", "x"),
            twin(t().pax("path", b"b").file("a", "x")),
        ),
        Case::unpacked(
            "a harmless PAX path in front of a hostile header",
            |root| root.join("a").is_file() && tree(root).len() == 1,
            t().pax("path", b"a").file("../canary/new", "x"),
            twin(t().pax("path", b"b").file("../canary/new", "x")),
        ),
        Case::refused(
            "a PAX path counts for one entry",
            Rule::Parent,
            t().pax("path", b"a").file("b", "x").file(out.join("../canary/new").to_str().unwrap(), "x"),
            Naive,
        ),
    ]
}

fn global(record: &[u8]) -> Tar {
    let mut header = Tar::header(b'g', b"pax");
    header.set_size(record.len() as u64);
    t().entry(header, record)
}

/// Names of the root itself.
fn roots() -> Vec<Case> {
    let mut all = Vec::new();
    for name in ["", ".", "/", "./", "//", "./.", "/./"] {
        all.push(Case::refused(format!("file {name:?}"), Rule::Root, t().file(name, "x"), twin(t().dir(name))));
    }
    for (what, kind) in [("FIFO", b'6'), ("device", b'3')] {
        all.push(Case::refused(format!("{what} as root"), Rule::Root, t().of(kind, "/"), twin(t().of(kind, "a"))));
    }
    all.push(Case::refused("link as root", Rule::Root, t().symlink("./", "../canary"), twin(t().symlink("b", "x"))));
    let hard = t().file("a", "x").hardlink("/", "a");
    all.push(Case::refused("hard link as root", Rule::Root, hard, twin(t().file("a", "x").hardlink("b", "a"))));
    all
}

fn too_long() -> Vec<Case> {
    let named = |name: &str| t().long(name).file("a", "x");
    let deep = |depth: usize| named(&("d/".repeat(depth) + "x"));
    let path = |parts: usize| named(&("n".repeat(254) + "/").repeat(parts));
    vec![
        Case::refused("a name of 256 bytes", Rule::Name, named(&"n".repeat(256)), twin(named(&"n".repeat(255)))),
        Case::refused("a directory of 256 bytes", Rule::Name, named(&("n".repeat(256) + "/x")), twin(named("n/x"))),
        Case::refused("a name of 4,000 bytes", Rule::Name, named(&"n".repeat(4000)), twin(named("n"))),
        Case::refused("a path of 4,096 bytes", Rule::Path, named(&"n/".repeat(2048)), twin(path(16))),
        Case::refused("a path of 64 KiB", Rule::Path, named(&"nnnnnnn/".repeat(8192)), twin(path(15))),
        Case::refused("129 directories deep", Rule::Depth, deep(128), twin(deep(127))),
        Case::refused("2,000 directories deep", Rule::Depth, deep(2000), twin(deep(126))),
        Case::refused("deep in PAX", Rule::Depth, t().pax("path", &b"d/".repeat(200)).dir("a"), twin(deep(9))),
    ]
}

/// What only looks like a way out is a name like any other.
fn taken_literally() -> Vec<Case> {
    let bytes = |name: &'static [u8]| {
        let found = move |root: &Path| root.join(OsStr::from_bytes(name)).is_file() && tree(root).len() <= 3;
        let tar = t().pax("path", name).file("a", "x");
        Case::unpacked(String::from_utf8_lossy(name), found, tar, twin(t().file("another", "x")))
    };
    let mut all = vec![
        bytes(b"a\nb"),
        bytes(b"\xff\xfe"),
        bytes(b"a/\xc3\x28"),
        bytes(b"\x1b[2J"),
        bytes(b"a\rb\x08\x7f"),
        bytes(b"..."),
        bytes(b".. "),
        bytes(b" .."),
        bytes(b"..\\..\\canary\\new"),
        bytes(b"%2e%2e/canary/new"),
        bytes("\u{ff0e}\u{ff0e}/canary".as_bytes()),
        bytes("\u{2025}/canary".as_bytes()),
        bytes(b"C:\\canary"),
        bytes(b"~/x"),
        bytes(b"$HOME/x"),
        bytes(b"$(id)"),
        bytes(b"-rf"),
        bytes(b"a/./b//c"),
        bytes(b"a;b|c&d"),
        bytes(b"\xf0\x9f\x92\xa3"),
    ];
    let proc = |root: &Path| root.join("proc/self/root/canary").is_file();
    all.push(Case::unpacked("/proc/self/root", proc, t().file("/proc/self/root/canary", "x"), twin(t().dir("proc"))));
    all
}
