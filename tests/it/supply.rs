//! What the program is made of: where its crates come from, under which licences, and which of them it has twice. Read from
//! cargo's own metadata, so that nothing has to be installed for it; `make audit` asks for known defects of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::process::Command;

use serde_json::Value;

/// Licences under which a program may be handed on that is itself under Apache-2.0.
const LICENCES: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];
/// Crates that name a file instead of a licence, and what it says.
const BY_FILE: [(&str, &str); 1] = [("rust-criu", "Apache-2.0")];
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// What is there in more than one version, because crates that we use do not agree: libcontainer and cgroups-rs (nix, sha2,
/// strum, rustix), aws-sigv4 (http, http-body, sha2), rtnetlink's family (netlink-*). One that is missing here is a build
/// that grew; one that is too much can go.
const TWICE: [&str; 25] = [
    "base64",
    "bitflags",
    "block-buffer",
    "cpufeatures",
    "crypto-common",
    "darling",
    "darling_core",
    "darling_macro",
    "digest",
    "getrandom",
    "http",
    "http-body",
    "itertools",
    "linux-raw-sys",
    "netlink-packet-core",
    "netlink-packet-route",
    "netlink-sys",
    "nix",
    "rustix",
    "sha2",
    "strum",
    "strum_macros",
    "syn",
    "thiserror",
    "thiserror-impl",
];

/// The crates of the program and of what builds it, for Linux on x86-64.
fn crates() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "metadata",
        "--format-version=1",
        "--locked",
        "--offline",
        "--filter-platform=x86_64-unknown-linux-gnu",
    ]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let wanted = wanted(&metadata);
    let all = metadata["packages"].as_array().expect("a list").iter();
    all.filter(|one| wanted.contains(text(one, "id"))).cloned().collect()
}

/// What the program's own crate needs, but for tests.
fn wanted(metadata: &Value) -> HashSet<String> {
    let nodes = metadata["resolve"]["nodes"].as_array().expect("a list").iter();
    let nodes: HashMap<&str, &Value> = nodes.map(|node| (text(node, "id"), node)).collect();
    let mut queue = vec![metadata["resolve"]["root"].as_str().expect("the program's crate")];
    let mut wanted = HashSet::new();
    while let Some(id) = queue.pop() {
        if !wanted.insert(id.to_owned()) {
            continue;
        }
        for dependency in nodes[id]["deps"].as_array().into_iter().flatten() {
            let kinds = dependency["dep_kinds"].as_array().expect("a list");
            if kinds.iter().any(|kind| kind["kind"] != "dev") {
                queue.push(text(dependency, "pkg"));
            }
        }
    }
    wanted
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// Whether an SPDX expression can be met by licences of the list. `/` is the old way to write OR.
fn is_allowed(expression: &str) -> bool {
    let plain = expression.replace('/', " OR ");
    split(&plain, " OR ").iter().any(|one| split(one, " AND ").iter().all(|part| is_met(part)))
}

fn is_met(part: &str) -> bool {
    let part = part.trim();
    match part.strip_prefix('(').and_then(|part| part.strip_suffix(')')) {
        Some(inner) => is_allowed(inner),
        None => LICENCES.contains(&part),
    }
}

/// The parts between an operator, but not inside brackets.
fn split<'a>(text: &'a str, operator: &str) -> Vec<&'a str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_i32, 0);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && at >= start && text[at..].starts_with(operator) => {
                parts.push(&text[start..at]);
                start = at + operator.len();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[test]
fn every_crate_may_be_handed_on_with_the_program() {
    for one in crates() {
        let (name, licence) = (text(&one, "name"), text(&one, "license"));
        let named = BY_FILE.iter().find(|(of, _)| *of == name).map_or(licence, |(_, licence)| licence);
        assert!(is_allowed(named), "{name}: {named:?}");
    }
}

#[test]
fn every_crate_comes_from_the_registry_and_from_nowhere_else() {
    for one in crates() {
        let source = one["source"].as_str().unwrap_or("this workspace");
        assert!(source == REGISTRY || text(&one, "name") == "berth", "{}: {source}", text(&one, "name"));
    }
}

#[test]
fn no_other_crate_is_there_twice() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for one in crates() {
        versions.entry(text(&one, "name").to_owned()).or_default().insert(text(&one, "version").to_owned());
    }
    let twice: BTreeSet<&str> =
        versions.iter().filter(|(_, all)| all.len() > 1).map(|(name, _)| name.as_str()).collect();
    assert_eq!(twice, TWICE.into());
}

#[test]
fn an_expression_is_met_by_one_side_of_or_and_both_of_and() {
    assert!(is_allowed("MIT OR GPL-3.0") && is_allowed("GPL-3.0/MIT") && is_allowed("(MIT OR GPL-3.0) AND ISC"));
    assert!(
        !is_allowed("MIT AND GPL-3.0") && !is_allowed("GPL-3.0") && !is_allowed("") && !is_allowed("(MIT AND X) OR Y")
    );
}
