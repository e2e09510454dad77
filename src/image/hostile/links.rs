//! Symbolic links as parents of what comes after them, and as what later entries take the place of.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::super::rules::Rule;
use super::super::testing::Tar;
use super::Control::Naive;
use super::{Case, t, twin};

pub(super) fn cases(out: &Path) -> Vec<Case> {
    let mut all = through(out);
    all.extend(system_directories());
    all.extend(replaced(out));
    all.extend(odd());
    all
}

/// Ways that `d` leads to the canary's directory `dir`, and where in the root they lead instead.
fn ways(out: &Path) -> Vec<(&'static str, Tar, PathBuf)> {
    let dir = out.join("dir");
    let absolute = || dir.strip_prefix("/").unwrap().to_owned();
    let relative = || PathBuf::from("canary/dir");
    let dir = dir.to_str().unwrap();
    let chain = t().symlink("d", "1").symlink("1", "2").symlink("2", "3").symlink("3", "../canary/dir");
    vec![
        ("absolute link", t().symlink("d", dir), absolute()),
        ("relative link", t().symlink("d", "../canary/dir"), relative()),
        ("link with detours", t().dir("x").symlink("d", "./x/../../canary/./dir/"), relative()),
        ("link to a link", t().symlink("e", dir).symlink("d", "e"), absolute()),
        ("chain of links", chain, relative()),
        ("link to a link outside", t().symlink("d", "../canary/dirlink"), "canary/dirlink".into()),
        ("directory replaced by a link", t().dir("d").file("d/x", "x").symlink("d", dir), absolute()),
        ("file replaced by a link", t().file("d", "x").symlink("d", dir), absolute()),
        ("link out of a directory", t().symlink("d", "e/../../canary/dir").dir("e"), relative()),
        ("link of many parents", t().symlink("d", &format!("{}canary/dir", "../".repeat(9))), relative()),
    ]
}

/// Entries of every kind that go through `d`, and what is there of them then.
fn acts() -> Vec<(&'static str, Tar, &'static str)> {
    vec![
        ("a new file", t().file("d/new", "x"), "new"),
        ("a file that is there", t().file("d/file", "x"), "file"),
        ("a directory", t().dir("d/new/"), "new"),
        ("a directory that is there", t().dir("d/dir"), "dir"),
        ("a deeper file", t().file("d/dir/new", "x"), "dir/new"),
        ("a link", t().symlink("d/new", "x"), "new"),
        ("a hard link", t().file("f", "x").hardlink("d/new", "f"), "new"),
        ("a FIFO", t().of(b'6', "d/new"), "new"),
        ("a whiteout", t().file("d/.wh.file", ""), "file"),
        ("an opaque marker", t().file("d/.wh..wh..opq", ""), ""),
    ]
}

/// Links are followed within the root, as if it were the root of everything.
fn through(out: &Path) -> Vec<Case> {
    let both = |(way, link, dir): (&'static str, Tar, PathBuf)| {
        let case = move |(act, entry, made): (&str, Tar, &str)| {
            let made = dir.join(made);
            let there = move |root: &Path| root.join(&made).symlink_metadata().is_ok();
            let layer = link.clone().raw(&entry.open());
            Case::unpacked(format!("{act} through a {way}"), there, layer, Naive)
        };
        acts().into_iter().map(case)
    };
    ways(out).into_iter().flat_map(both).collect()
}

/// What a runtime, or an image's own tools, would write through.
fn system_directories() -> Vec<Case> {
    let link = |name: &str, inside: &str| {
        let parents: Vec<_> = name.match_indices('/').map(|(at, _)| &name[..at]).collect();
        let target = "../".repeat(parents.len() + 1) + "canary/dir";
        let layer =
            parents.into_iter().fold(t(), Tar::dir).symlink(name, &target).file(&format!("{name}/{inside}"), "x");
        let made = Path::new("canary/dir").join(inside);
        Case::unpacked(format!("/{name} as a link"), move |root: &Path| root.join(&made).is_file(), layer, Naive)
    };
    [
        ("dev", "null"),
        ("dev/pts", "0"),
        ("dev/shm", "x"),
        ("proc", "x"),
        ("proc/self", "exe"),
        ("sys", "x"),
        ("sys/fs/cgroup", "release_agent"),
        ("etc", "hosts"),
        ("etc/ssl", "x"),
        ("run", "x"),
        ("var/run", "x"),
        ("tmp", "x"),
        ("root", ".ssh"),
        ("a/b/c/d/e", "x"),
    ]
    .map(|(name, inside)| link(name, inside))
    .into()
}

/// An entry of the name of a link takes its place, and what it led to stays as it was.
fn replaced(out: &Path) -> Vec<Case> {
    let kind = |check: fn(&fs::FileType) -> bool| {
        move |root: &Path| root.join("l").symlink_metadata().is_ok_and(|found| check(&found.file_type()))
    };
    let mut all = Vec::new();
    for (way, base) in [("an absolute", out.to_str().unwrap()), ("a relative", "../canary")] {
        let to = |target: &str| t().symlink("l", &format!("{base}/{target}"));
        let mut add = |what: &str, check: fn(&fs::FileType) -> bool, tar: Tar| {
            all.push(Case::unpacked(format!("{what} in the place of {way} link"), kind(check), tar, Naive));
        };
        add("a file", fs::FileType::is_file, to("file").file("l", "x"));
        add("a new file", fs::FileType::is_file, to("new").file("l", "x"));
        add("an empty file", fs::FileType::is_file, to("file").file("l", ""));
        add("a setuid file", fs::FileType::is_file, to("dir/file").raw(&mode(b'0', "l", 0o4777)));
        add("a directory", fs::FileType::is_dir, to("dir").raw(&mode(b'5', "l", 0o777)));
        add("a FIFO", FileTypeExt::is_fifo, to("fifo").of(b'6', "l"));
        add(
            "a file with attributes",
            fs::FileType::is_file,
            to("file").pax("SCHILY.xattr.user.hostile", b"x").file("l", "x"),
        );
        add("a file by a long name", fs::FileType::is_file, to("file").long("./l").file("a", "x"));
    }
    let dir = mode(b'5', "l", 0o700);
    let inside = |root: &Path| mode_of(root, "d") == 0o1777 && mode_of(root, "l") == 0o700;
    let layer = t().raw(&mode(b'5', "d", 0o1777)).symlink("l", "d").raw(&dir);
    all.push(Case::unpacked("a directory in the place of a link to a directory", inside, layer, Naive));
    all
}

