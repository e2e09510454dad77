//! Layers that are too much: entries, depth, implied directories, repeated work. What is too many bytes only a stream
//! can be: `streams` has that.

use std::fs;
use std::path::Path;

use super::super::rules::Rule;
use super::super::testing::Tar;
use super::{Case, Expected, SMALL, t, tree, twin};

pub(super) fn cases(_out: &Path) -> Vec<Case> {
    let limit = usize::try_from(SMALL.entries).unwrap();
    let over = |name: &str, make: fn(Tar, usize) -> Tar| {
        let layer = (0..=limit).fold(t(), make);
        Case::new(name, Expected::Entries, layer, twin((0..limit).fold(t(), make)))
    };
    let deep = |at: usize| format!("{at}/{}f", "d/".repeat(99));
    let implied = |count: usize| (0..count).fold(t(), |tar, at| tar.long(&deep(at)).file("a", ""));
    let mut all = vec![
        over("empty files", |tar, at| tar.file(&at.to_string(), "")),
        over("one-byte files", |tar, at| tar.file(&at.to_string(), "x")),
        over("directories", |tar, at| tar.dir(&format!("d{at}"))),
        over("the same directory", |tar, _| tar.dir("d")),
        over("the same file", |tar, _| tar.file("f", "x")),
        over("the root", |tar, _| tar.dir("./")),
        over("links", |tar, at| tar.symlink(&at.to_string(), "x")),
        over(
            "a storm of hard links",
            |tar, at| {
                if at == 0 { tar.file("f", "x") } else { tar.hardlink(&format!("h{at}"), "f") }
            },
        ),
        over("FIFOs", |tar, at| tar.of(b'6', &at.to_string())),
        over("device nodes, which are left out", |tar, at| tar.of(b'3', &at.to_string())),
        over("whiteouts", |tar, at| tar.file(&format!(".wh.{at}"), "")),
        over("the same whiteout", |tar, _| tar.file(".wh.a", "")),
        over("opaque markers", |tar, at| if at == 0 { tar.dir("d") } else { tar.file("d/.wh..wh..opq", "") }),
        over("aufs's own", |tar, at| tar.file(&format!(".wh..wh.{at}"), "")),
        over("by long names", |tar, at| tar.long(&format!("{at}{}", "n".repeat(240))).file("a", "")),
        over("by turns a directory and a file", |tar, at| if at % 2 == 0 { tar.dir("t") } else { tar.file("t", "") }),
        Case::new("implied directories", Expected::Entries, implied(2), twin(implied(1))),
        Case::new("one implied directory each", Expected::Entries, one_each(76), twin(one_each(75))),
    ];
    all.push(Case::refused("a deep tree, step by step", Rule::Depth, steps(129), twin(steps(128))));
    all.extend(quadratic());
    all
}

fn one_each(count: usize) -> Tar {
    (0..count).fold(t(), |tar, at| tar.file(&format!("{at}/f"), ""))
}

fn steps(depth: usize) -> Tar {
    (1..=depth).fold(t(), |tar, depth| tar.long(&"d/".repeat(depth)).dir("a"))
}

/// Work that could grow with the square of the entries: there is a limit of entries, and the result is right.
fn quadratic() -> Vec<Case> {
    let alternating = |count: usize| {
        let name = |at: usize| format!("{}{}f{at}", at % 2, "/d".repeat(20) + "/");
        (0..count).fold(t(), |tar, at| tar.long(&name(at)).file("a", "x"))
    };
    let files = |count: usize| move |root: &Path| tree(root).iter().filter(|path| path.is_file()).count() == count;
    let filled = |count: usize| (0..count).fold(t().dir("d"), |tar, at| tar.file(&format!("d/{at}"), "x"));
    let again =
        |count: usize| (0..5).fold(t(), |tar, _| tar.raw(&filled(15).open()).file("d", "")).raw(&filled(count).open());
    vec![
        Case::unpacked("two deep trees by turns", files(70), alternating(70), twin(alternating(69))),
        Case::unpacked("a directory that is replaced again and again", files(15), again(15), twin(again(14))),
        Case::unpacked(
            "a directory of 110 long names",
            |root| fs::read_dir(root.join("d")).is_ok_and(|found| found.count() == 110),
            (0..110).fold(t().dir("d"), |tar, at| tar.long(&format!("d/{at:0250}")).file("a", "")),
            twin((0..109).fold(t().dir("d"), |tar, at| tar.long(&format!("d/{at:0250}")).file("a", ""))),
        ),
    ]
}
