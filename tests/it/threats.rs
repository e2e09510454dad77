//! The table of what can go wrong and of the tests that hold it off (`tests/data/threats.txt`): it is whole, and its tests exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const TABLE: &str = include_str!("../data/threats.txt");
const MAKEFILE: &str = include_str!("../../Makefile");
/// The numbers of the catalogue: faults and attacks, and defects of the library.
const RANGES: [(char, std::ops::RangeInclusive<u32>); 8] = [
    ('T', 1..=9),
    ('T', 10..=22),
    ('T', 30..=38),
    ('T', 40..=49),
    ('T', 50..=55),
    ('T', 60..=62),
    ('F', 1..=15),
    ('F', 16..=30),
];

/// The rows: what it is, and the tests, or none where the table says why.
fn rows() -> BTreeMap<&'static str, Vec<&'static str>> {
    let lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let row = |line: &'static str| match line.split_once(": ") {
        Some((id, tests)) if !id.contains(' ') => (id, tests.split(' ').collect()),
        _ => {
            let (id, why) = line.split_once(" - ").unwrap_or_else(|| panic!("neither tests nor a reason: {line}"));
            assert!(why.len() > 20, "{line}: why?");
            (id, Vec::new())
        }
    };
    lines.map(row).collect()
}

/// The names of all tests, in the program and beside it, and of the targets of the Makefile.
fn tests() -> BTreeSet<String> {
    let targets = MAKEFILE.lines().filter(|line| line.starts_with(char::is_alphabetic));
    let mut names: BTreeSet<String> =
        targets.filter_map(|line| Some(format!("make:{}", line.split_once(':')?.0))).collect();
    for directory in ["src", "tests"] {
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(directory), &mut names);
    }
    names
}

fn collect(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).expect("it is there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, names);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).expect("it is text");
            let functions = text.split("#[test]").skip(1).filter_map(|rest| rest.split_once("fn ")?.1.split_once('('));
            names.extend(functions.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn every_threat_has_its_tests_or_says_why_not() {
    let rows = rows();
    let wanted = RANGES.iter().flat_map(|(kind, numbers)| numbers.clone().map(move |number| format!("{kind}{number}")));
    let wanted: BTreeSet<String> = wanted.collect();
    assert_eq!(rows.keys().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>(), wanted);
    let tests = tests();
    let missing: Vec<_> = rows
        .iter()
        .flat_map(|(id, names)| names.iter().map(move |name| (id, name)))
        .filter(|(_, name)| !tests.contains(**name))
        .collect();
    assert!(missing.is_empty(), "there are no such tests: {missing:#?}");
}
