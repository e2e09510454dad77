//! Whiteouts and opaque markers: in odd places, of odd names, and of what their own layer has.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::super::rules::Rule;
use super::super::testing::Tar;
use super::Control::{self, Naive};
use super::{Case, t, tree, twin};

pub(super) fn cases(out: &Path) -> Vec<Case> {
    let mut all = names();
    all.extend(outside(out));
    all.extend(own_layer());
    all
}

/// Whiteouts that name no single entry beside them.
fn names() -> Vec<Case> {
    let refused = |name: &str, tar: Tar, control: Control| Case::refused(name, Rule::Whiteout, tar, control);
    let good = |name: &str| twin(t().file("a", name).file(".wh.b", ""));
    let plain = |name: &str| refused(name, t().file(name, ""), good(name));
    let opaque = |name: &str| Case::refused(name, Rule::OpaqueRoot, t().file(name, ""), good(name));
    vec![
        plain(".wh."),
        plain("a/.wh."),
        plain(".wh.."),
        plain("a/.wh.."),
        plain(".wh.a/b"),
        plain(".wh.a/.wh.b"),
        plain("a/.wh.b/c"),
        plain(".wh..wh..opq/x"),
        plain("a/.wh..wh..opq/x"),
        plain(".wh..wh.plnk/1.2"),
        plain(".wh./x"),
        plain(".wh../x"),
        refused("the parent", t().file(".wh...", ""), Naive),
        refused("the parent of a directory", t().dir("a").dir("a/b").file("a/.wh...", ""), good("the parent")),
        refused("below a whiteout in PAX", t().pax("path", b".wh.x/y").file("a", ""), good("PAX")),
        refused("a directory below a whiteout", t().dir(".wh.d/e"), good("a directory")),
        opaque(".wh..wh..opq"),
        opaque("/.wh..wh..opq"),
        opaque("./.wh..wh..opq"),
        opaque(".//./.wh..wh..opq"),
        Case::refused(
            "a whiteout with a slash in PAX",
            Rule::Parent,
            t().pax("path", b".wh.a/../../canary/file").file("a", ""),
            good("slash"),
        ),
        Case::refused("a whiteout with a NUL", Rule::Nul, t().pax("path", b".wh.a\0b").file("a", ""), good("NUL")),
        Case::refused(
            "a whiteout of 256 bytes",
            Rule::Name,
            t().long(&format!(".wh.{}", "n".repeat(252))).file("a", ""),
            good("long"),
        ),
    ]
}

/// Whiteouts of what is not the image's.
fn outside(out: &Path) -> Vec<Case> {
    let file = |name: &str| out.join(name).to_str().unwrap().to_owned();
    let whiteout =
        |name: &'static str| move |root: &Path| tree(root).iter().any(|path| path.ends_with(name) && is_whiteout(path));
    let parent = |name: &str| Case::refused(format!("whiteout {name}"), Rule::Parent, t().file(name, ""), Naive);
    vec![
        parent("../canary/.wh.file"),
        parent("../canary/.wh.dir"),
        parent("../canary/.wh..wh..opq"),
        parent("../canary/dir/.wh..wh..opq"),
        parent("../.wh.canary"),
        parent("a/../../.wh.canary"),
        Case::unpacked("absolute", whiteout("file"), t().file(&file(".wh.file"), ""), Naive),
        Case::unpacked("absolute, of a directory", whiteout("dir"), t().file(&file(".wh.dir"), ""), Naive),
        Case::unpacked(
            "absolute opaque marker",
            |root| tree(root).iter().all(|path| path.is_dir()),
            t().file(&file(".wh..wh..opq"), ""),
            Naive,
        ),
        Case::unpacked("of a link's name", whiteout("l"), t().file(".wh.l", ""), twin(t().symlink("l", &file("file")))),
    ]
}

fn is_whiteout(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|m| m.file_type().is_char_device() && m.rdev() == 0)
}

/// A whiteout speaks of lower layers only; what its own layer has stays.
fn own_layer() -> Vec<Case> {
    let kept = |name: &'static str| {
        move |root: &Path| root.join(name).symlink_metadata().is_ok() && !is_whiteout(&root.join(name))
    };
    let case = |name: &str, path: &'static str, tar: Tar| Case::unpacked(name, kept(path), tar, Naive);
    let hidden = |name: &str, path: &'static str, tar: Tar| {
        Case::unpacked(name, move |root: &Path| is_whiteout(&root.join(path)), tar, Naive)
    };
    let behind = |name: &str, entries: Tar| {
        let layer = t().file(".wh.a", "").raw(&entries.open());
        Case::unpacked(format!("{name} behind its whiteout"), kept("a"), layer, twin(t().file(".wh.a", "")))
    };
    let many = (0..100).fold(t().dir("d").file("d/kept", "x"), |tar, _| tar.file("d/.wh..wh..opq", ""));
    vec![
        case("behind its file", "f", t().file("f", "x").file(".wh.f", "")),
        case("behind its link", "l", t().symlink("l", "../canary/file").file(".wh.l", "")),
        case("behind its directory", "d/f", t().dir("d").file("d/f", "x").file(".wh.d", "")),
        case("opaque behind a file", "d/f", t().dir("d").file("d/f", "x").file("d/.wh..wh..opq", "")),
        case("opaque a hundred times", "d/kept", many),
        hidden("twice", "a", t().file(".wh.a", "").file(".wh.a", "")),
        hidden("as a directory", "a", t().dir(".wh.a")),
        hidden("with a slash", "a", t().file(".wh.a/", "")),
        hidden("as a link", "a", t().symlink(".wh.a", "../canary")),
        hidden("as a device", "a", t().of(b'3', ".wh.a")),
        hidden("as a hard link to nothing", "a", t().hardlink(".wh.a", "nothing")),
        hidden("with content", "a", t().file(".wh.a", "content")),
        hidden("of a name like a whiteout's", ".wha", t().file(".wh..wha", "")),
        behind("a file", t().file("a", "x")),
        behind("a directory", t().dir("a").file("a/x", "")),
        behind("an implied directory", t().file("a/x", "")),
        behind("a hard link", t().file("f", "x").hardlink("a", "f")),
        behind("a link", t().symlink("a", "../canary/file")),
        Case::unpacked(
            "aufs's own is nothing",
            |root| tree(root).is_empty(),
            t().file(".wh..wh.plnk", "").dir(".wh..wh.aufs").symlink(".wh..wh.orph", "../canary"),
            twin(t().file("plnk", "").dir(".wh..wh.aufs")),
        ),
        Case::unpacked(
            "aufs's own below a directory is nothing",
            |root| tree(root).len() == 1,
            t().dir("d").file("d/.wh..wh.x", ""),
            twin(t().dir("d").file("d/x", "")),
        ),
        Case::unpacked(
            "case makes a difference",
            |root| root.join(".WH.a").is_file(),
            t().file(".WH.a", ""),
            twin(t().file(".wh.a", "")),
        ),
        Case::unpacked(
            "the prefix elsewhere in a name is none",
            |root| root.join("a.wh.b").is_file() && root.join("..wh.a").is_file(),
            t().file("a.wh.b", "").file("..wh.a", ""),
            twin(t().file("a", "")),
        ),
    ]
}