fn deeper(depth: usize) -> Tar {
    t().symlink("d", &"e/".repeat(100)).file(&format!("d/{}x", "e/".repeat(depth)), "")
}

fn mode(kind: u8, name: &str, mode: u32) -> Vec<u8> {
    let mut header = Tar::header(kind, name.as_bytes());
    header.set_mode(mode);
    t().entry(header, b"").open()
}

fn mode_of(root: &Path, name: &str) -> u32 {
    root.join(name).symlink_metadata().unwrap().mode() & 0o7777
}

/// Links that lead nowhere, or are none.
fn odd() -> Vec<Case> {
    let through = |name: &str, link: Tar| {
        Case::refused(name, Rule::Links, link.file("d/x", "x"), twin(t().dir("d").file("d/x", name)))
    };
    let inside = |name: &str, path: &'static str, link: Tar| {
        let layer = link.file("d/x", "x");
        Case::unpacked(name, move |root: &Path| root.join(path).is_file(), layer, twin(t().dir("d")))
    };
    let target = |name: &str, text: &[u8], rule| {
        Case::refused(
            name,
            rule,
            t().pax("linkpath", text).symlink("l", ""),
            twin(t().pax("linkpath", b"x").symlink("l", name)),
        )
    };
    let text = |name: &str, text: &'static str| {
        let found = move |root: &Path| fs::read_link(root.join("l")).is_ok_and(|found| found == Path::new(text));
        Case::unpacked(name, found, t().symlink("l", text), twin(t().symlink("l", "another")))
    };
    vec![
        through("through itself", t().symlink("d", "d")),
        through("through a loop of two", t().symlink("d", "e").symlink("e", "d")),
        through(
            "through a loop of many",
            (0..30).fold(t().symlink("d", "0"), |tar, at| tar.symlink(&at.to_string(), &((at + 1) % 30).to_string())),
        ),
        through("through a link to a loop", t().symlink("d", "e/x").symlink("e", "e/y")),
        through("through a link that grows", t().symlink("d", "d/d")),
        through(
            "through a link that doubles",
            (0..20)
                .fold(t().symlink("d", "0/0"), |tar, at| tar.symlink(&at.to_string(), &format!("{0}/../{0}", at + 1))),
        ),
        through("through a link of too many parts", t().symlink("d", &"./x/../".repeat(400))),
        inside("up from a link's target", "x", t().symlink("a/d", "b/../../../..").symlink("d", "a/d")),
        Case::refused(
            "a link to a file",
            Rule::ThroughFile,
            t().file("f", "").symlink("d", "f").file("d/x", ""),
            twin(t().dir("f").symlink("d", "f").file("d/x", "")),
        ),
        Case::refused(
            "a link to a name of 256 bytes",
            Rule::Name,
            t().symlink("d", &"n".repeat(256)).file("d/x", ""),
            twin(t().symlink("d", &"n".repeat(255)).file("d/x", "")),
        ),
        Case::refused("deeper through a link", Rule::Depth, deeper(40), twin(deeper(20))),
        inside("through a link to nothing", "nothing/x", t().symlink("d", "nothing")),
        inside("through a link to its own directory", "x", t().symlink("d", ".")),
        inside("through a link to the root", "x", t().symlink("d", "/")),
        inside("through a link to the root's parent", "x", t().symlink("d", "..")),
        inside("through a link to /proc/self/root", "proc/self/root/x", t().symlink("d", "/proc/self/root")),
        inside("through a link to a link's sibling", "e/x", t().dir("e").symlink("d", "e/../e")),
        Case::refused(
            "through a file",
            Rule::ThroughFile,
            t().file("f", "").file("f/x", "x"),
            twin(t().dir("f").file("f/x", "x")),
        ),
        Case::refused("through a FIFO", Rule::ThroughFile, t().of(b'6', "f").dir("f/x"), twin(t().dir("f").dir("f/x"))),
        Case::refused(
            "through a hard link",
            Rule::ThroughFile,
            t().file("g", "").hardlink("f", "g").dir("f/y"),
            twin(t().dir("f").dir("f/y")),
        ),
        Case::refused("a link without a target", Rule::Target, t().symlink("l", ""), twin(t().symlink("l", "t"))),
        target("a target of 4,096 bytes", &[b'n'; 4096], Rule::Path),
        target("a target with a NUL", b"a\0b", Rule::Nul),
        text("a link to /", "/"),
        text("a link to the parent", "../../../../.."),
        text("a link to /proc/self/exe", "/proc/self/exe"),
        text("a link to a descriptor", "/proc/self/fd/3"),
        text("a link to the shadow file", "/etc/shadow"),
        text("a link to a socket", "/run/docker.sock"),
        text("a link to itself", "l"),
        text("a link with control characters", "\u{1b}[2J\n"),
    ]
}
