//! Hard links: to what is outside, to what must not have a second name, and as a way to write to something else.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::super::rules::Rule;
use super::super::testing::Tar;
use super::Control::Naive;
use super::{Case, t, tree, twin};

pub(super) fn cases(out: &Path) -> Vec<Case> {
    let mut all = outside(out);
    all.extend(not_there());
    all.extend(kinds());
    all.extend(swaps(out));
    all
}

/// Targets out of the root.
fn outside(out: &Path) -> Vec<Case> {
    let file = out.join("file");
    let file = file.to_str().unwrap();
    let absolute = |name: &str, tar: Tar| Case::refused(name, Rule::HardlinkTarget, tar, Naive);
    let parent = |name: &str, tar: Tar| Case::refused(name, Rule::Parent, tar, Naive);
    let through = |name: &str, tar: Tar| Case::refused(name, Rule::HardlinkTarget, tar, Naive);
    vec![
        absolute("to an absolute path", t().hardlink("h", file)),
        absolute("to an absolute path, written through", t().hardlink("h", file).file("h", "x")),
        absolute("to an absolute path in PAX", t().pax("linkpath", file.as_bytes()).hardlink("h", "x")),
        absolute("to an absolute path, from a directory", t().dir("d").hardlink("d/h", file)),
        parent("to the parent", t().hardlink("h", "../canary/file")),
        parent("to the parent, written through", t().hardlink("h", "../canary/file").file("h", "x")),
        parent("to the parent, from a directory", t().dir("a").hardlink("a/h", "../canary/file")),
        parent("to the parent by a detour", t().dir("a").hardlink("h", "a/../../canary/file")),
        parent("to the parent in PAX", t().pax("linkpath", b"../canary/file").hardlink("h", "x")),
        parent("to the parent in a GNU long link", gnu_long_link("../canary/file").hardlink("h", "x")),
        parent("to a link outside", t().hardlink("h", "../canary/link")),
        parent("to a FIFO outside", t().hardlink("h", "../canary/fifo")),
        through("through an absolute link", t().symlink("d", out.to_str().unwrap()).hardlink("h", "d/file")),
        through("through a relative link", t().symlink("d", "../canary").hardlink("h", "d/file")),
        through("through two links", t().symlink("e", "../canary").symlink("d", "e").hardlink("h", "d/dir/file")),
        through(
            "through a link behind a directory",
            t().dir("a").symlink("a/d", "../../canary").hardlink("h", "a/d/file"),
        ),
        through(
            "through a link in a directory's place",
            t().dir("d").symlink("d", "../canary").hardlink("h", "d/file"),
        ),
    ]
}

fn gnu_long_link(target: &str) -> Tar {
    let mut header = Tar::header(b'K', b"long");
    header.set_size(target.len() as u64);
    t().entry(header, target.as_bytes())
}

fn not_there() -> Vec<Case> {
    let good = |name: &str| twin(t().file("f", name).hardlink("h", "f"));
    let case = |name: &str, tar: Tar| Case::refused(name, Rule::HardlinkTarget, tar, good(name));
    vec![
        case("to nothing", t().hardlink("h", "nothing")),
        case("to something later", t().hardlink("h", "later").file("later", "x")),
        case("to the layer below", t().hardlink("h", "dir/file")),
        case("to itself, missing", t().hardlink("f", "f")),
        case("below a file", t().file("f", "x").hardlink("h", "f/x")),
        case("to what it replaces", t().dir("d").file("d/f", "x").hardlink("d", "d/f")),
        case("to what was replaced", t().dir("d").file("d/f", "x").file("d", "x").hardlink("h", "d/f")),
        case("in a ring", t().hardlink("a", "b").hardlink("b", "a")),
    ]
}

/// Only files, links and FIFOs have second names.
fn kinds() -> Vec<Case> {
    let case = |name: &str, tar: Tar| {
        let good = t().file("f", name).hardlink("h", "f").hardlink("i", "h");
        Case::refused(format!("second name of {name}"), Rule::HardlinkKind, tar, twin(good))
    };
    vec![
        case("a directory", t().dir("d").hardlink("h", "d")),
        case("a directory, with a slash", t().dir("d").hardlink("h", "d/")),
        case("the root", t().hardlink("h", ".")),
        case("the root, absolute", t().hardlink("h", "/")),
        case("nothing at all", t().hardlink("h", "")),
        case("a whiteout", t().file(".wh.a", "").hardlink("h", "a")),
        case("a whiteout's name", t().file(".wh.a", "").hardlink("h", ".wh.a")),
        case("an opaque marker", t().dir("d").file("d/.wh..wh..opq", "").hardlink("h", "d/.wh..wh..opq")),
        case("what aufs keeps", t().file(".wh..wh.plnk", "").hardlink("h", ".wh..wh.plnk")),
    ]
}

/// Second names that are written to, or whose first name changes.
fn swaps(out: &Path) -> Vec<Case> {
    let file = out.join("file");
    let file = file.to_str().unwrap();
    let holds = |name: &'static str, content: &'static str| {
        move |root: &Path| {
            root.join(name).symlink_metadata().is_ok_and(|found| found.is_file())
                && fs::read_to_string(root.join(name)).is_ok_and(|found| found == content)
        }
    };
    let one = |names: usize| {
        move |root: &Path| {
            let files = tree(root).into_iter().filter(|path| path.symlink_metadata().unwrap().is_file());
            files.map(|path| path.metadata().unwrap().ino()).collect::<std::collections::BTreeSet<_>>().len() == names
        }
    };
    vec![
        Case::unpacked(
            "to an absolute link, then written",
            holds("h", "x"),
            t().symlink("l", file).hardlink("h", "l").file("h", "x"),
            Naive,
        ),
        Case::unpacked(
            "to a relative link, then written",
            holds("h", "x"),
            t().symlink("l", "../canary/file").hardlink("h", "l").file("h", "x"),
            Naive,
        ),
        Case::unpacked(
            "to a link, whose first name is then written",
            holds("l", "x"),
            t().symlink("l", "../canary/file").hardlink("h", "l").file("l", "x"),
            Naive,
        ),
        Case::unpacked(
            "a second name that is written is a file of its own",
            |root| fs::read(root.join("f")).is_ok_and(|found| found == b"first"),
            t().file("f", "first").hardlink("h", "f").file("h", "second"),
            Naive,
        ),
        Case::unpacked(
            "in the place of a link",
            holds("l", "x"),
            t().file("f", "x").symlink("l", "../canary/file").hardlink("l", "f").file("l", "x"),
            twin(t().file("f", "x").symlink("l", "../canary/file").hardlink("l", "f").file("l", "y")),
        ),
        Case::unpacked(
            "to itself",
            holds("f", "x"),
            t().file("f", "x").hardlink("f", "./f"),
            twin(t().file("f", "y").hardlink("f", "./f")),
        ),
        Case::unpacked(
            "to itself through a link",
            holds("e/f", "x"),
            t().file("e/f", "x").symlink("d", "e").hardlink("d/f", "e/f"),
            twin(t().file("e/f", "y").symlink("d", "e").hardlink("d/f", "e/f")),
        ),
        Case::unpacked(
            "through a link within",
            |root| root.join("h").metadata().is_ok_and(|found| found.nlink() == 2),
            t().file("e/f", "x").symlink("d", "/e").hardlink("h", "d/f"),
            twin(t().file("e/f", "x").symlink("d", "/e").file("h", "x")),
        ),
        Case::unpacked(
            "in the place of a directory",
            holds("d", "x"),
            t().file("f", "x").dir("d").file("d/f", "y").hardlink("d", "f"),
            Naive,
        ),
        Case::unpacked(
            "chain of a hundred",
            one(1),
            (0..100).fold(t().file("0", "x"), |tar, at| tar.hardlink(&format!("{}", at + 1), &at.to_string())),
            twin(t().file("0", "x").file("1", "x")),
        ),
        Case::unpacked(
            "with content that is not there",
            one(1),
            t().file("f", "x").entry(sized(b'1', "h", "f", 1 << 40), b""),
            twin(t().file("f", "x").file("g", "x").entry(sized(b'1', "h", "f", 1 << 40), b"")),
        ),
    ]
}

fn sized(kind: u8, name: &str, target: &str, size: u64) -> tar::Header {
    let mut header = Tar::header(kind, name.as_bytes());
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_size(size);
    header
}
